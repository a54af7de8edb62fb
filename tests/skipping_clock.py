"""A clock for tests that must not wait."""
from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta

from ansible.module_utils.dev_refresh.xero.clock import SystemClock


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
