"""Creating what is missing: up to five calls at once, each id stored before its reply counts as done."""
from __future__ import annotations

import heapq
from collections import defaultdict, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from ..errors import RefreshError
from .entities import CONTACTS
from .keys import key_order
from .names import compared
from .outcomes import Outcomes
from .plan import IN_FLIGHT, ContactCreate, Plan, ProjectCreate
from .ports import DayLimitReached, SeedStore, XeroPort
from .project_passes import match_under_contact
from .records import Change, Project
from .sending import Pause, Sent, Settled, send_contacts, send_project
from .workers import Workers

SILENCE = 5
"""Rows in a row whose outcome Xero never told, after which going on makes no sense."""


@dataclass(frozen=True, slots=True)
class _Task:
    """What a worker is doing."""

    kind: Literal["contacts", "project", "look"]
    contacts: tuple[ContactCreate, ...] = ()
    project: ProjectCreate | None = None
    client_key: str = ""
    contact_id: str = ""

    @property
    def place(self) -> tuple[str, str]:
        """Return contact and name of the project, of which only one may be on its way at a time."""
        return (self.contact_id, compared(self.project.name)) if self.project else ("", "")


class Creation:
    """Creates all that a plan wants created. ``contacts_first`` lets no project begin before the last contact is done."""

    def __init__(
        self, xero: XeroPort, store: SeedStore, plan: Plan, outcomes: Outcomes, *,
        tenant_id: str, projects_there: Sequence[Project], contacts_first: bool, attempt: int, pause: Pause, on_progress: Callable[[], None],
    ) -> None:  # fmt: skip
        self._xero = xero
        self._store = store
        self._plan = plan
        self._outcomes = outcomes
        self._tenant_id = tenant_id
        self._contacts_first = contacts_first
        self._attempt = attempt
        self._pause = pause
        self._on_progress = on_progress
        self._known = {project.id for project in projects_there}
        size = CONTACTS.write_batch
        creates = plan.contacts.creates
        self._batches = deque(tuple(creates[start : start + size]) for start in range(0, len(creates), size))
        self._contacts = {create.new.key: create for create in creates}
        self._jobs = {create.key: create for create in plan.projects.creates}
        self._waiting: dict[str, list[ProjectCreate]] = defaultdict(list)
        self._ready: list[tuple[int, tuple[int, int, str], str, str]] = []
        self._looks: deque[_Task] = deque()
        self._on_the_way: set[tuple[str, str]] = set()
        self._contacts_busy = 0
        self._silent = 0
        self.must_change_keys = False
        """Whether Xero would answer a key of this run with a failure again, for the minutes that it keeps replies."""
        self._abort: RefreshError | None = None
        self.day_limit: DayLimitReached | None = None
        linked = plan.contact_of
        for create in plan.projects.creates:
            if create.client_key in linked:
                self._make_ready(create, linked[create.client_key])
            else:
                self._waiting[create.client_key].append(create)

    def lost_client(self, key: str, name: str, reason: str) -> None:
        """Skip the jobs of a client that failed."""
        lost = [create for create in self._jobs.values() if create.client_key == key]
        for create in lost:
            del self._jobs[create.key]
            self._outcomes.skipped("projects", create.key, f"its client {key} failed: {reason}", name)
        self._waiting.pop(key, None)
        gone = {create.key for create in lost}
        self._ready = [entry for entry in self._ready if entry[2] not in gone]
        heapq.heapify(self._ready)

    def run(self) -> None:
        """Create until all is done or the day's quota is used up; raise RefreshError where going on makes no sense."""
        workers = Workers(IN_FLIGHT)
        try:
            while True:
                while workers.free and (task := self._next()) is not None:
                    self._begin(workers, task)
                if not workers.busy:
                    break
                ended = workers.wait()
                self._record([(done.tag, self._sent(done.value, done.error)) for done in ended])
                self._on_progress()
        finally:
            workers.close()
        if self._abort is not None:
            raise self._abort

    def _next(self) -> _Task | None:
        """Return what to do next, or None if nothing can begin now."""
        if self._abort is not None or self.day_limit is not None:
            return None
        if self._batches:
            return _Task("contacts", contacts=self._batches.popleft())
        if self._looks:
            return self._looks.popleft()
        if self._contacts_first and self._contacts_busy:
            return None
        held = []
        found = None
        while self._ready and found is None:
            entry = heapq.heappop(self._ready)
            task = _Task("project", project=self._jobs[entry[2]], contact_id=entry[3])
            if task.place in self._on_the_way:
                held.append(entry)
            else:
                found = task
        for entry in held:
            heapq.heappush(self._ready, entry)
        return found

    def _begin(self, workers: Workers, task: _Task) -> None:
        """Give a task to a worker."""
        xero, pause, attempt = self._xero, self._pause, self._attempt
        if task.kind == "contacts":
            owners = self._plan.owners
            assert owners is not None
            self._contacts_busy += 1
            workers.start(task, lambda: send_contacts(xero, task.contacts, owners, pause, attempt))
        elif task.project is not None:
            project, known = task.project, self._known
            self._on_the_way.add(task.place)
            workers.start(task, lambda: send_project(xero, project, task.contact_id, known, pause, attempt))
        else:
            workers.start(task, lambda: xero.projects_of(task.contact_id))

    def _sent(self, value: Sent | list[Project] | None, error: BaseException | None) -> Sent | list[Project]:
        """Return what a worker brought; note what ends the run."""
        if error is not None and not isinstance(error, RefreshError):
            raise error
        failure = error or (value.error if isinstance(value, Sent) else None)
        if isinstance(failure, DayLimitReached):
            self.day_limit = self.day_limit or failure
        elif isinstance(failure, RefreshError) and self._abort is None:
            self._abort = failure
            self.must_change_keys = True
            # the other calls need not wait for their turn any more
            self._xero.stop()
        return value if value is not None else Sent()

    def _record(self, ended: Sequence[tuple[_Task, Sent | list[Project]]]) -> None:
        """Store what all ended tasks brought, one statement for each table, and only then count it."""
        contacts: list[Settled] = []
        projects: list[Settled] = []
        for task, brought in ended:
            if isinstance(brought, list):
                projects += self._match(task, brought)
                continue
            (contacts if task.kind == "contacts" else projects).extend(brought.settled)
            self._contacts_busy -= task.kind == "contacts"
            self._on_the_way.discard(task.place)
        self._store_contacts(contacts)
        self._store_projects(projects)
        for settled in [*contacts, *projects]:
            self._silent = self._silent + 1 if settled.silent else 0
            self.must_change_keys |= settled.kind == "failed"
        if self._silent >= SILENCE and self._abort is None:
            last = [*contacts, *projects][-1]
            self._abort = RefreshError(f"Xero does not answer any more: {last.reason}. What was stored stays. Run the same command again when Xero works.")
            self._xero.stop()

    def _store_contacts(self, settled: Sequence[Settled]) -> None:
        """Store contacts and let their clients' jobs go on."""
        for row in self._save("contacts", settled, {key: create.old for key, create in self._contacts.items()} if settled else {}):
            waiting = self._waiting.pop(row.key, [])
            if row.kind == "linked" and waiting and row.id:
                # not in the list that was read, so what is under it is not known either
                self._waiting[row.key] = waiting
                self._looks.append(_Task("look", client_key=row.key, contact_id=row.id))
                continue
            for create in waiting:
                self._make_ready(create, row.id or "")

    def _store_projects(self, settled: Sequence[Settled]) -> None:
        """Store projects."""
        self._known |= {row.id for row in settled if row.id}
        self._save("projects", settled, {row.key: self._jobs[row.key].old for row in settled})

    def _save(self, entity: str, settled: Sequence[Settled], olds: dict[str, str | None]) -> list[Settled]:
        """Store ids and note the outcomes; return the rows that now have theirs."""
        good = [row for row in settled if row.kind != "failed"]
        stored = self._store.store(entity, [Change(row.key, olds[row.key], row.id or "") for row in good], self._tenant_id) if good else None
        kept = []
        for row in settled:
            reason = row.reason if row.kind == "failed" else stored.refused.get(row.key) if stored else None
            if reason is not None:
                self._outcomes.failed(entity, row.key, row.name, reason)
                if entity == "contacts":
                    self.lost_client(row.key, row.name, reason)
                continue
            kept.append(row)
            if row.kind == "linked":
                self._outcomes.linked(entity, row.key, row.name, row.id or "", "already in Xero")
            else:
                planned = self._plan.left_out.get(f"{entity}/{row.key}", ())
                self._outcomes.created(entity, row.key, row.name, row.id, (*planned, *row.left_out))
        return kept

    def _match(self, task: _Task, projects: list[Project]) -> list[Settled]:
        """Return the jobs whose projects are under a contact that was found only now; the others are ready to be created."""
        jobs = self._waiting.pop(task.client_key, [])
        free = [project for project in projects if project.id not in self._known]
        found = match_under_contact([(create.key, create.names) for create in sorted(jobs, key=lambda job: key_order(job.key))], free)
        for create in jobs:
            if create.key not in found:
                self._make_ready(create, task.contact_id)
        return [Settled(create.key, "linked", found[create.key], create.name) for create in jobs if create.key in found]

    def _make_ready(self, create: ProjectCreate, contact_id: str) -> None:
        """Let a job's project be created."""
        heapq.heappush(self._ready, (create.order, key_order(create.key), create.key, contact_id))
