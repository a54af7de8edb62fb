"""From a request to a reply: who may call, limits, idempotency, faults, and the journal."""
from __future__ import annotations

import asyncio
import gzip
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from starlette.types import Receive, Scope, Send

from .faults import Fault, instead, spoiled
from .idempotency import KeyRefusedError, fingerprint
from .journal import Entry
from .operations import Call, Operation, Request, find, read_json
from .reply import HTML, Reply, exception, not_found, problem
from .tokens import AccessToken
from .world import World

BODY_MAX = 3_500_000
COMPRESSED_MIN = 1000
NO_PROJECTS = "Invalid authorization credentials or organisation hasn't been provisioned in Xero Projects"


@dataclass(frozen=True, slots=True)
class Caller:
    """Who calls, and which tenant is meant."""

    token: AccessToken
    tenant_id: str | None


class Service:
    """The ASGI application for all that Xero itself offers."""

    def __init__(self, world: World) -> None:
        self.world = world

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request and write it into the journal."""
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        path = scope["path"]
        query = scope["query_string"].decode("latin-1")
        journal = self.world.journal
        entry = journal.begin(scope["method"], path, query)
        entry.idempotency_key = headers.get("idempotency-key")
        entry.tenant_id = headers.get("xero-tenant-id") or None
        try:
            body = await _body(receive)
            request = Request(scope["method"], path, query, headers, body)
            fault = self.world.faults.take(request.method, path, query, entry.tenant_id)
            if fault is not None:
                entry.fault = fault.kind
            reply = await self._answer(request, fault, entry)
            if reply is None:
                await _drop(scope, receive)
            else:
                entry.status = reply.status
                await _send(reply, request, scope, receive, send, cut=fault is not None and fault.kind == "cut_short")
        finally:
            journal.finish(entry)

    async def _answer(self, request: Request, fault: Fault | None, entry: Entry) -> Reply | None:
        """Return the reply, or None if the connection is to be closed without one."""
        found = find(request.method, request.path)
        if found is None:
            return not_found()
        operation, parts = found
        if fault is not None and fault.kind == "drop_before":
            return None
        if len(request.body) > BODY_MAX:
            return Reply(413, content_type=HTML)
        caller = self._caller(operation, request)
        if isinstance(caller, Reply):
            return caller
        if caller is None or not operation.tenant or caller.tenant_id is None:
            if self.world.settings.latency:
                await asyncio.sleep(self.world.settings.latency)
            reply = await self._work(Call(self.world, request, parts, None, caller.token if caller else None), operation, fault)
            if request.path.casefold().endswith("/authorize"):
                self.world.touch()
            return reply
        entry.client_id, entry.tenant_id = caller.token.client_id, caller.tenant_id
        return await self._limited(request, operation, parts, caller, fault, entry)

    async def _limited(
        self, request: Request, operation: Operation, parts: tuple[str, ...], caller: Caller, fault: Fault | None, entry: Entry,
    ) -> Reply | None:
        """Carry out an operation of a tenant within the limits."""
        world = self.world
        assert caller.tenant_id is not None
        who = (caller.token.client_id, caller.tenant_id)
        try:
            if not world.limits.enter(*who):
                entry.limit_problem = "concurrent"
                return Reply(429, content_type="", headers={**world.limits.headers(*who, world.clock.now()), "X-Rate-Limit-Problem": "concurrent"})
            if world.settings.latency:
                await asyncio.sleep(world.settings.latency / 2)
            if fault is not None and fault.kind.startswith("limit_"):
                ordered = instead(fault)
                assert ordered is not None
                return Reply(429, content_type="", headers={**world.limits.headers(*who, world.clock.now()), **ordered.headers})
            verdict = world.limits.count(*who, world.clock.now())
            entry.counted = asyncio.get_running_loop().time()
            entry.minute_remaining = int(verdict.headers["X-MinLimit-Remaining"])
            entry.day_remaining = int(verdict.headers["X-DayLimit-Remaining"])
            entry.limit_problem = verdict.problem
            if verdict.problem is not None:
                return Reply(429, content_type="", headers=verdict.headers)
            call = Call(world, request, parts, None, caller.token, world.organisations[caller.tenant_id])
            reply = self._refused_scope(operation, caller) or await self._once(call, operation, fault, entry)
            if world.settings.latency:
                await asyncio.sleep(world.settings.latency / 2)
            if reply is not None:
                reply = Reply(reply.status, reply.data, reply.content_type, {**verdict.headers, **reply.headers}, reply.text)
            return reply
        finally:
            world.limits.leave(*who)

    async def _once(self, call: Call, operation: Operation, fault: Fault | None, entry: Entry) -> Reply | None:
        """Carry out an operation, or give the reply that its idempotency key has already had."""
        request, world = call.request, self.world
        key = request.headers.get("idempotency-key") if operation.writes and operation.method != "DELETE" else None
        refused = fault is not None and fault.kind in ("expired_token", "forbidden")
        if not key or refused or call.token is None:
            return await self._work(call, operation, fault)
        wanted = fingerprint(request.method, request.path + "?" + request.query_string, call.org.tenant_id, request.body)
        try:
            kept = world.keys.find(call.token.client_id, key, wanted, world.clock.now(), world.settings.idempotency_seconds)
        except KeyRefusedError as error:
            if operation.area == "projects":
                return Reply(400, {"message": str(error)})
            return exception(10, "ValidationException", str(error), elements=[])
        if kept is not None:
            entry.replayed = True
            return kept if fault is None else await self._replay(kept, fault)
        now = world.clock.now()

        def keep(reply: Reply) -> None:
            assert call.token is not None
            world.keys.keep(call.token.client_id, key, wanted, reply, now)

        return await self._work(call, operation, fault, entry=entry, keep=keep)

    async def _replay(self, kept: Reply, fault: Fault) -> Reply | None:
        """Return a kept reply as a fault leaves it."""
        if fault.kind == "drop_after":
            return None
        if fault.kind == "hang":
            await self._hang(fault.seconds)
        return instead(fault) or spoiled(fault, kept)

    async def _work(self, call: Call, operation: Operation, fault: Fault | None, *, entry: Entry | None = None, keep: Any = None) -> Reply | None:
        """Carry out an operation, spoiled by a fault if there is one; ``keep`` gets the reply that its key is to have."""
        reply: Reply | None = None
        if fault is None or fault.carried_out:
            reply = self._handle(call, operation, entry)
            if operation.writes:
                self.world.touch()
                self.world.save_if_asked()
        if fault is None:
            if keep and reply is not None:
                keep(reply)
            return reply
        replaced = instead(fault)
        outcome = replaced or reply
        if keep and outcome is not None and (replaced is None or replaced.status >= 500):
            keep(outcome)
        if fault.kind == "hang":
            await self._hang(fault.seconds)
        if fault.kind == "row_appears" and call.organisation is not None:
            self.world.somebody_adds(call.organisation)
        if outcome is None or fault.kind == "drop_after":
            return None
        return outcome if replaced is not None else spoiled(fault, outcome)

    async def _hang(self, seconds: float) -> None:
        """Let time pass, but do not keep the sandbox from ending."""
        end = asyncio.get_running_loop().time() + seconds
        while not self.world.stopping and (left := end - asyncio.get_running_loop().time()) > 0:
            await asyncio.sleep(min(left, 0.1))

    def _handle(self, call: Call, operation: Operation, entry: Entry | None) -> Reply:
        data, refusal = read_json(operation, call.request.body)
        if refusal is not None:
            return refusal
        if entry is not None and isinstance(data, dict):
            rows = next((value for value in data.values() if isinstance(value, list)), None)
            entry.elements = len(rows) if operation.area == "accounting" and rows is not None else 1
        return operation.handler(Call(call.world, call.request, call.parts, data, call.token, call.organisation))

    # -- who may call -------------------------------------------------------------------------------------------------------------
    def _caller(self, operation: Operation, request: Request) -> Caller | Reply | None:
        """Return who calls, None where nobody need say it, or the refusal."""
        if operation.scopes is None:
            return None
        world = self.world
        token = world.tokens.bearer(request.headers.get("authorization"))
        if token is None or token.client_id not in world.tokens.clients:
            return problem(401, "Unauthorized", "AuthenticationUnsuccessful")
        if token.expires <= world.clock.now():
            moment = datetime.fromtimestamp(token.expires, UTC)
            return problem(401, "Unauthorized", f"TokenExpired: token expired at {moment:%m/%d/%Y %H:%M:%S}")
        if not operation.tenant:
            return Caller(token, None)
        connected = [tenant for tenant in world.tokens.tenants_of(token.client_id) if tenant in world.organisations]
        tenant_id = request.headers.get("xero-tenant-id", "").strip().lower()
        if not tenant_id and token.grant == "client_credentials" and len(connected) == 1:
            tenant_id = connected[0]  # a custom connection has one tenant and need not name it
        if tenant_id not in connected:
            return problem(403, "Forbidden", "AuthenticationUnsuccessful")
        return Caller(token, tenant_id)

    def _refused_scope(self, operation: Operation, caller: Caller) -> Reply | None:
        settings = self.world.settings
        if operation.scopes and not set(operation.scopes) & set(caller.token.scopes):
            title = "Unauthorized" if settings.scope_refused_status == 401 else "Forbidden"
            refusal = problem(settings.scope_refused_status, title, "AuthorizationUnsuccessful")
            refusal.headers["WWW-Authenticate"] = f'Bearer error="insufficient_scope", scope="{operation.scopes[0]}"'
            return refusal
        if operation.area == "projects" and caller.tenant_id and not self.world.organisations[caller.tenant_id].projects_enabled:
            return Reply(settings.projects_refused_status, {"message": NO_PROJECTS})
        return None


# -- HTTP -------------------------------------------------------------------------------------------------------------------------


async def _body(receive: Receive) -> bytes:
    parts: list[bytes] = []
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return b"".join(parts)
        parts.append(message.get("body", b""))
        if not message.get("more_body"):
            return b"".join(parts)


async def _send(reply: Reply, request: Request, scope: Scope, receive: Receive, send: Send, *, cut: bool) -> None:
    body = reply.body()
    headers = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in reply.headers.items()]
    if len(body) >= COMPRESSED_MIN and "gzip" in request.headers.get("accept-encoding", ""):
        body = gzip.compress(body, 1)
        headers.append((b"content-encoding", b"gzip"))
    if reply.content_type:
        headers.append((b"content-type", reply.content_type.encode()))
    if reply.status != 204:
        headers.append((b"content-length", str(len(body)).encode()))
    await send({"type": "http.response.start", "status": reply.status, "headers": headers})
    if cut:
        await send({"type": "http.response.body", "body": body[: len(body) // 2], "more_body": True})
        await asyncio.sleep(0.05)  # let the half be sent before the connection ends
        await _drop(scope, receive)
    else:
        await send({"type": "http.response.body", "body": body})


async def _drop(scope: Scope, receive: Receive) -> None:
    """Close the connection; the server then knows that no reply is due."""
    scope["state"]["transport"].abort()
    while (await receive())["type"] != "http.disconnect":
        pass
