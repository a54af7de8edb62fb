"""The fault table: every fault on every endpoint, once and for good: what the user sees, what was written, what the next run does."""
from __future__ import annotations

import functools
import re
import time
from collections import Counter
from dataclasses import dataclass
from typing import Any

import pytest
from ansible.module_utils.dev_refresh.errors import RefreshError
from ansible.module_utils.dev_refresh.seeding.runner import SeedRun
from ansible.module_utils.dev_refresh.xero import from_options
from ansible.module_utils.dev_refresh.xero.connection import Xero
from ansible.module_utils.dev_refresh.xero.transport import Transport
from seeding_app import App
from skipping_clock import SkippingClock

READS = {"connections": "/connections$", "organisation": "/Organisation$", "contacts": "/Contacts$", "projects": "/Projects$"}
WRITES = {"contacts": ("PUT", "/Contacts$"), "projects": ("POST", "/Projects$")}

NOTHING, CONTACTS, SOME_PROJECTS, ALL = "nothing", "the contacts", "the contacts and some projects", "all"
"""What is written when the run ends; always into both, organisation and database."""

WELL = ""
"""The run ends well, and its user need not know."""
SILENT = "Xero did not answer when asked for the {what} .*tried 5 times.*status.xero.com"
GONE_ON = "{what} had to be put off 30 times. Stop what else uses this Xero app"
DAY = "The day's calls are used up: .*run the same command again after 20"
NOT_CONNECTED = "The app is not connected to this organisation .*connect_xero.yml"
NO_PROJECTS = "Xero Projects is not available in this organisation .*leave projects out of xero_seed_entities"
NOT_WHOLE = "(?i)list of {what} .*read 3 times"

FAILING = ("http_500", "http_502", "http_503", "drop_before", "hang", "truncated", "cut_short", "empty_body", "html_body")
LIMITS = ("limit_minute", "limit_concurrent", "limit_appminute")
MORE = {"hang": {"seconds": 0.4}, "limit_minute": {"retry_after": 20}, "limit_day": {"retry_after": 3600}}


@dataclass(frozen=True)
class Row:
    """A row of the table; ``said`` is a pattern, and ``WELL`` means that the run ends well."""

    kind: str
    endpoint: str
    times: int | None
    said: str
    written: str

    def __str__(self) -> str:
        return f"{self.kind}-{self.endpoint}-{'once' if self.times else 'always'}"


def _rows() -> list[Row]:
    """Return the table."""
    rows = []

    def add(kind: str, endpoint: str, once: tuple[str, str], always: tuple[str, str]) -> None:
        rows.extend((Row(kind, endpoint, 1, *once), Row(kind, endpoint, None, *always)))

    for what in READS:
        endpoint = f"GET {what}"
        for kind in FAILING:
            add(kind, endpoint, (WELL, ALL), (SILENT.format(what=what), NOTHING))
        for kind in LIMITS:
            add(kind, endpoint, (WELL, ALL), (GONE_ON.format(what=what), NOTHING))
        add("limit_day", endpoint, (DAY, NOTHING), (DAY, NOTHING))
        add("expired_token", endpoint, (WELL, ALL), (f"even a new token expired when it is asked for the {what}", NOTHING))
        refused = NO_PROJECTS if what == "projects" else NOT_CONNECTED
        add("forbidden", endpoint, (refused, NOTHING), (refused, NOTHING))
        missing = f"Xero knows no address for the {what} .*Check xero_seed_api_url"
        add("not_found", endpoint, (missing, NOTHING), (missing, NOTHING))
    for what in ("contacts", "projects"):
        for kind in ("null_id", "zero_id", "rows_missing", "rows_repeated"):
            add(kind, f"GET {what}", (WELL, ALL), (NOT_WHOLE.format(what=what), NOTHING))
        for kind in ("unknown_enum", "reversed", "row_appears"):
            add(kind, f"GET {what}", (WELL, ALL), (WELL, ALL))
    # a write whose reply is of no use was carried out, or is sent again after a look
    for kind in ("http_500", "http_502", "http_503"):
        add(kind, "PUT contacts", (WELL, ALL), ("4 rows failed, .*Xero failed at creating 4 contacts", NOTHING))
        add(kind, "POST projects", (WELL, ALL), ("Xero does not answer any more: .*What was stored stays. Run the same command again", CONTACTS))
    add("drop_before", "PUT contacts", (WELL, ALL), ("4 rows failed, .*The reply to creating 4 contacts was lost", NOTHING))
    add("drop_before", "POST projects", (WELL, ALL), ("Xero does not answer any more: The reply to creating a project was lost", CONTACTS))
    for endpoint, what, before in (("PUT contacts", "creating 4 contacts", NOTHING), ("POST projects", "creating a project", CONTACTS)):
        for kind in ("drop_after", "hang", "truncated", "cut_short", "empty_body", "html_body", "null_id", "zero_id", "unknown_enum"):
            add(kind, endpoint, (WELL, ALL), (WELL, ALL))
        for kind in LIMITS:
            add(kind, endpoint, (WELL, ALL), (GONE_ON.format(what=what), before))
        add("limit_day", endpoint, (DAY, SOME_PROJECTS if before == CONTACTS else NOTHING), (DAY, before))
        add("expired_token", endpoint, (WELL, ALL), (f"even a new token expired when it is asked for {what}", before))
    for kind in ("reversed", "element_missing", "row_appears"):
        add(kind, "PUT contacts", (WELL, ALL), (WELL, ALL))
    add("forbidden", "PUT contacts", (NOT_CONNECTED, NOTHING), (NOT_CONNECTED, NOTHING))
    add("forbidden", "POST projects", (NO_PROJECTS, SOME_PROJECTS), (NO_PROJECTS, CONTACTS))
    missing = "Xero refused creating 4 contacts .*HTTP 404.*Check xero_seed_api_url"
    add("not_found", "PUT contacts", (missing, NOTHING), (missing, NOTHING))
    # a row is tried once more without its optional fields
    add("not_found", "POST projects", (WELL, ALL), ("6 rows failed, the first one is job .*HTTP 404", CONTACTS))
    return rows


