"""Client apps, their tokens and their connections: the rules of Xero's identity server."""
from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
import urllib.parse
import uuid
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from .reply import Reply
from .settings import Settings

BOTH_WAYS = (
    "accounting.contacts", "accounting.settings", "accounting.transactions", "accounting.invoices", "accounting.payments", "accounting.banktransactions",
    "accounting.manualjournals", "accounting.attachments", "assets", "files", "payroll.employees", "payroll.settings", "payroll.timesheets", "projects",
)
READ_ONLY = ("accounting.journals.read", "accounting.reports.read", "accounting.budgets.read")
SIGN_IN = ("openid", "profile", "email", "offline_access")
KNOWN_SCOPES = frozenset((*SIGN_IN, *BOTH_WAYS, *(f"{scope}.read" for scope in BOTH_WAYS), *READ_ONLY))
NO_STORE = {"Cache-Control": "no-store, no-cache, max-age=0", "Pragma": "no-cache"}


@dataclass(slots=True)
class Client:
    """An app that is registered with the sandbox."""

    client_id: str
    client_secret: str
    name: str = "Sandbox app"
    scopes: list[str] | None = None  # those it may ask for; None: all
    redirect_uris: list[str] | None = None  # None: any
    grants: list[str] = field(default_factory=lambda: ["client_credentials", "authorization_code", "refresh_token"])
    offers: list[str] | None = None  # tenants that a user's consent connects; None: all organisations


@dataclass(slots=True)
class Connection:
    """A tenant that an app may reach."""

    client_id: str
    tenant_id: str
    created: float
    connection_id: str = field(default_factory=lambda: str(uuid.uuid4()))
    auth_event_id: str = field(default_factory=lambda: str(uuid.uuid4()))


@dataclass(slots=True)
class AccessToken:
    """What a bearer token stands for."""

    client_id: str
    scopes: list[str]
    expires: float
    grant: str


@dataclass(slots=True)
class RefreshToken:
    """A refresh token; ``used`` is when it was exchanged, after which it works only for a while."""

    client_id: str
    scopes: list[str]
    expires: float
    used: float | None = None


@dataclass(slots=True)
class Code:
    """An authorisation code, good for one exchange."""

    client_id: str
    scopes: list[str]
    redirect_uri: str
    expires: float
    challenge: str | None = None


class RefusedError(Exception):
    """The identity server's refusal."""

    def __init__(self, error: str, description: str | None = None) -> None:
        super().__init__(error)
        self.error, self.description = error, description

    def reply(self) -> Reply:
        """Return it as a reply."""
        data = {"error": self.error}
        if self.description:
            data["error_description"] = self.description
        return Reply(400, data, headers=dict(NO_STORE))


