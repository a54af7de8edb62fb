"""Which operation a method and a path mean, what it needs, and what it does."""
from __future__ import annotations

import json
import re
import urllib.parse
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

from . import contacts, projects
from .clock import iso_7
from .contacts import Context
from .organisation import Organisation, organisation_reply
from .reply import Reply, envelope, exception, model_state
from .tokens import AccessToken
from .world import World

WRITES = ("POST", "PUT", "PATCH", "DELETE")


@dataclass(frozen=True, slots=True)
class Request:
    """One HTTP request."""

    method: str
    path: str
    query_string: str
    headers: Mapping[str, str]  # names in lower case
    body: bytes

    @property
    def query(self) -> dict[str, list[str]]:
        """Return all values of all parameters."""
        return urllib.parse.parse_qs(self.query_string, keep_blank_values=True)

    @property
    def single(self) -> dict[str, str]:
        """Return each parameter's last value."""
        return {name: values[-1] for name, values in self.query.items()}

    @property
    def form(self) -> dict[str, str]:
        """Return the members of a form in the body."""
        values = urllib.parse.parse_qs(self.body.decode("utf-8", "replace"), keep_blank_values=True)
        return {name: parts[-1] for name, parts in values.items()}


@dataclass(frozen=True, slots=True)
class Call:
    """A request that has been let in."""

    world: World
    request: Request
    parts: tuple[str, ...]  # what the path's pattern caught
    data: Any = None
    token: AccessToken | None = None
    organisation: Organisation | None = None

    @property
    def org(self) -> Organisation:
        """Return the organisation, which operations of a tenant always have."""
        assert self.organisation is not None
        return self.organisation

    @property
    def context(self) -> Context:
        """Return what operations on contacts need."""
        assert self.token is not None
        name = self.world.tokens.clients[self.token.client_id].name
        return Context(self.org, self.world.settings, self.world.clock.now_ms(), name)

    @property
    def summarise(self) -> bool:
        """Return whether errors are summarised: the default, whatever the specification says."""
        return self.request.single.get("summarizeErrors", "true").casefold() != "false"


Handler = Callable[[Call], Reply]


@dataclass(frozen=True, slots=True)
class Operation:
    """A row of the table: ``scopes`` None needs no token, one of them is enough otherwise; ``tenant`` operations are counted."""

    method: str
    pattern: re.Pattern[str]
    handler: Handler
    scopes: tuple[str, ...] | None = None
    tenant: bool = False
    area: str = "identity"  # identity | accounting | projects

    @property
    def writes(self) -> bool:
        """Return whether it may change data."""
        return self.method in WRITES


def _token(call: Call) -> Reply:
    return call.world.tokens.grant(call.request.form, call.request.headers.get("authorization"), call.world.clock.now())


def _revoke(call: Call) -> Reply:
    return call.world.tokens.revoke(call.request.form, call.request.headers.get("authorization"), call.world.clock.now())


def _authorise(call: Call) -> Reply:
    return call.world.tokens.authorise(call.request.single, list(call.world.organisations), call.world.clock.now())


def _connections(call: Call) -> Reply:
    assert call.token is not None
    event = call.request.single.get("authEventId")
    rows = [
        {
            "id": connection.connection_id, "authEventId": connection.auth_event_id, "tenantId": connection.tenant_id, "tenantType": "ORGANISATION",
            "tenantName": call.world.organisations[connection.tenant_id].name, "createdDateUtc": iso_7(connection.created),
            "updatedDateUtc": iso_7(connection.created),
        }
        for connection in call.world.tokens.connections
        if connection.client_id == call.token.client_id and connection.tenant_id in call.world.organisations
        and (event is None or event == connection.auth_event_id)
    ]
    return Reply(200, rows)


def _disconnect(call: Call) -> Reply:
    assert call.token is not None
    gone = call.world.tokens.disconnect(client_id=call.token.client_id, connection_id=call.parts[0].lower())
    return Reply(204 if gone else 404, content_type="")


def _organisation(call: Call) -> Reply:
    now_ms, name = call.context.now_ms, call.context.provider
    return Reply(200, envelope("Organisations", [organisation_reply(call.org)], now_ms, provider=name))


def _list_contacts(call: Call) -> Reply:
    since = call.request.headers.get("if-modified-since")
    modified: int | None = None
    if since:
        modified = _moment_ms(since)
    return contacts.list_contacts(call.context, call.request.single, modified_since_ms=modified)


