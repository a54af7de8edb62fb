"""An organisation and a database in memory, with the sandbox's rules, that can die before or after any act."""
from __future__ import annotations

import threading
import uuid
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from ansible.module_utils.dev_refresh.mapping import parse_mapping
from ansible.module_utils.dev_refresh.postgres.marker import Marker
from ansible.module_utils.dev_refresh.seeding.guard import GuardRules
from ansible.module_utils.dev_refresh.seeding.records import ACTIVE, Change, ClientRow, Contact, CreateReply, JobRow, NewContact, NewProject, Project, Stored
from ansible.module_utils.dev_refresh.seeding.runner import SeedRequest, SeedRun
from xero_sandbox import contact_rules
from xero_sandbox.names import name_key

TENANT = "00000000-0000-0000-0000-0000000000aa"


class Dead(BaseException):
    """The process was killed."""


class Fuse:
    """Lets the process die at one of its acts: each act has a moment before and one after it."""

    def __init__(self, at: int | None = None) -> None:
        self.at = at
        self.moments = 0
        self.blown = False
        self.lock = threading.RLock()

    def act(self, deed: Callable[[], Any]) -> Any:
        """Carry out one act, all or nothing, unless the process is dead before or dies after it."""
        with self.lock:
            self._tick()
            done = deed()
            self._tick()
            return done

    def _tick(self) -> None:
        if self.blown or self.moments == self.at:
            self.blown = True
            raise Dead
        self.moments += 1


@dataclass
class Stats:
    calls: int = 0
    writes: int = 0
    retries: int = 0
    rate_limited: int = 0
    seconds_waited: float = 0.0
    minute_remaining: int | None = None
    day_remaining: int | None = None
    per_minute: list[int] = field(default_factory=list)
    recent: list[float] = field(default_factory=list)


@dataclass(frozen=True)
class Demo:
    tenant_id: str = TENANT
    name: str = "Demo Company"
    is_demo_company: bool = True


@dataclass
class Xero:
    """What is in the organisation; survives the death of the process that uses it."""

    contacts: dict[str, Contact] = field(default_factory=dict)
    projects: dict[str, Project] = field(default_factory=dict)
    made: int = 0

    def new_id(self) -> str:
        self.made += 1
        return str(uuid.UUID(int=0xFFFF << 64 | self.made))


class FakeXero:
    """Implements XeroPort on an organisation in memory."""

    def __init__(self, xero: Xero, fuse: Fuse | None = None) -> None:
        self.xero = xero
        self.fuse = fuse or Fuse()
        self.stats = Stats()

    def choose(self) -> str:
        return TENANT

    def connect(self) -> Demo:
        return Demo()

    def seconds_for(self, calls: int) -> tuple[float, float]:
        return 0.3 * calls / 5, 0.3 * calls / 5

    def expect_calls(self, calls: int | None) -> None:
        pass

    def stop(self) -> None:
        pass

    def list_contacts(self) -> list[Contact]:
        return list(self.xero.contacts.values())

    def list_projects(self) -> list[Project]:
        return list(self.xero.projects.values())

    def contacts_by_number(self, numbers: Collection[str]) -> dict[str, Contact]:
        found = sorted(self.xero.contacts.values(), key=lambda contact: contact.status == ACTIVE)
        return {contact.number: contact for contact in found if contact.number in numbers}

    def projects_of(self, contact_id: str) -> list[Project]:
        return [project for project in self.xero.projects.values() if project.contact_id == contact_id]

    def create_contacts(self, batch: Sequence[NewContact], *, key_attempt: int) -> list[CreateReply]:
        self.stats.writes += 1
        return self.fuse.act(lambda: [self._create_contact(new) for new in batch])

    def _create_contact(self, new: NewContact) -> CreateReply:
        element: dict[str, Any] = {"Name": new.name, "ContactNumber": new.number, "EmailAddress": new.email, "Phones": [{"PhoneNumber": new.phone}]}
        said = contact_rules.refusals(element, creating=True)
        if said:
            return CreateReply(new.key, "refused", reason="; ".join(said))
        for contact in self.xero.contacts.values():
            if contact.number == new.number or (contact.status == ACTIVE and name_key(contact.name) == name_key(new.name)):
                return CreateReply(new.key, "duplicate", reason="already assigned")
        made = Contact(self.xero.new_id(), new.name, new.number)
        self.xero.contacts[made.id] = made
        return CreateReply(new.key, "created", id=made.id)

    def create_project(self, new: NewProject, *, key_attempt: int) -> CreateReply:
        self.stats.writes += 1
        return self.fuse.act(lambda: self._create_project(new))

    def _create_project(self, new: NewProject) -> CreateReply:
        contact = self.xero.contacts.get(new.contact_id)
        if contact is None or contact.status != ACTIVE or not new.name.strip() or len(new.name) > 100:
            return CreateReply(new.key, "refused", reason="The request is invalid.")
        made = Project(self.xero.new_id(), new.contact_id, new.name)
        self.xero.projects[made.id] = made
        return CreateReply(new.key, "created", id=made.id)


