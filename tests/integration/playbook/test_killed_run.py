"""The controller dies in the middle; nothing goes on unseen, and the next run ends in the undisturbed state."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import time
import urllib.request
from collections import Counter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]

WAITED = 0.05
SLOW = {"xero_seed_calls_per_minute": 900}


@pytest.fixture(autouse=True)
def nothing_left(stage):
    """End what a failed test leaves running, so that the next one sees its own run alone."""
    yield
    for pid in stage.processes():
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def wait_for(met, seconds):
    """Wait until ``met()`` holds; fail after ``seconds``."""
    deadline = time.monotonic() + seconds
    while not met():
        assert time.monotonic() < deadline, f"not met within {seconds} s"
        time.sleep(WAITED)


def start(stage, extra=SLOW, output=subprocess.DEVNULL):
    return subprocess.Popen(
        stage.command(extra=extra), cwd=ROOT, env=stage.environment, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, text=True
    )


def created_projects(stage):
    return sum(call["method"] == "POST" and call["path"].endswith("/Projects") for call in stage.calls_since(0))


def members(stage, controller):
    """Return the processes of a run by what they are: the controller, its workers, and what these started."""
    parents, commands = {}, {}
    for pid in stage.processes():
        try:
            parents[pid] = int((Path("/proc") / str(pid) / "stat").read_text().rpartition(")")[2].split()[1])
            commands[pid] = (Path("/proc") / str(pid) / "cmdline").read_bytes()
        except OSError:
            continue
    workers = [pid for pid, parent in parents.items() if parent == controller and b"ansible-playbook" in commands[pid]]
    modules = [pid for pid in parents if pid != controller and pid not in workers and b"ansible-playbook" not in commands[pid] and b"python" in commands[pid]]
    return {"controller": [controller], "worker": workers, "module": modules}


def start_and_wait_for_writes(stage, count=25):
    """Start a run and wait until it is in the middle of its seed."""
    seen = created_projects(stage)
    process = start(stage)
    wait_for(lambda: created_projects(stage) > seen + count or process.poll() is not None, 240)
    assert process.poll() is None, "the run ended before it could be killed"
    return process


def ends_undisturbed(stage):
    """Let the next run finish the job: nothing is there twice, and one more run has nothing to do."""
    second = stage.run()
    assert second.code == 0, second.output
    assert stage.world.disagreements() == []
    organisation = stage.organisation()
    assert max(Counter(contact["ContactNumber"] for contact in organisation["contacts"] if contact.get("ContactNumber")).values()) == 1
    assert max(Counter((project["contactId"], project["name"]) for project in organisation["projects"]).values()) == 1
    third = stage.run()
    assert third.changed == 0, third.output


def reset_organisation(stage):
    """Empty the demo company, so that there is something to seed without another restore."""
    url = stage.told["xero"]["url"]
    request = urllib.request.Request(
        f"{url}/sandbox/organisations/{stage.sandbox('state')['organisations'][0]['tenant_id']}/reset",
        b'{"reconnect": true}',
        {"Content-Type": "application/json"},
    )
    urllib.request.urlopen(request, timeout=10).close()


@pytest.mark.full
def test_sigkill_of_the_controller_leaves_no_module_behind_and_the_next_run_converges(stage):
    process = start_and_wait_for_writes(stage)
    os.kill(process.pid, signal.SIGKILL)
    process.wait(10)
    wait_for(lambda: not stage.processes(), 1.5)
    written = created_projects(stage)
    time.sleep(1.5)
    assert created_projects(stage) == written, "a module went on writing to Xero"
    ends_undisturbed(stage)


@pytest.mark.full
@pytest.mark.parametrize(
    "victims", [["worker"], ["module"], ["controller", "worker"], ["worker", "module"], ["controller", "worker", "module"]], ids="-and-".join
)
def test_sigkill_of_any_of_them_ends_the_writing(stage, victims):
    """Whoever is left ends within about a second, but a controller, which goes on to say what happened and to start what it stopped."""
    reset_organisation(stage)
    report = stage.world.folder / "reports" / "dev1.json"
    report.unlink(missing_ok=True)
    process = start_and_wait_for_writes(stage)
    run = members(stage, process.pid)
    assert all(run.values()), run
    for pid in (pid for victim in victims for pid in run[victim]):
        os.kill(pid, signal.SIGKILL)
    seeding = {*run["module"], *(run["worker"] if "controller" in victims else ())}
    wait_for(lambda: not seeding & set(stage.processes()), 1.5)
    written = created_projects(stage)
    time.sleep(1.5)
    assert created_projects(stage) == written, "a module went on writing to Xero"
    process.wait(60)
    assert process.returncode not in (0, None)
    wait_for(lambda: not stage.processes(), 1.5)
    # only a controller that is killed itself leaves no report
    assert report.exists() == ("controller" not in victims)
    if report.exists():
        written = json.loads(report.read_text())
        assert written["status"] == "failed"
        assert next(phase["status"] for phase in written["phases"] if phase["name"] == "seed") == "failed"
    ends_undisturbed(stage)


@pytest.mark.full
def test_a_second_controller_is_refused_and_leaves_the_first_ones_report_alone(stage, tmp_path):
    reset_organisation(stage)
    report = stage.world.folder / "reports" / "dev1.json"
    report.unlink(missing_ok=True)
    seen = created_projects(stage)
    with (tmp_path / "output").open("w") as output:
        first = start(stage, {"xero_seed_calls_per_minute": 400}, output)
        wait_for(lambda: created_projects(stage) > seen + 3 or first.poll() is not None, 240)
        second = stage.run()
        assert first.poll() is None, "the first run ended too early for this test"
        assert second.code == 2, second.output
        shown = " ".join(second.output.split())
        assert f'Database "{stage.told["database"]}" is being worked on by "dev_refresh xero_seed' in shown
        assert "Wait until it ends, then run again" in shown
        assert second.report is None, "the refused run wrote over the report"
        assert first.wait(120) == 0, (tmp_path / "output").read_text()
    assert json.loads(report.read_text())["status"] == "ok"
    assert stage.world.disagreements() == []
    assert not stage.processes()


@pytest.mark.full
def test_ctrl_c_ends_everything_and_the_next_run_continues(stage):
    stage.world.new_dump()
    process = start(stage)
    time.sleep(6)
    process.send_signal(signal.SIGINT)
    process.wait(15)
    wait_for(lambda: not stage.processes(), 3)
    report = json.loads((stage.world.folder / "reports" / "dev1.json").read_text())
    assert "it was interrupted" in report["failure"]["message"]
    assert stage.run().code == 0
    assert stage.world.disagreements() == []
