"""What the module xero_connect does on the host: see whether a consent is needed, exchange its code, store the token, list the organisations."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Mapping
from typing import Any

from .budget import Budget
from .consent_listener import redirect_uri
from .errors import NotConnected, XeroError
from .options import XERO_OPTIONS
from .organisation import Connection, read_connections, read_organisation
from .token_file import create_token_file
from .tokens import Credentials
from .transport import Transport

_PLAIN = re.compile(r"[A-Za-z0-9/._-]+")


def connect(params: Mapping[str, Any], *, check_mode: bool) -> dict[str, Any]:
    """Return the module's result; with a code it stores the token, without one it only looks. Raises XeroError."""
    scopes = params["scopes"]
    if "offline_access" not in scopes:
        raise XeroError("xero_connect_scopes has no offline_access, without which Xero gives no refresh token", "Add it")
    if not 1024 <= params["redirect_port"] <= 65535:
        raise XeroError(f"xero_connect_redirect_port is {params['redirect_port']}", "Choose a port from 1024 to 65535")
    transport = Transport(
        credentials=Credentials(params["client_id"], params["client_secret"], params["token_file"]),
        api_url=params["api_url"],
        identity_url=params["identity_url"],
        budget=Budget(XERO_OPTIONS["calls_per_minute"]["default"]),
    )
    if params["code"]:
        return _store(transport, params)
    return _look(transport, params, check_mode=check_mode)


def _look(transport: Transport, params: Mapping[str, Any], *, check_mode: bool) -> dict[str, Any]:
    """Say whether the stored token does, or why a consent is needed; what would fail after the consent fails here, before it."""
    path = params["token_file"]
    _check_folder(path)
    reason = "a new consent was asked for" if params["force"] else None
    connections: tuple[Connection, ...] = ()
    if reason is None:
        try:
            connections = read_connections(transport)
        except NotConnected as error:
            reason = error.finding.what
        else:
            missing = _missing(params["scopes"], transport.tokens.scopes)
            if not connections:
                reason = f"the token in {path} works, but the app is connected to no organisation"
            elif missing:
                reason = f"the token in {path} works, but lacks the scopes {', '.join(missing)}"
    if reason is None:
        return _result(transport, params, connections, changed=False, msg=f"The token in {path} works: nothing to do. {_listed(connections)}")
    if not transport.tokens.minted:
        transport.tokens.check_client()
    would = (
        f"Would print the address for the consent, wait up to {params['deadline']} seconds for the browser to come back to "
        f"{redirect_uri(params['redirect_port'])} on the controller, and store the token in {path}"
    )
    msg = f"{would}: {reason}." if check_mode else f"A consent is needed: {reason}."
    return _result(transport, params, (), changed=True, msg=msg, reason=reason)


def _store(transport: Transport, params: Mapping[str, Any]) -> dict[str, Any]:
    """Exchange the code and store the token; then list the organisations with it."""
    path = params["token_file"]
    _check_folder(path)
    token = transport.tokens.exchange(params["code"], redirect_uri=redirect_uri(params["redirect_port"]), verifier=params["code_verifier"])
    create_token_file(path, token)
    stored = {"changed": True, "token_file": path}
    try:
        connections = read_connections(transport)
    except XeroError as error:
        finding = error.finding
        raise XeroError(f"The token is stored in {path}, but the organisations could not be listed: {finding.what}", finding.remedy, details=stored) from None
    if not connections:
        raise NotConnected(
            f"The token is stored in {path}, but no organisation was chosen in the browser", "Run the playbook again and choose one", details=stored
        )
    missing = _missing(params["scopes"], transport.tokens.scopes)
    lacks = f" It lacks the scopes {', '.join(missing)}: give them to the app and run the playbook again." if missing else ""
    return _result(transport, params, connections, changed=True, msg=f"The token is stored in {path}.{lacks} {_listed(connections)}")


def _result(
    transport: Transport, params: Mapping[str, Any], connections: tuple[Connection, ...], *, changed: bool, msg: str, reason: str | None = None
) -> dict[str, Any]:
    """Return the module's result; whether an organisation is a demo company is asked for where the token may."""
    connected: list[dict[str, Any]] = []
    for connection in connections:
        try:
            demo: bool | None = read_organisation(transport, connection, connections).is_demo_company
        except XeroError:
            demo = None
        connected.append({"tenant_id": connection.tenant_id, "name": connection.name, "connected": connection.connected, "is_demo_company": demo})
    return {
        "changed": changed,
        "consent_needed": reason is not None,
        "reason": reason,
        "token_file": params["token_file"],
        "connected": connected,
        "scopes": list(transport.tokens.scopes) if connections else [],
        "inventory": inventory_lines(params["token_file"], connected) if connected else "",
        "msg": msg.strip(),
    }


def inventory_lines(token_file: str, connected: Iterable[Mapping[str, Any]]) -> str:
    """Return the lines to copy into the inventory, one choice for each organisation."""
    rows = list(connected)
    lines = [f"xero_seed_token_file: {token_file if _PLAIN.fullmatch(token_file) else json.dumps(token_file)}"]
    if len(rows) > 1:
        lines.append("# one of these:")
    for row in rows:
        name = " ".join(str(row["name"]).split())
        kind = {True: ", a demo company", False: ", not a demo company: to write to it, it must be named and allowed too"}.get(row["is_demo_company"], "")
        lines += [f"# {name}{kind}", f"xero_seed_tenant_id: {row['tenant_id']}"]
    return "\n".join(lines)


def _listed(connections: tuple[Connection, ...]) -> str:
    """Return a sentence with the organisations."""
    count = "1 organisation is" if len(connections) == 1 else f"{len(connections)} organisations are"
    return f"{count} connected: " + ", ".join(f'"{connection.name}" ({connection.tenant_id})' for connection in connections) + "."


def _missing(wanted: Iterable[str], given: tuple[str, ...]) -> list[str]:
    """Return the scopes that the token lacks; none where Xero did not tell them. A scope includes its reading half."""
    return [scope for scope in wanted if given and scope != "offline_access" and not {scope, scope.removesuffix(".read")} & set(given)]


def _check_folder(path: str) -> None:
    """Raise XeroError if the token could not be stored; nothing is written for that."""
    target = os.path.realpath(path)
    if os.path.isdir(target):
        raise XeroError(f"{path} is a folder", "Name a file in xero_seed_token_file")
    folder = os.path.dirname(target)
    while not os.path.lexists(folder):
        folder = os.path.dirname(folder)
    if not os.path.isdir(folder) or not os.access(folder, os.W_OK | os.X_OK):
        raise XeroError(f"The token could not be stored in {path}: {folder} cannot be written to", "Correct xero_seed_token_file or the folder's rights")
