"""When the next call may go: pure accounting of Xero's limits, with the time as an argument.

What is known of the minute limit comes from two sources, and a call goes only where both allow it:

- the *safe rule*: at most ``limit`` calls in any 60 seconds, counted from their replies (Xero counts a call somewhere between its
  sending and its reply), which holds in fixed and in rolling windows alike;
- what the replies *tell*: ``X-MinLimit-Remaining`` less the calls under way; so others who use the same app are left their share.

Xero's windows are fixed and turn at a moment of their own. A remaining that jumps higher than any rolling window could show proves
a turn; the calls before it no longer count and the rhythm is known. Until then a few calls that a later window has room for anyway (the
*slack*) are held back and sent evenly as probes: useful calls, whose replies show the turn soon after it happened. Slack is the key:
without it, a probe that misses the turn would cost a whole further window, so none is held back. Nothing is ever sent that
could be refused: a turn is used only once a reply has shown it, or one rhythm after such a turn, and then by one call first.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass

WINDOW = 60.0
EDGE = 0.02
"""Seconds added at the end of a window: two clocks never agree exactly."""
IN_FLIGHT = 5
PROBES = 12
"""Calls held back at most to find the turn of the window."""
FINE = 0.25
"""Seconds to which the turn is worth knowing."""
COARSE = 5.0
"""Seconds to which the turn must be known for a time to be foretold by it."""
DRIFT = 0.001
"""Seconds by which the known turn blurs in each window."""
CONCURRENT_PAUSE = 1.0
APP_PAUSE = 10.0
USUAL_LATENCY = 0.3
"""Seconds that a call is taken to last until one was measured."""
FOREVER = math.inf


@dataclass(slots=True, eq=False)
class Call:
    """A call under way or replied to."""

    sent: float
    replied: float = 0.0
    told: bool = False
    """Whether its reply carried the remaining calls, so that it was certainly counted."""
    own: int = 0
    """Calls of ours, this one included, that may have counted when it was sent."""
    number: int = 0


@dataclass(slots=True, eq=False)
class Evidence:
    """What a reply told; ``left`` is kept up to date, ``raw`` is as it came."""

    sent: float
    replied: float
    raw: int
    left: int
    past: bool = False
    """The window that it told of has turned."""
    proof: bool = False
    """It has shown the turn that is known, so it was counted after it."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What the headers of one reply say; None where a header is missing."""

    minute_remaining: int | None = None
    day_remaining: int | None = None
    problem: str | None = None
    retry_after: float | None = None


