"""A server with Xero's minute limit and a client with our accounting, in simulated time."""

from __future__ import annotations

import heapq
import itertools
import math
import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from ansible.module_utils.dev_refresh.xero.accounting import Accounting, Call, Limits

WINDOW = 60.0


@dataclass
class Server:
    """Counts calls in fixed windows that turn at ``phase``, or in rolling ones."""

    limit: int = 60
    rolling: bool = False
    phase: float = 0.0
    headers: bool = True
    own: list[float] = field(default_factory=list)
    refused: int = 0
    _recent: deque[float] = field(default_factory=deque)
    _window: int = -1
    _used: int = 0

    def used(self, now: float) -> int:
        while self._recent and self._recent[0] <= now - WINDOW:
            self._recent.popleft()
        window = math.floor((now - self.phase) / WINDOW)
        if window != self._window:
            self._window, self._used = window, 0
        return len(self._recent) if self.rolling else self._used

    def count(self, now: float, *, mine: bool = True) -> Limits:
        used = self.used(now)
        if used >= self.limit:
            if mine:
                self.refused += 1
            wait = self._recent[0] + WINDOW - now if self.rolling else WINDOW - (now - self.phase) % WINDOW
            return Limits(0 if self.headers else None, None, "minute", float(max(1, math.ceil(wait))))
        self._recent.append(now)
        self._used += 1
        if mine:
            self.own.append(now)
        return Limits(self.limit - self.used(now) if self.headers else None)

    def most_in_a_minute(self) -> int:
        """Return the highest number of own calls in any 60 seconds."""
        best, start = 0, 0
        for end, moment in enumerate(self.own):
            while self.own[start] <= moment - WINDOW:
                start += 1
            best = max(best, end - start + 1)
        return best


@dataclass
class Outcome:
    seconds: float
    refused: int
    most_in_flight: int
    server: Server
    accounting: Accounting


def run(
    calls: int,
    *,
    rolling: bool = False,
    phase: float = 30.0,
    limit: int = 60,
    configured: int | None = None,
    latency: Callable[[], float] = lambda: 0.2,
    expect: bool = True,
    headers: bool = True,
    others: list[float] | None = None,
    lead: int = 1,
    told: list[tuple[float, float, float]] | None = None,
) -> Outcome:
    """Make ``calls`` calls as fast as the accounting allows; the first ``lead`` go one by one, as connecting does.

    ``told`` gets moment, least and most of what each reply lets one say of the seconds that are left.
    """
    server = Server(limit=limit, rolling=rolling, phase=phase, headers=headers)
    accounting = Accounting(configured or limit, now=0.0)
    numbers = itertools.count()
    events: list[tuple[float, int, str, Call | None, Limits | None]] = []
    for moment in others or []:
        heapq.heappush(events, (moment, next(numbers), "other", None, None))
    now, left, most, last, in_flight = 0.0, calls, 0, 0.0, 0
    if expect:
        accounting.expect(calls)
    while left or in_flight:
        delay = math.inf
        while left and (in_flight == 0 or calls - left >= lead):
            delay = accounting.delay(now)
            if delay > 0:
                break
            call = accounting.sent(now)
            left -= 1
            in_flight += 1
            most = max(most, in_flight)
            whole = latency()
            heapq.heappush(events, (now + whole * random.Random(next(numbers)).random(), next(numbers), "count", call, None))
            events_latency[id(call)] = now + whole
        if left and not in_flight and not events and delay == math.inf:
            raise AssertionError(f"stuck at {now} with {left} calls left")
        moment = now + delay
        if events and events[0][0] <= moment:
            now, _, kind, call, limits = heapq.heappop(events)
            if kind == "other":
                server.count(now, mine=False)
            elif kind == "count":
                assert call is not None
                heapq.heappush(events, (events_latency.pop(id(call)), next(numbers), "reply", call, server.count(now)))
            else:
                assert call is not None
                assert limits is not None
                accounting.replied(call, now, limits)
                in_flight -= 1
                last = now
                if limits.problem:
                    left += 1
                    accounting.resent()
                if told is not None:
                    told.append((now, *accounting.seconds_for(left + in_flight, now)))
        else:
            now = moment
    return Outcome(last, server.refused, most, server, accounting)


events_latency: dict[int, float] = {}


def safe_bound(calls: int, limit: int, latency: float) -> float:
    windows = math.ceil(calls / limit)
    return WINDOW * (windows - 1) + latency * math.ceil((calls - limit * (windows - 1)) / 5)


def ideal_bound(calls: int, limit: int, latency: float, phase: float) -> float:
    """Return the shortest time if the turn ``phase`` seconds after the start is known."""
    windows = math.ceil(calls / limit)
    return safe_bound(calls, limit, latency) - (WINDOW - phase % WINDOW) if windows > 1 else safe_bound(calls, limit, latency)
