"""Whole runs of the seed with a refresh token: what expires, is lost or dies on the way loses neither rows nor the connection."""
from __future__ import annotations

import json
import multiprocessing
import os
import signal
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils.dev_refresh.xero.connection import Credentials, Xero
from ansible.module_utils.dev_refresh.xero.token_file import TokenFile

FORK = multiprocessing.get_context("fork")


def token_requests(app: Any) -> list[dict[str, Any]]:
    return [request for request in app.sandbox.journal() if request["path"].endswith("/connect/token")]


def stored(app: Any) -> str:
    return str(json.loads(Path(app.options["token_file"]).read_text())["refresh_token"])


def assert_seeded(app: Any) -> None:
    """Every row has its own contact or project, and there are no others."""
    assert sorted(app.contact_ids().values()) == sorted(contact["ContactID"] for contact in app.sandbox.contacts())
    assert sorted(app.project_ids().values()) == sorted(project["projectId"] for project in app.sandbox.projects())
    assert (len(app.contact_ids()), len(app.project_ids())) == (4, 20)


@pytest.mark.parametrize("fault", [None, "drop_before", "drop_after", "http_500"])
def test_tokens_that_expire_in_the_middle_of_a_run_are_renewed(app: Any, fault: str | None) -> None:
    """Each renewal rotates the refresh token; a renewal whose reply is lost is asked for again with the old one."""
    app.sandbox.set(access_token_seconds=1, latency=0.35)
    if fault:
        app.sandbox.add_fault(fault, method="POST", path="/connect/token$", skip=1, times=1)
    first = stored(app)
    result = app.seed()
    assert result["complete"]
    assert_seeded(app)
    renewals = token_requests(app)
    assert len([request for request in renewals if request["status"] == 200]) >= 3
    assert stored(app) != first
    # the stored token is the newest: it works though none but the newest would
    app.sandbox.set(refresh_grace_seconds=0, access_token_seconds=1800, latency=0.0)
    assert not app.seed()["changed"]


def test_tokens_that_xero_refuses_early_are_replaced_and_the_call_repeated(app: Any) -> None:
    """Xero revokes tokens before their time, on any call."""
    for path, method in (("/Contacts$", "PUT"), ("/Projects$", "GET"), ("/Projects$", "POST")):
        app.sandbox.add_fault("expired_token", method=method, path=path, times=1)
    result = app.seed()
    assert result["complete"]
    assert_seeded(app)
    assert 2 <= len(token_requests(app)) <= 4


def dying_run(app: Any, *, before_storing: bool) -> None:
    """Seed in this process and die by SIGKILL where the rotated token is stored."""
    replace = TokenFile.replace

    def replace_and_die(self: TokenFile, refresh_token: str) -> None:
        if not before_storing:
            replace(self, refresh_token)
        os.kill(os.getpid(), signal.SIGKILL)

    TokenFile.replace = replace_and_die  # type: ignore[method-assign]
    app.seed()


def die(app: Any, *, before_storing: bool) -> None:
    child = FORK.Process(target=dying_run, args=(app,), kwargs={"before_storing": before_storing})
    child.start()
    child.join(60)
    assert child.exitcode == -signal.SIGKILL


@pytest.mark.parametrize("grace", [0, 1800])
def test_a_run_killed_between_storing_and_using_costs_nothing(app: Any, grace: int) -> None:
    """The rotated token is on disk before it is used, so that not even the grace is needed."""
    app.sandbox.set(refresh_grace_seconds=grace)
    first = stored(app)
    die(app, before_storing=False)
    assert stored(app) != first
    assert app.seed()["complete"]
    assert_seeded(app)


def test_a_run_killed_before_storing_is_saved_by_the_grace(app: Any) -> None:
    """Xero has rotated, the file has the old token; what the dead run left beside it does no harm."""
    first = stored(app)
    die(app, before_storing=True)
    assert stored(app) == first
    assert app.seed()["complete"]
    assert_seeded(app)
    folder = Path(app.options["token_file"]).parent
    assert sorted(path.name for path in folder.iterdir()) == ["token.json", "token.json.lock"]


def test_after_the_grace_the_next_step_is_named_and_helps(app: Any, consent: Callable[[], Path]) -> None:
    """A token that is lost for good stops the run before anything is written; one consent mends it."""
    app.sandbox.set(refresh_grace_seconds=0)
    die(app, before_storing=True)
    error = app.fail()
    assert "playbooks/connect_xero.yml" in str(error)
    assert "refused the refresh token" in str(error)
    assert stored(app) not in str(error)
    assert app.sandbox.contacts() == []
    consent()
    assert app.seed()["complete"]
    assert_seeded(app)


@pytest.mark.parametrize("mode", [0o640, 0o604])
def test_a_file_that_others_can_read_is_refused_before_xero_is_asked(app: Any, mode: int) -> None:
    path = Path(app.options["token_file"])
    path.chmod(mode)
    error = app.fail()
    assert f"chmod 600 {path}" in str(error)
    assert app.sandbox.journal() == []
    path.chmod(0o600)
    assert app.seed()["complete"]


def connect_often(sandbox: Any, path: str, times: int, failures: Any) -> None:
    """Connect in this process as modules do, each time with a new access token."""
    for _ in range(times):
        try:
            with Xero(
                credentials=Credentials(sandbox.client_id, sandbox.client_secret, path), api_url=sandbox.url, identity_url=sandbox.identity_url
            ) as xero:
                xero.connect()
        except Exception as error:
            failures.put(str(error))


def test_processes_that_refresh_at_once_take_turns(app: Any) -> None:
    """Without any grace, a refresh with a token that another process has just used up would be refused."""
    app.sandbox.set(refresh_grace_seconds=0, latency=0.1)
    failures = FORK.SimpleQueue()
    children = [FORK.Process(target=connect_often, args=(app.sandbox, app.options["token_file"], 3, failures)) for _ in range(4)]
    for child in children:
        child.start()
    for child in children:
        child.join(60)
    assert [child.exitcode for child in children] == [0] * 4
    assert failures.empty()
    requests = token_requests(app)
    assert [request["status"] for request in requests] == [200] * 12
    spans = sorted((request["start"], request["end"]) for request in requests)
    assert all(ended <= started for (_, ended), (started, _) in pairwise(spans))
