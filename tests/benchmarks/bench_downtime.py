"""For how long clients cannot use the live database around a swap, seen by clients."""
from __future__ import annotations

import threading
import time
from contextlib import suppress
from itertools import pairwise
from typing import Any

import psycopg2
from bench_restore import make_dump
from measuring import OWNER, Cluster, Row, arguments, cluster, new_run_id, report, run_module, say

WORDS = """\
Clients query the live database all the time while pg_refresh swaps a new one in (state=live) and swaps back (state=previous): one opens a session
for each query, one keeps its session and opens another when it is ended, several more do the same to be in the way, one sits in an open transaction
and a superuser has a session too. Time without service is the longest time between one good answer and the next; "usual" is what it is while a dump
is restored and no swap happens. The worst of several swaps counts. Beside it what the module itself says (from closing the door to the renames)."""
NAME = "bench_dev"


class Client(threading.Thread):
    """Queries the live database until it is told to stop."""

    def __init__(self, where: Cluster, *, keep: bool) -> None:
        super().__init__(daemon=True)
        self._where, self._keep = where, keep
        self._over = threading.Event()
        self.answers: list[float] = []
        self.errors = 0

    def stop(self) -> None:
        """End it."""
        self._over.set()
        self.join()

    def run(self) -> None:
        """Query."""
        session: Any = None
        while not self._over.is_set():
            try:
                if session is None or session.closed:
                    session = psycopg2.connect(
                        host="127.0.0.1", port=self._where.server.port, dbname=NAME, user=OWNER, password=self._where.owner_password, connect_timeout=5
                    )
                    session.autocommit = True
                with session.cursor() as cursor:
                    cursor.execute("SELECT count(*) FROM client_client")
                self.answers.append(time.monotonic())
            except psycopg2.Error:
                self.errors += 1
                if session is not None:
                    session.close()
                    session = None
            if not self._keep and session is not None:
                session.close()
                session = None
            time.sleep(0.005)
        if session is not None:
            session.close()

    def longest_gap(self, start: float, end: float) -> float:
        """Return the longest time without an answer between two moments."""
        inside = [moment for moment in self.answers if start - 1 <= moment <= end + 2]
        return max((later - earlier for earlier, later in pairwise(inside)), default=float("inf"))


def main() -> None:
    """Measure and print."""
    rounds = 2 if arguments(__doc__ or "").quick else 6
    gaps: dict[str, list[float]] = {"a session for each query": [], "a session that is kept": [], "module": [], "usual": [], "whole": []}
    back: dict[str, list[float]] = {"a session for each query": [], "a session that is kept": []}
    with cluster() as where:
        dumps = [make_dump(where, 3)[0] for _ in range(2)]
        _refresh(where, dumps[0], ("staged", "ready", "live"), new_run_id())
        for number in range(1, rounds + 1):
            say(f"swap {number} of {rounds}")
            dump = dumps[number % 2]
            clients = {"a session for each query": Client(where, keep=False), "a session that is kept": Client(where, keep=True)}
            others = [Client(where, keep=bool(place % 2)) for place in range(4)]
            for client in (*clients.values(), *others):
                client.start()
            time.sleep(1)
            usual = time.monotonic()
            run_id = new_run_id()
            _refresh(where, dump, ("staged", "ready"), run_id)
            before = time.monotonic()
            idle = where.connect(NAME, owner=True)
            idle.autocommit = False
            with idle.cursor() as cursor:
                cursor.execute("SELECT 1")
            superuser = where.connect(NAME)
            swapped = _refresh(where, dump, ("live",), run_id)
            after = time.monotonic()
            time.sleep(1.5)
            for name, client in clients.items():
                gaps[name].append(client.longest_gap(before, after))
            gaps["usual"].append(max(client.longest_gap(usual, before - 1) for client in clients.values()))
            gaps["module"].append(swapped["seconds"]["closed"])
            gaps["whole"].append(after - before)
            before = time.monotonic()
            # and back, and back again, since the next dump must not count as rejected
            for _ in range(2):
                run_module("pg_refresh", where.refresh_params(NAME, None, state="previous"))
            after = time.monotonic()
            time.sleep(1.5)
            for name, client in clients.items():
                back[name].append(client.longest_gap(before, after))
            for session in (idle, superuser):
                with suppress(psycopg2.Error):
                    session.close()
            for client in (*clients.values(), *others):
                client.stop()
    usual_gap = min(gaps["usual"])
    rows = [
        Row(f"swap, {name}", ", ".join(f"{gap:.2f}" for gap in found) + " s", f"usual {usual_gap:.2f} s", max(found), 1.0, " s")
        for name, found in list(gaps.items())[:2]
    ]
    rows += [
        Row(f"rollback, {name}", ", ".join(f"{gap:.2f}" for gap in found) + " s", f"usual {usual_gap:.2f} s", max(found), 1.0, " s")
        for name, found in back.items()
    ]
    rows.append(Row("swap, what the module says", ", ".join(f"{gap:.2f}" for gap in gaps["module"]) + " s", "", max(gaps["module"]), None, " s"))
    report("Time without service", WORDS, rows)


def _refresh(where: Cluster, dump: Any, states: tuple[str, ...], run_id: str) -> dict[str, Any]:
    """Run states of pg_refresh with one run id; return the last result."""
    result: dict[str, Any] = {}
    for state in states:
        params = where.refresh_params(NAME, dump, state=state, run_id=run_id, force=state == "staged")
        result = run_module("pg_refresh", params).result
    return result


if __name__ == "__main__":
    main()
