"""What the module refresh_verify does: read both sides and compare them."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from ..errors import GuardError, RefreshError
from ..mapping import ENTITIES, MAPPING_OPTIONS, parse_mapping
from ..mapping import Mapping as RowMapping
from ..postgres import marker as marker_store
from ..postgres.connection import connect
from ..postgres.mapped_tables import check_mapping
from ..postgres.options import POSTGRESQL_OPTIONS, login_from
from ..postgres.rows import database_errors, read_clients, read_jobs
from ..seeding.guard import GuardRules, organisation_findings
from ..seeding.records import ClientRow, Contact, JobRow, Project
from ..xero.connection import OrganisationFacts, Xero
from ..xero.from_options import open_log, open_xero
from ..xero.options import XERO_OPTIONS
from .checks import MarkerFacts, Verdict, World, verify

if TYPE_CHECKING:
    import psycopg2.extensions

OPTIONS: dict[str, Any] = {
    **POSTGRESQL_OPTIONS,
    **XERO_OPTIONS,
    "database": {"type": "str", "required": True},
    "entities": {"type": "list", "elements": "str", "default": list(ENTITIES), "choices": list(ENTITIES)},
    "mapping": {"type": "dict", "default": {}, "options": MAPPING_OPTIONS},
    "migrations_pending": {"type": "bool"},
    "fail_on_findings": {"type": "bool", "default": True},
    "run_id": {"type": "str"},
}
"""Argument spec of the module."""


def verify_refresh(params: Mapping[str, Any]) -> dict[str, Any]:
    """Return the module's result; raises GuardError with all findings if ``fail_on_findings`` is set.

    Raises RefreshError when either side cannot be read.
    """
    mapping = parse_mapping(params["mapping"])
    if not params["entities"]:
        raise RefreshError("xero_seed_entities is empty, so there is nothing to verify. Name contacts, projects or both.")
    with contextlib.ExitStack() as stack:
        session = stack.enter_context(contextlib.closing(connect(login_from(params), params["database"], application_name="dev_refresh refresh_verify")))
        marker, clients, jobs = _read_database(session, mapping, params)
        log = open_log(params, module="refresh_verify")
        stack.callback(log.close)
        xero = stack.enter_context(open_xero(params, log=log))
        try:
            organisation = xero.connect()
            contacts, projects = _read_lists(xero, params)
        except RefreshError as error:
            error.details = {"ok": False, "api": xero.stats.as_dict(), **error.details}
            raise
        world = World(
            tenant_id=organisation.tenant_id,
            mapping=mapping,
            entities=params["entities"],
            clients=clients,
            jobs=jobs,
            contacts=contacts,
            projects=projects,
            marker=marker,
            migrations_pending=params["migrations_pending"],
            by_refresh=bool(params["run_id"]),
        )
        verdict = verify(world)
        rules = GuardRules(params["tenant_id"], params["organisation"], params["allow_non_demo"], params["forbidden_tenant_ids"])
        verdict.findings[:0] = organisation_findings(organisation, rules)
        result = _result(verdict, organisation, xero)
    if verdict.findings and params["fail_on_findings"]:
        raise GuardError(verdict.findings, details=result)
    return result


def _read_database(
    session: psycopg2.extensions.connection, mapping: RowMapping, params: Mapping[str, Any]
) -> tuple[MarkerFacts | None, list[ClientRow], list[JobRow]]:
    """Read marker and rows as they are at one moment."""
    session.set_session(isolation_level="REPEATABLE READ", readonly=True)
    with database_errors("looking at the database to verify it"):
        marker = marker_store.read(session)
        marker_store.check_fence(params["run_id"], marker)
        findings, _warnings = check_mapping(session, mapping, params["entities"])
        if findings:
            raise GuardError(findings)
        facts = None
        if marker is not None:
            facts = MarkerFacts(
                phase=marker.phase,
                tenant_id=marker.tenant_id,
                tenant_name=marker.tenant_name,
                fits=marker_store.fits(session, marker),
                original_ids={entity: {xero_id.lower() for xero_id in marker_store.original_ids(session, entity).values()} for entity in ENTITIES},
            )
        clients = read_clients(session, mapping.contacts)
        jobs = read_jobs(session, mapping.projects) if "projects" in params["entities"] else []
        session.rollback()
    return facts, clients, jobs


def _read_lists(xero: Xero, params: Mapping[str, Any]) -> tuple[list[Contact], list[Project]]:
    """Read both lists of the organisation at the same time."""
    with ThreadPoolExecutor(2) as pool:
        contacts = pool.submit(xero.list_contacts)
        projects = pool.submit(xero.list_projects) if "projects" in params["entities"] else None
        try:
            return contacts.result(), projects.result() if projects is not None else []
        except BaseException:
            # the other list must not keep the module waiting
            xero.stop()
            raise


def _result(verdict: Verdict, organisation: OrganisationFacts, xero: Xero) -> dict[str, Any]:
    """Return the module's result."""
    findings = [str(finding) for finding in verdict.findings]
    good = " and ".join(f"{verdict.checked[word]} {word}" for word in ("clients", "jobs") if word in verdict.checked)
    found = f'{len(findings)} finding{"s" if len(findings) != 1 else ""} against "{organisation.name}"'
    return {
        "changed": False,
        "ok": not findings,
        "findings": findings,
        "notes": verdict.notes,
        "checked": verdict.checked,
        "organisation": {"tenant_id": organisation.tenant_id, "name": organisation.name, "is_demo_company": organisation.is_demo_company},
        "api": xero.stats.as_dict(),
        "msg": found if findings else f'{good} fit the organisation "{organisation.name}"',
    }
