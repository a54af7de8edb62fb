"""Whole runs in memory: what is left out, what fails, what ends a run, and what is said of it."""
from __future__ import annotations

import json
import threading
import time
import uuid
from dataclasses import replace

import pytest
from ansible.module_utils.dev_refresh.errors import Finding, GuardError, RefreshError
from ansible.module_utils.dev_refresh.mapping import parse_mapping
from ansible.module_utils.dev_refresh.progress import ProgressWriter, time_words
from ansible.module_utils.dev_refresh.seeding import runner
from ansible.module_utils.dev_refresh.seeding.guard import GuardRules
from ansible.module_utils.dev_refresh.seeding.ports import DayLimitReached, OutcomeUnknown
from ansible.module_utils.dev_refresh.seeding.records import ClientRow, Contact, CreateReply, JobRow, Project
from ansible.module_utils.dev_refresh.seeding.result import LISTED
from ansible.module_utils.dev_refresh.seeding.runner import SeedRequest, SeedRun
from ansible.module_utils.dev_refresh.seeding.sending import MAX_SENDS
from seeding_fakes import TENANT, Database, Demo, FakeStore, FakeXero, Xero


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


@pytest.mark.parametrize(
    ("least", "most", "words"),
    [
        (0, 0.9, "less than a minute"),
        (0.05, 1.05, "up to 1 minute"),
        (0.1, 2.4, "up to 2 minutes"),
        (1.0, 1.04, "about 1 minute"),
        (3.1, 4.1, "3 to 4 minutes"),
        (9.9, 10.2, "about 10 minutes"),
    ],
)
def test_words_of_an_estimate(least, most, words):
    assert time_words(least, most) == words


def test_the_estimate_is_told_before_the_first_write_and_again_when_the_turn_is_known(tmp_path, monkeypatch):
    class Vague(FakeXero):
        def seconds_for(self, calls):
            return (6.0 * calls, 6.0 * calls) if self.stats.writes > 2 else (6.0 * calls, 6.0 * calls + 60)

    monkeypatch.setattr(runner, "FRESH", 0.0)
    run = seed_run(world(2, 9), Vague(Xero()))
    run.progress = ProgressWriter(tmp_path / "progress")
    result = run.run()
    events = [json.loads(line) for line in (tmp_path / "progress").read_text().splitlines()]
    plan = next(event for event in events if event["phase"] == "plan")
    assert plan["note"] == "10 calls to make, 1 to 2 minutes; 3 more for the verification"
    assert result["estimate"] == {"calls": 10, "verification": 3, "minutes_least": 1.0, "minutes": 2.0}
    assert result["estimate"].items() <= plan.items()
    told = [(event["phase"], event["seconds_left"]) for event in events if "seconds_left" in event]
    known = [phase for phase, _ in told].index("estimate")
    assert [phase for phase, _ in told].count("estimate") == 1
    assert all(seconds >= 60 for _, seconds in told[:known])
    assert all(seconds < 60 for _, seconds in told[known:])


class Reading(FakeXero):
    """Notes what is read, and fails at what it is told to; the three reads of the start wait for one another where ``together`` is set."""

    def __init__(self, *failing: str, demo: bool = True, slow: str = "", together: bool = False) -> None:
        super().__init__(Xero())
        self.failing, self.demo, self.slow = failing, demo, slow
        self.read: list[str] = []
        self.meeting = threading.Barrier(3, timeout=5) if together else None

    def _note(self, what: str) -> None:
        self.read.append(what)
        if self.meeting:
            self.meeting.wait()
        if self.slow == what:
            time.sleep(0.05)
        if what in self.failing:
            raise RefreshError(f"No {what}.")

    def connect(self) -> Demo:
        self._note("organisation")
        return replace(super().connect(), is_demo_company=self.demo)

    def list_contacts(self) -> list[Contact]:
        self._note("contacts")
        return super().list_contacts()

    def list_projects(self) -> list[Project]:
        self._note("projects")
        return super().list_projects()


def test_the_lists_are_read_beside_the_organisation():
    xero = Reading(together=True)
    assert seed_run(world(2, 2), xero).run()["projects"]["created"] == 2
    assert sorted(xero.read) == ["contacts", "organisation", "projects"]


def test_with_a_reserve_the_first_reply_tells_whether_there_are_calls_left():
    xero = Reading(slow="organisation")
    assert seed_run(world(2, 2), xero, daily_reserve=10).run()["projects"]["created"] == 2
    assert xero.read[0] == "organisation"
    refused = Reading(demo=False)
    with pytest.raises(GuardError, match="is not a demo company"):
        seed_run(world(2, 2), refused, daily_reserve=10).run()
    assert refused.read == ["organisation"]


def test_a_forbidden_organisation_is_read_alone():
    xero = Reading(demo=False)
    run = seed_run(world(2, 2), xero)
    run.request = replace(run.request, rules=GuardRules(forbidden_tenant_ids=[TENANT.upper()]))
    with pytest.raises(GuardError, match=r"in xero_seed_forbidden_tenant_ids(.|\n)*is not a demo company"):
        run.run()
    assert xero.read == ["organisation"]


@pytest.mark.parametrize("slow", ["organisation", "contacts", "projects"])
def test_what_speaks_against_the_organisation_comes_before_what_is_wrong_with_the_lists(slow):
    database = world(2, 2)
    with pytest.raises(GuardError, match="is not a demo company"):
        seed_run(database, Reading("contacts", "projects", demo=False, slow=slow)).run()
    with pytest.raises(RefreshError, match="No organisation"):
        seed_run(database, Reading("organisation", "contacts", "projects", slow=slow)).run()
    with pytest.raises(RefreshError, match="No contacts"):
        seed_run(database, Reading("contacts", slow=slow)).run()
    broken = seed_run(database, Reading(demo=False, slow=slow))
    broken.store.clients = lambda: (_ for _ in ()).throw(RefreshError("No rows."))
    with pytest.raises(GuardError, match="is not a demo company"):
        broken.run()
    broken.xero = Reading(slow=slow)
    with pytest.raises(RefreshError, match="No rows"):
        broken.run()