@dataclass
class Database:
    """The rows; survives the death of the process that uses them."""

    clients: dict[str, ClientRow] = field(default_factory=dict)
    jobs: dict[str, JobRow] = field(default_factory=dict)
    marker: Marker = field(default_factory=lambda: Marker(run_id="20260101T000000Z-abcd", phase="live", dump_sha256=""))

    def table(self, entity: str) -> dict[str, Any]:
        return self.clients if entity == "contacts" else self.jobs


class FakeStore:
    """Implements SeedStore on a database in memory."""

    def __init__(self, database: Database, fuse: Fuse | None = None) -> None:
        self.database = database
        self.fuse = fuse or Fuse()

    def clients(self) -> list[ClientRow]:
        return list(self.database.clients.values())

    def jobs(self) -> list[JobRow]:
        return list(self.database.jobs.values())

    def marker(self) -> Marker:
        return replace(self.database.marker)

    def original_ids(self, entity: str) -> dict[str, str]:
        return {}

    def begin(self, organisation: Any, stale: Mapping[str, Mapping[str, str]], *, working: bool) -> dict[str, set[str]]:
        def deed() -> dict[str, set[str]]:
            self.database.marker.tenant_id = organisation.tenant_id
            if working:
                self.database.marker.seeded_at = None
            for entity, ids in stale.items():
                for key in ids:
                    self._put(entity, key, None)
            return {entity: set(ids) for entity, ids in stale.items()}

        return self.fuse.act(deed)

    def store(self, entity: str, changes: Sequence[Change], tenant_id: str) -> Stored:
        def deed() -> Stored:
            stored = Stored()
            for change in changes:
                assert uuid.UUID(change.new).int
                if self.database.table(entity)[change.key].xero_id == change.old:
                    stored.done.add(change.key)
                else:
                    stored.refused[change.key] = "changed"
            for change in changes:
                if change.key in stored.done:
                    self._put(entity, change.key, change.new)
            return stored

        return self.fuse.act(deed)

    def finish(self) -> None:
        self.fuse.act(lambda: setattr(self.database.marker, "seeded_at", "now"))

    def note_attempt(self, attempt: int) -> None:
        self.fuse.act(lambda: self.database.marker.extra.update(key_attempt=attempt))

    def _put(self, entity: str, key: str, xero_id: str | None) -> None:
        table = self.database.table(entity)
        table[key] = replace(table[key], xero_id=xero_id)


def run(database: Database, xero: Xero, *, check: bool = False, fuse: Fuse | None = None, mapping: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Seed once."""
    request = SeedRequest(parse_mapping(mapping), ("contacts", "projects"), GuardRules(), check_mode=check)
    return SeedRun(request, FakeXero(xero, fuse), FakeStore(database, fuse), sleep=lambda seconds: None).run()
