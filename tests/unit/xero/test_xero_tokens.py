"""Tokens: never lost, never stale, never shown."""

from __future__ import annotations

import json
import os
import stat
import threading
import urllib.parse
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import urllib3
from ansible.module_utils.dev_refresh.xero.errors import BadCredentials, NotConnected, XeroError
from ansible.module_utils.dev_refresh.xero.token_file import TokenFile, create_token_file
from ansible.module_utils.dev_refresh.xero.tokens import Credentials, TokenSource

SECRET = "a-client-secret-0123456789"


class FakeClock:
    """Time that only moves when someone waits."""

    def __init__(self) -> None:
        self.time = 1000.0

    def now(self) -> float:
        return self.time

    def utc(self) -> datetime:
        return datetime.fromtimestamp(self.time, UTC)

    def sleep(self, seconds: float) -> None:
        self.time += seconds

    def wait(self, condition: threading.Condition, seconds: float | None) -> None:
        self.time += seconds or 0.0


class FakeReply:
    def __init__(self, status: int, body: Any) -> None:
        self.status = status
        self.data = body if isinstance(body, bytes) else json.dumps(body).encode()


class FakeIdentity:
    """Answers token requests from a list; what is no reply is raised or, if callable, called for the reply."""

    def __init__(self, *answers: Any) -> None:
        self.answers = list(answers)
        self.forms: list[dict[str, str]] = []
        self.headers: list[dict[str, str]] = []

    def request(self, method: str, url: str, *, body: bytes, headers: dict[str, str], **_: Any) -> FakeReply:
        assert method == "POST"
        assert url == "https://identity.example/connect/token"
        self.forms.append(dict(urllib.parse.parse_qsl(body.decode())))
        self.headers.append(headers)
        answer = self.answers.pop(0)
        if callable(answer):
            answer = answer()
        if isinstance(answer, Exception):
            raise answer
        return answer


def good(number: int, **more: Any) -> FakeReply:
    return FakeReply(200, {"access_token": f"access-{number}", "expires_in": 1800, "token_type": "Bearer", "scope": "projects accounting.contacts", **more})


def source(identity: FakeIdentity, clock: FakeClock | None = None, token_file: Path | None = None) -> TokenSource:
    credentials = Credentials("CLIENT", SECRET, str(token_file) if token_file else None)
    return TokenSource(credentials, "https://identity.example", pool=identity, clock=clock or FakeClock())


@pytest.fixture
def stored(tmp_path: Path) -> Path:
    path = tmp_path / "token.json"
    create_token_file(str(path), "refresh-0")
    return path


def kept(path: Path) -> str:
    return str(json.loads(path.read_text())["refresh_token"])


def lost() -> urllib3.exceptions.HTTPError:
    return urllib3.exceptions.ProtocolError("Connection aborted")


def test_client_credentials_are_minted_once_and_again_before_they_expire() -> None:
    """A run of hours never uses a token in its last two minutes."""
    identity, clock = FakeIdentity(*(good(number) for number in range(5))), FakeClock()
    tokens = source(identity, clock)
    assert [tokens.access_token() for _ in range(3)] == ["access-0"] * 3
    clock.time += 1679
    assert tokens.access_token() == "access-0"
    clock.time += 2
    assert tokens.access_token() == "access-1"
    assert identity.forms[0] == {"grant_type": "client_credentials"}
    assert tokens.scopes == ("projects", "accounting.contacts")


def test_a_refused_token_is_replaced_once_for_all_threads() -> None:
    """The thread that comes second with the same stale token gets the new one."""
    identity = FakeIdentity(good(0), good(1))
    tokens = source(identity)
    stale = tokens.access_token()
    assert [tokens.access_token(stale=stale) for _ in range(5)] == ["access-1"] * 5


