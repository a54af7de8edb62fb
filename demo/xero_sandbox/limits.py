"""Xero's limits, counted for each app and tenant."""
from __future__ import annotations

import math
import zlib
from collections import deque
from dataclasses import dataclass, field
from typing import Any

from .settings import Settings

DAY = 86400.0


@dataclass(slots=True)
class Window:
    """Calls in the current fixed window."""

    index: int = -1
    used: int = 0

    def at(self, index: int) -> int:
        """Return the calls used in the window with this index, starting afresh if it is a new one."""
        if index != self.index:
            self.index, self.used = index, 0
        return self.used


@dataclass(slots=True)
class Usage:
    """What one app has used of one tenant's limits."""

    minute: Window = field(default_factory=Window)
    day: Window = field(default_factory=Window)
    recent: deque[float] = field(default_factory=deque)
    in_flight: int = 0


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a call may go on; ``headers`` go with the reply in either case."""

    problem: str | None
    headers: dict[str, str]


class Limits:
    """Count calls and refuse those beyond the limits; time is handed in."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.usages: dict[tuple[str, str], Usage] = {}
        self.app_minutes: dict[str, Window] = {}

    def usage(self, client_id: str, tenant_id: str) -> Usage:
        """Return the counters of an app and a tenant."""
        return self.usages.setdefault((client_id, tenant_id), Usage())

    def enter(self, client_id: str, tenant_id: str) -> bool:
        """Note that a call is in flight; False if there are too many."""
        usage = self.usage(client_id, tenant_id)
        usage.in_flight += 1
        return usage.in_flight <= self.settings.concurrent_calls

    def leave(self, client_id: str, tenant_id: str) -> None:
        """Note that a call has ended."""
        self.usage(client_id, tenant_id).in_flight -= 1

    def count(self, client_id: str, tenant_id: str, now: float) -> Verdict:
        """Count one call and say whether the minute's and the day's limits allow it."""
        settings = self.settings
        usage = self.usage(client_id, tenant_id)
        app = self.app_minutes.setdefault(client_id, Window())
        app_used = app.at(math.floor(now / settings.minute_seconds))
        problem: str | None = None
        wait = 0.0
        if usage.day.at(self._day_index(tenant_id, now)) >= settings.calls_per_day:
            problem, wait = "day", self._until_day_turns(tenant_id, now)
        elif self._minute_used(usage, tenant_id, now) >= settings.calls_per_minute:
            problem, wait = "minute", self._until_minute_frees(usage, tenant_id, now)
        elif app_used >= settings.app_calls_per_minute:
            problem = "appminute"
        if problem is None or settings.count_refused:
            usage.day.used += 1
            usage.minute.used += 1
            usage.recent.append(now)
            app.used += 1
        headers = self.headers(client_id, tenant_id, now)
        if problem is not None:
            headers["X-Rate-Limit-Problem"] = problem
            if problem in ("minute", "day"):
                headers["Retry-After"] = str(max(1, math.ceil(wait)))
        return Verdict(problem, headers)

    def headers(self, client_id: str, tenant_id: str, now: float) -> dict[str, str]:
        """Return what is left of each limit, as reply headers."""
        settings = self.settings
        usage = self.usage(client_id, tenant_id)
        app_used = self.app_minutes.setdefault(client_id, Window()).at(math.floor(now / settings.minute_seconds))
        return {
            "X-DayLimit-Remaining": str(max(0, settings.calls_per_day - usage.day.at(self._day_index(tenant_id, now)))),
            "X-MinLimit-Remaining": str(max(0, settings.calls_per_minute - self._minute_used(usage, tenant_id, now))),
            "X-AppMinLimit-Remaining": str(max(0, settings.app_calls_per_minute - app_used)),
        }

    def spend(self, client_id: str, tenant_id: str, now: float, *, minute: int = 0, day: int = 0) -> None:
        """Count calls that somebody else made with the same app."""
        usage = self.usage(client_id, tenant_id)
        usage.day.at(self._day_index(tenant_id, now))
        usage.day.used += day
        self._minute_used(usage, tenant_id, now)
        usage.minute.used += minute
        usage.recent.extend([now] * minute)

    def turn_of_minute(self, tenant_id: str) -> float:
        """Return at how many seconds after a multiple of the window's length the tenant's fixed window turns."""
        if self.settings.minute_phase is not None:
            return self.settings.minute_phase % self.settings.minute_seconds
        return _share(tenant_id) * self.settings.minute_seconds

    def _minute_used(self, usage: Usage, tenant_id: str, now: float) -> int:
        length = self.settings.minute_seconds
        while usage.recent and usage.recent[0] <= now - length:
            usage.recent.popleft()
        fixed = usage.minute.at(math.floor((now - self.turn_of_minute(tenant_id)) / length))
        return len(usage.recent) if self.settings.minute_mode == "rolling" else fixed

    def _until_minute_frees(self, usage: Usage, tenant_id: str, now: float) -> float:
        length = self.settings.minute_seconds
        if self.settings.minute_mode == "rolling" and usage.recent:
            # the oldest call whose leaving brings the count below the limit
            return usage.recent[max(0, len(usage.recent) - self.settings.calls_per_minute)] + length - now
        return length - (now - self.turn_of_minute(tenant_id)) % length

    def _day_index(self, tenant_id: str, now: float) -> int:
        return math.floor((now - _share(tenant_id) * DAY) / DAY)

    def _until_day_turns(self, tenant_id: str, now: float) -> float:
        return DAY - (now - _share(tenant_id) * DAY) % DAY

    def as_list(self) -> list[dict[str, Any]]:
        """Return the counters as JSON data."""
        return [
            {"client_id": client, "tenant_id": tenant, "minute": [u.minute.index, u.minute.used], "day": [u.day.index, u.day.used], "recent": list(u.recent)}
            for (client, tenant), u in self.usages.items()
        ]

    def load(self, rows: list[dict[str, Any]]) -> None:
        """Take over the counters that ``as_list`` wrote."""
        for row in rows:
            usage = self.usage(row["client_id"], row["tenant_id"])
            usage.minute, usage.day, usage.recent = Window(*row["minute"]), Window(*row["day"]), deque(row["recent"])


def _share(tenant_id: str) -> float:
    """Return a number from 0 to 1 that is always the same for a tenant."""
    return zlib.crc32(tenant_id.encode()) / 2**32
