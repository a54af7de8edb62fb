"""The plan: rows of the database and lists of the organisation in, all that is to be done out. Nothing here reads or writes."""
from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import ROUND_HALF_UP, Decimal
from typing import Generic, TypeVar

from ..mapping import EntityMapping
from ..mapping import Mapping as RowMapping
from .contact_fields import optional_fields
from .contact_passes import Claims, accepted_names, claim_contacts
from .entities import CONTACTS, PROJECTS, Entity
from .keys import key_order
from .names import PROJECT_NAME_LENGTH, clash_form, clean, distinct_names, project_name
from .numbers import NumberOwners
from .project_passes import claim_projects
from .records import ACTIVE, ClientRow, Contact, JobRow, NewContact, NewProject, Project

Create = TypeVar("Create")

CENT = Decimal("0.01")
IN_FLIGHT = 5
"""Calls that Xero answers at the same time."""


@dataclass(frozen=True, slots=True)
class Link:
    """A row that gets the id of something that is there; ``old`` is what it holds once stale ids are cleared."""

    key: str
    old: str | None
    new: str
    name: str
    by: str


@dataclass(frozen=True, slots=True)
class ContactCreate:
    """A contact to create, the names it may have instead, and, if its number proves too little, the compared names that prove it."""

    new: NewContact
    old: str | None
    further_names: tuple[str, ...] = ()
    proven_by: frozenset[str] | None = None


@dataclass(frozen=True, slots=True)
class ProjectCreate:
    """A project to create, once the client's contact is known; ``names`` in the order in which they are tried."""

    key: str
    old: str | None
    client_key: str
    names: tuple[str, ...]
    deadline: datetime | None
    estimate: Decimal | None
    order: int

    @property
    def name(self) -> str:
        """Return the name to try first."""
        return self.names[0]

    def under(self, contact_id: str, name: str | None = None) -> NewProject:
        """Return the project as it is sent."""
        return NewProject(self.key, contact_id, name or self.name, self.deadline, self.estimate)


@dataclass(frozen=True, slots=True)
class Skip:
    """A row that cannot be in Xero by rule, and why."""

    key: str
    name: str
    reason: str


@dataclass(slots=True)
class EntityPlan(Generic[Create]):
    """What is to be done for the rows of one table."""

    entity: Entity
    kept: dict[str, str] = field(default_factory=dict)
    """Xero id of each row that holds the right one already."""
    links: list[Link] = field(default_factory=list)
    creates: list[Create] = field(default_factory=list)
    stale: dict[str, str] = field(default_factory=dict)
    """Stored id, by row key, that is cleared first."""
    stale_names: dict[str, str] = field(default_factory=dict)
    skips: list[Skip] = field(default_factory=list)
    unclaimed: int = 0

    @property
    def total(self) -> int:
        """Return the number of rows that belong in Xero, and of those outside ``where`` that are there all the same."""
        return len(self.kept) + len(self.links) + len(self.creates) + len(self.skips)

    @property
    def linked(self) -> dict[str, str]:
        """Return the Xero id of each row that has one before anything is created."""
        return {**self.kept, **{link.key: link.new for link in self.links}}


@dataclass(slots=True)
class Plan:
    """What a run is to do."""

    contacts: EntityPlan[ContactCreate] = field(default_factory=lambda: EntityPlan(CONTACTS))
    projects: EntityPlan[ProjectCreate] = field(default_factory=lambda: EntityPlan(PROJECTS))
    left_out: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """Optional fields that are not sent, by entity and key of the row (``contacts/12``)."""
    warnings: list[str] = field(default_factory=list)
    contacts_there: int = 0
    projects_there: int = 0
    with_projects: bool = True
    """Whether the list of projects is read."""
    owners: NumberOwners | None = None
    contact_of: dict[str, str] = field(default_factory=dict)
    """Contact of each client that has one before anything is created."""

    @property
    def writes(self) -> int:
        """Return the writing calls that are needed."""
        return CONTACTS.writing_calls(len(self.contacts.creates)) + PROJECTS.writing_calls(len(self.projects.creates))

    @property
    def verification(self) -> int:
        """Return the calls that verification needs: organisation and lists."""
        return self._reading(self.contacts_there + len(self.contacts.creates), self.projects_there + len(self.projects.creates))

    @property
    def reading(self) -> int:
        """Return the calls that it takes to read what is there, as this run has done."""
        return self._reading(self.contacts_there, self.projects_there)

    def _reading(self, contacts: int, projects: int) -> int:
        # one for the organisation; the connections are not an organisation's, and are not counted as such
        return 1 + CONTACTS.reading_calls(contacts) + (PROJECTS.reading_calls(projects) if self.with_projects else 0)

    @property
    def is_empty(self) -> bool:
        """Tell whether nothing is to be written anywhere."""
        return not any((plan.links or plan.creates or plan.stale) for plan in (self.contacts, self.projects))


