"""Signals end a module through its clean-up, once."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

def heed_signals() -> None:
    """Let a child start with the signals of a terminal, whatever started the tests."""
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)


CODE = """
import sys, time
sys.path.insert(0, {utils!r})
import ansible.module_utils as m; m.__path__.append({utils!r})
from ansible.module_utils.dev_refresh.reporting import run_module

class Module:
    check_mode = True

    def fail_json(self, **result):
        import json; print(json.dumps(result)); sys.exit(1)
    exit_json = fail_json

def work():
    try:
        print("begun", flush=True)
        time.sleep(20)
    finally:
        print("cleaning", flush=True)
        time.sleep(0.5)
        print("clean", flush=True)
    return {{}}

run_module(Module(), work)
"""


@pytest.mark.parametrize("first", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_second_signal_does_not_interrupt_the_clean_up(first: signal.Signals) -> None:
    """Who presses Ctrl-C twice still gets the door reopened and staging removed."""
    code = CODE.format(utils=str(ROOT / "module_utils"))
    child = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, preexec_fn=heed_signals)  # noqa: PLW1509
    assert child.stdout is not None
    assert child.stdout.readline() == "begun\n"
    os.kill(child.pid, first)
    assert child.stdout.readline() == "cleaning\n"
    for again in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        os.kill(child.pid, again)
        time.sleep(0.05)
    rest = child.communicate(timeout=20)[0].splitlines()
    assert rest[0] == "clean"
    assert f"interrupted by {first.name}" in json.loads(rest[1])["msg"]


def test_what_is_ignored_from_the_start_stays_ignored() -> None:
    """Under nohup the end of the terminal is no reason to stop."""
    short = CODE.format(utils=str(ROOT / "module_utils")).replace("sleep(20)", "sleep(0.5)")
    ignoring = f"import signal; signal.signal(signal.SIGHUP, signal.SIG_IGN)\n{short}"
    child = subprocess.Popen([sys.executable, "-c", ignoring], stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    assert child.stdout.readline() == "begun\n"
    child.send_signal(signal.SIGHUP)
    assert "interrupted" not in child.communicate(timeout=20)[0]