class Accounting:
    """Decide when calls may go; not thread-safe. ``recent`` are ages of replies that count already."""

    def __init__(self, limit: int, *, now: float, reserve: int = 0, recent: Iterable[float] = ()) -> None:
        self.limit = max(limit, 1)
        self.reserve = max(reserve, 0)
        self.in_flight = 0
        self.day_remaining: int | None = None
        self.minute_remaining: int | None = None
        self.day_over: float | None = None
        """Seconds after which the day's quota is there again, 0 if unknown; None while it is not used up."""
        self.blocked_why = ""
        self.fixed = False
        """Whether the replies have proved that the window is a fixed one."""
        self._blocked_until = now
        ages = sorted((age for age in recent if 0 <= age < WINDOW), reverse=True)
        self._calls: deque[Call] = deque(Call(now - age, now - age) for age in ages)
        self._released: deque[Call] = deque()
        self._evidence: list[Evidence] = []
        self._highest = 0
        self._headers_seen = False
        self._others_until = now
        self._trust = True
        self._turn: tuple[float, float] | None = None
        self._confirming = False
        self._search_ends: float | None = None
        self._last_sent = now
        self._last_expiry = -FOREVER
        self._sent = 0
        self._expected: int | None = None
        self._pauses = 0
        self._day_seen = -FOREVER
        self._answered = 0
        self._answering = 0.0

    def expect(self, calls: int | None) -> None:
        """Say how many calls are still to come, so that the last ones are not held back for nothing; None if unknown."""
        self._expected = calls

    def recent(self, now: float) -> list[float]:
        """Return the ages of the calls that still count, calls under way as 0."""
        self._prune(now)
        return [round(max(now - call.replied, 0.0), 3) for call in self._calls] + [0.0] * self.in_flight

    def delay(self, now: float) -> float:
        """Return 0 if a call may go now, else after how many seconds to ask again (infinite: only a reply can change it)."""
        if now < self._blocked_until:
            return self._blocked_until - now
        if self.in_flight >= IN_FLIGHT:
            return FOREVER
        if self.day_remaining is not None and self.day_remaining - self.in_flight <= self.reserve:
            if not self.in_flight and self.day_over is None:
                self.day_over = 0.0
            return FOREVER
        self._prune(now)
        self._turn_by_clock(now)
        available = self._available(now)
        if available <= 0:
            return self._next_event(now)
        known = any(not evidence.past and not self._doubtful(evidence) for evidence in self._evidence)
        return max(self._hold(now, available), 0.0) if known else 0.0

    def seconds_for(self, calls: int, now: float) -> tuple[float, float]:
        """Return the least and the most seconds that ``calls`` take, those under way included, if nobody else calls.

        While the turn of a fixed window is unknown, it may come at any moment of the next minute, and the two are up to a minute apart. Once it
        is known, or the window has shown itself to be a rolling one, they are equal.
        """
        self._prune(now)
        self._turn_by_clock(now)
        calls = max(calls, self.in_flight)
        latency = self._answering / self._answered if self._answered else USUAL_LATENCY
        blocked = max(self._blocked_until - now, 0.0)
        room = self._room(now)
        later = calls - self.in_flight - room
        at_once = latency * math.ceil(calls / IN_FLIGHT)
        if later <= 0:
            return blocked + at_once, blocked + at_once
        turns = math.ceil(later / self.limit) - 1
        end = turns * WINDOW + latency * math.ceil((later - turns * self.limit) / IN_FLIGHT)
        if self._turn is not None:
            low, high = (max(moment + WINDOW + EDGE - now, 0.0) for moment in self._turn)
            if high - low <= COARSE:
                low = high = (low + high) / 2
            return blocked + max(low + end, at_once), blocked + max(high + end, at_once)
        most = blocked + max(self._until_room(later - turns * self.limit, room, latency, now) + turns * (WINDOW + EDGE + latency), at_once)
        searching = self._trust and (self._search_ends is None or now < self._search_ends)
        return (blocked + max(end, at_once) if searching else most), most

    def sent(self, now: float) -> Call:
        """Note that a call goes out."""
        self._prune(now)
        self.in_flight += 1
        self._sent += 1
        call = Call(now, own=len(self._calls) + self.in_flight, number=self._sent)
        self._last_sent = now
        if self._expected is not None:
            self._expected = max(self._expected - 1, 0)
        return call

    def replied(self, call: Call, now: float, limits: Limits) -> None:
        """Note the reply to ``call``, or that it ended without one."""
        self._prune(now)
        self.in_flight -= 1
        call.replied = now
        self._calls.append(call)
        self._note_day(call, limits)
        if limits.problem is not None or limits.retry_after is not None:
            self._refused(now, limits)
        elif limits.minute_remaining is None:
            for evidence in self._evidence:
                evidence.left -= 1
        else:
            self._pauses = 0
            self._told(call, limits.minute_remaining)

    def unsent(self) -> None:
        """Note that a call did not leave the host after all."""
        self.in_flight -= 1
        self.resent()

    def resent(self) -> None:
        """Note that a call goes again, which nobody expected."""
        if self._expected is not None:
            self._expected += 1

    # what the replies tell

    def _told(self, call: Call, remaining: int) -> None:
        """Take in a reply that tells the remaining calls."""
        call.told = True
        # other calls are not an organisation's, may have waited for a token, or ended otherwise
        self._answered += 1
        self._answering += call.replied - call.sent
        self._headers_seen = True
        self._highest = max(self._highest, remaining + 1)
        self.minute_remaining = remaining
        if self._search_ends is None:
            self._search_ends = call.replied + WINDOW
        older = [evidence for evidence in self._evidence if evidence.replied <= call.sent]
        beside = [evidence for evidence in self._evidence if evidence.replied > call.sent]
        fresh = Evidence(call.sent, call.replied, remaining, remaining)
        across = self._turn is not None and call.sent < self._turn[1]
        # more than what was counted before the turn that is known is no further turn
        since = -FOREVER if self._turn is None or self._confirming else self._turn[1]
        lower = older if self._confirming else [evidence for evidence in older if not evidence.past and not self._doubtful(evidence)]
        grown = bool(lower) and remaining >= min(evidence.raw for evidence in lower)
        if grown and self._trust and remaining > self._rolling_best(call, since):
            self._confirming = False
            self._turned(max(evidence.sent for evidence in lower), call.replied)
            fresh.proof = self._turn is not None
            # what was counted before the turn says nothing about the window after it
            beside = [evidence for evidence in beside if not evidence.past and evidence.raw >= remaining - 2 * IN_FLIGHT]
        elif across and self._turn is not None and remaining < self._server_limit() - len(self._calls) - self.in_flight:
            # sent before the turn, and fewer than our own calls can have left of the window after it
            fresh.past = True
            self._turn = (max(self._turn[0], call.sent), self._turn[1])
        elif self._confirming and any(evidence.past for evidence in older):
            self._confirming = False
            self._distrust()
        self._evidence = [*beside, fresh]
        if remaining < self._server_limit() - (call.own + self._sent - call.number):
            self._others_until = call.replied + WINDOW

    def _rolling_best(self, call: Call, since: float) -> int:
        """Return the highest remaining that a rolling window could have told ``call``, were nobody else calling; calls count from ``since`` on."""
        certain = sum(
            1
            for calls in (self._released, self._calls)
            for other in calls
            if other is not call and other.told and other.replied <= call.sent and other.sent >= max(call.replied - WINDOW, since)
        )
        return self._server_limit() - 1 - certain

    def _server_limit(self) -> int:
        """Return the limit that Xero seems to have."""
        return max(self.limit, self._highest)

    def _turned(self, after: float, before: float) -> None:
        """Note that the window turned between two moments."""
        if self._turn is not None:
            low, high = self._turn
            # as wide as both were known, the turn may be the same one, the next one or either
            first = max(math.ceil((after - EDGE - high) / (WINDOW + DRIFT)), 0)
            last = math.floor((before + EDGE - low) / (WINDOW - DRIFT))
            if first > last:
                self._distrust()
                return
            after, before = sorted((max(after, low + first * (WINDOW - DRIFT)), min(before, high + last * (WINDOW + DRIFT))))
        self.fixed = True
        self._turn = (after, before)
        self._release(after)

    def _doubtful(self, evidence: Evidence) -> bool:
        """Tell whether a reply may have been counted before the turn that is known."""
        return self._turn is not None and evidence.sent < self._turn[1] and not evidence.proof

    def _release(self, before: float) -> None:
        """Let the calls that were replied to before a moment no longer count."""
        kept: deque[Call] = deque()
        for call in self._calls:
            (self._released if call.replied <= before else kept).append(call)
        self._calls = kept

    def _distrust(self) -> None:
        """Fall back to the safe rule: something was not as it should be."""
        self._trust = False
        self.fixed = False
        self._turn = None
        self._confirming = False
        merged = sorted((*self._released, *self._calls), key=lambda call: call.replied)
        self._released = deque()
        self._calls = deque(merged)

    def _turn_by_clock(self, now: float) -> None:
        """Once the next turn has certainly happened, let go of the window before; its first call goes alone."""
        if self._turn is None:
            return
        windows = math.floor((now - self._turn[1] - EDGE) / WINDOW)
        if windows < 1:
            return
        low = self._turn[0] + windows * WINDOW - DRIFT * windows
        high = self._turn[1] + windows * WINDOW + DRIFT * windows
        self._turn = (low, high)
        self._release(low)
        for evidence in self._evidence:
            evidence.past, evidence.proof = evidence.past or evidence.replied <= low, False
        self._confirming = True

    # what may go

    def _available(self, now: float) -> int:
        """Return how many calls may go at once by the safe rule and by what the replies tell."""
        safe = self.limit - len(self._calls) - self.in_flight
        current = [evidence for evidence in self._evidence if not evidence.past]
        if not current:
            # one call first, to be told how many are left
            return min(safe, 1 - self.in_flight) if self._headers_seen else safe
        told = min(evidence.left for evidence in current) - self.in_flight
        if self._turn is not None and self._server_limit() == self.limit:
            if told <= 0 < safe and not self.in_flight and all(evidence.left > 0 or self._doubtful(evidence) for evidence in current):
                # what seems to be used up may be the window before: one call to see
                return 1
            # in a window whose turn is known the replies count exactly; the safe rule would count calls around the turn twice
            return told
        if told <= 0 < safe and not self.in_flight and now >= self._others_until and self._last_expiry >= min(evidence.sent for evidence in current):
            # replies crossed while calls of ours left a rolling window, so the lowest is not the newest: one call to see
            return 1
        return min(safe, told)

    def _room(self, now: float) -> int:
        """Return how many calls may go before the window turns or calls of ours leave it."""
        safe = self.limit - len(self._calls) - self.in_flight
        telling = (evidence.left for evidence in self._evidence if not evidence.past and not self._doubtful(evidence))
        left = min(telling, default=safe + self.in_flight)
        others = now < self._others_until
        if self._turn is not None and self._server_limit() == self.limit:
            # as replies cross, those under way may be in what was told already
            return max(left - self.in_flight, 0) if others else max(left, 0)
        return max(min(safe, left - self.in_flight) if others else safe, 0)

    def _until_room(self, later: int, room: int, latency: float, now: float) -> float:
        """Return after how many seconds ``later`` calls beyond the room there is now have gone and come back, by the safe rule."""
        ages = [now - call.replied for call in self._calls]
        # what others use may have been used just now
        ages += [0.0] * (self.limit - room - len(ages))
        first = WINDOW + EDGE - ages[0] if ages else WINDOW
        if later <= len(ages):
            last = WINDOW + EDGE - ages[later - 1] + latency
        else:
            last = WINDOW + EDGE + latency + latency * math.ceil((later - len(ages)) / IN_FLIGHT)
        return max(last, first + latency * math.ceil(later / IN_FLIGHT))

    def _hold(self, now: float, available: int) -> float:
        """Return for how long to hold a call back that could go now: 0, or until the next probe."""
        expected = self._expected
        if expected is None or expected <= available or not self._trust or not self._headers_seen:
            return 0.0
        windows = math.ceil((expected - available) / self.limit)
        slack = available + windows * self.limit - expected
        if self._turn is None:
            if self._search_ends is None or now >= self._search_ends or now < self._others_until:
                return 0.0
            start, end = self._last_sent, self._search_ends
            held = min(slack, 2 * PROBES) if windows == 1 else min((slack + 1) // 2, PROBES)
        else:
            start, end = self._turn[0] + WINDOW, self._turn[1] + WINDOW
            if end - start < FINE:
                return 0.0
            held = min(slack, PROBES, math.ceil((end - start) / FINE))
        if available > held:
            return 0.0
        start = max(start, self._last_sent)
        return start + (end - start) / (available + 1) - now

    def _next_event(self, now: float) -> float:
        """Return the seconds until time alone may let a call go."""
        moments = [evidence.replied + WINDOW + EDGE for evidence in self._evidence]
        if self._calls:
            moments.append(self._calls[0].replied + WINDOW + EDGE)
        if self._turn is not None:
            moments.append(self._turn[1] + WINDOW + EDGE)
        later = [moment - now for moment in moments if moment > now]
        return min(later) + 0.001 if later else (FOREVER if self.in_flight else 1.0)

    def _prune(self, now: float) -> None:
        """Let go of what is older than a window."""
        gone = now - WINDOW - EDGE
        while self._calls and self._calls[0].replied <= gone:
            call = self._calls.popleft()
            self._last_expiry = now
            if now >= self._others_until and self._turn is None:
                for evidence in self._evidence:
                    if call.sent + WINDOW > evidence.replied:
                        evidence.left += 1
        while self._released and self._released[0].replied <= gone:
            self._released.popleft()
        if self._evidence and self._evidence[0].replied <= gone:
            self._evidence = [evidence for evidence in self._evidence if evidence.replied > gone]

    # refusals and the day

    def _refused(self, now: float, limits: Limits) -> None:
        """Take in a 429."""
        problem = (limits.problem or "minute").lower().replace("-", "")
        self._pauses += 1
        if problem.startswith("day") or (limits.retry_after or 0.0) > 10 * WINDOW:
            self.day_over = limits.retry_after or 0.0
            return
        if problem.startswith("concurrent"):
            wait = CONCURRENT_PAUSE * min(2 ** (self._pauses - 1), 8)
        elif problem.startswith("app"):
            wait = limits.retry_after if limits.retry_after is not None else APP_PAUSE * min(self._pauses, 6)
        else:
            wait = limits.retry_after if limits.retry_after is not None else WINDOW
            self._distrust()
            self._evidence = []
        self.blocked_why = problem
        self._blocked_until = max(self._blocked_until, now + max(wait, 0.0) + EDGE)

    def _note_day(self, call: Call, limits: Limits) -> None:
        """Take in the day's remaining calls: the lowest of replies that crossed, else the newest."""
        remaining = limits.day_remaining
        if remaining is not None and (self.day_remaining is None or remaining < self.day_remaining or call.sent >= self._day_seen):
            self.day_remaining = remaining
            self._day_seen = call.replied
