"""Seed under Xero's real limits and compare the time with the best possible."""
from __future__ import annotations

import heapq
import json
import math
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from measuring import Cluster, Row, arguments, cluster, fill_seed_tables, in_threads, report, run_module, say, wait_for_quiet
from xero_sandbox.testing import SandboxServer, busiest

WORDS = """\
The module xero_seed runs as a process on a real PostgreSQL and the sandbox with Xero's limits as they are: 60 calls a minute, 5 at once, and
{latency} s a call. Nothing is scaled. Time is the wall time of the process, Python's start and the imports included. Fixed windows turn {phases}
seconds after the process was started, which the module does not know; rolling windows count the last 60 seconds.
- ideal: the same calls sent by somebody who knows when the window turns and needs no time of his own, 5 at once (a turn that comes while Python
  still starts is passed over);
- safe: 60 s x (calls/60 rounded up - 1) + latency x (calls of the last minute/5 rounded up), the best without trusting a fixed window;
- short runs (fewer than 60 calls): calls x latency / 5.
Calls are compared with the fewest possible: connection, organisation, lists, contacts by fifty, projects one by one. 429s, calls in flight and
calls in any 60 s are from the sandbox's journal. The estimate is what the module says before its first write, for the seed and the verification
(refresh_verify runs right after it). Of the time it tells the least and the most, and one figure as soon as it knows when the window turns; the
percentages are by how much the truth is outside of the former, and off the latter."""
LIMIT = 60
IN_FLIGHT = 5


@dataclass(frozen=True)
class Case:
    """One seed: its size and the sandbox's window."""

    name: str
    clients: int
    jobs: int
    mode: str = "fixed"
    turns_after: float = 0.0
    verify: bool = True


@dataclass(frozen=True)
class Outcome:
    """What was measured of a case."""

    case: Case
    seconds: float
    ideal: float
    ideal_from_first: float
    """The same for somebody who begins with the first call of this run."""
    safe: float
    short: float
    calls: int
    fewest: int
    refused: int
    most_in_flight: int
    busiest: int
    span: float
    """From the first call to the last reply."""
    estimated_calls: int
    true_calls: int
    estimated_seconds: tuple[float, float]
    true_seconds: float
    corrected: tuple[float, float] | None
    """What was told to be left once the turn was known, and what was left."""


def ideal_seconds(calls: int, first_turn: float, latency: float) -> float:
    """Return how long ``calls`` take at best, were the moments at which the window turns known."""
    free = [0.0] * IN_FLIGHT
    used: dict[int, int] = {}
    end = 0.0
    for _ in range(calls):
        start = heapq.heappop(free)
        window = math.floor((start - first_turn) / 60)
        while used.get(window, 0) >= LIMIT:
            window += 1
            start = max(start, first_turn + window * 60)
        used[window] = used.get(window, 0) + 1
        end = max(end, start + latency)
        heapq.heappush(free, start + latency)
    return end


def safe_seconds(calls: int, latency: float) -> float:
    """Return the safe bound."""
    bursts = math.ceil(calls / LIMIT)
    return 60 * (bursts - 1) + latency * math.ceil((calls - LIMIT * (bursts - 1)) / IN_FLIGHT)


def chain_seconds(case: Case, latency: float) -> float:
    """Return what a short run takes at least, as its calls need one another: connection, organisation and lists together, contacts, projects."""
    return latency * (2 + math.ceil(case.clients / 50 / IN_FLIGHT) + math.ceil(case.jobs / IN_FLIGHT))


def fewest_calls(clients: int, jobs: int) -> int:
    """Return the fewest calls of a seed of an empty organisation."""
    return 2 + 1 + 1 + math.ceil(clients / 50) + jobs


