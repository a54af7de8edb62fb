"""Sandboxes for the tests of the sandbox itself."""
from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from xero_sandbox.testing import SandboxServer


class Api:
    """Calls of one sandbox with a token."""

    def __init__(self, server: SandboxServer, *, scope: str | None = None) -> None:
        self.server = server
        self.headers = {"Authorization": "Bearer " + server.token(scope=scope), "xero-tenant-id": server.tenant_id}

    def __call__(self, method: str, path: str, data: Any = None, **headers: str) -> tuple[int, dict[str, str], Any]:
        """Send a request below /api.xro/2.0 or /projects.xro/2.0; return status, headers and the body's data."""
        base = "/projects.xro/2.0" if path.startswith("/Projects") else "/api.xro/2.0"
        names = {name.replace("_", "-"): value for name, value in headers.items()}
        status, found, body = self.server.request(method, base + path, data, headers={**self.headers, **names})
        return status, found, json.loads(body) if body else None

    def create_contact(self, name: str, **members: Any) -> str:
        """Create a contact and return its id."""
        status, _, data = self("PUT", "/Contacts", {"Contacts": [{"Name": name, **members}]})
        assert status == 200, data
        return str(data["Contacts"][0]["ContactID"])


@pytest.fixture(scope="module")
def shared() -> Iterator[SandboxServer]:
    """One sandbox for the tests of a file, with room in its limits."""
    with SandboxServer(calls_per_minute=6000, calls_per_day=100_000) as server:
        yield server


@pytest.fixture
def server(shared: SandboxServer) -> Iterator[SandboxServer]:
    """Empty the file's sandbox: a demo company reset with its connection kept."""
    shared.clear_faults()
    shared.reset_demo_company()
    shared.clear_journal()
    yield shared
    shared.clear_faults()


@pytest.fixture
def api(server: SandboxServer) -> Api:
    """Return calls with a token that may do everything."""
    return Api(server)


@pytest.fixture(scope="session")
def make_api() -> type[Api]:
    """Return the class, for tests that need a token or sandbox of their own."""
    return Api
