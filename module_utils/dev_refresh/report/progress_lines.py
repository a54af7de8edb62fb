"""Turn a module's progress events into the lines that a person reads (pure: text in, lines out)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from .figures import size

GROWTH = 1.6
"""A database grows to about so many times the uncompressed bytes of its rows (measured: 1.6 and 1.7)."""
INTERVAL = 1.0
"""Seconds between two lines of one phase at a terminal; the last line of a phase always shows."""


def line(module: str, host: str, event: dict[str, Any]) -> str:
    """Return ``xero_seed dev1 projects 312/620 · 58/min · about 5 min left · 4 failed``."""
    done, total = event["done"], event.get("total")
    parts = [f"{module} {host} {event['phase']} {_counted(event)}".rstrip()]
    if event.get("per_minute"):
        parts.append(f"{event['per_minute']:.0f}/min")
    if event.get("seconds_left") is not None and (total is None or done < total):
        parts.append(_left(float(event["seconds_left"])))
    if event.get("failed"):
        parts.append(f"{event['failed']} failed")
    if event.get("note"):
        parts.append(str(event["note"]))
    return " · ".join(parts)


def _counted(event: dict[str, Any]) -> str:
    """Return how far it is: a count, bytes, or nothing where there is nothing to count."""
    done, total = event["done"], event.get("total")
    if "dump_bytes" in event:
        return size(done) + (f" of about {size(GROWTH * event['dump_bytes'])}" if event["dump_bytes"] else "")
    if total is None:
        return f"{done}" if done else ""
    return f"{done}/{total}"


def _left(seconds: float) -> str:
    """Return the time left, no more exact than it is known."""
    if seconds < 90:
        return f"about {max(5, round(seconds / 5) * 5)} s left"
    return f"about {round(seconds / 60)} min left"


class ProgressReader:
    """Read the text of a progress file in pieces and give the lines that are worth showing.

    At most one line per phase in ``interval`` seconds, and always the last one of a phase. A torn last line waits for its rest; a line that does
    not parse is passed over.
    """

    def __init__(self, module: str, host: str, interval: float = INTERVAL) -> None:
        self._module = module
        self._host = host
        self._interval = interval
        self._torn = ""
        self._shown: dict[str, float] = {}
        self._held: dict[str, Any] | None = None

    def feed(self, text: str, now: float) -> Iterator[str]:
        """Take the next piece of the file at time ``now`` (seconds of a monotonic clock)."""
        *whole, self._torn = (self._torn + text).split("\n")
        for raw in whole:
            event = _parse(raw)
            if event is None:
                continue
            if self._held is not None and self._held["phase"] != event["phase"]:
                yield line(self._module, self._host, self._held)
                self._held = None
            last = event.get("total") is not None and event["done"] >= event["total"]
            if last or event.get("note") or now - self._shown.get(event["phase"], float("-inf")) >= self._interval:
                self._shown[event["phase"]] = now
                self._held = None
                yield line(self._module, self._host, event)
            else:
                self._held = event

    def finish(self) -> Iterator[str]:
        """Give what was held back, at the end of the module."""
        if self._held is not None:
            yield line(self._module, self._host, self._held)
            self._held = None


def _parse(raw: str) -> dict[str, Any] | None:
    """Return the event in one line of the file, or None if it is none."""
    try:
        event = json.loads(raw)
    except ValueError:
        return None
    return event if isinstance(event, dict) and isinstance(event.get("phase"), str) and isinstance(event.get("done"), int) else None
