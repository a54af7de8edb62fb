"""Sessions: their type, errors in the server's words, and statements that no caller has to write twice."""
from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any

from ..errors import RefreshError

if TYPE_CHECKING:
    import psycopg2.extensions
    from psycopg2 import Error

    Session = psycopg2.extensions.connection
else:
    Session = Any

__all__ = ["Session", "execute", "execute_at_once", "execute_long", "explained", "transaction"]

CANCEL_SECONDS = 5.0
"""How long a statement may take to end after it was cancelled."""

# errors whose detail names keys only; other details may quote a whole row
_SAFE_DETAILS = ("23503", "23505", "55006", "42501")

_GONE = "the server closed the connection unexpectedly; its log says why, often a full disk or too little memory"
# what the driver says then depends on the moment
_GONE_WORDS = ("server closed the connection", "invalid socket", "connection already closed", "connection has been closed", "could not receive data")


@contextmanager
def explained(what: str, remedy: str = "") -> Iterator[None]:
    """Turn a database error inside the block into a RefreshError: ``what`` was attempted, the server's words, ``remedy``."""
    import psycopg2

    try:
        yield
    except psycopg2.Error as error:
        raise RefreshError(f"{what}: {server_words(error)}." + (f" {remedy}." if remedy else "")) from None


def server_words(error: Error) -> str:
    """Return what the server said, in one line without rows of the database."""
    diagnosis = error.diag
    primary = diagnosis.message_primary if diagnosis else None
    if not primary:
        words = " ".join(str(error).split()).rstrip(".")
        return _GONE if not words or any(each in words for each in _GONE_WORDS) else words
    detail = diagnosis.message_detail if error.pgcode in _SAFE_DETAILS else None
    hint = diagnosis.message_hint
    return ". ".join(part.rstrip(".") for part in (primary, detail, hint) if part)


def execute(session: Session, statement: Any, parameters: Sequence[Any] | None = None) -> list[tuple[Any, ...]]:
    """Run one statement and return its rows (none for a statement without a result)."""
    with session.cursor() as cursor:
        cursor.execute(statement, parameters)
        return list(cursor.fetchall()) if cursor.description else []


def execute_long(session: Session, statement: Any) -> list[tuple[Any, ...]]:
    """Run one statement that may take long, so that a signal ends it at once.

    Python handles signals between two instructions of the main thread, and psycopg2 waits for the server in one; so another thread waits.
    """
    rows: list[tuple[Any, ...]] = []
    failures: list[BaseException] = []

    def run() -> None:
        try:
            rows.extend(execute(session, statement))
        except BaseException as error:
            failures.append(error)

    thread = threading.Thread(target=run, name="statement", daemon=True)
    thread.start()
    try:
        while thread.is_alive():
            thread.join(0.5)
    except BaseException:
        with suppress(Exception):
            session.cancel()
        thread.join(5)
        raise
    if failures:
        raise failures[0]
    return rows


def execute_at_once(sessions: Sequence[Session], statements: Sequence[Any]) -> Iterator[tuple[int, list[tuple[Any, ...]]]]:
    """Run statements in several sessions at once, and yield place and rows of each as it ends; a signal or the first error ends all."""
    waiting = deque(enumerate(statements))
    done: SimpleQueue[tuple[int, list[tuple[Any, ...]] | BaseException]] = SimpleQueue()

    def work(session: Session) -> None:
        while True:
            try:
                place, statement = waiting.popleft()
            except IndexError:
                return
            try:
                done.put((place, execute(session, statement)))
            except BaseException as error:
                done.put((place, error))
                return

    threads = [threading.Thread(target=work, args=(session,), name="statements", daemon=True) for session in sessions]
    for thread in threads:
        thread.start()
    try:
        # a function of its own: in Python 3.11 a signal's exception at the loop's end would not be seen by an `except` around the loop
        yield from _results(done, len(statements))
    except BaseException:
        waiting.clear()
        until = time.monotonic() + CANCEL_SECONDS
        while any(thread.is_alive() for thread in threads) and time.monotonic() < until:
            # again and again: a request that comes before the statement is under way is lost
            for thread, session in zip(threads, sessions, strict=True):
                if thread.is_alive():
                    with suppress(Exception):
                        session.cancel()
                    thread.join(0.1)
        raise
    for thread in threads:
        thread.join()


def _results(done: SimpleQueue[tuple[int, list[tuple[Any, ...]] | BaseException]], left: int) -> Iterator[tuple[int, list[tuple[Any, ...]]]]:
    """Yield what comes, in short waits, so that a signal is handled."""
    while left:
        try:
            place, rows = done.get(timeout=0.5)
        except Empty:
            continue
        if isinstance(rows, BaseException):
            raise rows
        left -= 1
        yield place, rows


@contextmanager
def transaction(session: Session) -> Iterator[Session]:
    """Run the block in one transaction, committed at its end and rolled back on any exception; works on autocommit sessions too."""
    before = session.autocommit
    session.autocommit = False
    try:
        yield session
        session.commit()
    except BaseException:
        with suppress(Exception):
            session.rollback()
        raise
    finally:
        # a session that the server ended cannot be set back, and need not be
        with suppress(Exception):
            session.autocommit = before