class Tokens:
    """All apps, tokens and connections of the sandbox; time is handed in."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.clients: dict[str, Client] = {}
        self.connections: list[Connection] = []
        self.access: dict[str, AccessToken] = {}
        self.refresh: dict[str, RefreshToken] = {}
        self.codes: dict[str, Code] = {}

    # -- the token endpoint -------------------------------------------------------------------------------------------------------
    def grant(self, form: Mapping[str, str], authorization: str | None, now: float) -> Reply:
        """Answer a call of the token endpoint."""
        try:
            client = self._client(form, authorization)
            kind = form.get("grant_type", "")
            if kind not in ("client_credentials", "authorization_code", "refresh_token"):
                raise RefusedError("unsupported_grant_type")
            if kind not in client.grants:
                raise RefusedError("unauthorized_client")
            if kind == "client_credentials":
                return self._issue(client, self._scopes(client, form.get("scope", ""), offline=False), now, kind)
            if kind == "authorization_code":
                return self._exchange_code(client, form, now)
            return self._exchange_refresh(client, form, now)
        except RefusedError as refused:
            return refused.reply()

    def revoke(self, form: Mapping[str, str], authorization: str | None, now: float) -> Reply:
        """Answer the revocation endpoint: the app loses its tokens and connections."""
        del now
        try:
            client = self._client(form, authorization)
        except RefusedError as refused:
            return refused.reply()
        if form.get("token") in self.refresh and self.refresh[form["token"]].client_id == client.client_id:
            self.refresh = {token: value for token, value in self.refresh.items() if value.client_id != client.client_id}
            self.access = {token: value for token, value in self.access.items() if value.client_id != client.client_id}
            self.connections = [c for c in self.connections if c.client_id != client.client_id]
        return Reply(200)

    def authorise(self, query: Mapping[str, str], tenants: list[str], now: float) -> Reply:
        """Answer the authorise page as a user who consents at once."""
        client = self.clients.get(query.get("client_id", ""))
        target = query.get("redirect_uri", "")
        if client is None or not target or (client.redirect_uris is not None and target not in client.redirect_uris):
            return Reply(400, {"error": "unauthorized_client", "error_description": "Unknown client or invalid redirect_uri"})
        answer: dict[str, str] = {}
        try:
            if query.get("response_type") != "code":
                raise RefusedError("unsupported_response_type")
            scopes = self._scopes(client, query.get("scope", ""), offline=True)
            if self.settings.consent == "deny":
                raise RefusedError("access_denied")
            code = secrets.token_urlsafe(32)
            self.codes[code] = Code(client.client_id, scopes, target, now + self.settings.code_seconds, query.get("code_challenge"))
            self.connect(client.client_id, tenants if client.offers is None else client.offers, now)
            answer = {"code": code, "scope": " ".join(scopes)}
        except RefusedError as refused:
            answer = {"error": refused.error}
        if "state" in query:
            answer["state"] = query["state"]
        joint = "&" if urllib.parse.urlsplit(target).query else "?"
        return Reply(302, headers={"Location": target + joint + urllib.parse.urlencode(answer)}, content_type="")

    # -- bearer tokens and connections --------------------------------------------------------------------------------------------
    def bearer(self, authorization: str | None) -> AccessToken | None:
        """Return what the header's token stands for, expired or not."""
        scheme, _, token = (authorization or "").partition(" ")
        return self.access.get(token.strip()) if scheme.casefold() == "bearer" else None

    def connect(self, client_id: str, tenants: list[str], now: float) -> None:
        """Connect an app with tenants; those it has already keep their connection."""
        event = str(uuid.uuid4())
        connected = {c.tenant_id for c in self.connections if c.client_id == client_id}
        self.connections.extend(Connection(client_id, tenant, now, auth_event_id=event) for tenant in tenants if tenant not in connected)

    def disconnect(self, *, client_id: str | None = None, tenant_id: str | None = None, connection_id: str | None = None) -> int:
        """Remove the connections that fit all that is given; return how many."""
        wanted = {"client_id": client_id, "tenant_id": tenant_id, "connection_id": connection_id}
        fits = [c for c in self.connections if all(value is None or getattr(c, name) == value for name, value in wanted.items())]
        self.connections = [c for c in self.connections if c not in fits]
        return len(fits)

    def tenants_of(self, client_id: str) -> list[str]:
        """Return the tenants that an app may reach."""
        return [c.tenant_id for c in self.connections if c.client_id == client_id]

    def expire(self, now: float) -> None:
        """Let all access tokens be expired."""
        for token in self.access.values():
            token.expires = min(token.expires, now - 1)

    # -- inside -------------------------------------------------------------------------------------------------------------------
    def _client(self, form: Mapping[str, str], authorization: str | None) -> Client:
        scheme, _, encoded = (authorization or "").partition(" ")
        if scheme.casefold() == "basic":
            try:
                client_id, _, secret = base64.b64decode(encoded.strip(), validate=True).decode().partition(":")
            except ValueError:
                raise RefusedError("invalid_client") from None
        else:
            client_id, secret = form.get("client_id", ""), form.get("client_secret", "")
        client = self.clients.get(client_id)
        if client is None or not hmac.compare_digest(client.client_secret.encode(), secret.encode()):
            raise RefusedError("invalid_client")
        return client

    def _scopes(self, client: Client, asked: str, *, offline: bool) -> list[str]:
        allowed = KNOWN_SCOPES if client.scopes is None else frozenset(client.scopes)
        if not offline:
            allowed -= set(SIGN_IN)
        scopes = asked.split()
        if set(scopes) - allowed or (offline and not scopes):
            raise RefusedError("invalid_scope")
        return scopes or sorted(allowed)

    def _exchange_code(self, client: Client, form: Mapping[str, str], now: float) -> Reply:
        code = self.codes.pop(form.get("code", ""), None)
        if code is None or code.client_id != client.client_id or code.expires <= now or code.redirect_uri != form.get("redirect_uri"):
            raise RefusedError("invalid_grant")
        if code.challenge is not None:
            digest = hashlib.sha256(form.get("code_verifier", "").encode()).digest()
            if base64.urlsafe_b64encode(digest).rstrip(b"=").decode() != code.challenge:
                raise RefusedError("invalid_grant")
        return self._issue(client, code.scopes, now, "authorization_code", offline="offline_access" in code.scopes)

    def _exchange_refresh(self, client: Client, form: Mapping[str, str], now: float) -> Reply:
        token = self.refresh.get(form.get("refresh_token", ""))
        grace = self.settings.refresh_grace_seconds
        if token is None or token.client_id != client.client_id or token.expires <= now or (token.used is not None and now - token.used > grace):
            raise RefusedError("invalid_grant")
        if token.used is None:
            token.used = now
        return self._issue(client, token.scopes, now, "refresh_token", offline=True)

    def _issue(self, client: Client, scopes: list[str], now: float, grant: str, *, offline: bool = False) -> Reply:
        self._forget_expired(now)
        access = secrets.token_urlsafe(48)
        lifetime = self.settings.access_token_seconds
        self.access[access] = AccessToken(client.client_id, scopes, now + lifetime, grant)
        data: dict[str, Any] = {"access_token": access, "expires_in": lifetime, "token_type": "Bearer", "scope": " ".join(scopes)}
        if "openid" in scopes:
            data["id_token"] = secrets.token_urlsafe(48)
        if offline:
            renewed = secrets.token_urlsafe(32)
            self.refresh[renewed] = RefreshToken(client.client_id, scopes, now + self.settings.refresh_token_seconds)
            data["refresh_token"] = renewed
        return Reply(200, data, headers=dict(NO_STORE))

    def _forget_expired(self, now: float) -> None:
        if len(self.access) > 1000:
            # an expired token is remembered for a while, since its 401 says when it expired
            self.access = {token: value for token, value in self.access.items() if value.expires > now - 3600}
        if len(self.refresh) > 1000:
            self.refresh = {token: value for token, value in self.refresh.items() if value.expires > now}

    # -- saving -------------------------------------------------------------------------------------------------------------------
    def as_dict(self) -> dict[str, Any]:
        """Return everything as JSON data, secrets included."""
        return {
            "clients": [asdict(client) for client in self.clients.values()],
            "connections": [asdict(connection) for connection in self.connections],
            "access": {token: asdict(value) for token, value in self.access.items()},
            "refresh": {token: asdict(value) for token, value in self.refresh.items()},
            "codes": {code: asdict(value) for code, value in self.codes.items()},
        }

    def load(self, data: Mapping[str, Any]) -> None:
        """Take over what ``as_dict`` wrote."""
        self.clients = {row["client_id"]: Client(**row) for row in data["clients"]}
        self.connections = [Connection(**row) for row in data["connections"]]
        self.access = {token: AccessToken(**row) for token, row in data["access"].items()}
        self.refresh = {token: RefreshToken(**row) for token, row in data["refresh"].items()}
        self.codes = {code: Code(**row) for code, row in data["codes"].items()}
