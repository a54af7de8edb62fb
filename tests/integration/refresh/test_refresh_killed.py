"""SIGKILL of what a run has started: pg_restore, one of its workers, a migration; live answers all the while and one rerun ends undisturbed."""
from __future__ import annotations

import json
import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil
import pytest
from ansible.module_utils.dev_refresh.run_id import new_run_id
from refresh_polling import polled

ROOT = Path(__file__).resolve().parents[3]
# in the dump a check, an index and a view call a function that is slow, so that there is time to kill what loads the rows (1.8 s), what builds an
# index of a table that is big enough meanwhile (1.8 s), and what fills the view at the end (1.8 s)
SLOW = """
CREATE FUNCTION nap(int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN $1; END';
CREATE TABLE slow (id int CHECK (nap(id) > 0), what text); INSERT INTO slow SELECT n, repeat(md5(n::text), 40) FROM generate_series(1, 60) n;
CREATE TABLE big AS SELECT n AS id, string_agg(md5(n::text || m), '') AS what FROM generate_series(1, 60) n, generate_series(1, 1200) m GROUP BY 1;
CREATE INDEX ON big (nap(id)); CREATE MATERIALIZED VIEW dozing AS SELECT nap(id) FROM slow;
CREATE OR REPLACE FUNCTION nap(int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS 'BEGIN PERFORM pg_catalog.pg_sleep(0.03); RETURN $1; END';
"""


@pytest.fixture(scope="module")
def slow_dump(production: Any, dump: Any) -> Path:
    """Make a dump whose restore takes two seconds in each of its phases."""
    path: Path = production.dump(30, extra_sql=SLOW)
    return path


@pytest.fixture(scope="module")
def undisturbed(cluster: Any, caller: Any, slow_dump: Path) -> Iterator[str]:
    """Return what live holds after a run that nobody disturbed."""
    calm = caller(cluster, f"app_dev_{secrets.token_hex(4)}")
    calm.whole(slow_dump)
    yield calm.fingerprint()
    admin = cluster.connect()
    with admin.cursor() as cursor:
        cursor.execute(f'DROP DATABASE "{calm.name}" WITH (FORCE)')
    admin.close()


@contextmanager
def watched(pg: Any) -> Iterator[None]:
    """Poll live meanwhile; it must answer, with the old rows, at every instant."""
    with polled(pg) as seen:
        yield
    assert (seen.gaps(), seen.rows()) == ([], [20])


def restorers(child: subprocess.Popen[bytes]) -> tuple[list[int], list[int]]:
    """Return the processes of pg_restore itself and of its workers."""
    parent_of: dict[int, int] = {}
    running: list[psutil.Process] = []
    # one that ends while we look does not count
    with suppress(psutil.NoSuchProcess):
        running = psutil.Process(child.pid).children(recursive=True)
    for process in running:
        with suppress(psutil.NoSuchProcess):
            if process.name() == "pg_restore":
                parent_of[process.pid] = process.ppid()
    return [pid for pid, parent in parent_of.items() if parent not in parent_of], [pid for pid, parent in parent_of.items() if parent in parent_of]


def alive(pid: int) -> bool:
    """Tell whether a process runs."""
    with suppress(psutil.NoSuchProcess):
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    return False


def converges(pg: Any, dump: Path, undisturbed: str, wait_for: Any) -> None:
    """Assert that one rerun ends as if nothing had happened."""
    wait_for(lambda: not pg.rows("SELECT 1 FROM pg_locks WHERE locktype = 'advisory'", "postgres"))
    wait_for(lambda: not pg.rows("SELECT 1 FROM pg_stat_activity WHERE application_name LIKE 'dev_refresh pg_restore%'", "postgres"))
    pg.whole(dump)
    assert pg.fingerprint() == undisturbed
    assert {name: facts[1] for name, facts in pg.oids().items()} == {pg.name: True, f"{pg.name}_previous": False}
    assert pg.whole(dump)["changed"] is False


def loading(pg: Any) -> bool:
    """Tell whether rows of the slow table are being loaded."""
    name = f"{pg.name}_refresh"
    return bool(pg.rows(f"SELECT 1 FROM pg_stat_activity WHERE datname = '{name}' AND state = 'active' AND query LIKE 'COPY \"public\".\"slow\"%'", "postgres"))


@pytest.mark.parametrize(
    ("victim", "delay"),
    [("module", 0.0), *(pytest.param(victim, delay, marks=pytest.mark.full) for victim in ("early", "module") for delay in (0.1, 0.4, 0.8, 1.3))],
)
def test_killed_while_rows_are_loaded(pg: Any, dump: Any, slow_dump: Path, undisturbed: str, wait_for: Any, victim: str, delay: float) -> None:
    """The module, or the pg_restore that builds an index of one table while another is loaded."""
    pg.whole(dump)
    before = pg.oids()
    with watched(pg):
        child = pg.process("staged", dump=slow_dump)
        wait_for(lambda: (loading(pg) and bool(restorers(child)[0])) or child.poll() is not None)
        time.sleep(delay)
        parents, workers = restorers(child)
        assert parents
        assert not workers
        os.kill(child.pid if victim == "module" else parents[0], signal.SIGKILL)
        output, errors = child.communicate(timeout=60)
        wait_for(lambda: not any(alive(pid) for pid in parents))
        if victim == "early":
            assert json.loads(output)["msg"].startswith("pg_restore failed"), output
            assert pg.oids() == before
        assert b"Traceback" not in errors
    wait_for(lambda: not loading(pg))
    converges(pg, slow_dump, undisturbed, wait_for)


