"""The demo's world starts, repairs itself, makes dumps that are what they say, and leaves nothing behind."""
from __future__ import annotations

import hashlib
import json
import os
import re
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import psutil
import psycopg2
import pytest
from world.lifecycle import DATABASE, OWNER, ROOT, World
from world.processes import Process
from world.production_data import CLIENTS, JOBS, make_production_data


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    made = World(tmp_path_factory.mktemp("world") / "demo")
    made.start()
    yield made
    made.remove()


def told(world: World) -> dict:
    return json.loads(world.file.read_text())


def processes_of(folder: Path) -> list[psutil.Process]:
    """Return the processes whose command line or working directory is in the world's folder."""
    found = []
    for process in psutil.process_iter():
        try:
            if str(folder) in " ".join(process.cmdline()) or process.cwd().startswith(str(folder)):
                found.append(process)
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
    return found


def run(folder: Path, action: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "DEV_REFRESH_WORLD": str(folder), "PYTHONPATH": str(ROOT / "demo")}
    return subprocess.run([sys.executable, "-m", "world", action], env=environment, capture_output=True, text=True, check=False, timeout=120)


def wait_for_end(pids: list[int]) -> None:
    deadline = time.monotonic() + 10
    while any(Process.of(pid) for pid in pids) and time.monotonic() < deadline:
        time.sleep(0.05)


def test_the_world_file_says_where_everything_is_and_only_to_its_owner(world):
    facts = told(world)
    assert stat.S_IMODE(world.file.stat().st_mode) == 0o600
    postgres, xero = facts["postgres"], facts["xero"]
    with psycopg2.connect(host=postgres["host"], port=postgres["port"], dbname="postgres", user=OWNER, password=postgres["owner_password"]) as session:
        assert not session.autocommit
    assert (Path(postgres["bin_dir"]) / "pg_restore").exists()
    assert min(len(secret) for secret in (postgres["superuser_password"], postgres["owner_password"], xero["client_secret"])) >= 16
    assert xero["tenant_id"] == world.sandbox.tenant_id()
    assert set(facts["pids"]) == {"postgres", "sandbox"}


def test_neither_password_nor_secret_is_in_a_command_line_or_log(world):
    made = json.loads((world.folder / "made.json").read_text())
    secrets = [made[name] for name in made if name.endswith(("password", "secret"))]
    lines = [" ".join(process.cmdline()) for process in processes_of(world.folder)]
    logs = [path.read_text(errors="replace") for path in world.folder.rglob("*.log")]
    assert len(lines) >= 2
    assert not [secret for secret in secrets for text in [*lines, *logs] if secret in text]


def test_a_second_start_changes_nothing_and_takes_no_time(world):
    before = told(world)
    started = time.monotonic()
    assert run(world.folder, "start").returncode == 0
    assert time.monotonic() - started < 3
    assert told(world) == before


def test_the_dump_is_what_it_says(world):
    """Catches a dump at the checkout's own revision, one that keeps no messy row, and a checksum of something else."""
    dump = Path(told(world)["dump"])
    checksum, name = dump.with_name(dump.name + ".sha256").read_text().split()
    assert (checksum, name) == (hashlib.sha256(dump.read_bytes()).hexdigest(), dump.name)
    restore = world.postgres.bin_dir / "pg_restore"
    contents = subprocess.run([restore, "-l", dump], capture_output=True, text=True, check=True).stdout
    assert "dbname: jobs_prod" in contents
    assert "Format: CUSTOM" in contents
    text = subprocess.run([restore, "-a", "-f", "-", dump], capture_output=True, text=True, check=True).stdout
    rows = {table: body.splitlines() for table, body in re.findall(r"^COPY public\.(\w+) [^\n]*\n(.*?)^\\\.$", text, re.MULTILINE | re.DOTALL)}
    assert (len(rows["client_client"]), len(rows["job_job"])) == (CLIENTS, JOBS)
    applied = {tuple(row.split("\t")[1:3]) for row in rows["django_migrations"]}
    listed = subprocess.run([sys.executable, "manage.py", "list_migrations"], cwd=ROOT / "demo" / "app", capture_output=True, text=True, check=True).stdout
    pending = {tuple(line.split(".", 1)) for line in listed.split()} - applied
    assert {app for app, _ in pending} == {"config", "job", "staff"}
    assert make_production_data().xero_ids() <= set(re.findall(r"[0-9a-f-]{36}", text))


