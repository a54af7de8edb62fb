"""Which organisation is connected, what it is, and what speaks against writing to it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from ..errors import Finding
from .clock import iso
from .errors import NotConnected, XeroError
from .ids import valid_id
from .tokens import RECONNECT
from .transport import Transport

CONNECTIONS_PATH = "/connections"
ORGANISATION_PATH = "/api.xro/2.0/Organisation"
_DATE = re.compile(r"/Date\((-?\d{1,15})(?:[+-]\d{4})?\)/")
NEEDED_SCOPES = (
    ("contacts", ("accounting.contacts",), ("accounting.contacts", "accounting.contacts.read")),
    ("projects", ("projects",), ("projects", "projects.read")),
    ("organisation", ("accounting.settings", "accounting.settings.read"), ("accounting.settings", "accounting.settings.read")),
)
"""What, scopes of which one allows writing (or reading the organisation), scopes of which one allows reading."""


@dataclass(frozen=True, slots=True)
class Connection:
    """An organisation that the app is connected to."""

    tenant_id: str
    name: str
    connected: str | None = None


@dataclass(frozen=True, slots=True)
class OrganisationFacts:
    """The chosen organisation; ``created`` is when it was made or, for a demo company, last reset (ISO 8601, UTC)."""

    tenant_id: str
    name: str
    is_demo_company: bool
    short_code: str | None = None
    country: str | None = None
    currency: str | None = None
    created: str | None = None
    connections: tuple[Connection, ...] = ()
    scopes: tuple[str, ...] = ()
    minute_remaining: int | None = None
    day_remaining: int | None = None


def read_connections(transport: Transport) -> tuple[Connection, ...]:
    """Return the organisations that the app is connected to; practices and the like are left out."""
    body = transport.read(CONNECTIONS_PATH, what="the connections")
    found: dict[str, Connection] = {}
    for element in body if isinstance(body, list) else []:
        if isinstance(element, dict) and element.get("tenantType") in ("ORGANISATION", None):
            tenant_id = valid_id(element.get("tenantId"))
            if tenant_id is not None:
                found[tenant_id] = Connection(tenant_id, str(element.get("tenantName") or ""), _seconds_of(element.get("createdDateUtc")))
    return tuple(found.values())


def choose(connections: Sequence[Connection], tenant_id: str | None) -> Connection:
    """Return the organisation to use; raises NotConnected with what to do."""
    listed = ", ".join(f'"{connection.name}" ({connection.tenant_id})' for connection in connections)
    if not connections:
        raise NotConnected("The Xero app is connected to no organisation", f"{RECONNECT}, or authorise the custom connection by the link that Xero mails")
    if tenant_id:
        for connection in connections:
            if connection.tenant_id == tenant_id.strip().lower():
                return connection
        raise NotConnected(
            f"The Xero app is not connected to the organisation {tenant_id}, only to {listed}: a demo company gets a new tenant id when it is reset",
            f"Correct xero_seed_tenant_id, or connect that organisation: {RECONNECT[0].lower()}{RECONNECT[1:]}",
        )
    if len(connections) > 1:
        raise NotConnected(f"The Xero app is connected to {len(connections)} organisations: {listed}", "Set xero_seed_tenant_id to the one to use")
    return connections[0]


def read_organisation(transport: Transport, connection: Connection, connections: tuple[Connection, ...]) -> OrganisationFacts:
    """Return the facts of the chosen organisation."""
    body = transport.read(ORGANISATION_PATH, what="the organisation", tenant_id=connection.tenant_id)
    elements = body.get("Organisations") if isinstance(body, dict) else None
    element: Any = elements[0] if isinstance(elements, list) and len(elements) == 1 else None
    if not isinstance(element, dict) or not isinstance(element.get("Name"), str):
        raise XeroError("Xero's reply about the organisation has not one organisation with a name", "Check xero_seed_api_url, then run again")
    stats = transport.budget.stats()
    return OrganisationFacts(
        tenant_id=connection.tenant_id,
        name=element["Name"],
        is_demo_company=element.get("IsDemoCompany") is True,
        short_code=_text(element.get("ShortCode")),
        country=_text(element.get("CountryCode")),
        currency=_text(element.get("BaseCurrency")),
        created=ms_date(element.get("CreatedDateUTC")),
        connections=connections,
        scopes=transport.tokens.scopes,
        minute_remaining=stats.minute_remaining,
        day_remaining=stats.day_remaining,
    )


def scope_findings(scopes: Sequence[str], entities: Sequence[str], *, write: bool) -> list[Finding]:
    """Return a finding for each scope that is missing; none where Xero did not tell the scopes."""
    findings: list[Finding] = []
    for what, to_write, to_read in NEEDED_SCOPES if scopes else ():
        needed = to_write if write else to_read
        if (what == "organisation" or what in entities) and not set(needed) & set(scopes):
            findings.append(
                Finding(f"The Xero app has no scope {needed[-1]} ({what})", "Add the scope to the app, then connect it again with playbooks/connect_xero.yml")
            )
    return findings


def ms_date(value: Any) -> str | None:
    """Return Xero's ``/Date(1789184814237+0000)/`` as ISO 8601 in UTC, or None."""
    match = _DATE.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        return _seconds_of(value)
    try:
        return iso(datetime.fromtimestamp(int(match[1]) / 1000, UTC))
    except (OverflowError, OSError, ValueError):
        return None


def _seconds_of(value: Any) -> str | None:
    """Return an ISO time such as ``2019-12-07T18:46:19.5165400``, which is UTC, with seconds."""
    text = value[:19] if isinstance(value, str) else ""
    return f"{text}Z" if re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d", text) else None


def _text(value: Any) -> str | None:
    """Return a non-empty text, else None."""
    return value if isinstance(value, str) and value else None