@pytest.mark.parametrize(
    ("victim", "delay"),
    [("worker", 0.0), *(pytest.param(victim, delay, marks=pytest.mark.full) for victim in ("parent", "worker", "module") for delay in (0.1, 0.5, 0.9, 1.3))],
)
def test_a_killed_pg_restore(pg: Any, dump: Any, slow_dump: Path, undisturbed: str, wait_for: Any, victim: str, delay: float) -> None:
    """The run fails with a sentence and leaves no worker and no staging; a killed module leaves no worker either."""
    pg.whole(dump)
    before = pg.oids()
    with watched(pg):
        child = pg.process("staged", dump=slow_dump)
        wait_for(lambda: bool(restorers(child)[1]) or child.poll() is not None)
        time.sleep(delay)
        parents, workers = restorers(child)
        os.kill(child.pid if victim == "module" else (parents if victim == "parent" else workers)[0], signal.SIGKILL)
        output, errors = child.communicate(timeout=60)
        wait_for(lambda: not any(alive(pid) for pid in (*parents, *workers)))
        if victim != "module":
            message = json.loads(output)["msg"]
            assert message.startswith("pg_restore failed"), message
            assert "defect" not in message
            assert pg.oids() == before
        assert b"Traceback" not in errors
    converges(pg, slow_dump, undisturbed, wait_for)


def command(pg: Any, run_id: str, argv: list[str]) -> subprocess.Popen[bytes]:
    """Start app_command on staging as a process."""
    code = (
        f"import sys, json; sys.path[:0] = [{str(ROOT / 'library')!r}]; import ansible.module_utils as m; m.__path__.append({str(ROOT / 'module_utils')!r});"
        "from ansible.module_utils.testing import patch_module_args; import app_command\n"
        "with patch_module_args(json.loads(sys.stdin.read())): app_command.main()"
    )
    server = pg.cluster.server
    options = {
        "argv": argv,
        "database": f"{pg.name}_refresh",
        "run_id": run_id,
        "login_host": "127.0.0.1",
        "login_port": server.port,
        "login_user": pg.cluster.owner,
        "login_password": pg.cluster.owner_password,
        "environment": {"PGPASSWORD": pg.cluster.owner_password},
    }
    child = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert child.stdin is not None
    child.stdin.write(json.dumps(options).encode())
    child.stdin.close()
    child.stdin = None
    return child


@pytest.mark.parametrize(
    ("victim", "half"),
    [("migration", True), pytest.param("module", True, marks=pytest.mark.full), pytest.param("migration", False, marks=pytest.mark.full)],
)
def test_a_killed_migration(pg: Any, dump: Any, slow_dump: Path, undisturbed: str, wait_for: Any, victim: str, half: bool) -> None:
    """What it did to staging is not taken for a migrated database: staging is made anew."""
    pg.whole(dump)
    run_id = new_run_id()
    pg("staged", dump=slow_dump, run_id=run_id)
    done = "DELETE FROM job_job; " if half else ""
    code = (
        f"import psycopg2; s = psycopg2.connect(host='127.0.0.1', port={pg.cluster.server.port}, user='{pg.cluster.owner}', dbname='{pg.name}_refresh');"
        f"s.autocommit = True; c = s.cursor(); c.execute('{done}SELECT 1'); c.execute('SELECT pg_sleep(33)')"
    )
    sleeping = f"SELECT pid FROM pg_stat_activity WHERE query LIKE '%pg_sleep(33)%' AND datname = '{pg.name}_refresh'"
    with watched(pg):
        child = command(pg, run_id, [sys.executable, "-c", code])
        wait_for(lambda: bool(pg.rows(sleeping, "postgres")) or child.poll() is not None)
        migration = psutil.Process(child.pid).children(recursive=True)
        running = next(process.pid for process in migration if "pg_sleep(33)" in " ".join(process.cmdline()))
        os.kill(child.pid if victim == "module" else running, signal.SIGKILL)
        output, _ = child.communicate(timeout=30)
        if victim == "migration":
            assert "was ended by signal 9" in json.loads(output)["msg"]
        wait_for(lambda: not psutil.pid_exists(running))
        assert pg.rows("SELECT state->>'phase' FROM dev_refresh.marker", f"{pg.name}_refresh") == [("migrating",)]
        assert pg("staged", dump=slow_dump, check=True)["action"] == "restore"
    converges(pg, slow_dump, undisturbed, wait_for)
