"""What the module xero_organisation_info does: look at the organisation and say what speaks against it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..errors import Finding, GuardError, RefreshError
from ..seeding.guard import GuardRules, organisation_findings
from .budget import ApiStats
from .connection import OrganisationFacts, Xero
from .errors import XeroError
from .from_options import open_log, open_xero
from .organisation import Connection, scope_findings


def inspect(params: Mapping[str, Any]) -> dict[str, Any]:
    """Return the module's result; raises GuardError with all findings if ``fail_on_findings`` is set."""
    findings: list[Finding | str] = []
    facts: OrganisationFacts | None = None
    xero: Xero | None = None
    log = None
    resume_after: str | None = None
    try:
        log = open_log(params, module="xero_organisation_info")
        xero = open_xero(params, log=log)
        facts = xero.connect()
    except RefreshError as error:
        resume_after = error.details.get("resume_after")
        findings.append(error.finding if isinstance(error, XeroError) else str(error))
    finally:
        if log is not None:
            log.close()
    if facts is not None:
        rules = GuardRules(params["tenant_id"], params["organisation"], params["allow_non_demo"], params["forbidden_tenant_ids"])
        findings += organisation_findings(facts, rules)
    if xero is not None:
        findings += scope_findings(xero.scopes, params["entities"], write=not params["read_only"])
    result = _result(facts, xero, params)
    result["findings"] = [str(finding) for finding in findings]
    result["resume_after"] = resume_after
    if findings and params["fail_on_findings"]:
        if all(isinstance(finding, Finding) for finding in findings):
            raise GuardError([finding for finding in findings if isinstance(finding, Finding)], details=result)
        raise RefreshError(" ".join(result["findings"]), details=result)
    return result


def _result(facts: OrganisationFacts | None, xero: Xero | None, params: Mapping[str, Any]) -> dict[str, Any]:
    """Return everything but the findings."""
    stats = xero.stats if xero is not None else ApiStats()
    connections = xero.connections if xero is not None else ()
    result: dict[str, Any] = {
        "changed": False,
        "organisation": None,
        "connection": None,
        "connected": [_connection(connection) for connection in connections],
        "scopes": list(xero.scopes) if xero is not None else [],
        "limits": {
            "calls_per_minute": params["calls_per_minute"],
            "minute_remaining": stats.minute_remaining,
            "day_remaining": stats.day_remaining,
            "daily_reserve": params["daily_reserve"],
        },
        "api": stats.as_dict(),
        "msg": "No organisation could be read",
    }
    if facts is not None:
        result["organisation"] = {
            "tenant_id": facts.tenant_id,
            "name": facts.name,
            "is_demo_company": facts.is_demo_company,
            "short_code": facts.short_code,
            "country": facts.country,
            "currency": facts.currency,
            "created": facts.created,
        }
        result["connection"] = next(_connection(connection) for connection in connections if connection.tenant_id == facts.tenant_id)
        kind = "a demo company" if facts.is_demo_company else "not a demo company"
        left = f", {stats.day_remaining} calls left today" if stats.day_remaining is not None else ""
        result["msg"] = f'"{facts.name}" ({facts.tenant_id}), {kind}{left}'
    return result


def _connection(connection: Connection) -> dict[str, Any]:
    """Return a connection as it stands in the result."""
    return {"tenant_id": connection.tenant_id, "name": connection.name, "connected": connection.connected}