def make_plan(
    clients: Sequence[ClientRow], jobs: Sequence[JobRow], contacts: Sequence[Contact], projects: Sequence[Project], *,
    mapping: RowMapping, entities: Collection[str], tenant_id: str,
) -> Plan:  # fmt: skip
    """Return what must be done so that every client and job is in the organisation; the order of rows and lists does not matter."""
    plan = Plan(contacts_there=len(contacts), projects_there=len(projects), with_projects="projects" in entities)
    clients = sorted(clients, key=lambda row: key_order(row.key))
    jobs = sorted(jobs, key=lambda row: key_order(row.key))
    owners = NumberOwners(mapping.contacts.number, [row.key for row in clients])
    plan.owners = owners
    claims = claim_contacts(clients, contacts, owners)
    if "contacts" in entities:
        _plan_contacts(plan, clients, contacts, claims, owners, mapping.contacts, tenant_id)
    else:
        plan.contacts.kept = {row.key: claims.ids[row.key] for row in clients if claims.ids.get(row.key, "-") == (row.xero_id or "").lower()}
    plan.contact_of = plan.contacts.linked
    if "projects" in entities:
        _plan_projects(plan, clients, jobs, projects, mapping.projects, tenant_id)
    if "contacts" not in entities:
        plan.contacts = EntityPlan(CONTACTS)
    if any(owners.weak(row.key) for row in clients):
        plan.warnings.append(
            'The keys of the clients are not UUIDs and xero_seed_mapping.contacts.number has no text of its own, so a ContactNumber alone does not prove'
            ' whose contact it is: the name must be the same too. Where several apps share an organisation, use a number such as "myapp-{key}".'
        )
    return plan


def _plan_contacts(
    plan: Plan, rows: Sequence[ClientRow], contacts: Sequence[Contact], claims: Claims, owners: NumberOwners, em: EntityMapping, tenant_id: str
) -> None:
    """Plan the contacts."""
    mine = plan.contacts
    there = {contact.id for contact in contacts}
    names_taken = {clash_form(contact.name) for contact in contacts if contact.status == ACTIVE}
    numbers_held = {contact.number.casefold() for contact in contacts if contact.number}
    for row in rows:
        name = clean(row.name)
        if row.key in claims.ids:
            _sort_claimed(mine, row, name, claims, there, em, tenant_id)
            continue
        will_create = bool(row.in_scope and name)
        old = _clear_first(mine, row, name, there, replaced=will_create)
        if not row.in_scope:
            continue
        if not name:
            mine.skips.append(Skip(row.key, "", "it has no name" if not (row.name or "").strip() else "nothing is left of its name once it is clean"))
            continue
        names = distinct_names(name, row.key)
        first = next((place for place, given in enumerate(names) if clash_form(given) not in names_taken), len(names) - 1)
        names_taken.add(clash_form(names[first]))
        optional = optional_fields(row, em)
        number = owners.free_number(row.key, numbers_held)
        new = NewContact(row.key, names[first], number, optional.email, optional.phone, optional.address)
        mine.creates.append(ContactCreate(new, old, tuple(names[first + 1 :]), accepted_names(row) if owners.weak(row.key) else None))
        if optional.left_out:
            plan.left_out[f"contacts/{row.key}"] = optional.left_out
    mine.unclaimed = sum(contact.status == ACTIVE and contact.id not in claims.taken for contact in contacts)


