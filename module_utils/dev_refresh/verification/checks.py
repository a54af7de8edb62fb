"""What does not fit between the rows, the organisation and the marker. Pure: nothing here reads or writes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from uuid import UUID

from ..errors import Finding
from ..mapping import Mapping as RowMapping
from ..seeding.records import ACTIVE, ClientRow, Contact, JobRow, Project
from .expectation import plain, required_clients, required_jobs

SHOWN = 5
"""Rows that a finding names; it always has the number of all."""
SEED_AGAIN = "Run playbooks/seed_xero.yml, then verify again"


@dataclass(frozen=True, slots=True)
class MarkerFacts:
    """What the marker says; ``fits`` whether it was written for this very database."""

    phase: str
    tenant_id: str | None
    tenant_name: str | None
    fits: bool
    original_ids: Mapping[str, Collection[str]] = field(default_factory=dict)
    """Xero ids that came with the dump, in lower case, by entity."""


@dataclass(frozen=True, slots=True)
class World:
    """All that is compared."""

    tenant_id: str
    mapping: RowMapping
    entities: Collection[str]
    clients: Sequence[ClientRow]
    jobs: Sequence[JobRow]
    contacts: Sequence[Contact]
    projects: Sequence[Project]
    marker: MarkerFacts | None
    migrations_pending: bool | None
    by_refresh: bool
    """Whether a refresh asks, so that there must be a marker."""


@dataclass(slots=True)
class Verdict:
    """What was found, and of how many rows."""

    findings: list[Finding] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    checked: dict[str, int | bool | None] = field(default_factory=dict)


def verify(world: World) -> Verdict:
    """Return everything that does not fit."""
    verdict = Verdict()
    contacts = {contact.id: contact for contact in world.contacts}
    if "contacts" in world.entities:
        _check_clients(world, contacts, verdict)
    if "projects" in world.entities:
        _check_jobs(world, contacts, verdict)
    _check_marker(world, verdict)
    verdict.checked["migrations_pending"] = world.migrations_pending
    if world.migrations_pending:
        verdict.findings.append(Finding("Migrations of the app are pending on the live database", "Run restore_dev.yml, which migrates it"))
    return verdict


def _check_clients(world: World, contacts: Mapping[str, Contact], verdict: Verdict) -> None:
    """Compare the clients with the contacts."""
    required = required_clients(world.clients)
    active = {contact_id for contact_id, contact in contacts.items() if contact.status == ACTIVE}
    ids = _check_ids("client", "contact", world.clients, required, contacts, world, verdict)
    retired = [row.key for row in world.clients if ids.get(row.key) in contacts.keys() - active]
    _find(verdict, "client", retired, "{n} client(s) hold the id of a contact that is archived or merged", SEED_AGAIN)
    owners = _number_owners(world)
    foreign = [row.key for row in world.clients if ids.get(row.key) in active and owners.get(contacts[ids[row.key]].number or "", row.key) != row.key]
    _find(verdict, "client", foreign, "{n} client(s) hold the id of a contact that carries another client's number", SEED_AGAIN)
    differ = [row.key for row in world.clients if ids.get(row.key) in contacts and not _like(contacts[ids[row.key]].name, row.name)]
    _note(verdict, "contact", differ)
    verdict.checked |= {"clients": len(world.clients), "clients_required": len(required), "contacts": len(contacts)}


def _check_jobs(world: World, contacts: Mapping[str, Contact], verdict: Verdict) -> None:
    """Compare the jobs with the projects."""
    contact_of = {row.key: (row.xero_id or "").lower() for row in world.clients if (row.xero_id or "").lower() in contacts}
    required = required_jobs(world.jobs, contact_of)
    projects = {project.id: project for project in world.projects}
    ids = _check_ids("job", "project", world.jobs, required, projects, world, verdict)
    found = [(row, projects[ids[row.key]]) for row in world.jobs if ids.get(row.key) in projects]
    elsewhere = [row.key for row, project in found if row.client_key in contact_of and project.contact_id != contact_of[row.client_key]]
    if elsewhere:
        verdict.notes.append(f"{_count(elsewhere, 'job(s) hold')} a project that is under another contact than their client's: {_listed(elsewhere)}")
    template = world.mapping.projects.name_template
    differ = [row.key for row, project in found if not _like(project.name, template.replace("{number}", row.number or "").replace("{name}", row.name or ""))]
    _note(verdict, "project", differ)
    verdict.checked |= {"jobs": len(world.jobs), "jobs_required": len(required), "projects": len(projects)}


def _check_ids(
    row_word: str,
    thing: str,
    rows: Sequence[ClientRow] | Sequence[JobRow],
    required: Collection[str],
    there: Mapping[str, object],
    world: World,
    verdict: Verdict,
) -> dict[str, str]:
    """Check what every id must be, whatever it is the id of; return the ids by row key, in lower case."""
    ids = {row.key: row.xero_id.lower() for row in rows if row.xero_id}
    missing = [row.key for row in rows if row.key in required and row.key not in ids]
    _find(verdict, row_word, missing, "{n} " + row_word + "(s) have no Xero id", SEED_AGAIN)
    odd = [key for key, xero_id in ids.items() if not _is_id(xero_id)]
    _find(verdict, row_word, odd, "{n} " + row_word + "(s) hold something that is no Xero id", "Empty these, then run playbooks/seed_xero.yml")
    entity = "contacts" if thing == "contact" else "projects"
    originals = world.marker.original_ids.get(entity, ()) if world.marker is not None else ()
    absent = [key for key, xero_id in ids.items() if xero_id not in there and _is_id(xero_id)]
    production = [key for key in absent if ids[key] in originals]
    _find(verdict, row_word, production, "{n} " + row_word + "(s) hold the Xero id that came with the dump, which is not of this organisation", SEED_AGAIN)
    stale = [key for key in absent if ids[key] not in originals]
    _find(verdict, row_word, stale, "{n} " + row_word + f"(s) hold the id of a {thing} that does not exist in the organisation", SEED_AGAIN)
    holders: dict[str, list[str]] = defaultdict(list)
    for key, xero_id in ids.items():
        holders[xero_id].append(key)
    shared = [key for keys in holders.values() if len(keys) > 1 for key in keys]
    _find(verdict, row_word, shared, "{n} " + row_word + f"(s) share a {thing} with another one", SEED_AGAIN)
    em = world.mapping.entity(entity)
    if em.tenant_id:
        strange = [row.key for row in rows if row.key in ids and (row.tenant_id or "").lower() != world.tenant_id]
        _find(verdict, row_word, strange, "{n} " + row_word + f'(s) have another organisation in "{em.tenant_id}"', SEED_AGAIN)
    return ids


def _check_marker(world: World, verdict: Verdict) -> None:
    """Check that the marker is of this database and of this organisation."""
    marker = world.marker
    verdict.checked["marker"] = marker is not None
    if marker is None:
        if world.by_refresh:
            verdict.findings.append(Finding("The database has no marker, so no refresh made it or something removed it", "Run restore_dev.yml"))
        else:
            verdict.notes.append("The database has no marker: no refresh made it")
        return
    if not marker.fits:
        verdict.findings.append(
            Finding("The marker was not written for this database or its tables were replaced: something was restored over it", "Run restore_dev.yml")
        )
    if marker.phase != "live":
        verdict.findings.append(Finding(f'The marker says "{marker.phase}", not "live"', "Run restore_dev.yml"))
    if marker.tenant_id is None:
        verdict.findings.append(Finding("The marker says that the database was never seeded", SEED_AGAIN))
    elif marker.tenant_id.lower() != world.tenant_id:
        verdict.findings.append(
            Finding(f'The marker says that the database was seeded in "{marker.tenant_name}" ({marker.tenant_id}), another organisation', SEED_AGAIN)
        )


def _number_owners(world: World) -> dict[str, str]:
    """Return whose each ContactNumber is; empty where the number alone proves nothing, since another app may write the same ones."""
    template = world.mapping.contacts.number
    return {number: row.key for row in world.clients if (number := template.replace("{key}", row.key)) != row.key or _is_id(row.key) if len(number) <= 50}


def _like(there: str, here: str | None) -> bool:
    """Tell whether a name in Xero is that of the row: equal, cut to Xero's length, or with the suffix that sets it apart."""
    mine, other = plain(here), plain(there)
    return not mine or other == mine or (len(other) > 8 and mine.startswith(other)) or _without_suffix(other, mine)


