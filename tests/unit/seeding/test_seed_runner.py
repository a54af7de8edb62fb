"""Whole runs in memory: what is left out, what fails, what ends a run, and what is said of it."""
from __future__ import annotations

import uuid
from dataclasses import replace

import pytest
from ansible.module_utils.dev_refresh.errors import Finding, RefreshError
from ansible.module_utils.dev_refresh.mapping import parse_mapping
from ansible.module_utils.dev_refresh.seeding.guard import GuardRules
from ansible.module_utils.dev_refresh.seeding.plan import minutes_needed
from ansible.module_utils.dev_refresh.seeding.ports import DayLimitReached, OutcomeUnknown
from ansible.module_utils.dev_refresh.seeding.records import ClientRow, CreateReply, JobRow
from ansible.module_utils.dev_refresh.seeding.result import LISTED
from ansible.module_utils.dev_refresh.seeding.runner import SeedRequest, SeedRun
from ansible.module_utils.dev_refresh.seeding.sending import MAX_SENDS
from seeding_fakes import Database, FakeStore, FakeXero, Xero


def world(clients: int, jobs: int = 0) -> Database:
    """Return numbered clients and jobs."""
    database = Database()
    for number in range(clients):
        key = str(uuid.UUID(int=number))
        database.clients[key] = ClientRow(key, f"Client {number:03}", email=f"c{number}@example.com", phone="021")
    for number in range(jobs):
        key = str(uuid.UUID(int=1000 + number))
        database.jobs[key] = JobRow(key, str(uuid.UUID(int=number % clients)), str(number), "x")
    return database


def seed_run(database: Database, xero: FakeXero, **options: object) -> SeedRun:
    """Return a run that e-mail addresses are not dropped in."""
    mapping = parse_mapping({"contacts": {"email_policy": "keep"}})
    request = SeedRequest(mapping, ("contacts", "projects"), GuardRules(), **options)
    return SeedRun(request, xero, FakeStore(database), sleep=lambda seconds: None)


class Fussy(FakeXero):
    """Refuses e-mail addresses and one name."""

    def create_contacts(self, batch, *, key_attempt):
        self.stats.writes += 1
        replies = []
        for new in batch:
            if new.email or new.name == "Client 001":
                replies.append(CreateReply(new.key, "refused", reason="Xero does not like it."))
            else:
                replies.append(self._create_contact(new))
        return replies


def test_a_refusal_is_tried_once_more_with_name_and_number_alone():
    database, xero = world(3, 3), Fussy(Xero())
    with pytest.raises(RefreshError) as caught:
        seed_run(database, xero).run()
    result = caught.value.details
    assert xero.stats.writes == 2 + 2
    assert (result["contacts"]["created"], result["contacts"]["failed"]) == (2, 1)
    assert result["left_out"] == {"email": 2, "phone": 2}
    assert result["failures"] == [{"entity": "contacts", "key": str(uuid.UUID(int=1)), "name": "Client 001", "reason": "Xero does not like it."}]
    reason = f"its client {uuid.UUID(int=1)} failed: Xero does not like it."
    assert result["skips"] == [{"entity": "projects", "key": str(uuid.UUID(int=1001)), "reason": reason}]
    assert "1 rows failed, the first one is client" in str(caught.value)
    assert database.marker.seeded_at is None
    assert database.marker.extra == {"key_attempt": MAX_SENDS}, "Xero would repeat its refusal after the row is mended"


def test_an_interrupt_ends_with_the_counts_so_far():
    class Interrupting(FakeXero):
        def create_project(self, new, *, key_attempt):
            raise KeyboardInterrupt("SIGTERM")

    with pytest.raises(RefreshError, match="interrupted by SIGTERM") as caught:
        seed_run(world(2, 2), Interrupting(Xero())).run()
    assert caught.value.details["contacts"]["created"] == 2
    assert caught.value.details["projects"]["remaining"] == 2


class EndOfDay(DayLimitReached):
    def __init__(self) -> None:
        super().__init__("The day is over.")
        self.resume_after = "2026-01-02T00:00:00Z"


def test_the_days_end_is_no_failure():
    class Ending(FakeXero):
        def create_project(self, new, *, key_attempt):
            if len(self.xero.projects) == 3:
                raise EndOfDay
            return super().create_project(new, key_attempt=key_attempt)

    database, xero = world(10, 10), Xero()
    result = seed_run(database, Ending(xero)).run()
    assert (result["complete"], result["resume_after"]) == (False, "2026-01-02T00:00:00Z")
    assert result["projects"]["created"] == len(xero.projects)
    assert result["projects"]["remaining"] == 10 - len(xero.projects)
    again = seed_run(database, FakeXero(xero)).run()
    assert again["complete"]
    assert len(xero.projects) == 10


def test_projects_begin_before_the_last_contact_is_stored_only_if_the_day_is_long_enough():
    class Watching(FakeXero):
        order: list[str]

        def create_contacts(self, batch, *, key_attempt):
            self.order.append("contacts")
            return super().create_contacts(batch, key_attempt=key_attempt)

        def create_project(self, new, *, key_attempt):
            self.order.append("project")
            return super().create_project(new, key_attempt=key_attempt)

    xero = Watching(Xero())
    xero.order = []
    xero.stats.day_remaining = 50
    seed_run(world(400, 60), xero).run()
    assert xero.order == ["contacts"] * 8 + ["project"] * 60


def test_a_row_whose_outcome_is_never_told_fails_and_the_others_go_on():
    class Silent(FakeXero):
        def create_project(self, new, *, key_attempt):
            if new.name == "Job 3: x":
                error = OutcomeUnknown("?")
                error.finding, error.raise_attempt = Finding("Nothing came back", "Look"), True
                raise error
            return super().create_project(new, key_attempt=key_attempt)

    database = world(6, 6)
    run = seed_run(database, Silent(Xero()))
    noted: list[int] = []
    run.store.note_attempt = noted.append
    with pytest.raises(RefreshError) as caught:
        run.run()
    assert caught.value.details["projects"]["created"] == 5
    assert caught.value.details["failures"][0]["reason"] == "Nothing came back"
    assert noted == [4]


def test_lists_in_the_result_are_cut_and_the_counts_are_not():
    database = world(1, 200)
    database.jobs = {key: replace(row, number=None) for key, row in database.jobs.items()}
    result = seed_run(database, FakeXero(Xero())).run()
    assert result["projects"]["skipped"] == 200
    assert len(result["skips"]) == LISTED
    result = seed_run(world(200), FakeXero(Xero())).run()
    lines = result["diff"][0]["after"].splitlines()
    assert len(lines) == LISTED + 1
    assert lines[-1] == "and 150 more (all of them with -vv)"


@pytest.mark.parametrize(("calls", "used", "minutes"), [(0, 50, 0), (55, 5, 0), (56, 5, 1), (120, 0, 1), (600, 10, 10), (1000, 0, 16)])
def test_minutes(calls, used, minutes):
    assert minutes_needed(calls, per_minute=60, used=used) == pytest.approx(minutes, abs=0.1)
