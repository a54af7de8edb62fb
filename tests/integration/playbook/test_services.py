"""The app's services around the swap: what happens when they cannot be stopped, started, or don't work with the new database."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]

SCRIPT = """
echo "$1" >> "$0.log"
if [ -e "$0.hang-$1" ]; then sleep 60; fi
if [ -e "$0.fail-$1" ]; then echo "the app says no to $1" >&2; exit 3; fi
"""


class App:
    """An app that is stopped and started by a script, which notes what it was asked and fails where it is told to."""

    def __init__(self, folder):
        self.script = folder / "service"
        self.script.write_text(SCRIPT)
        self.log = Path(f"{self.script}.log")

    @property
    def extra(self):
        """Return the variables for a run."""
        return {f"app_services_{act}_commands": [["/bin/sh", str(self.script), act]] for act in ("stop", "start", "smoke")}

    def asked(self):
        """Return what it was asked since the last time."""
        words = self.log.read_text().split() if self.log.exists() else []
        self.log.unlink(missing_ok=True)
        return words

    def tell(self, what, act, on=True):
        """Let it fail or hang at an act from now on, or not any more."""
        flag = Path(f"{self.script}.{what}-{act}")
        if on:
            flag.touch()
        else:
            flag.unlink()


@pytest.fixture(scope="module")
def app(tmp_path_factory):
    return App(tmp_path_factory.mktemp("app"))


@pytest.fixture
def refreshed(stage, app):
    """Return the stage with a refreshed database, and a dump that is not in yet."""
    if not any(name == stage.told["database"] for name, *_ in stage.databases()):
        ran = stage.run(extra=app.extra)
        assert ran.code == 0, ran.output
    stage.world.new_dump()
    app.asked()
    return stage


def oids(stage):
    return {name: oid for name, oid, *_ in stage.databases()}


def ends_undisturbed(stage, app):
    """Run again, and once more with nothing to do."""
    ran = stage.run(extra=app.extra)
    assert ran.code == 0, ran.output
    assert stage.world.disagreements() == []
    name = stage.told["database"]
    assert {database: is_open for database, _, is_open, *_ in stage.databases()} == {"postgres": True, name: True, f"{name}_previous": False}
    asked = app.asked()
    again = stage.run(extra=app.extra)
    assert again.changed == 0, again.output
    assert app.asked() == [], "services are left alone where nothing is to be done"
    return asked


@pytest.mark.full
def test_a_failed_smoke_check_takes_the_swap_back(refreshed, app):
    """The former database is live again, the app was started on it, the report says so, and the next run tries the dump again."""
    stage, name = refreshed, refreshed.told["database"]
    before = oids(stage)[name]
    app.tell("fail", "smoke")
    ran = stage.run(extra=app.extra)
    app.tell("fail", "smoke", on=False)
    assert ran.code == 2, ran.output
    assert app.asked() == ["stop", "start", "smoke", "stop", "start"]
    assert oids(stage)[name] == before
    assert "the app says no to smoke" in ran.output
    assert "The swap was taken back" in ran.output
    assert ran.report["status"] == "failed"
    assert "the app says no to smoke" in ran.report["failure"]["message"]
    assert "The swap was taken back" in ran.report["failure"]["message"]
    assert ran.report["database"]["taken_back"] is True
    assert ran.report["xero"].get("created") is None
    assert ends_undisturbed(stage, app) == ["stop", "start", "smoke"]


@pytest.mark.full
@pytest.mark.parametrize("act", ["start", "smoke"])
def test_an_app_that_does_not_work_after_a_rollback_either(refreshed, app, act):
    """The rollback is taken back, so that a failed command leaves all as it was; no dump is rejected by it."""
    stage, name = refreshed, refreshed.told["database"]
    assert stage.run(extra=app.extra).code == 0
    before, contents = oids(stage), stage.contents()
    app.asked()
    app.tell("fail", act)
    ran = stage.run(playbook="playbooks/rollback_dev.yml", extra=app.extra)
    app.tell("fail", act, on=False)
    assert ran.code == 2, ran.output
    assert app.asked() == ["stop", "start", *(["smoke"] if act == "smoke" else []), "stop", "start"]
    assert oids(stage) == before
    after = stage.contents()
    marker = f"{name}.dev_refresh.marker"
    assert {table: rows for table, rows in after.items() if table != marker} == {table: rows for table, rows in contents.items() if table != marker}
    text = " ".join(ran.output.split())
    assert f"The rollback was taken back, so {name} is the database that it was before this run" in text, ran.output
    assert ("Start it yourself" in text) is (act == "start")
    again = stage.run(extra=app.extra)
    assert (again.code, again.changed) == (0, 0), again.output
    assert app.asked() == []


@pytest.mark.full
def test_an_app_that_does_not_work_after_live_was_migrated(refreshed, app):
    """Nothing can take that back: the message says which database holds what, and what to do; the next run starts the app."""
    stage, name = refreshed, refreshed.told["database"]
    assert stage.run(extra=app.extra).code == 0
    before = oids(stage)
    app.asked()
    pending = {"app_migrate_pending_command": ["/bin/sh", "-c", "exit 1"], "app_migrate_command": ["/bin/true"]}
    app.tell("fail", "smoke")
    ran = stage.run(extra={**app.extra, **pending})
    app.tell("fail", "smoke", on=False)
    assert ran.code == 2, ran.output
    assert app.asked() == ["stop", "start", "smoke"]
    assert oids(stage) == before
    text = " ".join(ran.output.split())
    assert f"The migrations ran on {name} itself" in text, ran.output
    assert "restore the dump anew by -e database_restore_force=true" in text
    assert f"{name}_previous is the database of an earlier refresh" in text
    assert stage.run(extra=app.extra).code == 0
    assert app.asked() == ["start", "smoke"]
    again = stage.run(extra=app.extra)
    assert (again.code, again.changed, app.asked()) == (0, 0, []), again.output


@pytest.mark.full
def test_rollback_in_check_mode_changes_nothing(refreshed, app):
    """It says what it would do and asks no service anything."""
    stage = refreshed
    before = stage.everything()
    ran = stage.run("--check", playbook="playbooks/rollback_dev.yml", extra=app.extra)
    assert ran.code == 0, ran.output
    assert ran.changed > 0
    assert stage.everything() == before
    assert app.asked() == []


@pytest.mark.full
@pytest.mark.parametrize("act", ["stop", "start"])
def test_services_that_fail_to_stop_or_start(refreshed, app, act):
    """Live is the former database, open, and an attempt is made to start what was stopped."""
    stage, name = refreshed, refreshed.told["database"]
    before = oids(stage)[name]
    app.tell("fail", act)
    ran = stage.run(extra=app.extra)
    app.tell("fail", act, on=False)
    assert ran.code == 2, ran.output
    assert f"the app says no to {act}" in ran.report["failure"]["message"]
    assert app.asked() == (["stop", "start"] if act == "stop" else ["stop", "start", "stop", "start"])
    assert oids(stage)[name] == before
    ends_undisturbed(stage, app)


@pytest.mark.full
@pytest.mark.parametrize("which", ["app_migrate_command", "app_migrate_post_commands"])
def test_a_migration_that_is_killed(refreshed, app, which):
    """SIGKILL from outside, in the middle of a run: live was not touched, no service stopped, the rerun builds staging anew."""
    stage, name = refreshed, refreshed.told["database"]
    before = stage.contents()
    slow = [sys.executable, "-c", "import time; time.sleep(987)"]
    extra = {**app.extra, which: slow if which == "app_migrate_command" else [slow]}
    run = subprocess.Popen(stage.command(extra=extra), cwd=ROOT, env=stage.environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 120
    victims = []
    while not victims and time.monotonic() < deadline:
        victims = [pid for pid in stage.processes() if read(pid).split(b"\0")[1:3] == [b"-c", b"import time; time.sleep(987)"]]
        time.sleep(0.2)
    os.kill(victims[0], signal.SIGKILL)
    output, _ = run.communicate(timeout=120)
    assert run.returncode == 2, output
    assert "was ended by signal 9" in output
    assert app.asked() == []
    after = stage.contents()
    assert {table: rows for table, rows in after.items() if table.startswith(f"{name}.")} == {
        table: rows for table, rows in before.items() if table.startswith(f"{name}.")
    }
    ends_undisturbed(stage, app)


def read(pid):
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


@pytest.mark.full
@pytest.mark.parametrize("act", ["stop", "start", "smoke"])
def test_a_controller_that_is_killed_around_the_swap_leaves_no_app_stopped_for_good(refreshed, app, act):
    """The next run starts the app again, also where the swap was done and nothing else is left to do."""
    stage = refreshed
    app.tell("hang", act)
    run = subprocess.Popen(stage.command(extra=app.extra), cwd=ROOT, env=stage.environment, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while not (app.log.exists() and app.log.read_text().split()[-1:] == [act]) and time.monotonic() < deadline:
        time.sleep(0.1)
    run.kill()
    run.wait(10)
    while stage.processes() and time.monotonic() < deadline:
        time.sleep(0.1)
    app.tell("hang", act, on=False)
    app.asked()
    assert "start" in ends_undisturbed(stage, app)
