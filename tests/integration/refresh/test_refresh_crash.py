"""The server's crashes, killed rollbacks, sessions that cannot be ended, directory dumps."""
from __future__ import annotations

import json
import secrets
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg2
import pytest
from ansible.module_utils.dev_refresh.errors import GuardError, RefreshError
from ansible.module_utils.dev_refresh.run_id import new_run_id
from psycopg2 import sql
from refresh_polling import CLOSED, PAUSE, SWAP_SECONDS, polled
from test_refresh_killed import SLOW, command, loading
from world.postgres_server import PostgresServer, free_port


@pytest.fixture(scope="module")
def crash_cluster(cluster: Any) -> Iterator[Any]:
    """Start a server that may be crashed."""
    with tempfile.TemporaryDirectory(prefix="dev_refresh_crash_") as folder:
        server = PostgresServer(Path(folder) / "data", free_port(), "postgres", secrets.token_hex(12), cluster.server.bin_dir)
        server.create()
        server.start()
        made = type(cluster)(server, cluster.owner, secrets.token_hex(12))
        session = made.connect()
        with session.cursor() as cursor:
            cursor.execute(sql.SQL("CREATE ROLE {} LOGIN PASSWORD %s").format(sql.Identifier(made.owner)), (made.owner_password,))
        session.close()
        yield made
        server.stop()


@pytest.fixture
def crashing(pg: Any, crash_cluster: Any) -> Any:
    """Return a caller on a server that the test may crash."""
    pg.cluster = crash_cluster
    return pg


def crash(pg: Any) -> tuple[float, float]:
    """Stop the server as if the power had failed, and start it again; return from when to when it was down."""
    down = time.monotonic()
    pg.cluster.server.stop(immediate=True)
    pg.cluster.server.start()
    return down, time.monotonic()


def rerun_converges(pg: Any, newer_dump: Any, **more: Any) -> float:
    """Run again; return when that began."""
    began = time.monotonic()
    pg.whole(newer_dump, **more)
    assert pg.rows("SELECT count(*) FROM client_client") == [(30,)]
    assert set(pg.oids()) == {pg.name, f"{pg.name}_previous"}
    return began


@pytest.mark.parametrize("delay", [0.7, *(pytest.param(delay, marks=pytest.mark.full) for delay in (0.4, 0.5, 0.6, 0.8, 0.9, 1.1, 1.4))])
def test_a_server_crash_in_a_restore_is_survived(crashing: Any, dump: Any, newer_dump: Any, delay: float) -> None:
    """The module fails with a sentence, and the next run converges; live answers at every instant but the crash's and the last run's swap."""
    pg = crashing
    pg.whole(dump)
    with polled(pg) as seen:
        child = pg.process("staged", dump=newer_dump, sanitise_sql=["SELECT pg_sleep(0.3)"])
        time.sleep(delay)
        crashed = crash(pg)
        output, errors = child.communicate(timeout=60)
        assert b"Traceback" not in output + errors
        assert b"defect of dev_refresh" not in output
        began = rerun_converges(pg, newer_dump, sanitise_sql=["SELECT pg_sleep(0.3)"])
    assert seen.rows() == [20, 30]
    for gap in seen.gaps():
        if gap.touches(*crashed):
            assert gap.begin >= crashed[0] - PAUSE - 0.1, gap
            assert gap.end <= crashed[1] + SWAP_SECONDS, gap
        else:
            assert gap.begin >= began, gap
            assert gap.seconds <= SWAP_SECONDS, gap


@pytest.mark.parametrize("delay", [0.1, *(pytest.param(delay, marks=pytest.mark.full) for delay in (0.5, 1.0, 1.5, 2.0, 2.5, 3.0))])
def test_a_server_crash_while_rows_are_loaded_is_survived(crashing: Any, dump: Any, production: Any, wait_for: Any, delay: float) -> None:
    """In our own COPY, in an index of another table beside it, or at the end in pg_restore."""
    pg = crashing
    pg.whole(dump)
    slow = production.dump(30, extra_sql=SLOW)
    with polled(pg) as seen:
        child = pg.process("staged", dump=slow)
        wait_for(lambda: loading(pg) or child.poll() is not None)
        time.sleep(delay)
        crashed = crash(pg)
        output, errors = child.communicate(timeout=60)
        assert b"Traceback" not in output + errors
        assert b"defect of dev_refresh" not in output
        if delay < 1:
            assert json.loads(output)["msg"].startswith(("Loading table public.", "pg_restore failed")), output
        began = rerun_converges(pg, slow)
    assert seen.rows() == [20, 30]
    only_the_crash_and_swaps(seen, crashed, began)


