"""The module app_command, in this process and through Ansible."""
from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import app_command
import pytest
from ansible.module_utils.dev_refresh.postgres import marker
from ansible.module_utils.dev_refresh.postgres.connection import Login
from ansible.module_utils.dev_refresh.postgres.lock import DatabaseLock
from ansible.module_utils.dev_refresh.processes.parents import read_process
from ansible.module_utils.testing import patch_module_args

ROOT = Path(__file__).resolve().parents[3]
SECRET = "s3cr3t-value/of+the=app"
OLDER, MINE, NEWER = "20261121T020000Z-aaaaaa", "20261122T020000Z-bbbbbb", "20261123T020000Z-cccccc"


@pytest.fixture
def run(capfd, monkeypatch):
    """Return a function that runs the module and returns its result and all that it printed."""
    monkeypatch.setattr("ansible.module_utils.dev_refresh.reporting.watch_parents", lambda: None)

    def call(**options):
        with patch_module_args(options), pytest.raises(SystemExit):
            app_command.main()
        printed = capfd.readouterr()
        return {**json.loads(printed.out), "printed": printed.out + printed.err}

    return call


def shell(script: str) -> list[str]:
    return ["sh", "-c", script]


def test_output_folder_and_environment(run, tmp_path):
    result = run(argv=shell('pwd; echo "$GREETING"; echo problem >&2'), chdir=str(tmp_path), environment={"GREETING": "hi"})
    assert (result["changed"], result["return_code"], result["pending"]) == (True, 0, None)
    assert (result["stdout_lines"], result["stderr_lines"]) == ([str(tmp_path), "hi"], ["problem"])


def test_secrets_appear_nowhere_and_plain_values_stay(run):
    """Ansible's own no_log would have cut "1" and "true" out of every text."""
    environment = {"SECRET_KEY": SECRET, "DEBUG": "1", "FLAG": True, "DATABASE_URL": "postgres://app:hunter2%2Fsecret@localhost/app_dev_refresh"}
    failing = 'echo "1 true $SECRET_KEY $DATABASE_URL app_dev_refresh hunter2/secret"; exit 4'
    result = run(argv=[*shell(failing), SECRET], environment=environment, database=None)
    assert result["failed"] is True
    assert SECRET not in result["printed"]
    assert "hunter2" not in result["printed"]
    assert "1 true ******** ******** app_dev_refresh ********" in result["msg"]
    assert "failed with return code 4" in result["msg"]
    assert result["return_code"] == 4


@pytest.mark.parametrize(("code", "pending", "failed"), [(0, False, False), (1, True, False), (2, None, True)])
@pytest.mark.parametrize("check", [False, True])
def test_the_question_whether_something_is_pending(run, code, pending, failed, check):
    result = run(argv=shell(f"exit {code}"), purpose="pending", _ansible_check_mode=check)
    assert (result["pending"], result["changed"], result.get("failed", False)) == (pending, False, failed)


def test_check_mode_runs_what_reads_and_not_what_changes(run, tmp_path):
    made = tmp_path / "made"
    changing = run(argv=["touch", str(made)], _ansible_check_mode=True)
    assert (changing["changed"], changing["return_code"], made.exists()) == (True, None, False)
    reading = run(argv=["echo", "listed"], purpose="read", _ansible_check_mode=True)
    assert (reading["changed"], reading["stdout_lines"]) == (False, ["listed"])


def test_changed_and_return_codes_are_the_callers(run):
    assert run(argv=["true"], changed=False)["changed"] is False
    assert run(argv=shell("exit 3"), ok_rc=[0, 3])["return_code"] == 3
    assert run(argv=shell("exit 1"), ok_rc=[3])["failed"] is True


@pytest.mark.parametrize(
    ("argv", "words"),
    [(["/no/such"], "no such program"), ([], "command is empty"), ([""], "command is empty"), (shell("kill -9 $$"), "ended by signal 9")],
)
def test_failures_are_explained(run, argv, words):
    result = run(argv=argv)
    assert result["failed"] is True
    assert words in result["msg"]
    assert "Traceback" not in result["printed"]


def test_the_deadline_ends_it_and_all_that_it_started(run, tmp_path):
    result = run(argv=shell(f"sleep 60 & echo $! > {tmp_path}/pid; echo begun; wait"), deadline=1)
    assert "did not end within 1 s and was killed" in result["msg"]
    assert "begun" in result["msg"]
    assert read_process(int((tmp_path / "pid").read_text())) is None


@pytest.fixture
def staging(cluster, database):
    """Return the options for a staging database with a marker, and a function that reads the marker."""
    name = f"{database}_refresh"
    admin = cluster.connect()
    with admin.cursor() as cursor:
        cursor.execute(f'CREATE DATABASE "{name}" OWNER {cluster.owner} TEMPLATE template0')
    admin.close()
    session = cluster.connect(name, owner=True)
    marker.create(session)
    with session.cursor() as cursor:
        marker.write(cursor, marker.Marker(run_id=OLDER, phase="sanitised", dump_sha256="0" * 64))
    options = {
        "login_host": "127.0.0.1",
        "login_port": cluster.server.port,
        "login_user": cluster.owner,
        "login_password": cluster.owner_password,
        "database": name,
        "run_id": MINE,
    }
    yield options, session
    session.close()


def test_a_command_on_staging_is_noted_before_it_runs_and_holds_the_lock(run, cluster, staging):
    options, session = staging
    live = options["database"].removesuffix("_refresh")
    login = Login(cluster.owner, cluster.owner_password, "127.0.0.1", cluster.server.port)
    with DatabaseLock(login, live, holder="another run"):
        refused = run(argv=["true"], **options)
    assert "another run" in refused["msg"]
    assert marker.read(session).phase == "sanitised"
    failed = run(argv=["false"], **options)
    assert failed["failed"] is True
    assert marker.read(session).phase == "migrating"


def test_a_newer_run_keeps_an_older_one_out(run, staging, tmp_path):
    options, session = staging
    with session.cursor() as cursor:
        marker.update(cursor, run_id=NEWER)
    result = run(argv=["touch", str(tmp_path / "made")], **options)
    assert f"Run {NEWER} has taken over" in result["msg"]
    assert not (tmp_path / "made").exists()
    assert marker.read(session).phase == "sanitised"


def test_the_live_databases_phase_is_left_alone(run, staging):
    options, session = staging
    with session.cursor() as cursor:
        marker.update(cursor, phase="live")
    assert run(argv=["true"], **options)["changed"] is True
    assert marker.read(session).phase == "live"


def test_a_killed_controller_leaves_no_command_behind(tmp_path):
    """Through the real ansible: its workers have sessions of their own and outlive it."""
    pid_file = tmp_path / "pid"
    options = json.dumps({"argv": shell(f"sleep 60 & echo $! > {pid_file}; wait")})
    argv = [str(Path(sys.executable).parent / "ansible"), "localhost", "-m", "app_command", "-a", options]
    environment = {**os.environ, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg")}
    controller = subprocess.Popen(argv, env=environment, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
    until = time.monotonic() + 30
    while not (pid_file.exists() and pid_file.read_text().strip()):
        assert time.monotonic() < until
        time.sleep(0.02)
    pid = int(pid_file.read_text())
    time.sleep(0.3)
    assert read_process(pid) is not None
    controller.send_signal(signal.SIGKILL)
    killed = time.monotonic()
    controller.wait()
    while read_process(pid) is not None:
        assert time.monotonic() - killed < 1.0
        time.sleep(0.01)
