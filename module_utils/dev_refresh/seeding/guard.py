"""What speaks against writing to an organisation: by what is said of it, and by the ids that the database holds."""
from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from ..errors import Finding
from ..postgres.marker import Marker
from .ports import Organisation
from .records import Contact, Project


@dataclass(frozen=True, slots=True)
class GuardRules:
    """What the operator said about the organisation."""

    tenant_id: str | None = None
    organisation: str | None = None
    allow_non_demo: bool = False
    forbidden_tenant_ids: Sequence[str] = ()


def is_forbidden(tenant_id: str, rules: GuardRules) -> bool:
    """Tell whether the operator forbade this tenant: then not even its lists are to be read."""
    return tenant_id.lower() in {forbidden.strip().lower() for forbidden in rules.forbidden_tenant_ids}


def organisation_findings(organisation: Organisation, rules: GuardRules) -> list[Finding]:
    """Return what speaks against the organisation by itself, whatever the database is."""
    title = f'"{organisation.name}" ({organisation.tenant_id})'
    findings = []
    if is_forbidden(organisation.tenant_id, rules):
        findings.append(Finding(f"The organisation {title} is in xero_seed_forbidden_tenant_ids", "Connect the app to a development organisation"))
    if rules.organisation and organisation.name != rules.organisation:
        remedy = "Correct xero_seed_organisation, or connect the app to the organisation that is meant"
        findings.append(Finding(f'The connected organisation is {title}, not "{rules.organisation}"', remedy))
    if organisation.is_demo_company:
        return findings
    if not rules.allow_non_demo:
        remedy = "Connect the app to a demo company, or set xero_seed_organisation to its name and xero_seed_allow_non_demo to true"
        findings.append(Finding(f"The organisation {title} is not a demo company", remedy))
    elif not rules.organisation:
        what = f"The organisation {title} is not a demo company and is allowed without being named"
        findings.append(Finding(what, "Set xero_seed_organisation to the name that it must have"))
    return findings


def database_findings(organisation: Organisation, marker: Marker | None, rules: GuardRules) -> list[Finding]:
    """Return what speaks against the organisation, and against it together with a database of which nothing is known."""
    findings = organisation_findings(organisation, rules)
    if not organisation.is_demo_company and marker is None and not rules.tenant_id:
        title = f'"{organisation.name}" ({organisation.tenant_id})'
        what = f"The organisation {title} is not a demo company, and no refresh made this database, so nothing tells whether its ids are production's"
        findings.append(Finding(what, "Set xero_seed_tenant_id as well as xero_seed_organisation, if it is a development organisation"))
    return findings


def production_findings(
    organisation: Organisation, marker: Marker | None, ids_with_the_dump: Collection[str], contacts: Iterable[Contact], projects: Iterable[Project],
    rules: GuardRules,
) -> list[Finding]:  # fmt: skip
    """Return what speaks against the organisation, the look at the ids that came with the dump included.

    Production's ids in the rows are its fingerprint: an organisation that has them is production, unless this database was seeded there
    before, or the dump was made of a development database that was.
    """
    findings = database_findings(organisation, marker, rules)
    if organisation.is_demo_company or organisation.tenant_id in known_tenants(marker):
        return findings
    brought = {xero_id.lower() for xero_id in ids_with_the_dump}
    found = sum(contact.id in brought for contact in contacts) + sum(project.id in brought for project in projects)
    if found:
        findings.append(
            Finding(
                f'{found} Xero ids that came with the dump exist in the organisation "{organisation.name}" ({organisation.tenant_id}): it is production',
                "Connect the app to a development organisation. Nothing was written",
            )
        )
    return findings


def known_tenants(marker: Marker | None) -> set[str]:
    """Return the tenants that this database, or the development database that its dump was made of, was seeded in."""
    if marker is None:
        return set()
    inherited = marker.extra.get("dump_marker")
    tenants = {marker.tenant_id, inherited.get("tenant_id") if isinstance(inherited, dict) else None}
    return {tenant for tenant in tenants if tenant}
