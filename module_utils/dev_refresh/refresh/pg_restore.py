"""Run pg_restore into the staging database, as the owner, for lists of entries."""
from __future__ import annotations

import os
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from ..dump.programs import ClientPrograms
from ..errors import RefreshError
from ..postgres import contents
from ..postgres.connection import Login
from ..postgres.sessions import explained
from ..processes.children import Child, ChildResult, clean_environment, popen_child
from ..processes.secrets import password_file
from .memory import available_memory, sort_memory
from .server_names import is_local
from .workspace import ROOM_SECONDS, Workspace

# harmless in a database that is thrown away when anything fails, and worth a sixth of the time (a quarter on slow disks)
RESTORE_OPTIONS = (
    "-c synchronous_commit=off -c default_transaction_read_only=off -c statement_timeout=0 -c lock_timeout=0 -c idle_in_transaction_session_timeout=0"
)
_SERVER_GONE = "server closed the connection unexpectedly"
_NO_ROOM = ("too many connections for", "remaining connection slots are reserved", "too many clients already")


class PgRestore:
    """pg_restore with everything but the list of what it restores."""

    def __init__(self, work: Workspace, dump: str, programs: ClientPrograms, folder: str, environment: Mapping[str, str]) -> None:
        self._work = work
        self._dump = dump
        self._program = programs.pg_restore
        self._folder = folder
        self._environment = environment
        self._running: set[Child] = set()
        self._lock = threading.Lock()
        self._lists = 0
        self._stopped = False

    def run(self, listing: str, *, jobs: int = 1) -> None:
        """Restore the listed entries, if there are any; raise RefreshError with pg_restore's first error."""
        if not listing:
            return
        staging, owner = self._work.request.names.staging, self._work.request.owner
        argv = [
            self._program,
            f"--dbname={conninfo(owner, staging)}",
            "--no-password",
            "--no-owner",
            "--no-privileges",
            "--no-publications",
            "--no-subscriptions",
            "--exit-on-error",
            f"--jobs={jobs}",
            f"--use-list={self._write(listing)}",
            self._dump,
        ]
        until = time.monotonic() + ROOM_SECONDS
        done = self._child(argv)
        # a session of ours that was just closed still counts for a moment; with one job pg_restore has a single session, so it has done nothing yet
        while done.returncode != 0 and jobs == 1 and any(words in done.stderr for words in _NO_ROOM) and time.monotonic() < until:
            time.sleep(0.05)
            done = self._child(argv)
        if done.timed_out:
            raise RefreshError(
                f"pg_restore did not end within the deadline of {self._work.request.deadline:.0f} seconds and was ended. Raise deadline, or look for locks."
            )
        if done.returncode != 0:
            why = " The server ended meanwhile: its log says why, often a full disk or too little memory." if _SERVER_GONE in done.stderr else ""
            raise RefreshError(
                f'pg_restore failed on "{staging}" (exit code {done.returncode}): {first_error(done.stderr)}{why} Nothing in the live database was touched.'
            )

    def stop(self) -> None:
        """End what runs, from another thread; those who wait for it get an error."""
        with self._lock:
            self._stopped = True
            running = list(self._running)
        for child in running:
            child.end()

    def _child(self, argv: list[str]) -> ChildResult:
        with popen_child(argv, deadline=self._work.seconds_left, env=self._environment, secrets=self._work.request.secrets) as child:
            with self._lock:
                self._running.add(child)
                late = self._stopped
            try:
                if late:
                    child.end()
                for _ in child.chunks():
                    pass
                return child.result()
            finally:
                with self._lock:
                    self._running.discard(child)

    def _write(self, listing: str) -> str:
        """Write the list to a file of its own and return its name."""
        with self._lock:
            self._lists += 1
            name = os.path.join(self._folder, f"{self._lists}.list")
        with open(name, "w", encoding="utf-8") as file:
            file.write(listing)
        return name


@contextmanager
def pg_restore_into(work: Workspace, dump: str, programs: ClientPrograms) -> Iterator[PgRestore]:
    """Yield pg_restore for a dump; its files are gone after the block."""
    with tempfile.TemporaryDirectory(prefix="dev_refresh_") as folder, _passwords(work.request.owner) as passwords:
        options = " ".join([RESTORE_OPTIONS, *_sort_option(work)])
        yield PgRestore(work, dump, programs, folder, clean_environment(os.environ, PGOPTIONS=options, **passwords))


def _sort_option(work: Workspace) -> list[str]:
    """Return the setting that gives each job more memory to build indexes with, where the server is on this machine and has it to spare."""
    if not is_local(work.request.admin.host):
        return []
    with work.owner_session(work.request.names.staging) as session, explained("Reading maintenance_work_mem failed"):
        now = contents.setting_bytes(session, "maintenance_work_mem")
    wanted = sort_memory(available_memory(), jobs=work.request.jobs)
    return [f"-c maintenance_work_mem={wanted // 1024}kB"] if wanted > now else []


def first_error(stderr: str) -> str:
    """Return pg_restore's first error with its statement, without rows of the database, as one sentence."""
    lines = [line.strip() for line in stderr.splitlines() if line.strip()]
    start = next((index for index, line in enumerate(lines) if "error:" in line), 0)
    # DETAIL and CONTEXT quote rows of production; of a server that is gone libpq says three lines
    kept = [line for line in lines[start : start + 8] if not line.startswith(("DETAIL:", "CONTEXT:", "This probably means", "before or while"))][:4]
    words = " ".join(kept) or "it said nothing"
    return (words if len(words) <= 600 else words[:597] + "...").rstrip(".") + "."


def conninfo(login: Login, database: str) -> str:
    """Return libpq's connection string without the password."""
    words = {name: value for name, value in login.libpq(database).items() if name != "password"}
    words["application_name"] = "dev_refresh pg_restore"
    return " ".join(f"{name}='{_escape(str(value))}'" for name, value in words.items())


def _escape(value: str) -> str:
    """Return a value as it stands between quotes in a connection string."""
    return value.replace("\\", "\\\\").replace("'", "\\'")


@contextmanager
def _passwords(owner: Login) -> Iterator[dict[str, str]]:
    """Yield the environment that hands the owner's password over in a file; argv can be read by everybody on the host."""
    if not owner.password:
        yield {}
        return
    with password_file([("*", "*", "*", owner.user, owner.password)]) as path:
        yield {"PGPASSFILE": path}