def test_five_threads_ask_once() -> None:
    """The SDK would refresh five times with the same refresh token."""
    identity = FakeIdentity(good(0), good(1), good(2))
    tokens = source(identity)
    found: list[str] = []
    threads = [threading.Thread(target=lambda: found.append(tokens.access_token())) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == ["access-0"] * 5
    assert len(identity.forms) == 1


@pytest.mark.parametrize("expires", [None, "soon", 0, -5, "1800", 1e99, float("nan")])
def test_an_odd_lifetime_does_no_harm(expires: Any) -> None:
    """A lifetime that is no number counts as Xero's usual one, a very short one as short."""
    reply = {"access_token": "access", "expires_in": expires}
    clock = FakeClock()
    tokens = source(FakeIdentity(FakeReply(200, reply), FakeReply(200, reply)), clock)
    assert tokens.access_token() == tokens.access_token() == "access"
    assert clock.time == 1000.0


@pytest.mark.parametrize("answer", [lost(), FakeReply(500, b"<html>"), FakeReply(503, {}), FakeReply(200, b""), FakeReply(200, [1]), FakeReply(429, {})])
def test_a_lost_or_broken_reply_is_asked_for_again(answer: Any) -> None:
    """For client credentials it does no harm."""
    assert source(FakeIdentity(answer, good(1))).access_token() == "access-1"


def test_it_gives_up_in_the_end() -> None:
    """Bounded, with the setting that may be wrong."""
    clock = FakeClock()
    with pytest.raises(XeroError, match=r"tried 4 times.*xero_seed_identity_url"):
        source(FakeIdentity(*[lost()] * 4), clock).access_token()
    assert clock.time == 1007.0


@pytest.mark.parametrize("code", ["invalid_client", "unauthorized_client"])
@pytest.mark.parametrize("status", [400, 401])
def test_a_bad_secret_is_not_tried_again(code: str, status: int) -> None:
    """And the message does not show it."""
    with pytest.raises(BadCredentials, match="xero_seed_client_secret") as caught:
        source(FakeIdentity(FakeReply(status, {"error": code}))).access_token()
    assert SECRET not in str(caught.value)


def test_a_bad_scope_is_explained() -> None:
    """With the scopes that are needed."""
    with pytest.raises(BadCredentials, match=r"accounting\.contacts"):
        source(FakeIdentity(FakeReply(400, {"error": "invalid_scope"}))).access_token()


def test_a_rotated_token_is_on_disk_before_the_new_one_is_used(stored: Path) -> None:
    """The file holds it when access_token() returns; its mode is as before."""
    identity = FakeIdentity(good(1, refresh_token="refresh-1"), good(2, refresh_token="refresh-2"))
    clock = FakeClock()
    tokens = source(identity, clock, stored)
    assert tokens.access_token() == "access-1"
    assert kept(stored) == "refresh-1"
    clock.time += 1800
    assert tokens.access_token() == "access-2"
    assert kept(stored) == "refresh-2"
    assert [form["refresh_token"] for form in identity.forms] == ["refresh-0", "refresh-1"]
    assert stat.S_IMODE(stored.stat().st_mode) == 0o600
    assert sorted(path.name for path in stored.parent.iterdir()) == ["token.json", "token.json.lock"]


def test_a_lost_reply_is_retried_with_the_old_token(stored: Path) -> None:
    """Xero lets the previous refresh token be used again for half an hour."""
    identity = FakeIdentity(lost(), good(1, refresh_token="refresh-1"))
    assert source(identity, None, stored).access_token() == "access-1"
    assert [form["refresh_token"] for form in identity.forms] == ["refresh-0", "refresh-0"]


def test_a_run_that_dies_before_the_reply_leaves_the_old_token(stored: Path) -> None:
    """The next run can still use it."""
    with pytest.raises(KeyboardInterrupt):
        source(FakeIdentity(_raise(KeyboardInterrupt())), None, stored).access_token()
    assert kept(stored) == "refresh-0"
    assert source(FakeIdentity(good(1, refresh_token="refresh-1")), None, stored).access_token() == "access-1"


def _raise(error: BaseException) -> Callable[[], Any]:
    def act() -> Any:
        raise error

    return act


def test_a_reply_without_a_new_refresh_token_keeps_the_old_one(stored: Path) -> None:
    """Not every identity server rotates."""
    assert source(FakeIdentity(good(1)), None, stored).access_token() == "access-1"
    assert kept(stored) == "refresh-0"


def test_a_used_up_refresh_token_names_the_playbook(stored: Path) -> None:
    """invalid_grant: only a new consent helps."""
    with pytest.raises(NotConnected, match=r"playbooks/connect_xero\.yml") as caught:
        source(FakeIdentity(FakeReply(400, {"error": "invalid_grant"})), None, stored).access_token()
    assert "refresh-0" not in str(caught.value)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o644, 0o606])
