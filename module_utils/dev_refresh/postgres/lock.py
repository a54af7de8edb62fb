"""One working module at a time for each database: an advisory lock on the maintenance database."""
from __future__ import annotations

import hashlib
import time
from contextlib import suppress
from typing import TYPE_CHECKING

from ..errors import RefreshError
from .connection import Login, connect

if TYPE_CHECKING:
    from types import TracebackType

    from psycopg2.extensions import connection as Connection
    from psycopg2.extensions import cursor as Cursor

PATIENCE = 2.0
"""Seconds that the lock is tried for: the session of a module that was just killed holds it until the server notices."""
BETWEEN = 0.05


def lock_key(database: str) -> int:
    """Return the signed 64-bit key of the advisory lock for ``database``."""
    return int.from_bytes(hashlib.sha256(f"dev_refresh:{database}".encode()).digest()[:8], "big", signed=True)


class DatabaseLock:
    """Hold the advisory lock for ``database`` while inside the ``with`` block.

    Advisory locks are per database, so it is always taken on ``maintenance``. ``holder`` (a few words) is shown to whom it keeps out.
    Raises RefreshError naming the holder when another session has it.
    """

    def __init__(self, login: Login, database: str, *, holder: str, maintenance: str = "postgres") -> None:
        self._login = login
        self._database = database
        self._holder = holder
        self._maintenance = maintenance
        self._session: Connection | None = None

    def __enter__(self) -> Connection:
        """Take the lock, within ``PATIENCE``, or fail; return the autocommit session on the maintenance database that holds it."""
        session = connect(self._login, self._maintenance, application_name=f"dev_refresh {self._holder}", autocommit=True)
        key = lock_key(self._database)
        with session.cursor() as cursor:
            if not _try_for_a_while(cursor, key):
                cursor.execute(
                    # who is not told everything of other roles' sessions gets nulls
                    "SELECT a.application_name, a.usename, host(a.client_addr),"
                    " to_char(a.backend_start AT TIME ZONE 'UTC', 'HH24:MI:SS'), a.pid FROM pg_locks l JOIN pg_stat_activity a USING (pid)"
                    " WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1"
                    " AND (l.classid::bigint << 32 | l.objid::bigint) = %s"
                    " AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())",
                    (key,),
                )
                holder = cursor.fetchone()
                session.close()
                who = _described(*holder) if holder else "a run that just ended"
                raise RefreshError(
                    f'Database "{self._database}" is being worked on by {who}. Nothing was changed. Wait until it ends, then run again.',
                    details={"locked": True},
                )
        self._session = session
        return session

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._session is None:
            return
        # a closed session takes a moment to end on the server, and the next task of the same run must find the lock free
        with suppress(Exception), self._session.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_unlock_all()")
        self._session.close()


def _described(name: str, role: str | None, address: str | None, since: str | None, pid: int) -> str:
    """Return who holds the lock: module and run, and from where."""
    known = [f"role {role}" if role else "", f"from {address}" if address else "", f"since {since} UTC" if since else "", f"PostgreSQL process {pid}"]
    return f'"{name}" ({", ".join(part for part in known if part)})'


def _try_for_a_while(cursor: Cursor, key: int) -> bool:
    """Try to take the lock; tell whether it was taken."""
    give_up = time.monotonic() + PATIENCE
    while True:
        cursor.execute("SELECT pg_try_advisory_lock(%s)", (key,))
        row = cursor.fetchone()
        if row and row[0]:
            return True
        if time.monotonic() >= give_up:
            return False
        time.sleep(BETWEEN)
