"""Run ids: the fence between two runs of the same database (a newer run takes over, an older one stops)."""
from __future__ import annotations

import re
import secrets
from datetime import UTC, datetime

_PATTERN = re.compile(r"\d{8}T\d{6}Z-[0-9a-z]{4,32}")


def new_run_id(now: datetime | None = None) -> str:
    """Return a run id that sorts by its UTC start time, for example ``20261122T081500Z-1f3a9c07``; microseconds come first in what follows it."""
    start = (now or datetime.now(UTC)).astimezone(UTC)
    return f"{start:%Y%m%dT%H%M%SZ}-{start.microsecond:05x}{secrets.token_hex(2)}"


def is_run_id(text: str) -> bool:
    """Tell whether ``text`` has the form of a run id."""
    return _PATTERN.fullmatch(text) is not None


def may_take_over(mine: str, fence: str | None) -> bool:
    """Tell whether run ``mine`` may work where ``fence`` is the last run seen (the same or a newer run may)."""
    return fence is None or mine >= fence
