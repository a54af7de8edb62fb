"""The sandbox's time, which a test can move forward."""
from __future__ import annotations

import time
from datetime import UTC, datetime


class Clock:
    """Wall-clock time plus an offset: moving it expires tokens, turns limit windows and forgets idempotency keys."""

    def __init__(self) -> None:
        self.offset = 0.0

    def now(self) -> float:
        """Return seconds since 1970."""
        return time.time() + self.offset

    def now_ms(self) -> int:
        """Return milliseconds since 1970."""
        return int(self.now() * 1000)


def iso_7(seconds: float) -> str:
    """Return a moment the way the connections endpoint writes it: seven decimals and no zone."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S.%f") + "0"


def json_date(milliseconds: int) -> str:
    """Return a moment the way an envelope writes it."""
    return f"/Date({milliseconds})/"


def json_date_utc(milliseconds: int) -> str:
    """Return a moment the way a contact writes it."""
    return f"/Date({milliseconds}+0000)/"
