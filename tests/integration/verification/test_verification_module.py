"""The module refresh_verify against a real PostgreSQL server and the sandbox."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg2
import pytest
import refresh_verify
from ansible.module_utils.dev_refresh.postgres import marker as marker_store
from ansible.module_utils.testing import patch_module_args
from xero_sandbox.testing import SandboxServer

ROOT = Path(__file__).resolve().parents[3]
Run = Callable[..., dict[str, Any]]
RUN_ID = "20261122T081500Z-1f3a9c"


@pytest.fixture(scope="module")
def sandbox() -> Iterator[SandboxServer]:
    with SandboxServer(calls_per_minute=100_000, calls_per_day=1_000_000) as server:
        yield server


@pytest.fixture
def session(cluster: Any, database: str) -> Iterator[psycopg2.extensions.connection]:
    """Return a session of the owner on a database whose tables are empty."""
    connected = cluster.connect(database, owner=True)
    with connected.cursor() as cursor:
        cursor.execute(
            "CREATE TABLE client_client (id uuid PRIMARY KEY, name text, email text, phone text, address text, xero_contact_id varchar(255));"
            " CREATE TABLE job_job (id integer PRIMARY KEY, job_number text, name text, delivery_date date, client_id uuid, xero_project_id uuid)"
        )
    yield connected
    connected.close()


@pytest.fixture
def filled(session: psycopg2.extensions.connection, sandbox: SandboxServer) -> psycopg2.extensions.connection:
    """Fill database and organisation so that they fit, with a marker that says so."""
    tenant = sandbox.reset_demo_company()
    keys = [str(uuid.uuid4()) for _ in range(3)]
    contacts = sandbox.seed([{"name": f"Client {number}", "number": key} for number, key in enumerate(keys)])["contacts"]
    projects = sandbox.seed(projects=[{"contact_id": contacts[0], "name": f"Job {number}: Work"} for number in range(4)])["projects"]
    with session.cursor() as cursor:
        for number, key in enumerate(keys):
            cursor.execute("INSERT INTO client_client (id, name, xero_contact_id) VALUES (%s, %s, %s)", (key, f"Client {number}", contacts[number]))
        cursor.execute("INSERT INTO client_client (id, name) VALUES (%s, '')", (str(uuid.uuid4()),))
        for number, project in enumerate(projects):
            cursor.execute("INSERT INTO job_job VALUES (%s, %s, 'Work', now(), %s, %s)", (number, str(number), keys[0], project))
        marker_store.create(session)
        cursor.execute("SELECT oid::bigint FROM pg_database WHERE datname = current_database()")
        (oid,) = cursor.fetchone()
        anchors = marker_store.anchors(session, ["client_client", "job_job"])
        marker = marker_store.Marker(run_id=RUN_ID, phase="live", dump_sha256="0" * 64, db_oid=oid, anchors=anchors, tenant_id=tenant, tenant_name="Demo")
        marker_store.write(cursor, marker)
    sandbox.clear_journal()
    return session


@pytest.fixture
def arguments(cluster: Any, database: str, sandbox: SandboxServer, tmp_path: Path) -> dict[str, Any]:
    return {
        "database": database,
        "login_host": "127.0.0.1",
        "login_port": cluster.server.port,
        "login_user": cluster.owner,
        "login_password": cluster.owner_password,
        "client_id": sandbox.client_id,
        "client_secret": sandbox.client_secret,
        "api_url": sandbox.url,
        "identity_url": sandbox.identity_url,
        "log_dir": str(tmp_path / "log"),
        "run_id": RUN_ID,
        "migrations_pending": False,
        "calls_per_minute": 100_000,
    }


@pytest.fixture
def run(arguments: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> Run:
    def call(**options: Any) -> dict[str, Any]:
        with patch_module_args({**arguments, **options}), pytest.raises(SystemExit):
            refresh_verify.main()
        result: dict[str, Any] = json.loads(capsys.readouterr().out)
        return result

    return call


def execute(session: psycopg2.extensions.connection, statement: str, *values: Any) -> None:
    with session.cursor() as cursor:
        cursor.execute(statement, values)


def test_what_fits(filled: psycopg2.extensions.connection, sandbox: SandboxServer, run: Run) -> None:
    """And nothing was written anywhere."""
    result = run()
    assert result["findings"] == []
    assert result["ok"] is True
    assert result["changed"] is False
    assert result["checked"]["clients_required"] == 3
    assert result["checked"]["jobs_required"] == 4
    assert result["api"]["writes"] == 0
    assert {entry["method"] for entry in sandbox.journal() if "token" not in entry["path"]} == {"GET"}
    assert result["api"]["calls"] == 4
    assert "4 jobs" in result["msg"]


def test_check_mode_is_the_same(filled: psycopg2.extensions.connection, run: Run) -> None:
    """It reads only."""
    assert run(_ansible_check_mode=True)["ok"] is True


def test_it_fails_when_something_does_not_fit(filled: psycopg2.extensions.connection, run: Run) -> None:
    """Everything at once, and the result is there all the same."""
    execute(filled, "UPDATE client_client SET xero_contact_id = NULL WHERE name = 'Client 1'")
    execute(filled, "UPDATE job_job SET xero_project_id = %s WHERE id = 2", str(uuid.uuid4()))
    result = run(migrations_pending=True)
    assert result["failed"] is True
    assert result["ok"] is False
    assert len(result["findings"]) == 3
    assert result["checked"]["clients"] == 4
    quiet = run(migrations_pending=True, fail_on_findings=False)
    assert "failed" not in quiet
    assert quiet["findings"] == result["findings"]


def test_archived_and_merged_contacts_are_found(filled: psycopg2.extensions.connection, sandbox: SandboxServer, run: Run) -> None:
    """They exist, but may not be linked."""
    contacts = sandbox.contacts()
    sandbox.archive_contact(contacts[1]["ContactID"])
    assert "archived or merged" in run()["msg"]


def test_ids_of_production_are_found(filled: psycopg2.extensions.connection, run: Run) -> None:
    """Also in a row that does not belong in Xero."""
    stray = str(uuid.uuid4())
    execute(filled, "INSERT INTO dev_refresh.original_ids VALUES ('contacts', 'x', %s)", stray)
    execute(filled, "UPDATE client_client SET xero_contact_id = %s WHERE name = ''", stray)
    assert "came with the dump" in run()["msg"]


def test_a_reset_of_the_demo_company_is_found(filled: psycopg2.extensions.connection, sandbox: SandboxServer, run: Run) -> None:
    """The marker names another tenant, and the ids are gone."""
    sandbox.reset_demo_company()
    result = run()
    assert "seeded in" in result["msg"]
    assert "does not exist in the organisation" in result["msg"]


def test_a_restore_over_the_data_is_found(filled: psycopg2.extensions.connection, run: Run) -> None:
    """The tables are others than those that the marker knows."""
    execute(filled, "ALTER TABLE job_job RENAME TO old; CREATE TABLE job_job AS TABLE old")
    assert "restored over it" in run()["msg"]


def test_a_newer_run_has_taken_over(filled: psycopg2.extensions.connection, run: Run) -> None:
    """The older one says so and asks nothing of Xero."""
    result = run(run_id="20261121T081500Z-1f3a9c")
    assert "has taken over" in result["msg"]


def test_a_mapping_that_does_not_fit(filled: psycopg2.extensions.connection, run: Run) -> None:
    """With the nearest candidates."""
    result = run(mapping={"contacts": {"table": "client_clients"}})
    assert result["failed"] is True
    assert "client_client" in result["msg"]


def test_a_list_that_is_not_whole_is_no_verdict(filled: psycopg2.extensions.connection, sandbox: SandboxServer, run: Run) -> None:
    """Nothing can be said then."""
    sandbox.add_fault("rows_missing", method="GET", path="/Contacts$", times=None)
    try:
        result = run()
    finally:
        sandbox.clear_faults()
    assert result["failed"] is True
    assert "not whole" in result["msg"]
    assert result["api"]["calls"] >= 5


def test_the_real_ansible_command(filled: psycopg2.extensions.connection, sandbox: SandboxServer, arguments: dict[str, Any]) -> None:
    """AnsiballZ takes all that is needed along, and no secret comes out."""
    command = [str(Path(sys.executable).parent / "ansible"), "localhost", "-m", "refresh_verify", "-a", json.dumps(arguments)]
    environment = {**os.environ, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "ANSIBLE_PYTHON_INTERPRETER": sys.executable}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    for secret in (sandbox.client_secret, arguments["login_password"]):
        assert secret not in done.stdout + done.stderr