def measure(where: Cluster, case: Case, latency: float, number: int, delay: float) -> Outcome:
    """Run one case; it starts after ``delay`` seconds, so that the starts of several do not disturb each other."""
    time.sleep(delay)
    database = f"bench_dev_{number}"
    fill_seed_tables(where, database, case.clients, case.jobs)
    progress = where.folder / f"progress_{number}.jsonl"
    with SandboxServer(calls_per_minute=LIMIT, minute_mode=case.mode, latency=latency) as sandbox:
        sandbox.set(minute_phase=(time.time() + case.turns_after) % 60)
        params = where.seed_params(database, sandbox, progress_file=str(progress))
        with _Watcher(progress) as watcher:
            run = run_module("xero_seed", params)
        result = run.result
        assert result["contacts"]["created"] == case.clients, result
        assert result["projects"]["created"] == case.jobs, result
        rows = [row for row in sandbox.journal() if row["tenant_id"] or "connect/token" not in row["path"]]
        calls = [row for row in rows if "connect/token" not in row["path"]]
        # the time is that of the writing calls, the calls are those of the verification too
        truth_calls, truth_seconds = result["api"]["writes"], run.ended - watcher.planned_at
        if case.verify:
            verify_params = {key: value for key, value in params.items() if key != "progress_file"}
            checked = run_module("refresh_verify", {**verify_params, "recent_calls": result["api"]["recent"], "fail_on_findings": False})
            truth_calls += checked.result["api"]["calls"]
        journal = sandbox.journal()
    where.drop_database(database)
    count = len(calls)
    # moments of the journal and of the process are those of one clock; a turn before the first call helps nobody
    first = min(row["start"] for row in calls) - run.started
    turn = case.turns_after + (60 if case.turns_after < first else 0)
    ideal = ideal_seconds(count, turn, latency) if case.mode == "fixed" else safe_seconds(count, latency)
    return Outcome(
        case=case, seconds=run.seconds, ideal=ideal,
        ideal_from_first=ideal_seconds(count, turn - first, latency) if case.mode == "fixed" else ideal,
        safe=safe_seconds(count, latency), short=count * latency / IN_FLIGHT, calls=count,
        fewest=fewest_calls(case.clients, case.jobs), refused=sum(row["limit_problem"] is not None for row in journal),
        most_in_flight=_most_at_once([row for row in journal if "connect/token" not in row["path"]]),
        busiest=busiest(journal),
        span=max(row["end"] for row in calls) - min(row["start"] for row in calls),
        estimated_calls=watcher.plan["calls"] + (watcher.plan["verification"] if case.verify else 0),
        true_calls=truth_calls, estimated_seconds=(watcher.plan["minutes_least"] * 60, watcher.plan["minutes"] * 60), true_seconds=truth_seconds,
        corrected=(watcher.corrected["seconds_left"], run.ended - watcher.corrected_at) if watcher.corrected else None,
    )  # fmt: skip


def _most_at_once(calls: list[Mapping[str, Any]]) -> int:
    """Return the most calls that the sandbox had before it at one time."""
    moments = sorted([(row["start"], 1) for row in calls] + [(row["end"] or row["start"], -1) for row in calls], key=lambda moment: (moment[0], moment[1]))
    at_once = most = 0
    for _, change in moments:
        at_once += change
        most = max(most, at_once)
    return most