def _plan_projects(plan: Plan, clients: Sequence[ClientRow], rows: Sequence[JobRow], projects: Sequence[Project], em: EntityMapping, tenant_id: str) -> None:
    """Plan the projects; the contacts are planned already."""
    mine = plan.projects
    contact_of = plan.contact_of
    coming = {create.new.key for create in plan.contacts.creates}
    skipped = {skip.key: skip.reason for skip in plan.contacts.skips}
    known = {row.key for row in clients}
    there = {project.id: project for project in projects}
    claims = claim_projects(rows, projects, contact_of, em.name_template)
    elsewhere = 0
    for row in rows:
        name = project_name(em.name_template, row.number or "", row.name).text
        if row.key in claims.ids:
            _sort_claimed(mine, row, name, claims, there.keys(), em, tenant_id)
            contact = contact_of.get(row.client_key or "")
            elsewhere += contact is not None and there[claims.ids[row.key]].contact_id != contact
            continue
        reason = _why_not(row, contact_of, coming, skipped, known)
        old = _clear_first(mine, row, name, there.keys(), replaced=row.in_scope and reason is None)
        if not row.in_scope:
            continue
        if reason is not None:
            mine.skips.append(Skip(row.key, name if clean(row.number) else clean(row.name), reason))
            continue
        estimate = row.estimate.quantize(CENT, ROUND_HALF_UP) if row.estimate is not None and row.estimate < Decimal(10) ** 15 else None
        names = distinct_names(name, row.key, PROJECT_NAME_LENGTH)
        client_key = row.client_key or ""
        mine.creates.append(ProjectCreate(row.key, old, client_key, tuple(names), row.deadline, estimate if estimate and estimate > 0 else None, row.order))
        if row.unreadable:
            plan.left_out[f"projects/{row.key}"] = row.unreadable
    mine.creates.sort(key=lambda create: (create.order, key_order(create.key)))
    mine.unclaimed = sum(project.id not in claims.taken for project in projects)
    if elsewhere:
        plan.warnings.append(f"{elsewhere} jobs hold a project that is under another contact than their client's; they keep it.")


def _why_not(row: JobRow, contact_of: Mapping[str, str], coming: Collection[str], skipped: Mapping[str, str], known: Collection[str]) -> str | None:
    """Return why a job can have no project, or None if it can."""
    if not clean(row.number):
        return "it has no number"
    if not row.client_key:
        return "it has no client"
    if row.client_key in contact_of or row.client_key in coming:
        return None
    if row.client_key in skipped:
        return f"its client {row.client_key} is skipped: {skipped[row.client_key]}"
    if row.client_key not in known:
        return f"its client {row.client_key} is not in the clients' table"
    return f"its client {row.client_key} has no contact, and none is made for it"


def _sort_claimed(
    mine: EntityPlan[Create], row: ClientRow | JobRow, name: str, claims: Claims, there: Collection[str], em: EntityMapping, tenant_id: str
) -> None:
    """Note a row that claimed something as kept or as to be linked."""
    new = claims.ids[row.key]
    right_tenant = em.tenant_id is None or (row.tenant_id or "").lower() == tenant_id.lower()
    if (row.xero_id or "").lower() == new and right_tenant:
        mine.kept[row.key] = new
        return
    mine.links.append(Link(row.key, _clear_first(mine, row, name, there, replaced=True), new, name, claims.passes[row.key]))


def _clear_first(mine: EntityPlan[Create], row: ClientRow | JobRow, name: str, there: Collection[str], *, replaced: bool) -> str | None:
    """Note a stored id that must go first: it is stale, or the row loses it and gets no other. Return what the row holds afterwards."""
    if row.xero_id is None or (replaced and row.xero_id.lower() in there):
        return row.xero_id
    mine.stale[row.key] = row.xero_id
    mine.stale_names[row.key] = name or row.key
    return None
