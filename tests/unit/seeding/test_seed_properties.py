"""Small worlds of shared, swapped, stale, archived and merged ids, numbers and names: nothing twice, nothing lost, always the same."""
from __future__ import annotations

import copy
import random
import uuid
from collections import Counter
from typing import Any

import pytest
from ansible.module_utils.dev_refresh.mapping import parse_mapping
from ansible.module_utils.dev_refresh.seeding.plan import Plan, make_plan
from ansible.module_utils.dev_refresh.seeding.records import ACTIVE, ClientRow, Contact, JobRow, Project
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from seeding_fakes import TENANT, Database, Dead, Fuse, Xero, run
from xero_sandbox.names import name_key

NAMES = ["Acme", "ACMÉ", "acme ", "Beta", "Beta <x>", "Beta (x)", "Γ", "", None, "y" * 256]
NUMBERS = ["1", "12", "12-3", "É", "", None]
JOB_NAMES = ["Main", "main", "Máin", "Other", None, "z" * 120]
PROJECT_NAMES = ["Job 1: Main", "JOB 1: main", "Job 12: Else", "Job 12-3: Main", "Job 123: x", "Job É:", "Nothing"]


def contact_id(number: int) -> str:
    return str(uuid.UUID(int=0xC << 100 | number))


def project_id(number: int) -> str:
    return str(uuid.UUID(int=0xD << 100 | number))


KEY_KINDS = {
    "uuid": [str(uuid.UUID(int=number)) for number in range(1, 6)],
    "integer": ["1", "2", "9", "10", "11"],
    "text": ["A", "a", "A~1", "k" * 51, "k" * 52],
}


@st.composite
def worlds(draw: Any) -> tuple[Database, Xero]:
    """Return rows and an organisation that obeys Xero's rules."""
    keys = draw(st.sampled_from(sorted(KEY_KINDS)).map(KEY_KINDS.get))
    numbers = st.sampled_from([None, None, *keys, *(f"{key}~1" for key in keys[:2]), "foreign"])
    xero = Xero()
    for index in range(draw(st.integers(0, 6))):
        number, name = draw(numbers), draw(st.sampled_from([name for name in NAMES if name and len(name) < 256]))
        status = draw(st.sampled_from([ACTIVE, ACTIVE, ACTIVE, "ARCHIVED", "GDPRREQUEST"]))
        merged = draw(st.one_of(st.none(), st.integers(0, 6).map(contact_id))) if status == "ARCHIVED" else None
        there = xero.contacts.values()
        number = None if any(contact.number == number for contact in there) else number
        if status == ACTIVE and any(contact.status == ACTIVE and name_key(contact.name) == name_key(name) for contact in there):
            name = f"Contact {index}"
        xero.contacts[contact_id(index)] = Contact(contact_id(index), name, number, status, merged)
    for index in range(draw(st.integers(0, 5))):
        if xero.contacts:
            owner = draw(st.sampled_from(sorted(xero.contacts)))
            status = draw(st.sampled_from(["INPROGRESS", "CLOSED"]))
            xero.projects[project_id(index)] = Project(project_id(index), owner, draw(st.sampled_from(PROJECT_NAMES)), status)
    contact_ids = st.one_of(st.none(), st.integers(0, 8).map(contact_id), st.just("None"))
    database = Database()
    for key in draw(st.lists(st.sampled_from(keys), unique=True, max_size=5)):
        row = ClientRow(key, draw(st.sampled_from(NAMES)), xero_id=draw(contact_ids), in_scope=draw(st.sampled_from([True, True, True, False])))
        database.clients[key] = row
    project_ids = st.one_of(st.none(), st.integers(0, 7).map(project_id))
    for index in range(draw(st.integers(0, 5))):
        key = str(uuid.UUID(int=index))
        database.jobs[key] = JobRow(
            key, draw(st.sampled_from([*keys, None])), draw(st.sampled_from(NUMBERS)), draw(st.sampled_from(JOB_NAMES)), xero_id=draw(project_ids),
            in_scope=draw(st.sampled_from([True, True, False])), order=draw(st.integers(0, 2)),
        )  # fmt: skip
    return database, xero


def plan_of(database: Database, xero: Xero, shuffle: random.Random | None = None) -> Plan:
    """Return the plan, of rows and lists in any order."""
    lists: list[list[Any]] = [list(part.values()) for part in (database.clients, database.jobs, xero.contacts, xero.projects)]
    for part in lists if shuffle else ():
        shuffle.shuffle(part)
    return make_plan(*lists, mapping=parse_mapping(None), entities=("contacts", "projects"), tenant_id=TENANT)


def state(database: Database, xero: Xero) -> Any:
    """Return all that matters, with names and numbers in place of ids that the order of creation gives."""
    contact_of = {contact.id: (contact.number, contact.name, contact.status) for contact in xero.contacts.values()}
    project_of = {project.id: (project.name, contact_of[project.contact_id], project.status) for project in xero.projects.values()}
    return (
        Counter(contact_of.values()),
        Counter(project_of.values()),
        {key: contact_of.get(row.xero_id or "", row.xero_id) for key, row in database.clients.items()},
        {key: project_of.get(row.xero_id or "", row.xero_id) for key, row in database.jobs.items()},
        database.marker.seeded_at,
    )


FAST = settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large])