@pytest.mark.full
@pytest.mark.parametrize("delay", [0.0, 0.5])
def test_a_server_crash_in_a_migration_is_survived(crashing: Any, dump: Any, newer_dump: Any, wait_for: Any, delay: float) -> None:
    """Half of it may be committed, so staging is made anew."""
    pg = crashing
    pg.whole(dump)
    run_id = new_run_id()
    pg("staged", dump=newer_dump, run_id=run_id)
    steps = f"s = psycopg2.connect(host='127.0.0.1', port={pg.cluster.server.port}, user='{pg.cluster.owner}', dbname='{pg.name}_refresh');"
    steps += "s.autocommit = True; c = s.cursor(); c.execute('DELETE FROM job_job'); c.execute('SELECT pg_sleep(44)')"
    with polled(pg) as seen:
        child = command(pg, run_id, [sys.executable, "-c", f"import psycopg2; {steps}"])
        wait_for(lambda: bool(pg.rows("SELECT 1 FROM pg_stat_activity WHERE query LIKE '%pg_sleep(44)%' AND pid <> pg_backend_pid()", "postgres")))
        time.sleep(delay)
        crashed = crash(pg)
        output, errors = child.communicate(timeout=60)
        assert b"Traceback" not in errors
        assert json.loads(output)["failed"]
        assert pg("staged", dump=newer_dump, check=True)["action"] == "restore"
        began = rerun_converges(pg, newer_dump)
    assert seen.rows() == [20, 30]
    only_the_crash_and_swaps(seen, crashed, began)


@pytest.mark.parametrize("delay", [0.5, *(pytest.param(delay, marks=pytest.mark.full) for delay in (0.3, 0.4, 0.45, 0.55, 0.6, 0.65, 0.7))])
def test_a_server_crash_in_a_swap_is_survived(crashing: Any, dump: Any, newer_dump: Any, delay: float) -> None:
    """Either the old or the new database is live after it, and the next run finishes; a door that was closed is opened by that run's first act."""
    pg = crashing
    pg.options["preserve"] = [{"table": "oauth_token"}]
    pg.whole(dump)
    run_id = new_run_id()
    pg("staged", dump=newer_dump, run_id=run_id)
    pg("ready", run_id=run_id)
    with polled(pg) as seen:
        child = pg.process("live", run_id=run_id)
        time.sleep(delay)
        crashed = crash(pg)
        output, errors = child.communicate(timeout=60)
        assert b"Traceback" not in output + errors
        assert b"defect of dev_refresh" not in output
        assert pg.name in pg.oids()
        began = rerun_converges(pg, newer_dump)
    assert seen.rows() == [20, 30]
    only_the_crash_and_swaps(seen, crashed, began)


def only_the_crash_and_swaps(seen: Any, crashed: tuple[float, float], began: float) -> None:
    """Nobody waited longer than for a swap, but while the server was down, or before a closed door that the run which ``began`` then opened."""
    for gap in seen.gaps():
        if gap.touches(*crashed):
            assert gap.begin >= crashed[0] - SWAP_SECONDS, gap
            after = [error for when, error in gap.errors if when > crashed[1]]
            assert gap.end <= began + SWAP_SECONDS, gap
            assert all(CLOSED in error for error in after), after
        else:
            assert gap.seconds <= SWAP_SECONDS, gap


@pytest.mark.full
@pytest.mark.parametrize("delay", [0.3, 0.4, 0.45, 0.5, 0.55, 0.6, 0.65, 0.7, 0.8])
def test_a_server_crash_in_a_rollback_is_survived(crashing: Any, dump: Any, newer_dump: Any, delay: float) -> None:
    """Live is one of the two; the next run opens its door if it was closed, and finds it rolled back or not."""
    pg = crashing
    pg.options["preserve"] = [{"table": "oauth_token"}]
    pg.whole(dump)
    pg.whole(newer_dump)
    with polled(pg) as seen:
        child = pg.process("previous")
        time.sleep(delay)
        crashed = crash(pg)
        output, errors = child.communicate(timeout=60)
        assert b"Traceback" not in output + errors
        assert b"defect of dev_refresh" not in output
        began = time.monotonic()
        result = pg("staged", dump=newer_dump)
    assert result["action"] == "current"
    rolled_back = result["situation"]["word"] == "rejected"
    assert seen.rows() == ([30, 20] if rolled_back else [30])
    assert {name: facts[1] for name, facts in pg.oids().items()} == {pg.name: True, f"{pg.name}_previous": False}
    only_the_crash_and_swaps(seen, crashed, began)
    assert not pg("staged", dump=newer_dump)["changed"]


