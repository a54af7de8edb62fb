"""A sandbox for each test, and a clock that never really waits."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from ansible.module_utils.dev_refresh.xero.clock import SystemClock
from ansible.module_utils.dev_refresh.xero.connection import Credentials, Xero
from xero_sandbox.testing import SandboxServer


class SkippingClock(SystemClock):
    """The computer's clock, but waiting only moves it forward; ``skipped`` is what would have been waited."""

    def __init__(self) -> None:
        self.skipped = 0.0

    def now(self) -> float:
        return super().now() + self.skipped

    def utc(self) -> datetime:
        return datetime.now(UTC) + timedelta(seconds=self.skipped)

    def sleep(self, seconds: float) -> None:
        self.skipped += seconds

    def wait(self, condition: threading.Condition, seconds: float | None) -> None:
        if seconds is None:
            condition.wait(0.05)
        else:
            self.skipped += seconds
            condition.wait(0.001)


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
