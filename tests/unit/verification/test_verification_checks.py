"""Every way in which rows, organisation and marker can disagree is found, and nothing else is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from ansible.module_utils.dev_refresh.mapping import parse_mapping
from ansible.module_utils.dev_refresh.seeding.records import ClientRow, Contact, JobRow, Project
from ansible.module_utils.dev_refresh.verification.checks import MarkerFacts, Verdict, World, verify
from ansible.module_utils.dev_refresh.verification.expectation import has_text, plain

TENANT = "99999999-9999-4999-8999-999999999999"


def uid(number: int) -> str:
    return f"{number:08x}-0000-4000-8000-000000000000"


def world(**changes: Any) -> World:
    """Return a world in which everything fits."""
    base = World(
        tenant_id=TENANT,
        mapping=parse_mapping({}),
        entities=["contacts", "projects"],
        clients=[ClientRow(uid(101), "Ann", xero_id=uid(1)), ClientRow(uid(102), "Bob", xero_id=uid(2).upper()), ClientRow(uid(103), " \u200b")],
        jobs=[
            JobRow("1", uid(101), "7", "Roof", xero_id=uid(11)),
            JobRow("2", uid(102), "8", "Door", xero_id=uid(12)),
            JobRow("3", uid(103), "9", "Of nobody"),
            JobRow("4", None, "10", "Without client"),
            JobRow("5", uid(101), " ", "Without number"),
        ],
        contacts=[Contact(uid(1), "Ann", uid(101)), Contact(uid(2), "Bob", uid(102)), Contact(uid(3), "Another", None, "ARCHIVED")],
        projects=[Project(uid(11), uid(1), "Job 7: Roof"), Project(uid(12), uid(2), "Job 8: Door", "CLOSED")],
        marker=MarkerFacts("live", TENANT, "Demo", True, {"contacts": {uid(900)}, "projects": {uid(901)}}),
        migrations_pending=False,
        by_refresh=True,
    )
    return replace(base, **changes)


def clients(**changes: Any) -> list[ClientRow]:
    """Return the clients with the first one changed."""
    rows = list(world().clients)
    return [replace(rows[0], **changes), *rows[1:]]


def jobs(**changes: Any) -> list[JobRow]:
    """Return the jobs with the first one changed."""
    rows = list(world().jobs)
    return [replace(rows[0], **changes), *rows[1:]]


def text(verdict: Verdict) -> str:
    return " ".join(str(finding) for finding in verdict.findings)


def test_what_fits_has_no_findings() -> None:
    """Rows that the rules skip need no id."""
    verdict = verify(world())
    assert verdict.findings == []
    assert verdict.notes == []
    assert verdict.checked == {
        "clients": 3,
        "clients_required": 2,
        "contacts": 3,
        "jobs": 5,
        "jobs_required": 2,
        "projects": 2,
        "marker": True,
        "migrations_pending": False,
    }


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda: {"clients": clients(xero_id=None)}, "1 client has no Xero id: " + uid(101)),
        (lambda: {"clients": clients(xero_id="None")}, "1 client holds something that is no Xero id"),
        (lambda: {"clients": clients(xero_id="00000000-0000-0000-0000-000000000000")}, "1 client holds something that is no Xero id"),
        (lambda: {"clients": clients(xero_id=uid(77))}, "1 client holds the id of a contact that does not exist"),
        (lambda: {"clients": clients(xero_id=uid(900))}, "1 client holds the Xero id that came with the dump"),
        (lambda: {"clients": clients(xero_id=uid(3))}, "1 client holds the id of a contact that is archived"),
        (lambda: {"clients": clients(xero_id=uid(2))}, "2 clients share a contact with another one"),
        (lambda: {"clients": clients(xero_id=uid(2))}, "1 client holds the id of a contact that carries another client's number"),
        (lambda: {"jobs": jobs(xero_id=None)}, "1 job has no Xero id: 1"),
        (lambda: {"jobs": jobs(xero_id="x")}, "1 job holds something that is no Xero id"),
        (lambda: {"jobs": jobs(xero_id=uid(77))}, "1 job holds the id of a project that does not exist"),
        (lambda: {"jobs": jobs(xero_id=uid(901))}, "1 job holds the Xero id that came with the dump"),
        (lambda: {"jobs": jobs(xero_id=uid(12))}, "2 jobs share a project"),
        (lambda: {"migrations_pending": True}, "Migrations of the app are pending"),
        (lambda: {"marker": None}, "has no marker"),
        (lambda: {"marker": MarkerFacts("ready", TENANT, "Demo", True)}, 'The marker says "ready"'),
        (lambda: {"marker": MarkerFacts("live", TENANT, "Demo", False)}, "something was restored over it"),
        (lambda: {"marker": MarkerFacts("live", None, None, True)}, "never seeded"),
        (lambda: {"marker": MarkerFacts("live", uid(5), "Old Demo", True)}, "another organisation"),
        (lambda: {"mapping": parse_mapping({"contacts": {"tenant_id": "xero_tenant"}})}, '2 clients have another organisation in "xero_tenant"'),
    ],
)
def test_what_does_not_fit_is_found(change: Callable[[], dict[str, Any]], words: str) -> None:
    """Each with the number of rows and the way out."""
    verdict = verify(world(**change()))
    assert words in text(verdict)
    assert all(finding.remedy for finding in verdict.findings)


def test_an_out_of_scope_row_needs_no_id_but_may_hold_no_foreign_one() -> None:
    """Production's ids never reach the live database, whatever ``where`` says."""
    assert verify(world(clients=clients(in_scope=False, xero_id=None), jobs=jobs(xero_id=None))).findings == []
    assert "came with the dump" in text(verify(world(clients=clients(in_scope=False, xero_id=uid(900)))))


