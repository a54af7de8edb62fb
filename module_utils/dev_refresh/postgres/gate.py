"""The door of a database: close it, end the sessions inside, open it again."""
from __future__ import annotations

import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import Any

from ..errors import RefreshError
from .databases import Database, read_databases, set_comment, set_note
from .sessions import Session, execute, explained, transaction

CLEAR_SECONDS = 15.0
"""How long sessions may take to end before the swap is given up."""


def set_open(session: Session, name: str, is_open: bool) -> None:
    """Let a database accept connections, or not; sessions that are inside stay."""
    from psycopg2 import sql

    execute(session, sql.SQL("ALTER DATABASE {} WITH ALLOW_CONNECTIONS {}").format(sql.Identifier(name), sql.Literal(is_open)))


def close_door(session: Session, database: Database, *, run_id: str) -> None:
    """Refuse new connections, with a comment that tells the next run that it was us."""
    note = {**(database.note or {"role": "live", "adopted": True}), "closed_by": run_id}
    if database.note is None and database.comment is not None:
        note["comment"] = database.comment
    with (
        explained(f'Closing database "{database.name}" to new connections failed', "The administrator must be a member of its owner role"),
        transaction(session),
    ):
        set_open(session, database.name, False)
        set_note(session, database.name, note)


def open_door(session: Session, name: str) -> None:
    """Accept connections again and put the comment back as it was."""
    with explained(f'Reopening database "{name}" failed', f'Reopen it by hand: ALTER DATABASE "{name}" WITH ALLOW_CONNECTIONS true'), transaction(session):
        database = read_databases(session, [name]).get(name)
        if database is None:
            # renamed: the swap was done before the failure was seen
            return
        set_open(session, name, True)
        note = dict(database.note or {})
        note.pop("closed_by", None)
        if note.get("adopted"):
            set_comment(session, name, note.get("comment"))
        elif note:
            set_note(session, name, note)


@contextmanager
def closed(session: Session, database: Database, *, run_id: str) -> Iterator[None]:
    """Keep the door closed inside the block; reopen it if the block fails (a swap that succeeds opens the new database itself)."""
    close_door(session, database, run_id=run_id)
    try:
        yield
    except BaseException:
        open_door(session, database.name)
        raise


def list_sessions(session: Session, names: Collection[str]) -> list[dict[str, Any]]:
    """Return the client sessions in the named databases."""
    rows = execute(
        session,
        "SELECT pid, datname, usename, application_name FROM pg_stat_activity"
        " WHERE datname = ANY(%s) AND pid <> pg_backend_pid() AND coalesce(backend_type, 'client backend') = 'client backend' ORDER BY pid",
        (list(names),),
    )
    return [{"pid": pid, "database": name, "role": role, "application": application} for pid, name, role, application in rows]


def end_sessions(session: Session, names: Collection[str], *, keep: Collection[int] = (), seconds: float = CLEAR_SECONDS) -> int:
    """End all sessions in the named (closed) databases but those of ``keep``, and wait until they are gone; return how many there were.

    Raises RefreshError naming the sessions that did not end in time or may not be ended by this administrator.
    """
    import psycopg2

    deadline = time.monotonic() + seconds
    seen: set[int] = set()
    refused: set[int] = set()
    while True:
        inside = [entry for entry in list_sessions(session, names) if entry["pid"] not in keep]
        seen.update(entry["pid"] for entry in inside)
        if not inside:
            return len(seen)
        if time.monotonic() > deadline or {entry["pid"] for entry in inside} <= refused:
            listed = ", ".join(f'process {entry["pid"]} (role {entry["role"]}, "{entry["application"]}")' for entry in inside[:10])
            raise RefreshError(
                f"{len(inside)} sessions in {', '.join(sorted({entry['database'] for entry in inside}))} did not end: {listed}."
                " End them, or grant pg_signal_backend to the administrator (only a superuser ends a superuser's session), then run again."
            )
        for entry in inside:
            if entry["pid"] in refused:
                continue
            try:
                execute(session, "SELECT pg_terminate_backend(%s)", (entry["pid"],))
            except psycopg2.errors.InsufficientPrivilege:
                refused.add(entry["pid"])
        time.sleep(0.01)


def refuse_prepared(session: Session, names: Collection[str]) -> None:
    """Raise RefreshError if a database has prepared transactions: they cannot be ended, and a rename would wait for them behind the closed door."""
    rows = execute(session, "SELECT gid, database FROM pg_prepared_xacts WHERE database = ANY(%s) ORDER BY 1", (list(names),))
    if rows:
        listed = ", ".join(f'"{gid}" in {database}' for gid, database in rows[:10])
        raise RefreshError(f"{len(rows)} prepared transactions keep the databases from being renamed: {listed}. Commit or roll them back, then run again.")