def _without_suffix(there: str, here: str) -> bool:
    """Tell whether ``there`` is ``here``, perhaps cut, with something in brackets behind it."""
    base, bracket, _ = there.rpartition(" (")
    return bool(bracket) and there.endswith(")") and bool(base) and here.startswith(base.rstrip())


def _is_id(text: str) -> bool:
    """Tell whether ``text`` is a UUID in its usual form that is not zero."""
    try:
        value = UUID(text)
    except ValueError:
        return False
    return value.int != 0 and str(value) == text.lower()


def _find(verdict: Verdict, row_word: str, keys: Sequence[str], what: str, remedy: str) -> None:
    """Add a finding about rows, if there are any."""
    if keys:
        counted = what.replace("{n} ", f"{len(keys)} ", 1).replace(f"{row_word}(s)", row_word if len(keys) == 1 else f"{row_word}s")
        if len(keys) == 1:
            counted = counted.replace(f" {row_word} hold ", f" {row_word} holds ").replace(f" {row_word} have ", f" {row_word} has ")
            counted = counted.replace(f" {row_word} share ", f" {row_word} shares ")
        verdict.findings.append(Finding(f"{counted}: {_listed(keys)}", remedy))


def _note(verdict: Verdict, thing: str, keys: Sequence[str]) -> None:
    """Note names that differ."""
    if keys:
        verdict.notes.append(f"{len(keys)} {thing}{'s have' if len(keys) > 1 else ' has'} another name in Xero than in the database: {_listed(keys)}")


def _count(keys: Sequence[str], words: str) -> str:
    """Return a number with its words."""
    return f"{len(keys)} {words}".replace("(s) hold", " holds" if len(keys) == 1 else "s hold")


def _listed(keys: Iterable[str]) -> str:
    """Return the first keys."""
    keys = list(keys)
    more = f" and {len(keys) - SHOWN} more" if len(keys) > SHOWN else ""
    return ", ".join(keys[:SHOWN]) + more
