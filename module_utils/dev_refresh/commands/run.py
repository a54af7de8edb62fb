"""Run one of the app's commands, and tell in words what went wrong."""
from __future__ import annotations

import os
import shlex
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

from ..errors import RefreshError
from ..postgres import marker
from ..postgres.connection import Login, connect
from ..postgres.lock import DatabaseLock
from ..processes.children import ChildResult, run_child
from ..processes.secrets import scrub, secret_values

_SHOWN_LINES = 30
_OUTPUT_BYTES = 1_000_000
_STAGING_SUFFIX = "_refresh"
_REPEATABLE = ("sanitised", "migrating", "ready")


@dataclass(frozen=True, slots=True)
class Target:
    """The database that a command changes: its lock is held and its marker told while the command runs."""

    login: Login
    database: str
    live: str
    """The live database, whose name the lock has."""
    run_id: str | None
    maintenance: str

    @classmethod
    def of(cls, login: Login, database: str, *, run_id: str | None, maintenance: str) -> Target:
        """Return the target for ``database``, which is the live or the staging database."""
        return cls(login, database, database.removesuffix(_STAGING_SUFFIX), run_id, maintenance)


@dataclass(frozen=True, slots=True)
class Command:
    """A command with all that it needs; ``pending_rc`` is the return code that means "something is pending", None for other commands."""

    argv: Sequence[str]
    chdir: str | None = None
    environment: Mapping[str, str] = field(default_factory=dict)
    deadline: float = 3600
    ok_rc: Sequence[int] = (0,)
    pending_rc: int | None = None
    secrets: Sequence[str] = ()
    harmless: Sequence[str] = ()

    def hidden(self) -> set[str]:
        """Return everything that must not be shown."""
        return secret_values(self.environment, self.harmless) | {secret for secret in self.secrets if secret}

    def text(self) -> str:
        """Return the command as one would type it, without secrets."""
        return scrub(shlex.join(self.argv), self.hidden())


def run_command(command: Command, *, target: Target | None = None) -> dict[str, Any]:
    """Run the command and return its output as a module's result; ``pending`` is None where nothing was asked.

    Raises RefreshError if it cannot be started, ends with another return code, or passes its deadline.
    """
    with ExitStack() as stack:
        if target is not None:
            stack.enter_context(DatabaseLock(target.login, target.live, holder=f"app_command for {target.database}", maintenance=target.maintenance))
            _note_migrating(target)
        done = run_child(
            command.argv,
            deadline=command.deadline,
            cwd=command.chdir,
            env={**os.environ, **command.environment},
            secrets=command.hidden(),
            max_output=_OUTPUT_BYTES,
        )
    result = {
        "command": command.text(),
        # "rc" would make Ansible itself fail the task
        "return_code": done.returncode,
        "stdout_lines": done.stdout.splitlines(),
        "stderr_lines": done.stderr.splitlines(),
        "seconds": round(done.seconds, 3),
        "pending": None,
    }
    accepted = command.ok_rc if command.pending_rc is None else [0, command.pending_rc]
    if done.timed_out or done.returncode not in accepted:
        raise RefreshError(_explain(command, done), details=result)
    return result if command.pending_rc is None else {**result, "pending": done.returncode == command.pending_rc}


def _note_migrating(target: Target) -> None:
    """Stop if a newer run has taken over; note on staging that it is being changed, so that a command that dies is not resumed."""
    session = connect(target.login, target.database, application_name="dev_refresh app_command")
    try:
        with session, session.cursor() as cursor:
            found = marker.read(session, lock=True)
            if found is None:
                return
            marker.check_fence(target.run_id, found)
            if found.phase in _REPEATABLE:
                marker.update(cursor, phase="migrating")
    finally:
        session.close()


def _explain(command: Command, done: ChildResult) -> str:
    """Return what happened, with the last lines that the command wrote."""
    where = f" in {command.chdir}" if command.chdir else ""
    if done.timed_out:
        how = f"did not end within {command.deadline:.0f} s and was killed. Raise its deadline, or look at what it waits for"
    elif done.returncode < 0:
        how = f"was ended by signal {-done.returncode}. Look at who killed it (memory?) and run again"
    elif done.returncode == 127:
        how = "was not found by the shell or interpreter (return code 127). Correct the command"
    else:
        how = f"failed with return code {done.returncode}. Correct what it says and run again"
    shown = "\n".join((_last(done.stdout) + _last(done.stderr))[-_SHOWN_LINES:])
    return f"{command.text()}{where} {how}." + (f" Its last lines:\n{shown}" if shown else " It wrote nothing.")


def _last(text: str) -> list[str]:
    return text.strip().splitlines()[-_SHOWN_LINES:]
