"""The module's process is killed for good, at its every act: the next run finishes the job, and nothing is there twice."""
from __future__ import annotations

import os
import random
import signal
import threading
import time
from collections import Counter
from typing import Any

import pytest
from ansible.module_utils.dev_refresh.postgres.seed_store import PgSeedStore
from ansible.module_utils.dev_refresh.xero.transport import Transport
from seeding_app import App, key

ACTS = ((Transport, "_send"), (PgSeedStore, "begin"), (PgSeedStore, "store"), (PgSeedStore, "finish"))
"""Every request, and every transaction that writes."""

CLIENTS = 60


@pytest.fixture
def crowd(app: App) -> App:
    """Return an app of some 60 clients and jobs, among them some that are alike, and some that Xero has already."""
    rows = [(key(number), f"Client {number // 2}") for number in range(1, CLIENTS + 1)]
    jobs = [(key(10**6 + number), key(number), str(number % 50), f"Job {number % 7}") for number in range(1, CLIENTS + 1)]
    app.sql("INSERT INTO client_client (id, name) VALUES " + ", ".join(f"('{row[0]}', '{row[1]}')" for row in rows))
    app.sql("INSERT INTO job_job (id, client_id, job_number, name) VALUES " + ", ".join(f"('{a}', '{b}', '{c}', '{d}')" for a, b, c, d in jobs))
    app.make_marker()
    return start_again(app)


def start_again(app: App) -> App:
    """Put organisation and rows back to where they were before the first run."""
    app.sandbox.reset_demo_company()
    ids = app.sandbox.seed(contacts=[{"name": "client 7"}, {"name": "Renamed", "number": key(20)}, {"name": "Foreign"}])["contacts"]
    app.sandbox.seed(projects=[{"contact_id": ids[1], "name": "Job 20: edited"}])
    app.sql("UPDATE client_client SET xero_contact_id = NULL")
    app.sql("UPDATE client_client SET xero_contact_id = '00000000-0000-0000-0000-00000000dead' WHERE name = 'Client 3'")
    app.sql("UPDATE job_job SET xero_project_id = NULL")
    app.sql("UPDATE dev_refresh.marker SET state = state || '{\"tenant_id\": null, \"seeded_at\": null}'")
    return app


def state(app: App) -> Any:
    """Return all that matters, with names and numbers in place of ids."""
    contacts = {one["ContactID"]: (one.get("ContactNumber"), one["Name"], one["ContactStatus"]) for one in app.sandbox.contacts()}
    projects = {one["projectId"]: (one["name"], contacts[one["contactId"]]) for one in app.sandbox.projects()}
    clients = {row: contacts[found] for row, found in app.contact_ids().items() if found}
    jobs = {row: projects[found] for row, found in app.project_ids().items() if found}
    marked = app.sql("SELECT state->>'seeded_at' IS NOT NULL, state->>'tenant_id' FROM dev_refresh.marker")[0]
    return Counter(contacts.values()), Counter(projects.values()), clients, jobs, marked[0], marked[1] == app.sandbox.tenant_id


