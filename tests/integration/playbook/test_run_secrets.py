"""No secret in anything that a run writes or shows, at the highest verbosity."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest


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
    assert leaks(ran.output, secrets) == []
    assert watch.seen == set(), "on a command line"
    for folder in (stage.world.folder / "reports", stage.world.folder / "logs", tmp_path):
        for path, text in written(folder):
            assert leaks(text, secrets) == [], path
            assert "eyJ" not in text, f"a token in {path}"
