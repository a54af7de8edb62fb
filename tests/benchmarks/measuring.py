"""What the benchmarks share: a PostgreSQL server of their own, modules run as processes, and tables of ratios."""
from __future__ import annotations

import argparse
import json
import os
import secrets
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ansible.module_utils
import psycopg2
from psycopg2 import sql

ROOT = Path(__file__).resolve().parents[2]
ansible.module_utils.__path__.append(str(ROOT / "module_utils"))
sys.path.insert(0, str(ROOT / "demo"))

from ansible.module_utils.dev_refresh.run_id import new_run_id  # noqa: E402, F401 - for the benchmarks, which cannot import it before this file
from world.postgres_server import PostgresServer, free_port, wheel_bin_dir  # noqa: E402

ADMIN = "postgres"
OWNER = "app_owner"
MEGABYTE = 1_000_000


def arguments(description: str, more: Callable[[argparse.ArgumentParser], object] = lambda _: None) -> argparse.Namespace:
    """Return the arguments of a benchmark: ``quick`` for small sizes, and what ``more`` adds."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--quick", action="store_true", help="smaller sizes, as `make bench` takes them")
    more(parser)
    # what is ended from outside stops its servers too
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    return parser.parse_args()


# -- tables ---------------------------------------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class Row:
    """One line of a table; ``goal`` is the greatest value that is good enough for ``value``, None where there is none."""

    what: str
    measured: str
    against: str
    value: float
    goal: float | None = None
    unit: str = ""

    def cells(self) -> list[str]:
        """Return the line as texts."""
        verdict = "" if self.goal is None else "reached" if self.reached else "MISSED"
        goal = "" if self.goal is None else f"{_number(self.goal)}{self.unit}"
        return [self.what, self.measured, self.against, f"{_number(self.value)}{self.unit}", goal, verdict]

    @property
    def reached(self) -> bool:
        """Tell whether the goal is reached."""
        return self.goal is None or self.value <= self.goal


def _number(value: float) -> str:
    return f"{value:.0f}" if value == int(value) or abs(value) >= 100 else f"{value:.3f}".rstrip("0") if abs(value) < 10 else f"{value:.1f}"


def report(title: str, words: str, rows: Sequence[Row], notes: Sequence[str] = ()) -> None:
    """Print what was measured, the table and the notes."""
    head = ["what", "measured", "against", "ratio or value", "goal (at most)", ""]
    lines = [head, *(row.cells() for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(head))]
    print(f"\n== {title} ==")
    print(words)
    for line in (lines[0], ["-" * width for width in widths], *lines[1:]):
        print("  " + "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())
    for note in notes:
        print(f"  {note}")
    print(flush=True)


def say(text: str) -> None:
    """Tell how far a benchmark is."""
    print(f"  ... {text}", file=sys.stderr, flush=True)


# -- noise ----------------------------------------------------------------------------------------------------------------------------
def wait_for_quiet(most: float = 6.0) -> None:
    """Wait until other programs leave the processors mostly alone, at most ``most`` seconds; then measure anyway."""
    until = time.monotonic() + most
    while time.monotonic() < until:
        before = _cpu_times()
        time.sleep(0.5)
        after = _cpu_times()
        total = sum(after) - sum(before)
        if total and (after[3] + after[4] - before[3] - before[4]) / total > 0.75:
            return


def _cpu_times() -> list[int]:
    return [int(word) for word in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]]


@dataclass(frozen=True)
class Timed:
    """A measurement: wall time, processor time of all that is ours, and the share of the machine that others took meanwhile."""

    seconds: float
    cpu: float
    others: float
    result: Any = None


class Stopwatch:
    """Measures a block; ``where`` is the server whose work counts as ours."""

    def __init__(self, where: Cluster) -> None:
        self._where = where

    def __enter__(self) -> Stopwatch:
        """Begin."""
        self._machine, self._own, self._started = _cpu_times(), self._where.cpu_seconds(), time.monotonic()
        return self

    def __exit__(self, *_: object) -> None:
        """End."""
        self.seconds = time.monotonic() - self._started
        self.cpu = self._where.cpu_seconds() - self._own
        spent = [after - before for after, before in zip(_cpu_times(), self._machine, strict=True)]
        busy = (sum(spent) - spent[3] - spent[4]) / os.sysconf("SC_CLK_TCK")
        self.others = max(0.0, busy - self.cpu) / max(self.seconds * (os.cpu_count() or 1), 0.01)

    def timed(self, result: Any = None, seconds: float | None = None) -> Timed:
        """Return the measurement; ``seconds`` if the thing itself took less than the block."""
        return Timed(self.seconds if seconds is None else seconds, self.cpu, self.others, result)


def in_turn(measures: Mapping[str, Callable[[], Timed]], *, rounds: int, most: int, quiet: float = 0.12) -> dict[str, list[Timed]]:
    """Measure each in turn until each was measured ``rounds`` times undisturbed (others took at most ``quiet``), at most ``most`` times."""
    found: dict[str, list[Timed]] = {name: [] for name in measures}
    for _ in range(most):
        for name, measure in measures.items():
            if sum(timed.others <= quiet for timed in found[name]) < rounds:
                wait_for_quiet()
                timed = measure()
                found[name].append(timed)
                say(f"{name}: {timed.seconds:.2f} s wall, {timed.cpu:.2f} s of processor time, others took {timed.others:.0%} of the machine")
    return found


def best(found: Sequence[Timed], *, quiet: float = 0.12) -> Timed:
    """Return the fastest of the undisturbed measurements, of all if there is none."""
    return min([timed for timed in found if timed.others <= quiet] or found, key=lambda timed: timed.seconds)


def listed(found: Sequence[Timed]) -> str:
    """Return all wall times, with what others took."""
    return ", ".join(f"{timed.seconds:.2f} ({timed.others:.0%})" for timed in found)


# -- modules --------------------------------------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class ModuleRun:
    """How a module ended; times are those of the monotonic clock."""

    result: dict[str, Any]
    started: float
    ended: float
    peak_mb: float

    @property
    def seconds(self) -> float:
        """Return the wall time of the process, from its start to its end."""
        return self.ended - self.started


class ModuleError(Exception):
    """A module failed that should not."""


def run_module(name: str, params: Mapping[str, Any], *, check_mode: bool = False, deadline: float = 3600) -> ModuleRun:
    """Run a module as a process and return its result; raise ModuleError if it fails."""
    arguments = {name: value for name, value in params.items() if value is not None}
    arguments |= {"_ansible_check_mode": check_mode, "_ansible_diff": False, "_ansible_no_log": False}
    given = json.dumps({"ANSIBLE_MODULE_ARGS": arguments})
    descriptor, figures = tempfile.mkstemp(prefix="bench_figures_")
    os.close(descriptor)
    try:
        started = time.monotonic()
        done = subprocess.run(
            [sys.executable, str(Path(__file__).with_name("module_process.py")), name, figures],
            input=given, capture_output=True, text=True, timeout=deadline, check=False,
        )  # fmt: skip
        ended = time.monotonic()
        peak = int(Path(figures).read_text() or 0) / 1024
    finally:
        Path(figures).unlink()
    try:
        result = json.loads(done.stdout.strip().splitlines()[-1])
    except (ValueError, IndexError):
        raise ModuleError(f"{name} said no result: {done.stdout[-2000:]}{done.stderr[-2000:]}") from None
    if result.get("failed"):
        raise ModuleError(f"{name}: {result.get('msg')}")
    return ModuleRun(result, started, ended, peak)


# -- PostgreSQL -----------------------------------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class Cluster:
    """A running server with its administrator and the app's role."""

    server: PostgresServer
    folder: Path
    owner_password: str

    def connect(self, database: str = "postgres", *, owner: bool = False) -> Any:
        """Open an autocommit session."""
        user, password = (OWNER, self.owner_password) if owner else (ADMIN, self.server.password)
        session = psycopg2.connect(host="127.0.0.1", port=self.server.port, dbname=database, user=user, password=password)
        session.autocommit = True
        return session

    def execute(self, statement: Any, database: str = "postgres", *, owner: bool = False) -> list[tuple[Any, ...]]:
        """Execute one statement in a session of its own; return its rows."""
        session = self.connect(database, owner=owner)
        try:
            with session.cursor() as cursor:
                cursor.execute(statement)
                return list(cursor.fetchall()) if cursor.description else []
        finally:
            session.close()

    def cpu_seconds(self) -> float:
        """Return the processor time of this process, its children that have ended, and the server with all its sessions."""
        own = os.times()
        ticks = 0
        parents: dict[int, tuple[int, int]] = {}
        for entry in os.listdir("/proc"):
            if entry.isdigit():
                with suppress(OSError, ValueError, IndexError):
                    text = Path(f"/proc/{entry}/stat").read_text()
                    words = text[text.rindex(")") + 2 :].split()
                    parents[int(entry)] = (int(words[1]), sum(int(word) for word in words[11:15]))
        for pid, (parent, used) in parents.items():
            if self.server.pid in (pid, parent):
                ticks += used
        return own.user + own.system + own.children_user + own.children_system + ticks / os.sysconf("SC_CLK_TCK")

    def create_database(self, name: str) -> None:
        """Make a fresh database of the app's role from template0, in place of one of that name."""
        self.drop_database(name)
        self.execute(sql.SQL("CREATE DATABASE {} OWNER {} TEMPLATE template0").format(sql.Identifier(name), sql.Identifier(OWNER)))

    def drop_database(self, name: str) -> None:
        """Drop a database if it is there."""
        self.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))

    def drop_refresh(self, name: str) -> None:
        """Drop a database and everything that a refresh keeps beside it."""
        for suffix in ("", "_refresh", "_previous", "_old"):
            self.drop_database(name + suffix)

    def program(self, name: str, *options: str, owner: bool = True) -> float:
        """Run a client program of the server's own version; return its wall time."""
        user, password = (OWNER, self.owner_password) if owner else (ADMIN, self.server.password)
        environment = {"PATH": os.environ["PATH"], "PGHOST": "127.0.0.1", "PGPORT": str(self.server.port), "PGUSER": user, "PGPASSWORD": password}
        started = time.monotonic()
        subprocess.run([str(self.server.bin_dir / name), *options], env=environment, check=True, stdin=subprocess.DEVNULL)
        return time.monotonic() - started

    def seed_params(self, database: str, sandbox: Any, **more: Any) -> dict[str, Any]:
        """Return parameters of xero_seed."""
        return {
            "login_host": "127.0.0.1", "login_port": self.server.port, "login_user": OWNER, "login_password": self.owner_password, "database": database,
            "client_id": sandbox.client_id, "client_secret": sandbox.client_secret, "api_url": sandbox.url, "identity_url": sandbox.identity_url,
            "log_dir": str(self.folder / "logs"), **more,
        }  # fmt: skip

    def refresh_params(self, database: str, dump: Path | None, **more: Any) -> dict[str, Any]:
        """Return parameters of pg_refresh."""
        return {
            "login_host": "127.0.0.1", "login_port": self.server.port, "login_user": ADMIN, "login_password": self.server.password, "name": database,
            "owner": OWNER, "owner_password": self.owner_password, "owner_host": "127.0.0.1", "dump": str(dump) if dump else None,
            "bin_dir": str(self.server.bin_dir), **more,
        }  # fmt: skip