def in_a_child(app: App, die_at: int | None, *, killed_after: float | None = None) -> int:
    """Seed in a process of its own, which kills itself at one of its moments; return the number of moments it had, or -1 if it was killed."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            moments = _arm(die_at)
            app.seed()
            os.write(writer, str(moments[0]).encode())
        finally:
            os._exit(0)
    os.close(writer)
    if killed_after is not None:
        time.sleep(killed_after)
        os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    with os.fdopen(reader) as file:
        text = file.read()
    # the server notices within milliseconds; until then it holds the lock of the dead
    while app.sql("SELECT 1 FROM pg_stat_activity WHERE application_name LIKE 'dev_refresh%'"):
        time.sleep(0.01)
    return int(text) if text and not os.WIFSIGNALED(status) else -1


def _arm(die_at: int | None) -> list[int]:
    """Count the moments before and after each act, and die at the chosen one."""
    moments = [0]
    lock = threading.Lock()

    def tick() -> None:
        with lock:
            if moments[0] == die_at:
                os.kill(os.getpid(), signal.SIGKILL)
            moments[0] += 1

    def around(act: Any) -> Any:
        def wrapped(*arguments: Any, **options: Any) -> Any:
            tick()
            done = act(*arguments, **options)
            tick()
            return done

        return wrapped

    for owner, name in ACTS:
        setattr(owner, name, around(getattr(owner, name)))
    return moments


def undisturbed(app: App) -> tuple[Any, int]:
    """Return the state that a run without a crash gives, and the number of its moments."""
    moments = in_a_child(app, None)
    assert moments > 0
    return state(app), moments


def dies_and_goes_on(app: App, expected: Any, moment: int) -> None:
    """Let a run die at a moment; the next one gives the expected state, and one more changes nothing."""
    start_again(app)
    # a quick run stores several replies at once and has fewer moments: then it may end before this one
    ended = in_a_child(app, moment)
    assert ended == -1 or moment >= ended
    app.seed()
    assert state(app) == expected, f"killed at moment {moment}"


def test_a_killed_run_is_continued(crowd, record_property):
    expected, moments = undisturbed(crowd)
    points = sorted({*random.Random(7).sample(range(moments), 6), moments - 1})
    for moment in points:
        dies_and_goes_on(crowd, expected, moment)
    assert not crowd.seed()["changed"]
    record_property("crash points", len(points))


@pytest.mark.full
def test_a_run_killed_at_any_moment_is_continued(crowd, record_property):
    expected, moments = undisturbed(crowd)
    for moment in range(moments):
        dies_and_goes_on(crowd, expected, moment)
    record_property("crash points", moments)


@pytest.mark.parametrize("kind", ["drop_before", "drop_after"])
@pytest.mark.parametrize("skip", [0, 1, pytest.param(range(2, 64), marks=pytest.mark.full)])
def test_a_dropped_connection_leads_to_the_same_state(crowd, record_property, kind, skip):
    app = crowd
    expected, _ = undisturbed(app)
    for number in [skip] if isinstance(skip, int) else skip:
        start_again(app)
        app.sandbox.add_fault(kind, path="/(Contacts|Projects)$", skip=2 + number)
        app.seed()
        assert state(app) == expected, f"dropped write {number}"
        app.sandbox.clear_faults()
    record_property("crash points", 1 if isinstance(skip, int) else len(skip))


@pytest.mark.parametrize("number", [1, pytest.param(range(2, 40, 3), marks=pytest.mark.full)])
def test_a_kill_from_outside_at_any_time(crowd, record_property, number):
    app = crowd
    expected, _ = undisturbed(app)
    app.sandbox.set(latency=0.02)
    for tenth in [number] if isinstance(number, int) else number:
        start_again(app)
        in_a_child(app, None, killed_after=0.02 * tenth)
        app.seed()
        assert state(app) == expected, f"killed after {0.02 * tenth:.2f} s"
    record_property("crash points", 1 if isinstance(number, int) else len(number))
    app.sandbox.set(latency=0.0)


@pytest.mark.parametrize("act", [3, *(pytest.param(number, marks=pytest.mark.full) for number in (0, 1, 2, 4, 6, 9, 14, 20))])
@pytest.mark.parametrize("when", ["before", pytest.param("after", marks=pytest.mark.full)])
def test_postgresql_that_crashes_and_comes_back_in_the_middle(crowd, record_property, act, when):
    """The server is killed as a power cut would, before or after one of the run's transactions, and started again."""
    app = crowd
    expected, _ = undisturbed(app)
    start_again(app)
    server = app.cluster.server
    seen = [0]

    def crash() -> None:
        if seen[0] == act:
            server.stop(immediate=True)
            server.start({"fsync": "off", "max_connections": "60"})
        seen[0] += 1

    def around(deed: Any) -> Any:
        def wrapped(*arguments: Any, **options: Any) -> Any:
            if when == "before":
                crash()
            done = deed(*arguments, **options)
            if when == "after":
                crash()
            return done

        return wrapped

    with pytest.MonkeyPatch.context() as patch:
        for owner, name in ACTS[1:]:
            patch.setattr(owner, name, around(getattr(owner, name)))
        error = app.fail()
    assert "PostgreSQL went away" in str(error)
    assert error.details["contacts"]["total"] == CLIENTS
    app.seed()
    assert state(app) == expected
    assert not app.seed()["changed"]
    record_property("crash points", 1)


def test_sessions_that_are_cut_in_the_middle(crowd):
    app = crowd
    expected, _ = undisturbed(app)
    start_again(app)
    admin = app.cluster.connect()
    store = PgSeedStore.store
    seen = []

    def cut(self, entity, changes, tenant_id):
        seen.append(entity)
        if len(seen) == 6:
            with admin.cursor() as cursor:
                cursor.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s AND pid <> pg_backend_pid()", (app.database,))
        return store(self, entity, changes, tenant_id)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(PgSeedStore, "store", cut)
        error = app.fail()
    admin.close()
    assert "PostgreSQL went away while dev_refresh was storing Xero ids" in str(error)
    assert error.details["contacts"]["created"] > 0
    app.seed()
    assert state(app) == expected
