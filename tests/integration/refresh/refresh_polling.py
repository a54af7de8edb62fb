"""A client that asks the live database all the while, and what it saw."""
from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import psycopg2

PAUSE = 0.02
SWAP_SECONDS = 1.0
"""So long a swap may keep clients out."""
CLOSED = "not currently accepting connections"


@dataclass(frozen=True)
class Gap:
    """A time without answers, by the monotonic clock: from the first question that got none to the next one that did."""

    begin: float
    end: float
    errors: tuple[tuple[float, str], ...]

    @property
    def seconds(self) -> float:
        return self.end - self.begin

    def touches(self, begin: float, end: float) -> bool:
        return self.begin <= end and self.end >= begin


@dataclass
class Polling:
    """What a client asked and got: when, and the number of clients or the error."""

    answers: list[tuple[float, int | str]] = field(default_factory=list)

    def gaps(self) -> list[Gap]:
        """Return the times without answers."""
        found: list[Gap] = []
        errors: list[tuple[float, str]] = []
        for when, answer in [*self.answers, (time.monotonic(), 0)]:
            if isinstance(answer, str):
                errors.append((when, answer))
            elif errors:
                found.append(Gap(errors[0][0], when, tuple(errors)))
                errors = []
        return found

    def rows(self) -> list[int]:
        """Return the answers, each only where it is another than the one before."""
        known = [answer for _, answer in self.answers if isinstance(answer, int)]
        return [answer for number, answer in enumerate(known) if number == 0 or known[number - 1] != answer]


@contextmanager
def polled(pg: Any) -> Iterator[Polling]:
    """Ask live for its clients, by a new connection each time, as long as the block runs; there is an answer before it begins and one after it."""
    stop, seen, answered = threading.Event(), Polling(), threading.Event()

    def poll() -> None:
        last = False
        while not last:
            # one more question after the end
            last = stop.is_set()
            when = time.monotonic()
            try:
                seen.answers.append((when, pg.rows("SELECT count(*) FROM client_client")[0][0]))
            except psycopg2.Error as error:
                seen.answers.append((when, " ".join(str(error).split())))
            answered.set()
            time.sleep(PAUSE)

    client = threading.Thread(target=poll, name="client")
    client.start()
    answered.wait(10)
    try:
        yield seen
    finally:
        stop.set()
        client.join()