@FAST
@given(worlds(), st.randoms(use_true_random=False))
def test_the_plan_claims_once_and_does_not_depend_on_order(world, shuffle):
    database, xero = world
    plan = plan_of(database, xero)
    again = plan_of(database, xero, shuffle)
    for part, other in ((plan.contacts, again.contacts), (plan.projects, again.projects)):
        assert (part.kept, part.links, part.creates, part.stale, part.skips) == (other.kept, other.links, other.creates, other.stale, other.skips)
        claimed = list(part.linked.values())
        assert len(set(claimed)) == len(claimed)
    assert all(xero.contacts[found].status == ACTIVE for found in plan.contacts.linked.values())


@FAST
@given(worlds())
def test_a_run_is_what_was_foreseen_and_a_second_one_does_nothing(world):
    database, xero = world
    before = copy.deepcopy(state(database, xero))
    forecast = run(database, xero, check=True)
    assert state(database, xero) == before
    there = dict(xero.contacts), dict(xero.projects)
    result = run(database, xero)
    for name in ("changed", "complete", "contacts", "projects", "unclaimed", "left_out", "skips", "failures", "diff"):
        assert forecast[name] == result[name], name
    assert forecast["api"]["writes"] == result["api"]["writes"]
    assert result["complete"]
    # what was there is only added to
    assert all(xero.contacts[found] == contact for found, contact in there[0].items())
    assert all(xero.projects[found] == project for found, project in there[1].items())
    check_rows(database, xero)
    after = state(database, xero)
    again = run(database, xero)
    assert not again["changed"]
    assert again["api"]["writes"] == 0
    assert state(database, xero) == after


def check_rows(database: Database, xero: Xero) -> None:
    """Every row has what is its own, and only what is there."""
    for table, there in ((database.clients, {key for key, one in xero.contacts.items() if one.status == ACTIVE}), (database.jobs, set(xero.projects))):
        stored = [row.xero_id for row in table.values() if row.xero_id]
        assert set(stored) <= there
        assert len(set(stored)) == len(stored)
    for row in database.clients.values():
        if row.in_scope and (row.name or "").strip():
            assert row.xero_id
    for job in database.jobs.values():
        client = database.clients.get(job.client_key or "")
        if job.in_scope and (job.number or "").strip() and client and client.xero_id:
            assert job.xero_id


@FAST
@given(worlds())
def test_after_a_restore_everything_is_found_again(world):
    """The ids are gone from the rows; numbers and names must do."""
    database, xero = world
    run(database, xero)
    for table in (database.clients, database.jobs):
        for key, row in table.items():
            table[key] = type(row)(**{**{name: getattr(row, name) for name in row.__slots__}, "xero_id": None})
    run(database, xero)
    contacts = len(xero.contacts)
    for table in (database.clients, database.jobs):
        for key, row in table.items():
            table[key] = type(row)(**{**{name: getattr(row, name) for name in row.__slots__}, "xero_id": None})
    again = run(database, xero)
    assert again["contacts"]["created"] == 0
    assert len(xero.contacts) == contacts


def die_everywhere(world: tuple[Database, Xero], step: int = 1) -> int:
    """Let the process die at every (``step``-th) moment, one run for each, and run again: the state is that of an undisturbed run.

    Return the number of moments.
    """
    calm = copy.deepcopy(world)
    fuse = Fuse()
    run(*calm, fuse=fuse)
    expected = state(*calm)
    for moment in range(0, fuse.moments, step):
        database, xero = copy.deepcopy(world)
        with pytest.raises(Dead):
            run(database, xero, fuse=Fuse(moment))
        run(database, xero)
        assert state(database, xero) == expected, f"died at moment {moment}"
    return len(range(0, fuse.moments, step))


@settings(FAST, max_examples=15)
@given(worlds())
def test_a_run_that_died_anywhere_is_continued(world):
    die_everywhere(world)


@pytest.mark.full
@settings(FAST, max_examples=400)
@given(worlds())
def test_a_run_that_died_anywhere_is_continued_in_many_worlds(world):
    die_everywhere(world)


@pytest.mark.full
@settings(FAST, max_examples=3000)
@given(worlds())
def test_many_worlds(world):
    test_a_run_is_what_was_foreseen_and_a_second_one_does_nothing.hypothesis.inner_test(world)


def test_a_twin_outside_where_does_not_take_what_was_made_for_its_brother():
    """Such a project was claimed by the twin after a crash, and made once more."""
    database, xero = Database(), Xero()
    database.clients["1"] = ClientRow("1", "Acme")
    database.jobs["1"] = JobRow("1", "1", "12", "Main", in_scope=False)
    database.jobs["2"] = JobRow("2", "1", "12", "Main")
    die_everywhere((database, xero))


def test_brothers_whose_names_differ_in_case_alone_keep_their_own_projects():
    """The later one by key is made first; found again after a crash, it went to the other one, and was made once more."""
    database, xero = Database(), Xero()
    database.clients["1"] = ClientRow("1", "Acme")
    database.jobs["1"] = JobRow("1", "1", "1", "Main", order=1)
    database.jobs["2"] = JobRow("2", "1", "1", "main", order=0)
    die_everywhere((database, xero))


@pytest.mark.parametrize("step", [17, pytest.param(1, marks=pytest.mark.full)])
def test_a_larger_seed_survives_every_death(step, capsys):
    database, xero = Database(), Xero()
    for number in range(60):
        key = str(uuid.UUID(int=number))
        database.clients[key] = ClientRow(key, f"Client {number // 2}")
        database.jobs[key] = JobRow(key, key, str(number), "x")
    points = die_everywhere((database, xero), step)
    with capsys.disabled():
        print(f" [{points} moments of death]", end="")
