"""What counts as a secret, and password files."""
from __future__ import annotations

import os
import stat

import pytest
from ansible.module_utils.dev_refresh.processes import secrets
from ansible.module_utils.dev_refresh.processes.secrets import MASK, password_file, scrub, secret_values


def test_a_secret_that_contains_another_one_is_masked_as_a_whole():
    assert scrub("x longsecret-extended y longsecret", ["longsecret", "longsecret-extended"]) == f"x {MASK} y {MASK}"


def test_nothing_is_masked_for_empty_secrets():
    assert scrub("as it is", ["", " "]) == "as it is"


def test_secrets_of_an_environment():
    environment = {
        "SECRET_KEY": "abcdefgh-12345",
        "DEBUG": "true",
        "SHORT": "abc",
        "DATABASE_URL": "postgres://app:p%40ssw0rd@localhost/app_dev_refresh",
        "DB_NAME": "app_dev_refresh",
        "PGHOST": "database.internal",
        "DJANGO_SETTINGS_MODULE": "project.settings",
        "STATIC_ROOT": os.path.dirname(__file__),
        "OTHER_DATABASE": "uat_refresh",
    }
    found = secret_values(environment, harmless=["uat_refresh"])
    assert found == {"abcdefgh-12345", environment["DATABASE_URL"], "p%40ssw0rd", "p@ssw0rd"}


@pytest.mark.parametrize("memory", [True, False])
def test_password_file_is_private_complete_and_gone_afterwards(memory, monkeypatch):
    if not memory:
        monkeypatch.setattr(secrets, "_memory_file", lambda: None)
    with password_file([("localhost", 5432, "*", "me", r"a:b\c"), ("*", "*", "*", "you", "x")]) as path:
        assert stat.S_IMODE(os.stat(path).st_mode) == 0o600
        assert stat.S_ISREG(os.stat(path).st_mode)
        with open(path) as file:
            assert file.read() == "localhost:5432:*:me:a\\:b\\\\c\n*:*:*:you:x\n"
        assert path.startswith("/proc/") == memory
    assert not os.path.exists(path)