@pytest.mark.full
@pytest.mark.parametrize("delay", [0.3, 0.4, 0.5, 0.6, 0.7])
def test_a_server_crash_between_migrations_and_swap_is_survived(crashing: Any, dump: Any, newer_dump: Any, delay: float) -> None:
    """In the last checks on staging: live never noticed more than the crash."""
    pg = crashing
    pg.whole(dump)
    run_id = new_run_id()
    pg("staged", dump=newer_dump, run_id=run_id)
    with polled(pg) as seen:
        child = pg.process("ready", run_id=run_id)
        time.sleep(delay)
        crashed = crash(pg)
        output, errors = child.communicate(timeout=60)
        assert b"Traceback" not in output + errors
        assert b"defect of dev_refresh" not in output
        began = rerun_converges(pg, newer_dump)
    assert seen.rows() == [20, 30]
    only_the_crash_and_swaps(seen, crashed, began)


@pytest.mark.full
@pytest.mark.parametrize("delay", [round(0.15 + 0.04 * step, 2) for step in range(20)])
def test_a_rollback_killed_at_any_instant_is_finished(pg: Any, dump: Any, newer_dump: Any, wait_for: Any, delay: float) -> None:
    """Live is one of the two and open after the next run, previous the other and closed."""
    pg.options["preserve"] = [{"table": "oauth_token"}]
    pg.whole(dump)
    pg.whole(newer_dump)
    child = pg.process("previous")
    time.sleep(delay)
    child.kill()
    child.communicate(timeout=30)
    wait_for(lambda: not pg.rows("SELECT 1 FROM pg_locks WHERE locktype = 'advisory'", "postgres"))
    result = pg("staged", dump=newer_dump)
    assert result["action"] == "current"
    rolled_back = result["situation"]["word"] == "rejected"
    assert pg.rows("SELECT count(*) FROM client_client") == [(20 if rolled_back else 30,)]
    assert {name: facts[1] for name, facts in pg.oids().items()} == {pg.name: True, f"{pg.name}_previous": False}
    assert not pg("staged", dump=newer_dump)["changed"]


def test_a_session_that_may_not_be_ended_is_named(pg: Any, dump: Any, newer_dump: Any) -> None:
    """Only a superuser ends a superuser's session; the swap gives up at once, and the door is open again."""
    pg.whole(dump)
    name, password = f"dba_{secrets.token_hex(3)}", secrets.token_hex(8)
    admin = pg.cluster.connect()
    with admin.cursor() as cursor:
        cursor.execute(
            sql.SQL("CREATE ROLE {} LOGIN CREATEDB PASSWORD %s IN ROLE pg_signal_backend, {}").format(*map(sql.Identifier, (name, pg.cluster.owner))),
            (password,),
        )
    run_id = new_run_id()
    more = {"login_user": name, "login_password": password, "run_id": run_id}
    pg("staged", dump=newer_dump, **more)
    pg("ready", **more)
    superuser = pg.cluster.connect(pg.name)
    started = time.monotonic()
    with pytest.raises(RefreshError, match=r"did not end: process .*role postgres"):
        pg("live", **more)
    assert time.monotonic() - started < 5
    assert pg.oids()[pg.name][1]
    superuser.close()
    assert pg("live", **more)["changed"]
    with admin.cursor() as cursor:
        cursor.execute(f'DROP OWNED BY "{name}"; DROP ROLE "{name}"')
    admin.close()


def test_a_directory_dump_needs_its_manifest(pg: Any, production: Any) -> None:
    """An emptied data file of a directory passes pg_restore; the checksums of its files do not."""
    path = production.dump(5, options=("-Fd", "-j2"), name=f"dir_{secrets.token_hex(3)}")
    with pytest.raises(GuardError, match="manifest"):
        pg.whole(path)
    listed = subprocess.run(f"sha256sum -- * > ../{path.name}.sha256", shell=True, cwd=path, check=True)  # noqa: S602 - the command that the remedy gives
    assert listed.returncode == 0
    assert pg.whole(path)["dump"]["format"] == "directory"
    assert pg.whole(path)["action"] == "current"


def test_a_schema_that_cannot_be_restored_fails_with_its_first_error(pg: Any, dump: Any, newer_dump: Any, production: Any) -> None:
    """The first error ends it; live is as before and staging is gone."""
    pg.whole(dump)
    before = pg.oids()
    lying = production.dump(
        5,
        extra_sql="CREATE FUNCTION bad(int) RETURNS bool LANGUAGE sql IMMUTABLE AS 'SELECT true';"
        " ALTER TABLE job_job ADD CHECK (bad(id)); CREATE OR REPLACE FUNCTION bad(int) RETURNS bool LANGUAGE sql IMMUTABLE AS 'SELECT false'",
    )
    with pytest.raises(RefreshError, match=r"Loading table public.job_job without its Xero ids failed .*violates check constraint") as caught:
        pg.whole(lying, force=True)
    assert "Failing row" not in str(caught.value)
    assert pg.oids() == before
    with pytest.raises(psycopg2.OperationalError):
        pg.rows("SELECT 1", f"{pg.name}_refresh")
