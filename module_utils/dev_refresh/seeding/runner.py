"""One seed from its guard to its result. Check mode is the same path without the writer."""
from __future__ import annotations

import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from ..errors import GuardError, RefreshError
from ..mapping import Mapping as RowMapping
from ..postgres.marker import Marker, check_fence
from ..progress import ProgressWriter, time_words
from .creation import Creation
from .entities import CONTACTS, PROJECTS
from .guard import GuardRules, database_findings, is_forbidden, production_findings
from .outcomes import Outcomes
from .plan import Plan, make_plan
from .ports import DayLimitReached, Organisation, OutcomeLog, SeedStore, XeroPort
from .records import Change, ClientRow, Contact, JobRow, Project
from .result import LISTED, Summary, diff_of, result_of
from .sending import MAX_SENDS
from .workers import Workers

FIRST_PAUSE = 1.0
LONGEST_PAUSE = 15.0
FRESH = 1.0
"""Seconds for which an estimate of the time left is good enough."""


@dataclass(frozen=True, slots=True)
class SeedRequest:
    """What is asked for."""

    mapping: RowMapping
    entities: Collection[str]
    rules: GuardRules
    check_mode: bool = False
    restore_due: bool = False
    """In check mode: the rows come from a dump that is still to be restored, and its marker is the dump's own."""
    forecast_reasons: Sequence[str] = ()
    run_id: str | None = None
    calls_per_minute: int = 60
    daily_reserve: int = 0
    calls_before: int = 0
    """In check mode: calls that a run makes before it comes to the seed."""
    diff: int = LISTED


@dataclass(slots=True)
class _Reading:
    """What is there, as far as it was read."""

    organisation: Organisation | None = None
    contacts: list[Contact] = field(default_factory=list)
    projects: list[Project] = field(default_factory=list)
    clients: list[ClientRow] = field(default_factory=list)
    jobs: list[JobRow] = field(default_factory=list)