def _moment_ms(text: str) -> int | None:
    """Return a header's moment, in the form of HTTP or of ISO 8601 (which the SDK sends); None if it is neither."""
    for read in (datetime.fromisoformat, parsedate_to_datetime):
        try:
            moment = read(text)
        except ValueError:
            continue
        return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000)
    return None


def _op(method: str, pattern: str, handler: Handler, *scopes: str, area: str) -> Operation:
    return Operation(method, re.compile(pattern + "/?", re.IGNORECASE), handler, scopes, tenant=True, area=area)


def _accounting(method: str, path: str, handler: Handler, *scopes: str) -> Operation:
    return _op(method, r"/api\.xro/2\.0" + path, handler, *scopes, area="accounting")


def _projects(method: str, path: str, handler: Handler) -> Operation:
    scopes = ("projects", "projects.read") if method == "GET" else ("projects",)
    return _op(method, r"/projects\.xro/2\.0" + path, handler, *scopes, area="projects")


def _identity(method: str, path: str, handler: Handler) -> Operation:
    return Operation(method, re.compile(r"(?:/identity)?" + path, re.IGNORECASE), handler)


ONE = "/([^/]+)"
OPERATIONS: tuple[Operation, ...] = (
    _identity("POST", "/connect/token", _token),
    _identity("POST", "/connect/revocation", _revoke),
    _identity("GET", "/connect/authorize", _authorise),
    Operation("GET", re.compile("/connections/?", re.IGNORECASE), _connections, ()),
    Operation("DELETE", re.compile("/connections/([^/]+)", re.IGNORECASE), _disconnect, ()),
    _accounting("GET", "/Organisations?", _organisation, "accounting.settings", "accounting.settings.read"),
    _accounting("GET", "/Contacts", _list_contacts, "accounting.contacts", "accounting.contacts.read"),
    _accounting("GET", "/Contacts" + ONE, lambda c: contacts.get_one(c.context, c.parts[0]), "accounting.contacts", "accounting.contacts.read"),
    _accounting("PUT", "/Contacts", lambda c: contacts.create(c.context, c.data, summarise=c.summarise), "accounting.contacts"),
    _accounting("POST", "/Contacts", lambda c: contacts.update_or_create(c.context, c.data, summarise=c.summarise), "accounting.contacts"),
    _accounting("POST", "/Contacts" + ONE, lambda c: contacts.update_one(c.context, c.parts[0], c.data, summarise=c.summarise), "accounting.contacts"),
    _projects("GET", "/Projects", lambda c: projects.list_projects(c.org, c.request.query, c.world.settings)),
    _projects("POST", "/Projects", lambda c: projects.create(c.org, c.data, c.world.settings)),
    _projects("GET", "/Projects" + ONE, lambda c: projects.get_one(c.org, c.parts[0])),
    _projects("PUT", "/Projects" + ONE, lambda c: projects.update(c.org, c.parts[0], c.data, c.world.settings)),
    _projects("PATCH", "/Projects" + ONE, lambda c: projects.patch(c.org, c.parts[0], c.data)),
    _projects("GET", "/Projects" + ONE + "/Tasks", lambda c: projects.list_tasks(c.org, c.parts[0], c.request.query)),
    _projects("POST", "/Projects" + ONE + "/Tasks", lambda c: projects.create_task(c.org, c.parts[0], c.data)),
    _projects("GET", "/Projects" + ONE + "/Tasks" + ONE, lambda c: projects.get_task(c.org, *c.parts)),
    _projects("PUT", "/Projects" + ONE + "/Tasks" + ONE, lambda c: projects.update_task(c.org, c.parts[0], c.parts[1], c.data)),
    _projects("DELETE", "/Projects" + ONE + "/Tasks" + ONE, lambda c: projects.delete_task(c.org, *c.parts)),
)


def find(method: str, path: str) -> tuple[Operation, tuple[str, ...]] | None:
    """Return the operation for a request and the ids in its path; paths are case-insensitive."""
    for operation in OPERATIONS:
        if operation.method == method:
            match = operation.pattern.fullmatch(path)
            if match is not None:
                return operation, match.groups()
    return None


def read_json(operation: Operation, body: bytes) -> tuple[Any, Reply | None]:
    """Return the body's data, or the refusal of a body that is not JSON."""
    if operation.area == "identity" or operation.method not in ("POST", "PUT", "PATCH"):
        return None, None
    try:
        return json.loads(body), None
    except ValueError:
        if operation.area == "projects":
            return None, model_state({"model": ["The body is not JSON"]})
        return None, exception(14, "PostDataInvalidException", "Invalid Json data")
