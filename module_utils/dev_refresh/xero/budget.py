"""The one gate that all calls of all threads pass: blocks until a call may go."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import timedelta

from .accounting import WINDOW, Accounting, Call, Limits
from .clock import Clock, SystemClock, iso
from .errors import DayLimitReached, Stopped

NOTABLE = 1.0
"""Seconds from which a wait is told to the user."""


@dataclass(slots=True)
class ApiStats:
    """What a run asked of Xero; ``per_minute`` counts replies in each minute of the run."""

    calls: int = 0
    writes: int = 0
    retries: int = 0
    rate_limited: int = 0
    seconds_waited: float = 0.0
    minute_remaining: int | None = None
    day_remaining: int | None = None
    per_minute: list[int] = field(default_factory=list)
    recent: list[float] = field(default_factory=list)

    def as_dict(self) -> dict[str, object]:
        """Return the stats as they stand in a module's result."""
        return {
            "calls": self.calls,
            "writes": self.writes,
            "retries": self.retries,
            "rate_limited": self.rate_limited,
            "seconds_waited": round(self.seconds_waited, 1),
            "minute_remaining": self.minute_remaining,
            "day_remaining": self.day_remaining,
            "per_minute": list(self.per_minute),
            "recent": list(self.recent),
        }


class Budget:
    """Let calls go as Xero's limits allow; safe for threads."""

    def __init__(
        self,
        calls_per_minute: int,
        *,
        daily_reserve: int = 0,
        recent: Iterable[float] = (),
        clock: Clock | None = None,
        on_wait: Callable[[str, float], None] | None = None,
    ) -> None:
        self._clock = clock or SystemClock()
        self._on_wait = on_wait
        self._changed = threading.Condition()
        self._started = self._clock.now()
        self._accounting = Accounting(calls_per_minute, now=self._started, reserve=daily_reserve, recent=recent)
        self._stats = ApiStats()
        self._stopped = False
        self._held: int = 0
        self._held_since = 0.0
        self._told_until = 0.0

    def expect(self, calls: int | None) -> None:
        """Say how many calls are still to come."""
        with self._changed:
            self._accounting.expect(calls)
            self._changed.notify_all()

    def seconds_for(self, calls: int) -> tuple[float, float]:
        """Return the least and the most seconds that ``calls`` take from now on."""
        with self._changed:
            return self._accounting.seconds_for(calls, self._clock.now())

    def acquire(self) -> Call:
        """Wait until a call may go and count it as under way.

        Raises DayLimitReached when the day's quota is used up, Stopped after ``stop``.
        """
        with self._changed:
            holding = False
            try:
                while True:
                    if self._stopped:
                        raise Stopped("The run was stopped", "Run the same command again")
                    now = self._clock.now()
                    delay = self._accounting.delay(now)
                    if self._accounting.day_over is not None:
                        raise self._day_limit()
                    if delay <= 0:
                        return self._accounting.sent(now)
                    finite = delay != float("inf")
                    if finite and not holding:
                        holding = True
                        self._hold(now)
                        self._tell(now, delay)
                    self._clock.wait(self._changed, delay if finite else None)
            finally:
                if holding:
                    self._unhold(self._clock.now())

    def unused(self) -> None:
        """Give back what ``acquire`` gave: no request left the host."""
        with self._changed:
            self._accounting.unsent()
            self._changed.notify_all()

    def release(self, call: Call, limits: Limits, *, write: bool = False) -> None:
        """Note the reply to ``call`` (or its end without one) and let others go on."""
        with self._changed:
            now = self._clock.now()
            self._accounting.replied(call, now, limits)
            stats = self._stats
            stats.calls += 1
            stats.writes += write
            stats.rate_limited += limits.problem is not None
            minute = int((now - self._started) // WINDOW)
            stats.per_minute.extend([0] * (minute + 1 - len(stats.per_minute)))
            stats.per_minute[minute] += 1
            self._changed.notify_all()

    def retried(self) -> None:
        """Count a call that is made again."""
        with self._changed:
            self._stats.retries += 1
            self._accounting.resent()

    def stop(self) -> None:
        """End all waiting, now and later."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()

    @property
    def stopped(self) -> bool:
        """Whether the run is ending."""
        return self._stopped

    def stats(self) -> ApiStats:
        """Return a copy of the figures so far."""
        with self._changed:
            now, stats = self._clock.now(), self._stats
            waited = stats.seconds_waited + (now - self._held_since if self._held else 0.0)
            return ApiStats(
                stats.calls,
                stats.writes,
                stats.retries,
                stats.rate_limited,
                waited,
                self._accounting.minute_remaining,
                self._accounting.day_remaining,
                list(stats.per_minute),
                self._accounting.recent(now),
            )

    def _day_limit(self) -> DayLimitReached:
        """Return the error for a used-up day; without Xero's word on it the quota is there again a day later at the latest."""
        seconds = self._accounting.day_over or 86400.0
        left = self._accounting.day_remaining
        kept = f" ({left} left, {self._accounting.reserve} of them kept for others)" if left is not None and self._accounting.reserve else ""
        return DayLimitReached(f"Xero's limit of calls a day is reached{kept}", resume_after=iso(self._clock.utc() + timedelta(seconds=seconds)))

    def _hold(self, now: float) -> None:
        """Begin to count waiting time; threads that wait together count once."""
        if not self._held:
            self._held_since = now
        self._held += 1

    def _unhold(self, now: float) -> None:
        """Stop counting waiting time."""
        self._held -= 1
        if not self._held:
            self._stats.seconds_waited += now - self._held_since

    def _tell(self, now: float, delay: float) -> None:
        """Tell the user about a long wait, once."""
        if self._on_wait is not None and delay >= NOTABLE and now >= self._told_until:
            self._told_until = now + delay
            self._on_wait(self._accounting.blocked_why or "minute", delay)