def test_a_job_of_a_client_outside_the_scope_that_is_linked_is_required() -> None:
    """Its contact is there."""
    assert "1 job has no Xero id" in text(verify(world(clients=clients(in_scope=False), jobs=jobs(xero_id=None))))


def test_an_id_that_came_with_the_dump_and_exists_here_is_fine() -> None:
    """The dump was of a development database that was seeded in this organisation."""
    marker = MarkerFacts("live", TENANT, "Demo", True, {"contacts": {uid(1), uid(2)}, "projects": {uid(11)}})
    assert verify(world(marker=marker)).findings == []


def test_names_that_differ_are_notes() -> None:
    """People may rename."""
    contacts = [Contact(uid(1), "Anna Smith", uid(101)), *world().contacts[1:]]
    projects = [Project(uid(11), uid(1), "Renamed"), *world().projects[1:]]
    verdict = verify(world(contacts=contacts, projects=projects))
    assert verdict.findings == []
    assert verdict.notes == [
        f"1 contact has another name in Xero than in the database: {uid(101)}",
        "1 project has another name in Xero than in the database: 1",
    ]


@pytest.mark.parametrize("name", ["ANN", "Ánn", " Ann ", "Ann (00000065)"])
def test_names_that_mean_the_same_are_not_noted(name: str) -> None:
    """Case, accents, spaces, and the suffix that sets two equal names apart."""
    assert verify(world(contacts=[Contact(uid(1), name, uid(101)), *world().contacts[1:]])).notes == []


def test_a_project_under_another_contact_is_a_note() -> None:
    """It is kept."""
    verdict = verify(world(projects=[Project(uid(11), uid(3), "Job 7: Roof"), *world().projects[1:]]))
    assert verdict.findings == []
    assert verdict.notes == ["1 job holds a project that is under another contact than their client's: 1"]


def test_only_what_is_seeded_is_verified() -> None:
    """Without projects, jobs are not looked at."""
    verdict = verify(world(entities=["contacts"], jobs=jobs(xero_id=None)))
    assert verdict.findings == []
    assert "jobs" not in verdict.checked


def test_numbers_prove_nothing_where_another_app_may_write_them() -> None:
    """Integer keys without a text of their own."""
    rows = [ClientRow("1", "Ann", xero_id=uid(1)), ClientRow("2", "Bob", xero_id=uid(2))]
    contacts = [Contact(uid(1), "Ann", "2"), Contact(uid(2), "Bob", None)]
    assert verify(world(clients=rows, contacts=contacts, jobs=[], projects=[])).findings == []
    named = parse_mapping({"contacts": {"number": "app-{key}"}})
    contacts = [Contact(uid(1), "Ann", "app-2"), Contact(uid(2), "Bob", None)]
    assert "another client's number" in text(verify(world(clients=rows, contacts=contacts, jobs=[], projects=[], mapping=named)))


def test_without_a_refresh_a_missing_marker_is_a_note() -> None:
    """The modules can be used alone."""
    verdict = verify(world(marker=None, by_refresh=False))
    assert verdict.findings == []
    assert verdict.notes == ["The database has no marker: no refresh made it"]


def test_many_rows_are_counted_and_the_first_named() -> None:
    """A finding stays readable."""
    rows = [ClientRow(uid(500 + number), f"Client {number}") for number in range(40)]
    finding = text(verify(world(clients=rows, jobs=[])))
    assert "40 clients have no Xero id" in finding
    assert "and 35 more" in finding


@pytest.mark.parametrize(("value", "expected"), [(None, False), ("", False), (" \t\u00a0", False), ("\u200b\u200d\x00", False), ("a", True), ("-", True)])
def test_what_counts_as_a_name(value: str | None, expected: bool) -> None:
    """Only what can be seen."""
    assert has_text(value) is expected


def test_plain_names() -> None:
    """Brackets, spaces, accents and case do not count."""
    assert plain("  Zoë <X>\u200b  Ltd ") == plain("zoe (x) ltd")
