"""Counting the rows of a restored database in several sessions at once."""
from __future__ import annotations

import signal
import threading
import time
from types import SimpleNamespace

import psycopg2
import pytest
from ansible.module_utils.dev_refresh.postgres import contents
from ansible.module_utils.dev_refresh.postgres.connection import Login
from ansible.module_utils.dev_refresh.postgres.contents import analyze_statements, count_rows_at_once, setting_bytes
from ansible.module_utils.dev_refresh.postgres.sessions import execute, execute_at_once
from ansible.module_utils.dev_refresh.refresh import pg_restore

TABLES = """
CREATE TABLE small (a int);
INSERT INTO small VALUES (1), (2);
CREATE TABLE big AS SELECT n FROM generate_series(1, 5000) n;
CREATE TABLE part (k int) PARTITION BY LIST (k);
CREATE TABLE part_1 PARTITION OF part FOR VALUES IN (1);
INSERT INTO part VALUES (1), (1), (1);
CREATE TABLE base (a int);
CREATE TABLE child () INHERITS (base);
INSERT INTO child VALUES (1);
CREATE TABLE hidden (a int);
INSERT INTO hidden VALUES (1), (2), (3), (4);
ALTER TABLE hidden ENABLE ROW LEVEL SECURITY;
ALTER TABLE hidden FORCE ROW LEVEL SECURITY;
"""
COUNTS = {"public.small": 2, "public.big": 5000, "public.part": 3, "public.part_1": 3, "public.base": 0, "public.child": 1, "public.hidden": 4}


@pytest.fixture
def sessions(cluster, database):
    """Three sessions of the owner."""
    opened = []
    for _ in range(3):
        session = psycopg2.connect(host="127.0.0.1", port=cluster.server.port, dbname=database, user=cluster.owner, password=cluster.owner_password)
        session.autocommit = True
        opened.append(session)
    yield opened
    for session in opened:
        session.close()


@pytest.mark.parametrize("count", [1, 3])
def test_every_table_is_counted_once_and_the_other_statements_are_run(sessions, count, monkeypatch):
    execute(sessions[0], TABLES)
    monkeypatch.setattr(contents, "_BYTES_APART", 20_000)
    beside = analyze_statements(sessions[0])
    found = list(count_rows_at_once(sessions[:count], {**COUNTS, "public.gone": 7}, beside=beside))
    assert dict(found) == {**COUNTS, "public.gone": None}
    assert len(found) == len(COUNTS) + 1
    assert "ANALYZE public.big" in beside[:-1]
    analyzed = "SELECT relname, reltuples FROM pg_class WHERE relname IN ('big', 'small', 'part', 'hidden') ORDER BY 1"
    assert execute(sessions[0], analyzed) == [("big", 5000), ("hidden", 4), ("part", 3), ("small", 2)]
    forced = "SELECT relforcerowsecurity FROM pg_class WHERE relname = 'hidden'"
    assert execute(sessions[0], forced) == [(True,)]


def test_the_first_error_ends_the_other_sessions(sessions):
    started = time.monotonic()
    with pytest.raises(psycopg2.errors.DivisionByZero):
        list(execute_at_once(sessions, ["SELECT pg_sleep(60)", "SELECT pg_sleep(60)", "SELECT 1 / 0", "SELECT pg_sleep(60)"]))
    assert time.monotonic() - started < 5


def test_a_signal_ends_all_sessions(sessions):
    """Python handles it between two instructions of the main thread, which must not wait in the driver."""

    def fail(*_: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGUSR1, fail)
    timer = threading.Timer(0.3, signal.raise_signal, [signal.SIGUSR1])
    timer.start()
    started = time.monotonic()
    try:
        with pytest.raises(KeyboardInterrupt):
            list(execute_at_once(sessions, ["SELECT pg_sleep(60)"] * 3))
    finally:
        timer.join()
        signal.signal(signal.SIGUSR1, before)
    assert time.monotonic() - started < 5
    assert [thread for thread in threading.enumerate() if thread.name == "statements"] == []


@pytest.mark.parametrize(
    ("host", "wanted", "options"),
    [("127.0.0.1", 300 << 20, ["-c maintenance_work_mem=307200kB"]), ("127.0.0.1", 1 << 20, []), ("db.example.com", 300 << 20, [])],
)
def test_jobs_get_more_memory_only_where_there_is_more(sessions, monkeypatch, host, wanted, options):
    """Never less than the server, the database or the role is set to, and none of a machine that we cannot see."""
    assert setting_bytes(sessions[0], "maintenance_work_mem") == 64 << 20
    monkeypatch.setattr(pg_restore, "sort_memory", lambda *_args, **_more: wanted)

    class Opened:
        def __enter__(self):
            return sessions[0]

        def __exit__(self, *_: object) -> None:
            pass

    names = SimpleNamespace(staging="x")
    work = SimpleNamespace(request=SimpleNamespace(admin=Login(host=host, port=5432, user="x"), names=names, jobs=2), owner_session=lambda _name: Opened())
    assert pg_restore._sort_option(work) == options