def test_production_is_gone_from_the_server(world):
    """Catches a production database or role that stays beside the dev database."""
    server = world.postgres
    session = psycopg2.connect(host="127.0.0.1", port=server.port, dbname="postgres", user=server.superuser, password=server.password)
    with session.cursor() as cursor:
        cursor.execute("SELECT datname FROM pg_database WHERE NOT datistemplate")
        assert cursor.fetchall() == [("postgres",)]
        cursor.execute("SELECT rolname FROM pg_roles WHERE rolname NOT LIKE 'pg\\_%' ORDER BY 1")
        assert cursor.fetchall() == [(OWNER,), ("postgres",)]
    session.close()


def test_the_organisation_holds_what_is_to_be_linked(world):
    state = world.sandbox.organisation()
    assert state["is_demo_company"]
    assert {contact["ContactStatus"] for contact in state["contacts"]} == {"ACTIVE", "ARCHIVED"}
    assert len(state["contacts"]) == 28
    assert len(state["projects"]) == 4


@pytest.mark.parametrize("victim", ["postgres", "sandbox"])
def test_start_repairs_what_was_killed(world, victim):
    """Catches stale pid files, and an organisation that is filled twice."""
    pid = told(world)["pids"][victim]
    children = [child.pid for child in psutil.Process(pid).children(recursive=True)]
    os.kill(pid, signal.SIGKILL)
    assert run(world.folder, "status").returncode == 3
    assert run(world.folder, "start").returncode == 0
    assert told(world)["pids"][victim] != pid
    wait_for_end(children)
    assert len(world.sandbox.organisation()["contacts"]) == 28
    assert len(world.dumps) == 1


def test_a_pid_that_another_process_has_got_is_left_alone(world):
    """Catches a stop that ends whatever process has the noted id."""
    pid_file = world.folder / "sandbox" / "sandbox.pid"
    stranger = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    kept = pid_file.read_text()
    pid_file.write_text(json.dumps({"pid": stranger.pid, "started": 1}))
    assert world.sandbox.process is None
    world.sandbox.stop()
    assert stranger.poll() is None
    stranger.kill()
    stranger.wait()
    pid_file.write_text(kept)


def test_a_new_dump_is_newer_and_holds_more(world):
    first = world.dumps[0]
    done = run(world.folder, "new-dump")
    assert done.returncode == 0, done.stderr
    assert told(world)["dump"] == done.stdout.strip() != str(first)
    assert Path(done.stdout.strip()).stat().st_size > first.stat().st_size
    assert len(world.dumps) == 2
    assert [path.name for path in world.dumps[0].parent.glob("*.part")] == []


def test_check_fails_without_a_live_database(world):
    done = run(world.folder, "check")
    assert done.returncode == 1
    assert DATABASE in done.stderr
    assert "Traceback" not in done.stderr


def test_stop_leaves_no_process_and_start_finds_everything_again(world):
    """Catches orphans, and a world file that tells of servers that are gone."""
    before = told(world)
    pids = [process.pid for process in processes_of(world.folder)]
    assert run(world.folder, "stop").returncode == 0
    wait_for_end(pids)
    assert processes_of(world.folder) == []
    assert not world.file.exists()
    assert run(world.folder, "status").returncode == 3
    world.start()
    assert told(world)["dump"] == before["dump"]
    assert told(world)["xero"] == before["xero"]


def test_reset_leaves_nothing(tmp_path):
    """Catches what a first start that was interrupted leaves behind."""
    other = World(tmp_path / "other")
    other.folder.mkdir()
    other._start_postgres()
    assert run(other.folder, "reset").returncode == 0
    assert processes_of(other.folder) == []
    assert not other.folder.exists()
    assert run(other.folder, "stop").returncode == 0
    assert not other.folder.exists()