def test_a_file_that_others_can_read_is_refused(stored: Path, mode: int) -> None:
    """Before the token is sent anywhere."""
    stored.chmod(mode)
    with pytest.raises(XeroError, match=f"chmod 600 {stored}"):
        source(FakeIdentity(), None, stored).access_token()


def test_a_missing_file_names_the_playbook(tmp_path: Path) -> None:
    """And makes nothing beside it."""
    with pytest.raises(NotConnected, match=r"connect_xero\.yml"):
        source(FakeIdentity(), None, tmp_path / "none.json").access_token()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("text", ["", "{}", "[]", "refresh-0", '{"refresh_token": ""}', '{"refresh_token": null}', "\xff\xfe"])
def test_a_file_without_a_token_names_the_playbook(stored: Path, text: str) -> None:
    """Whatever is in it."""
    stored.write_text(text, encoding="latin-1")
    with pytest.raises(NotConnected, match=r"connect_xero\.yml"):
        source(FakeIdentity(), None, stored).access_token()


def test_a_folder_in_its_place_is_refused(tmp_path: Path) -> None:
    """With the setting's name."""
    with pytest.raises(XeroError, match="xero_seed_token_file"):
        source(FakeIdentity(), None, tmp_path).access_token()


def test_a_folder_that_cannot_be_written_is_found_before_the_token_is_rotated(stored: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Afterwards it would be lost."""
    real = os.open

    def refuse(path: Any, flags: int, *more: Any, **named: Any) -> int:
        if str(path).endswith(".new"):
            raise PermissionError(13, "Permission denied")
        return real(path, flags, *more, **named)

    monkeypatch.setattr(os, "open", refuse)
    identity = FakeIdentity()
    with pytest.raises(XeroError, match="could not be stored"):
        source(identity, None, stored).access_token()
    assert identity.forms == []


def test_a_link_to_the_file_stays_a_link(stored: Path) -> None:
    """The file behind it is replaced."""
    link = stored.parent / "link.json"
    link.symlink_to(stored)
    source(FakeIdentity(good(1, refresh_token="refresh-1")), None, link).access_token()
    assert link.is_symlink()
    assert kept(stored) == "refresh-1"


def test_one_refresh_at_a_time_between_processes(stored: Path) -> None:
    """The second waits and then reads what the first stored."""
    with TokenFile(str(stored)) as first:
        outcome: list[str] = []
        second = threading.Thread(target=lambda: outcome.append(_read(stored)))
        second.start()
        second.join(0.3)
        assert outcome == []
        first.replace("refresh-1")
    second.join(5)
    assert outcome == ["refresh-1"]


def _read(path: Path) -> str:
    with TokenFile(str(path)) as stored:
        return stored.refresh_token


def test_a_process_that_never_ends_its_refresh_does_not_hang_others(stored: Path) -> None:
    """They give up and say why."""
    with TokenFile(str(stored)), pytest.raises(XeroError, match="Another process"):
        source(FakeIdentity(), FakeClock(), stored).access_token()


def test_secrets_are_not_in_the_repr() -> None:
    """Of what may end in a message by mistake."""
    assert SECRET not in repr(Credentials("CLIENT", SECRET))