@contextmanager
def cluster(**settings: str) -> Iterator[Cluster]:
    """Run a server with PostgreSQL's own defaults (fsync on, as on a real host) but for ``settings``."""
    with tempfile.TemporaryDirectory(prefix="dev_refresh_bench_") as folder:
        server = PostgresServer(Path(folder) / "data", free_port(), ADMIN, secrets.token_hex(12), wheel_bin_dir())
        server.create()
        server.start({"max_connections": "60", **settings})
        try:
            made = Cluster(server, Path(folder), secrets.token_hex(12))
            made.execute(sql.SQL("CREATE ROLE {} LOGIN PASSWORD {}").format(sql.Identifier(OWNER), sql.Literal(made.owner_password)))
            yield made
        finally:
            with suppress(OSError):
                server.stop()


SEED_TABLES = """
CREATE TABLE client_client (id uuid PRIMARY KEY, name text NOT NULL, email text, phone text, address text, xero_contact_id uuid UNIQUE);
CREATE TABLE job_job (id uuid PRIMARY KEY, client_id uuid REFERENCES client_client, job_number int UNIQUE, name text, delivery_date date,
 xero_project_id uuid UNIQUE);
"""


def fill_seed_tables(where: Cluster, database: str, clients: int, jobs: int) -> None:
    """Make a database with clients and jobs that have no Xero ids."""
    where.create_database(database)
    session = where.connect(database, owner=True)
    with session.cursor() as cursor:
        cursor.execute(SEED_TABLES)
        cursor.execute(
            "INSERT INTO client_client SELECT md5('client' || n)::uuid, 'Workshop ' || n || ' Ltd', 'office' || n || '@example.com', '09 555 ' || n,"
            " n || ' Church Street' || chr(10) || 'Auckland' FROM generate_series(1, %s) n",
            (clients,),
        )
        cursor.execute(
            "INSERT INTO job_job SELECT md5('job' || n)::uuid, md5('client' || 1 + n %% %s)::uuid, 90000 + n, 'Bench and gate ' || n, '2026-05-01'"
            " FROM generate_series(1, %s) n",
            (max(clients, 1), jobs),
        )
        cursor.execute("ANALYZE")
    session.close()


def in_threads(calls: Sequence[Any]) -> list[Any]:
    """Call everything at once; return the results in order, or raise the first error."""
    results: list[Any] = [None] * len(calls)
    errors: list[BaseException] = []

    def call(place: int) -> None:
        try:
            results[place] = calls[place]()
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=call, args=(place,), daemon=True) for place in range(len(calls))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]
    return results