class _Watcher:
    """Notes when the module told its plan, and the corrected estimate."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.plan: dict[str, Any] = {}
        self.planned_at = 0.0
        self.corrected: dict[str, Any] = {}
        self.corrected_at = 0.0

    def __enter__(self) -> _Watcher:
        import threading

        self._path.unlink(missing_ok=True)
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        seen = 0
        last = False
        while not last:
            last = self._over.wait(0.05)
            lines = self._path.read_text().split("\n")[:-1] if self._path.exists() else []
            for line in lines[seen:]:
                event = json.loads(line)
                if event["phase"] == "plan":
                    self.plan, self.planned_at = event, time.monotonic()
                elif event["phase"] == "estimate":
                    self.corrected, self.corrected_at = event, time.monotonic()
            seen = len(lines)


def rows_of(outcome: Outcome, latency: float) -> list[Row]:
    """Return the lines of the time table for one case."""
    name, calls = outcome.case.name, outcome.calls
    took = f"{outcome.seconds:.1f} s"
    goal = 1.03 if calls > 120 else None
    if calls < LIMIT:
        chain = chain_seconds(outcome.case, latency)
        return [
            Row(f"{name}, {calls} calls", took, f"{outcome.short:.2f} s = {calls} x {latency} s / 5", outcome.seconds / outcome.short, 1.3),
            Row("  the same, from the first call to the last reply", f"{outcome.span:.2f} s", f"{outcome.short:.2f} s", outcome.span / outcome.short),
            Row("  that against the longest chain of calls that need one another", f"{outcome.span:.2f} s", f"{chain:.2f} s", outcome.span / chain),
        ]
    if outcome.case.mode == "rolling":
        return [
            Row(f"{name}, {calls} calls", took, f"safe {outcome.safe:.1f} s", outcome.seconds / outcome.safe, goal),
            Row("  the same, from the first call to the last reply", f"{outcome.span:.1f} s", f"safe {outcome.safe:.1f} s", outcome.span / outcome.safe),
        ]
    return [
        Row(f"{name}, {calls} calls", took, f"ideal {outcome.ideal:.1f} s", outcome.seconds / outcome.ideal, goal),
        Row(
            "  the same, from the first call to the last reply", f"{outcome.span:.1f} s", f"ideal {outcome.ideal_from_first:.1f} s",
            outcome.span / outcome.ideal_from_first,
        ),
        Row("  the same", took, f"safe {outcome.safe:.1f} s", outcome.seconds / outcome.safe),
    ]


def figures_of(outcome: Outcome) -> list[Row]:
    """Return the lines of the table of calls for one case."""
    name = outcome.case.name
    rows = [
        Row(f"{name}: calls", str(outcome.calls), f"fewest {outcome.fewest}", outcome.calls / outcome.fewest, 1.0),
        Row("  429s of our own", str(outcome.refused), "", outcome.refused, 0),
        Row("  most calls in flight", str(outcome.most_in_flight), "", outcome.most_in_flight, IN_FLIGHT),
        Row("  most calls in any 60 s", str(outcome.busiest), "", outcome.busiest, LIMIT if outcome.case.mode == "rolling" else 2 * LIMIT),
    ]
    if outcome.case.verify:
        error = abs(outcome.estimated_calls / outcome.true_calls - 1) * 100
        rows.append(Row("  estimate of calls", f"{outcome.true_calls} made", f"{outcome.estimated_calls} told", error, 5, " %"))
        least, most = outcome.estimated_seconds
        outside = max(least - outcome.true_seconds, outcome.true_seconds - most, 0) / outcome.true_seconds * 100
        rows.append(Row("  estimate of time", f"{outcome.true_seconds:.0f} s", f"{least:.0f} to {most:.0f} s told", outside, 5, " %"))
        if outcome.corrected is not None and outcome.corrected[1] > 30:
            told, left = outcome.corrected
            off = abs(told / left - 1) * 100
            rows.append(Row("  the same, corrected on the way", f"{left:.0f} s left", f"{told:.0f} s told", off, 5, " %"))
    return rows


def main() -> int:
    """Measure and print; return 1 if Xero had to refuse a call, which is not a matter of speed."""
    quick = arguments(__doc__ or "").quick
    latency = 0.25
    turns = (8.0, 26.0, 44.0) if quick else (3.0, 8.0, 17.0, 26.0, 35.0, 44.0, 53.0)
    clients, jobs = (60, 120) if quick else (180, 260)
    cases = [Case(f"fixed window, turns after {turn:.0f} s", clients, jobs, "fixed", turn) for turn in turns]
    cases.append(Case("rolling window", clients, jobs, "rolling"))
    short = [Case("short run", 20, 50, verify=False), Case("shorter run", 10, 25, verify=False)]
    with cluster(fsync="off") as where:
        outcomes: list[Outcome] = []
        for number, case in enumerate(short):
            wait_for_quiet()
            tries = [measure(where, Case(case.name, case.clients, case.jobs, "fixed", 30.0, verify=False), latency, 90 + number, 0) for _ in range(3)]
            outcomes.append(min(tries, key=lambda outcome: outcome.seconds))
        say(f"{len(cases)} seeds side by side, each with a sandbox of its own: they wait most of the time")
        calls: list[Callable[[], Outcome]] = [
            lambda case=case, number=number: measure(where, case, latency, number, number * 2.5) for number, case in enumerate(cases)  # type: ignore[misc]
        ]
        outcomes += in_threads(calls)
    words = WORDS.format(latency=latency, phases=", ".join(f"{turn:.0f}" for turn in turns))
    report("Seed under limits: time", words, [row for outcome in outcomes for row in rows_of(outcome, latency)])
    report("Seed under limits: calls", "The same runs.", [row for outcome in outcomes for row in figures_of(outcome)])
    return int(any(outcome.refused or outcome.most_in_flight > IN_FLIGHT for outcome in outcomes))


if __name__ == "__main__":
    sys.exit(main())
