"""What was asked, when, and how it ended: the ground truth for tests and benchmarks."""
from __future__ import annotations

import time
from collections import deque
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(slots=True)
class Entry:
    """One request; ``status`` is 0 while it runs and when the connection was dropped without a reply."""

    seq: int
    method: str
    path: str
    query: str
    start: float
    in_flight: int
    end: float | None = None
    status: int = 0
    client_id: str | None = None
    tenant_id: str | None = None
    idempotency_key: str | None = None
    replayed: bool = False
    elements: int | None = None
    fault: str | None = None
    limit_problem: str | None = None
    minute_remaining: int | None = None
    day_remaining: int | None = None
    counted: float | None = None  # when the limits counted it


class Journal:
    """The last requests, oldest first; times are of the monotonic clock, which all processes of a machine share."""

    def __init__(self, length: int = 100_000) -> None:
        self.entries: deque[Entry] = deque(maxlen=length)
        self._seq = 0
        self._in_flight = 0

    def begin(self, method: str, path: str, query: str) -> Entry:
        """Note a request's arrival."""
        self._seq += 1
        self._in_flight += 1
        entry = Entry(self._seq, method, path, query, time.monotonic(), self._in_flight)
        self.entries.append(entry)
        return entry

    def finish(self, entry: Entry) -> None:
        """Note a request's end."""
        self._in_flight -= 1
        entry.end = time.monotonic()

    def rows(self, since: int = 0) -> list[dict[str, Any]]:
        """Return the entries after number ``since`` as JSON data."""
        return [asdict(entry) for entry in self.entries if entry.seq > since]

    def clear(self) -> None:
        """Forget all entries; numbers go on."""
        self.entries.clear()