class PatientClock(SkippingClock):
    """A clock that does not wait, but leaves the sandbox the time that it needs."""

    def wait(self, condition: Any, seconds: float | None) -> None:
        if seconds is None:
            super().wait(condition, None)
            return
        self.skipped += seconds
        # whoever waits is woken by every reply to another; a pause because of too many calls at once must leave Xero the time to be done with them
        until = time.monotonic() + min(seconds, 0.05 if seconds < 9 else 0.001)
        while (left := until - time.monotonic()) > 0:
            condition.wait(left)


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch):
    """Let no test wait for a limit, before a call is tried again, or long for a reply that does not come."""
    monkeypatch.setattr(from_options, "Xero", functools.partial(Xero, clock=PatientClock()))
    monkeypatch.setitem(Transport.__init__.__kwdefaults__, "timeouts", (1.0, 0.25))
    monkeypatch.setattr(SeedRun, "run", _without_sleep(SeedRun.run))


def _without_sleep(run):
    def quick(self):
        self.sleep = lambda seconds: None
        return run(self)

    return quick


def state(app: App) -> Any:
    """Return all that matters, with names and numbers in place of ids."""
    contacts = {one["ContactID"]: (one.get("ContactNumber"), one["Name"]) for one in app.sandbox.contacts()}
    projects = {one["projectId"]: (one["name"], contacts[one["contactId"]]) for one in app.sandbox.projects()}
    clients = {row: contacts[found] for row, found in app.contact_ids().items() if found}
    jobs = {row: projects[found] for row, found in app.project_ids().items() if found}
    return Counter(contacts.values()), Counter(projects.values()), clients, jobs


def written(app: App) -> str:
    """Return how far the run came, the same in the organisation and the database."""
    mine = {contact["ContactID"] for contact in app.sandbox.contacts()} & {found for found in app.contact_ids().values() if found}
    numbers = sum(contact.get("ContactNumber") is not None for contact in app.sandbox.contacts())
    projects = sum(project["contactId"] in mine for project in app.sandbox.projects())
    assert (numbers, projects) == (len(mine), sum(found is not None for found in app.project_ids().values())), "made and not stored"
    return {(0, 0): NOTHING, (4, 0): CONTACTS, (4, 6): ALL}.get((numbers, projects), SOME_PROJECTS)


def start_again(app: App) -> None:
    """Put rows and organisation back; something of others is in it."""
    app.sandbox.clear_faults()
    app.sandbox.reset_demo_company()
    contacts = app.sandbox.seed(contacts=[{"name": "Foreign"}, {"name": "Foreign too"}])["contacts"]
    app.sandbox.seed(projects=[{"name": f"Foreign {number}", "contact_id": contacts[0]} for number in range(2)])
    app.sql("UPDATE client_client SET xero_contact_id = NULL")
    app.sql("UPDATE job_job SET xero_project_id = NULL")
    app.sql("UPDATE dev_refresh.marker SET state = state || '{\"tenant_id\": null, \"seeded_at\": null, \"extra\": {}}'")


def others(found: Any) -> Any:
    """Return a state without what others added meanwhile."""
    contacts, projects, clients, jobs = found
    return {one: count for one, count in contacts.items() if one[0]}, {one: count for one, count in projects.items() if one[1][0]}, clients, jobs


UNDISTURBED: list[Any] = []
"""The state that a run without a fault gives; it is the same for all rows."""

SAMPLE = {
    "http_502-GET projects-once", "html_body-GET contacts-always", "limit_day-POST projects-once", "drop_after-POST projects-always",
    "null_id-PUT contacts-once", "element_missing-PUT contacts-always", "rows_missing-GET contacts-always", "forbidden-POST projects-once",
}  # fmt: skip


@pytest.mark.parametrize("row", [pytest.param(row, id=str(row), marks=() if str(row) in SAMPLE else pytest.mark.full) for row in _rows()])
def test_fault(small_world, row):
    app = small_world
    app.make_marker()
    start_again(app)
    if not UNDISTURBED:
        app.seed()
        UNDISTURBED.append(state(app))
        start_again(app)
    expected = UNDISTURBED[0]
    if row.endpoint.startswith("GET"):
        method, path = "GET", READS[row.endpoint.removeprefix("GET ")]
    else:
        method, path = WRITES[row.endpoint.split()[1]]
    app.sandbox.add_fault(row.kind, method=method, path=path, times=row.times, **MORE.get(row.kind, {}))
    complete = True
    try:
        result = app.seed()
        said, complete = result["msg"], result["complete"]
    except RefreshError as error:
        said, complete = str(error), False
    assert app.sandbox.faults()[0]["done"] >= 1, "the fault was never met"
    assert complete == (row.said == WELL), said
    assert re.search(row.said, said), said
    assert "Traceback" not in said and "Unexpected" not in said
    assert written(app) == row.written
    app.sandbox.clear_faults()
    assert app.seed()["complete"]
    assert others(state(app)) == others(expected)
    assert not app.seed()["changed"]
