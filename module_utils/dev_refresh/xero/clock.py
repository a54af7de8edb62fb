"""Time, as an argument: tests bring a clock of their own and take no time."""

from __future__ import annotations

import threading
import time
from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """What the package needs of time."""

    def now(self) -> float:
        """Return seconds that never run backwards."""
        ...

    def utc(self) -> datetime:
        """Return the time of day in UTC."""
        ...

    def sleep(self, seconds: float) -> None:
        """Pause this thread."""
        ...

    def wait(self, condition: threading.Condition, seconds: float | None) -> None:
        """Wait for ``condition``, at most ``seconds``."""
        ...


class SystemClock:
    """The computer's own clock."""

    def now(self) -> float:
        """Return seconds that never run backwards."""
        return time.monotonic()

    def utc(self) -> datetime:
        """Return the time of day in UTC."""
        return datetime.now(UTC)

    def sleep(self, seconds: float) -> None:
        """Pause this thread."""
        time.sleep(seconds)

    def wait(self, condition: threading.Condition, seconds: float | None) -> None:
        """Wait for ``condition``, at most ``seconds``."""
        condition.wait(seconds)


def iso(moment: datetime) -> str:
    """Return ``moment`` as ISO 8601 in UTC with seconds."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
