"""The controller dies in the middle; nothing goes on unseen, and the next run ends in the undisturbed state."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections import Counter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]

WAITED = 0.05
SLOW = {"xero_seed_calls_per_minute": 900}


def wait_for(met, seconds):
    """Wait until ``met()`` holds; fail after ``seconds``."""
    deadline = time.monotonic() + seconds
    while not met():
        assert time.monotonic() < deadline, f"not met within {seconds} s"
        time.sleep(WAITED)


def start(stage):
    return subprocess.Popen(
        stage.command(extra=SLOW), cwd=ROOT, env=stage.environment, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )


def created_projects(stage):
    return sum(call["method"] == "POST" and call["path"].endswith("/Projects") for call in stage.calls_since(0))


def test_sigkill_of_the_controller_leaves_no_module_behind_and_the_next_run_converges(stage):
    process = start(stage)
    wait_for(lambda: created_projects(stage) > 25 or process.poll() is not None, 90)
    assert process.poll() is None, "the run ended before it could be killed"
    os.kill(process.pid, signal.SIGKILL)
    process.wait(10)
    wait_for(lambda: not stage.processes(), 3)
    written = created_projects(stage)
    time.sleep(1.5)
    assert created_projects(stage) == written, "a module went on writing to Xero"

    second = stage.run()
    assert second.code == 0, second.output
    assert stage.world.disagreements() == []
    organisation = stage.organisation()
    assert max(Counter(contact["ContactNumber"] for contact in organisation["contacts"] if contact.get("ContactNumber")).values()) == 1
    assert max(Counter((project["contactId"], project["name"]) for project in organisation["projects"]).values()) == 1
    third = stage.run()
    assert third.changed == 0, third.output


@pytest.mark.full
def test_ctrl_c_ends_everything_and_the_next_run_continues(stage):
    stage.world.new_dump()
    process = start(stage)
    time.sleep(6)
    process.send_signal(signal.SIGINT)
    process.wait(15)
    wait_for(lambda: not stage.processes(), 3)
    assert stage.run().code == 0
    assert stage.world.disagreements() == []
