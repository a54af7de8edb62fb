"""A sandbox, a token file that a consent made, and an app's small database to seed."""
from __future__ import annotations

import sys
import urllib.parse
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils.dev_refresh.xero.connect import connect
from ansible.module_utils.dev_refresh.xero.connect_options import CONNECT_OPTIONS
from ansible.module_utils.dev_refresh.xero.consent_listener import new_request
from xero_sandbox.testing import SandboxServer

# the small app of the seeding tests
sys.path.append(str(Path(__file__).resolve().parent.parent / "seeding"))

from seeding_app import DDL, App

PORT = 18751
Connect = Callable[..., dict[str, Any]]


SETTINGS: dict[str, Any] = {"access_token_seconds": 1800, "refresh_grace_seconds": 1800, "code_seconds": 300, "consent": "allow", "latency": 0.0}
"""What the tests change."""


@pytest.fixture(scope="session")
def shared_sandbox() -> Iterator[SandboxServer]:
    """Start one sandbox for all tests of this folder."""
    with SandboxServer(calls_per_minute=6000, calls_per_day=1_000_000) as server:
        yield server


@pytest.fixture
def sandbox(shared_sandbox: SandboxServer) -> SandboxServer:
    """Return the sandbox with a new and empty demo company, and its usual settings."""
    shared_sandbox.set(**SETTINGS)
    shared_sandbox.clear_faults()
    shared_sandbox.reset_demo_company()
    shared_sandbox.clear_journal()
    return shared_sandbox


@pytest.fixture
def token_path(tmp_path: Path) -> Path:
    """Return where the token file belongs; its folder is not there yet."""
    return tmp_path / "private" / "token.json"


@pytest.fixture
def params(sandbox: SandboxServer, token_path: Path) -> dict[str, Any]:
    """Return the module's parameters as Ansible fills them in."""
    return {
        **{name: option.get("default") for name, option in CONNECT_OPTIONS.items()},
        "client_id": sandbox.client_id,
        "client_secret": sandbox.client_secret,
        "token_file": str(token_path),
        "api_url": sandbox.url,
        "identity_url": sandbox.identity_url,
        "login_url": f"{sandbox.identity_url}/connect/authorize",
        "redirect_port": PORT,
    }


@pytest.fixture
def get_code(sandbox: SandboxServer, params: dict[str, Any]) -> Callable[[], dict[str, Any]]:
    """Return a function that consents as a browser would and returns the options that this gives."""

    def get() -> dict[str, Any]:
        request = new_request(
            client_id=params["client_id"], login_url=params["login_url"], port=PORT, scopes=params["scopes"], pkce=True
        )
        _, headers, _ = sandbox.request("GET", request.url.removeprefix(sandbox.url))
        answer = dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(headers["location"]).query))
        assert answer["state"] == request.state
        return {"code": answer["code"], "code_verifier": request.verifier}

    return get


@pytest.fixture
def consent(params: dict[str, Any], get_code: Callable[[], dict[str, Any]], token_path: Path) -> Callable[[], Path]:
    """Return a function that makes the token file anew."""

    def make() -> Path:
        assert connect({**params, **get_code()}, check_mode=False)["changed"]
        return token_path

    return make


@pytest.fixture
def app(cluster: Any, database: str, sandbox: SandboxServer, consent: Callable[[], Path], tmp_path: Path) -> App:
    """Return an app with four clients and twenty jobs that is seeded with a refresh token."""
    made = App(cluster, database, sandbox, tmp_path)
    made.options["token_file"] = str(consent())
    made.sql(DDL)
    made.make_marker()
    for number in range(1, 5):
        made.client(number, f"Client {number}")
    for number in range(1, 21):
        made.job(number, number % 4 + 1, f"Job {number}")
    sandbox.clear_journal()
    return made