@dataclass(slots=True)
class SeedRun:
    """One seed; ``sleep`` waits before a call is tried again."""

    request: SeedRequest
    xero: XeroPort
    store: SeedStore
    progress: ProgressWriter = field(default_factory=lambda: ProgressWriter(None))
    log: OutcomeLog | None = None
    sleep: Callable[[float], None] = time.sleep
    warnings: list[str] = field(default_factory=list)

    def run(self) -> dict[str, Any]:
        """Seed, or in check mode say what a seed would do; return the module's result.

        Raises GuardError before anything is written, RefreshError with the result so far in its details afterwards.
        """
        started = time.monotonic()
        request = self.request
        marker = self.store.marker()
        if not request.restore_due:
            check_fence(request.run_id, marker)
        reading = _Reading()
        try:
            organisation = self._read(reading, marker)
        except DayLimitReached as limit:
            return self._nothing_read(reading.organisation, limit, started)
        contacts, projects, clients, jobs = reading.contacts, reading.projects, reading.clients, reading.jobs
        brought = self._ids_with_the_dump(marker, clients, jobs)
        self._refuse(production_findings(organisation, self._judged(marker), brought, contacts, projects, request.rules))
        plan = make_plan(clients, jobs, contacts, projects, mapping=request.mapping, entities=request.entities, tenant_id=organisation.tenant_id)
        self.warnings += plan.warnings
        summary = self._summary(organisation, marker, plan)
        try:
            if request.check_mode:
                self._foresee(plan, summary)
            else:
                self._write(plan, projects, summary)
        except RefreshError as error:
            error.details = {**self._result(summary, plan, started), **error.details}
            raise
        except KeyboardInterrupt as interrupt:
            self.xero.stop()
            by = f" by {interrupt}" if str(interrupt) else ""
            message = f"The module was interrupted{by}. Run the same command again; it goes on from what was finished."
            raise RefreshError(message, details=self._result(summary, plan, started)) from None
        result = self._result(summary, plan, started)
        if summary.outcomes.failures:
            raise RefreshError(result["msg"], details=result)
        return result

    def _nothing_read(self, organisation: Organisation | None, limit: DayLimitReached, started: float) -> dict[str, Any]:
        """Return the result of a run that met the day's limit before it knew what is there: all rows remain."""
        outcomes = Outcomes(self.log)
        outcomes.tallies["contacts"].total = sum(row.in_scope for row in self.store.clients()) if "contacts" in self.request.entities else 0
        outcomes.tallies["projects"].total = sum(row.in_scope for row in self.store.jobs()) if "projects" in self.request.entities else 0
        summary = Summary(organisation, outcomes, resume_after=limit.resume_after)
        return self._result(summary, Plan(), started)

    def _judged(self, marker: Marker | None) -> Marker | None:
        """Return the marker that the guard goes by; a database that is still to be restored will have one."""
        if self.request.restore_due:
            inherited = {"dump_marker": {"tenant_id": marker.tenant_id}} if marker is not None else {}
            return Marker(run_id="", phase="sanitised", dump_sha256="", extra=inherited)
        return marker

    @staticmethod
    def _refuse(findings: Sequence[Any]) -> None:
        """Raise if the guard found anything."""
        if findings:
            raise GuardError(findings)

    def _read(self, reading: _Reading, marker: Marker | None) -> Organisation:
        """Read the organisation and both lists at the same time, and the rows meanwhile; return the organisation.

        What speaks against the organisation comes before whatever else goes wrong: only it tells what to do. A forbidden one's lists are not read, and
        where calls of the day are to be left for others, the first reply must tell how many there are.
        """
        rules, with_projects = self.request.rules, "projects" in self.request.entities
        tenant_id = self.xero.choose()
        workers = Workers(3)
        trouble: BaseException | None = None

        def start_lists() -> None:
            workers.start("contacts", self.xero.list_contacts)
            if with_projects:
                workers.start("projects", self.xero.list_projects)

        try:
            workers.start("organisation", self.xero.connect)
            beside = not is_forbidden(tenant_id, rules) and not self.request.daily_reserve
            if beside:
                start_lists()
            self.progress.emit("read", 0, None, "the rows of the database and the lists of the organisation")
            try:
                reading.clients = self.store.clients()
                reading.jobs = self.store.jobs() if with_projects else []
            except RefreshError as error:
                trouble = error
            while workers.busy and (trouble is None or reading.organisation is None):
                for done in workers.wait():
                    if done.tag != "organisation":
                        trouble = trouble or done.error
                        if done.error is None:
                            setattr(reading, done.tag, done.value)
                        continue
                    if done.error is not None:
                        raise done.error
                    self._refuse(database_findings(done.value, self._judged(marker), rules))
                    reading.organisation = done.value
                    if not beside and trouble is None:
                        start_lists()
            if trouble is not None:
                raise trouble
        except BaseException:
            # no other call need wait for its turn any more
            self.xero.stop()
            raise
        finally:
            workers.close()
        assert reading.organisation is not None
        return reading.organisation

    def _ids_with_the_dump(self, marker: Marker | None, clients: Sequence[ClientRow], jobs: Sequence[JobRow]) -> set[str]:
        """Return production's ids, as far as this database tells them."""
        brought = {xero_id for entity in self.request.entities for xero_id in self.store.original_ids(entity).values()}
        if marker is not None and marker.tenant_id is None:
            # never seeded: what stands in the rows was there before us
            brought |= {row.xero_id for row in clients if row.xero_id} | {row.xero_id for row in jobs if row.xero_id}
        return brought

    def _summary(self, organisation: Organisation, marker: Marker | None, plan: Plan) -> Summary:
        """Return what is known before anything is written: the organisation, the need of calls, and whether they are there."""
        stats = self.xero.stats
        left = None if stats.day_remaining is None else max(0, stats.day_remaining - self.request.daily_reserve)
        if left is not None and self.request.check_mode:
            # the run looks and reads again before it writes
            left = max(0, left - self.request.calls_before - plan.reading)
        marker = None if self.request.restore_due else marker
        summary = Summary(organisation, Outcomes.of_plan(plan, self.log), calls=plan.writes, verification=plan.verification, calls_left=left)
        least, most = self.xero.seconds_for(plan.writes if left is None else min(plan.writes, left))
        summary.minutes = (least / 60, most / 60)
        summary.vague = least < most
        summary.attempt = int(marker.extra.get("key_attempt", 0)) if marker is not None else 0
        summary.marked = self.request.restore_due or marker is not None
        summary.note_tenant = summary.marked and (marker is None or marker.tenant_id != organisation.tenant_id)
        summary.note_end = summary.marked and (marker is None or summary.note_tenant or marker.seeded_at is None)
        if marker is not None and marker.tenant_id and marker.tenant_id != organisation.tenant_id:
            summary.former = f'"{marker.tenant_name}" ({marker.tenant_id})'
        if summary.short and plan.writes:
            self.warnings.append(
                f"The seed and its verification need {summary.calls_needed} calls and the day's quota has {left} left: contacts come first, then projects"
                " in the order of xero_seed_mapping.projects.order_by."
            )
        note = f"{plan.writes} calls to make, {time_words(*summary.minutes)}; {plan.verification} more for the verification"
        self.progress.emit("plan", 0, None, note, **summary.estimate)
        return summary

    def _foresee(self, plan: Plan, summary: Summary) -> None:
        """Note what a run would do; write nothing."""
        outcomes = summary.outcomes
        for part in (plan.contacts, plan.projects):
            for key in part.stale:
                outcomes.cleared(part.entity.name, key, part.stale_names[key])
            for link in part.links:
                outcomes.linked(part.entity.name, link.key, link.name, link.new, link.by)
        left = plan.writes if summary.calls_left is None else summary.calls_left
        batches = min(CONTACTS.writing_calls(len(plan.contacts.creates)), left)
        made = set(plan.contact_of)
        for contact in plan.contacts.creates[: batches * CONTACTS.write_batch]:
            made.add(contact.new.key)
            outcomes.created("contacts", contact.new.key, contact.new.name, None, plan.left_out.get(f"contacts/{contact.new.key}", ()))
        possible = [project for project in plan.projects.creates if project.client_key in made][: left - batches]
        for project in possible:
            outcomes.created("projects", project.key, project.name, None, plan.left_out.get(f"projects/{project.key}", ()))
        summary.writes = batches + len(possible)

    def _write(self, plan: Plan, projects: Sequence[Project], summary: Summary) -> None:
        """Carry the plan out."""
        outcomes, organisation = summary.outcomes, summary.organisation
        assert organisation is not None
        tenant_id = organisation.tenant_id
        stale = {part.entity.name: part.stale for part in (plan.contacts, plan.projects) if part.stale}
        if summary.note_tenant or not plan.is_empty:
            cleared = self.store.begin(organisation, stale, working=not plan.is_empty)
            for part in (plan.contacts, plan.projects):
                for key in part.stale:
                    if key in cleared.get(part.entity.name, ()):
                        outcomes.cleared(part.entity.name, key, part.stale_names[key])
        creation = Creation(
            self.xero, self.store, plan, outcomes, tenant_id=tenant_id, projects_there=projects, contacts_first=summary.short, attempt=summary.attempt,
            pause=lambda tries: self.sleep(min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** (tries - 1))), on_progress=lambda: self._tell(plan, summary),
        )  # fmt: skip
        for part in (plan.contacts, plan.projects):
            entity = part.entity.name
            stored = self.store.store(entity, [Change(link.key, link.old, link.new) for link in part.links], tenant_id) if part.links else None
            for link in part.links:
                if stored is not None and link.key in stored.done:
                    outcomes.linked(entity, link.key, link.name, link.new, link.by)
                    continue
                reason = stored.refused.get(link.key, "") if stored is not None else ""
                outcomes.failed(entity, link.key, link.name, reason)
                if entity == CONTACTS.name:
                    creation.lost_client(link.key, link.name, reason)
        self._tell(plan, summary)
        self.xero.expect_calls(plan.writes)
        try:
            creation.run()
        finally:
            if creation.must_change_keys:
                # Xero answers a key that met a failure or a refusal with the same for six minutes, whatever was mended: the next run needs other keys
                self.store.note_attempt(summary.attempt + MAX_SENDS)
        if creation.day_limit is not None:
            summary.resume_after = creation.day_limit.resume_after
        elif summary.short and not outcomes.remaining:
            # all is there, but the day has no calls left for the verification
            summary.resume_after = f"{datetime.now(UTC) + timedelta(days=1):%Y-%m-%dT%H:%M:%SZ}"
        if not outcomes.remaining and not outcomes.failures and (summary.note_end or not plan.is_empty) and summary.marked:
            self.store.finish()

    def _tell(self, plan: Plan, summary: Summary) -> None:
        """Emit progress."""
        tallies = summary.outcomes.tallies
        calls = CONTACTS.writing_calls(tallies["contacts"].remaining) + PROJECTS.writing_calls(tallies["projects"].remaining)
        left = self._seconds_left(calls, summary)
        for part in (plan.contacts, plan.projects):
            tally = tallies[part.entity.name]
            total = len(part.links) + len(part.creates)
            if total:
                done = max(0, total - tally.remaining)
                if summary.told.get(part.entity.name) != (done, tally.failed):
                    summary.told[part.entity.name] = (done, tally.failed)
                    self.progress.emit(part.entity.name, done, total, failed=tally.failed, per_minute=summary.per_minute, seconds_left=round(left))

    def _seconds_left(self, calls: int, summary: Summary) -> float:
        """Return the seconds that are left, the most of them while the window's turn is unknown; tell a corrected estimate once it is known."""
        now = time.monotonic()
        if now >= summary.estimated_at + FRESH:
            least, most = self.xero.seconds_for(calls)
            # the calls of the last minute are too many to be counted after each reply where nothing limits them
            summary.ends_at, summary.estimated_at, summary.per_minute = now + most, now, len(self.xero.stats.recent)
            if summary.vague and least == most:
                summary.vague = False
                self.progress.emit("estimate", 0, None, "the time that is left is known now", seconds_left=round(most))
        return max(summary.ends_at - now, 0.0)

    def _result(self, summary: Summary, plan: Plan, started: float) -> dict[str, Any]:
        """Return the module's result as it stands now."""
        result = result_of(summary, plan, self.xero.stats, self.request.check_mode, self.request.forecast_reasons, time.monotonic() - started)
        if self.request.diff:
            result["diff"] = diff_of(summary, self.request.diff)
        return result

