"""A sandbox for each test, and a clock that never really waits."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from ansible.module_utils.dev_refresh.xero.connection import Credentials, Xero
from skipping_clock import SkippingClock
from xero_sandbox.testing import SandboxServer


@pytest.fixture(scope="module")
def shared_sandbox() -> Iterator[SandboxServer]:
    """Start a sandbox for a file of tests."""
    with SandboxServer(calls_per_minute=100_000, calls_per_day=1_000_000) as server:
        yield server


@pytest.fixture
def sandbox(shared_sandbox: SandboxServer) -> Iterator[SandboxServer]:
    """Return the sandbox with an empty organisation and no faults."""
    shared_sandbox.clear_faults()
    shared_sandbox.reset_demo_company()
    shared_sandbox.clear_journal()
    yield shared_sandbox
    shared_sandbox.clear_faults()


@pytest.fixture
def clock() -> SkippingClock:
    """Return a clock that never really waits."""
    return SkippingClock()


@pytest.fixture
def make_xero(sandbox: SandboxServer, clock: SkippingClock) -> Callable[..., Xero]:
    """Return a function that makes a connection; it is connected unless ``connect=False``."""

    def make(*, connect: bool = True, token_file: str | None = None, client_secret: str | None = None, **options: Any) -> Xero:
        credentials = Credentials(sandbox.client_id, client_secret or sandbox.client_secret, token_file)
        settings: dict[str, Any] = {"api_url": sandbox.url, "identity_url": sandbox.identity_url, "calls_per_minute": 100_000, "clock": clock, **options}
        xero = Xero(credentials=credentials, **settings)
        if connect:
            xero.connect()
        return xero

    return make
