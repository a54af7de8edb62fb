"""Run the operator's statements on staging and take production's Xero ids out of its rows."""
from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass

from ..errors import GuardError
from ..mapping import ENTITIES
from ..postgres import contents, marker
from ..postgres.mapped_tables import move_original_ids
from ..postgres.sessions import Session, explained, transaction
from .workspace import Workspace

_FAILED = 'Sanitising "{}" failed'


@dataclass(frozen=True, slots=True)
class Sanitised:
    """What sanitising did."""

    moved_ids: int
    seconds: float


def sanitise(work: Workspace) -> Sanitised:
    """Sanitise the staging database in one transaction and set the checkpoint; raise RefreshError naming the statement that fails."""
    request = work.request
    started = time.monotonic()
    staging = request.names.staging
    work.progress.emit("sanitise", 0, len(request.sanitise_sql), "statements")
    with work.owner_session(staging) as session, explained(_FAILED.format(staging)), transaction(session), session.cursor() as cursor:
        cursor.execute("SELECT set_config('statement_timeout', %s, true)", (str(int(work.seconds_left * 1000)),))
        with contents.all_rows(session):
            contents.run_statements(session, request.sanitise_sql, option="database_restore_sanitise_sql", where=f'"{staging}"')
            # last, so that the operator's statements can still go by the ids; of all entities, since none of production's may reach live
            moved = move_original_ids(session, request.mapping, ENTITIES)
            findings = contents.private_findings(session, request.private_tables)
            if findings:
                raise GuardError(findings)
        marker.update(cursor, phase="sanitised")
    work.progress.emit("sanitise", len(request.sanitise_sql), len(request.sanitise_sql), "statements")
    return Sanitised(moved, round(time.monotonic() - started, 2))


@contextmanager
def moving_ids(work: Workspace) -> Iterator[list[int]]:
    """Move the Xero ids while the block looks at the restored rows, which it still sees as they came; yield a list that gets their number.

    That is a head start of ``sanitise``, which finds nothing left to move. It is not taken where the operator's statements come first and may go
    by the ids, nor where forced row-level security would make the block wait for the rows. Nothing is committed before the block has ended well.
    """
    moved: list[int] = []
    with ExitStack() as stack:
        mover: _Mover | None = None
        if not work.request.sanitise_sql:
            session = stack.enter_context(work.owner_session(work.request.names.staging))
            with explained(_FAILED.format(work.request.names.staging)):
                if not contents.hides_rows(session):
                    mover = stack.enter_context(_Mover(work, session))
        yield moved
        if mover is not None:
            moved.append(mover.finish())


class _Mover(threading.Thread):
    """Moves the ids in a transaction of its session, beside other work."""

    def __init__(self, work: Workspace, session: Session) -> None:
        super().__init__(name="ids", daemon=True)
        self._work = work
        self._session = session
        self._moved = 0
        self._error: BaseException | None = None

    def __enter__(self) -> _Mover:
        """Begin."""
        self._session.autocommit = False
        self.start()
        return self

    def run(self) -> None:
        """Move, and leave the transaction open."""
        try:
            with self._session.cursor() as cursor:
                cursor.execute("SELECT set_config('statement_timeout', %s, true)", (str(int(self._work.seconds_left * 1000)),))
            marker.create(self._session)
            self._moved = move_original_ids(self._session, self._work.request.mapping, ENTITIES)
        except BaseException as error:
            self._error = error

    def finish(self) -> int:
        """Commit what was moved and return how many; raise RefreshError if it failed."""
        # in short waits, so that a signal is handled
        while self.is_alive():
            self.join(0.5)
        with explained(_FAILED.format(self._work.request.names.staging)):
            if self._error is not None:
                raise self._error
            self._session.commit()
        return self._moved

    def __exit__(self, *_: object) -> None:
        """End it; what is not committed is gone with the session."""
        while self.is_alive():
            with suppress(Exception):
                self._session.cancel()
            self.join(0.2)
