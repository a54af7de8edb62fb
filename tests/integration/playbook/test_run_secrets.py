"""No secret in anything that a run writes or shows, at the highest verbosity."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import threading
import time
import urllib.request
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]


class ProcessWatch(threading.Thread):
    """Collect every command line on this machine that holds one of the secrets, while the thread runs."""

    def __init__(self, secrets: dict[str, str]) -> None:
        super().__init__(daemon=True)
        self.seen: set[str] = set()
        self._secrets = {value.encode(): name for name, value in secrets.items()}
        self._ended = threading.Event()

    def run(self) -> None:
        while not self._ended.wait(0.02):
            for entry in Path("/proc").glob("[0-9]*/cmdline"):
                try:
                    command = entry.read_bytes()
                except OSError:
                    continue
                self.seen.update(f"{name} in {command[:80]!r}" for value, name in self._secrets.items() if value in command)

    def stop(self) -> None:
        self._ended.set()
        self.join()


@pytest.fixture
def secrets(stage):
    told = stage.told
    found = {
        "client secret": told["xero"]["client_secret"],
        "administrator's password": told["postgres"]["superuser_password"],
        "owner's password": told["postgres"]["owner_password"],
        "dev login's password": told["dev_login_password"],
    }
    assert all(len(value) >= 8 for value in found.values())
    return found


def leaks(text, secrets):
    return [name for name, value in secrets.items() if value in text]


def tokens(stage):
    """Return every access token that the sandbox has given so far."""
    given = json.loads((stage.world.folder / "sandbox" / "state.json").read_text())["tokens"]["access"]
    return {f"token {number}": token for number, token in enumerate(given)}


def written(folder):
    for path in folder.rglob("*"):
        if path.is_file():
            yield path, path.read_bytes().decode("utf-8", "replace")


@pytest.mark.parametrize(
    ("arguments", "extra", "code"),
    [
        (["--check", "--diff"], {}, 0),
        (["--diff"], {}, 0),
        pytest.param([], {}, 0, marks=pytest.mark.full),
        ([], {"app_migrate_command": ["python", "manage.py", "no_such_command"], "database_restore_force": True}, 2),
        pytest.param([], {"database_restore_port": 1}, 2, marks=pytest.mark.full),
        pytest.param([], {"xero_seed_identity_url": "http://127.0.0.1:1"}, 2, marks=pytest.mark.full),
    ],
    ids=["check", "run", "again", "migration fails", "server down", "xero down"],
)
def test_no_secret_is_shown_or_left(stage, secrets, tmp_path, arguments, extra, code):
    watch = ProcessWatch(secrets)
    watch.start()
    try:
        ran = stage.run("-vvvv", *arguments, extra={**extra, "ansible_remote_tmp": str(tmp_path / "remote")})
    finally:
        watch.stop()
    assert ran.code == code, ran.output[-4000:]
    assert leaks(ran.output, secrets | tokens(stage)) == []
    assert watch.seen == set(), "on a command line"
    for folder in (stage.world.folder / "reports", stage.world.folder / "logs", tmp_path):
        for path, text in written(folder):
            assert leaks(text, secrets | tokens(stage)) == [], path


def in_the_restore(stage):
    """Tell whether a program of PostgreSQL, or the module that starts it, works on the new dump."""
    return any(name.endswith("_refresh") for name, *_ in stage.databases())


def in_the_seed(stage):
    """Tell whether some projects were made."""
    return sum(call["method"] == "POST" and call["path"].endswith("/Projects") for call in stage.calls_since(0)) > in_the_seed.seen + 10


@pytest.mark.full
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda number: number.name)
@pytest.mark.parametrize("where", [in_the_restore, in_the_seed], ids=["restore", "seed"])
def test_no_secret_is_shown_or_left_by_an_interrupted_run(stage, secrets, tmp_path, where, number):
    stage.world.new_dump()
    in_the_seed.seen = sum(call["method"] == "POST" and call["path"].endswith("/Projects") for call in stage.calls_since(0))
    reset = f"organisations/{stage.sandbox('state')['organisations'][0]['tenant_id']}/reset"
    url = f"{stage.told['xero']['url']}/sandbox/{reset}"
    urllib.request.urlopen(urllib.request.Request(url, b'{"reconnect": true}', {"Content-Type": "application/json"}), timeout=10).close()
    (tmp_path / "tmp").mkdir()
    environment = {**stage.environment, "TMPDIR": str(tmp_path / "tmp"), "ANSIBLE_LOCAL_TEMP": str(tmp_path / "local")}
    command = stage.command("-vvvv", "--diff", extra={"ansible_remote_tmp": str(tmp_path / "remote"), "xero_seed_calls_per_minute": 900})
    watch = ProcessWatch(secrets)
    watch.start()
    with (tmp_path / "stdout").open("w") as stdout, (tmp_path / "stderr").open("w") as stderr:
        run = subprocess.Popen(command, cwd=ROOT, env=environment, stdin=subprocess.DEVNULL, stdout=stdout, stderr=stderr)
        try:
            until = time.monotonic() + 240
            while not where(stage):
                assert run.poll() is None, (tmp_path / "stdout").read_text()[-4000:]
                assert time.monotonic() < until
                time.sleep(0.02)
            run.send_signal(number)
            run.wait(30)
            until = time.monotonic() + 5
            while stage.processes():
                assert time.monotonic() < until, "something goes on"
                time.sleep(0.05)
        finally:
            watch.stop()
            for pid in stage.processes():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
    assert run.returncode not in (0, 2)
    assert watch.seen == set(), "on a command line"
    folders = (stage.world.folder / "reports", stage.world.folder / "logs", tmp_path)
    texts = [(path, text) for folder in folders for path, text in written(folder)]
    assert {"stdout", "stderr", "dev1.json"} <= {path.name for path, _ in texts}
    assert tokens(stage)
    for path, text in texts:
        assert leaks(text, secrets | tokens(stage)) == [], path
    assert stage.run().code == 0
    assert stage.world.disagreements() == []
