"""Load rows with COPY FROM STDIN from pieces of text, with whatever goes wrong with these told as itself."""
from __future__ import annotations

import codecs
import io
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from .sessions import Session, execute, transaction

if TYPE_CHECKING:
    from psycopg2.sql import Composable

_BYTES = 1 << 16
"""Handed to libpq at once."""
# those of pg_restore: functions that constraints or generated columns call see the names of the dump's own schemas only
_SETTINGS = "SELECT set_config('search_path', '', false), set_config('xmloption', 'content', false), set_config('synchronous_commit', 'off', false)"
_NO_LIMITS = (
    "SELECT set_config(name, '0', false) FROM pg_settings"
    " WHERE name IN ('statement_timeout', 'lock_timeout', 'idle_in_transaction_session_timeout', 'transaction_timeout')"
)


def prepare_loading(session: Session) -> None:
    """Give a session the settings under which pg_restore loads rows."""
    execute(session, _SETTINGS)
    execute(session, _NO_LIMITS)


def load_table(session: Session, schema: str, table: str, columns: Sequence[str], chunks: Iterator[bytes], *, frozen: bool) -> None:
    """Load all rows of an ordinary table that is empty and that nobody else has seen yet, in a transaction of its own.

    The rows of a big table should be ``frozen`` (PostgreSQL docs, COPY, FREEZE): no reader has to look up whether they were committed, and no VACUUM has
    to come back to them. For a small one that costs more than it saves.
    """
    with transaction(session):
        load_rows(session, schema, table, columns, chunks, frozen=frozen)


def load_rows(session: Session, schema: str, table: str, columns: Sequence[str], chunks: Iterator[bytes], *, frozen: bool) -> None:
    """Load rows as ``load_table`` does, in the caller's transaction."""
    from psycopg2 import sql

    name = sql.Identifier(schema, table)
    # a table may have no columns at all
    listed = sql.SQL(" ({})").format(sql.SQL(", ").join(map(sql.Identifier, columns))) if columns else sql.SQL("")
    if frozen:
        # the server freezes rows only in a table that was made or emptied in the same transaction
        execute(session, sql.SQL("TRUNCATE TABLE ONLY {}").format(name))
    copy_in(session, sql.SQL("COPY {}{} FROM STDIN{}").format(name, listed, sql.SQL(" WITH (FREEZE)" if frozen else "")), chunks)


def copy_in(session: Session, statement: Composable, chunks: Iterator[bytes], *, encoding: str = "utf-8") -> None:
    """Run a COPY statement with these chunks of rows; an exception of theirs ends it and is raised, else the server's error."""
    stream = _Stream(chunks, encoding)
    with session.cursor() as cursor:
        try:
            cursor.copy_expert(statement.as_string(session), stream, _BYTES)
        except BaseException as error:
            if stream.failure is not None and stream.failure is not error:
                raise stream.failure from None
            raise


class _Stream(io.RawIOBase):
    """The rows as a file in UTF-8, for the driver."""

    def __init__(self, chunks: Iterator[bytes], encoding: str) -> None:
        self._chunks = chunks
        self._rest = b""
        self._place = 0
        self._decoder: Any = None if codecs.lookup(encoding).name == "utf-8" else codecs.getincrementaldecoder(encoding)()
        self.failure: BaseException | None = None

    def readable(self) -> bool:
        """Tell the driver that it may read."""
        return True

    def read(self, size: int = -1) -> bytes:
        """Return the next bytes; none at the end."""
        while self._place >= len(self._rest):
            try:
                chunk = next(self._chunks, None)
            except BaseException as error:
                # the driver tells the server, which then says that the client gave up
                self.failure = error
                raise
            if chunk is None:
                return b""
            self._rest, self._place = chunk if self._decoder is None else self._decoder.decode(chunk).encode(), 0
        end = len(self._rest) if size < 0 else self._place + size
        taken, self._place = self._rest[self._place : end], end
        return taken
