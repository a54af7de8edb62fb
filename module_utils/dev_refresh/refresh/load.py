"""Load the rows of ordinary tables by sessions of our own, several at once, with what can be done to them while others are still being loaded."""
from __future__ import annotations

import io
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, redirect_stderr, suppress
from dataclasses import dataclass

from ..dump.blocks import Block, block_data
from ..dump.header import DamagedArchiveError, Header
from ..dump.shares import Shares, TableShare
from ..dump.toc import list_text
from ..errors import RefreshError
from ..postgres import marker
from ..postgres.copy_in import load_table, prepare_loading
from ..postgres.gate import list_sessions
from ..postgres.original_ids import TableWithIds, load_without_ids, tables_with_ids
from ..postgres.sessions import CANCEL_SECONDS, Session, explained
from .pg_restore import PgRestore
from .schedule import Schedule
from .workspace import ROOM_SECONDS, Workspace

Tables = Mapping[tuple[str, str], TableWithIds]
"""The mapped tables by schema and name."""
FROZEN_BYTES = 64 << 10
"""Stored rows from which they are frozen."""
_POLL_SECONDS = 0.01


class _StoppedError(Exception):
    """Another worker failed, so this one is not needed any more."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """What was done beside loading: dump ids of the indexes that were built, and how many Xero ids were moved."""

    indexes: set[int]
    moved_ids: int


def load_tables(work: Workspace, shares: Shares, program: PgRestore) -> Loaded:
    """Load all tables, without the Xero ids of the mapped ones, and build some of their indexes.

    Raises RefreshError with the first error, after which nothing of it runs any more.
    """
    schedule = Schedule(shares.tables)
    with_ids = _tables_with_ids(work, shares)
    errors: list[BaseException] = []
    workers = [_Worker(work, shares.header, program, schedule, with_ids, errors) for _ in range(min(work.request.jobs, len(shares.tables)))]
    # of a server that ends in a COPY the driver prints a first error, before it raises another; that one may quote a row
    with redirect_stderr(io.StringIO()):
        try:
            for worker in workers:
                worker.start()
            _wait(work, schedule, workers)
        finally:
            _stop(schedule, program, workers)
    if errors:
        raise errors[0]
    return Loaded(schedule.built, sum(worker.moved_ids for worker in workers))


def _tables_with_ids(work: Workspace, shares: Shares) -> Tables:
    """Return the tables whose Xero ids are left out of their rows at once, which costs a quarter of what it does later, and make room for the ids.

    There are none where the operator's statements come first and may go by the ids, or where the dump brings ids that were left out before. What
    is not found here is moved when staging is sanitised.
    """
    if work.request.sanitise_sql or any(marker.SCHEMA in (entry.schema, entry.name) for entry in shares.before):
        return {}
    with work.owner_session(work.request.names.staging) as session, explained("Looking for the mapped tables failed"):
        found = tables_with_ids(session, work.request.mapping)
        if found:
            marker.create(session)
    return found


def wait_for_room(work: Workspace) -> None:
    """Wait until the server has noticed that our sessions in staging are closed, since they count where connections are limited."""
    until = time.monotonic() + ROOM_SECONDS
    while time.monotonic() < until:
        inside = list_sessions(work.admin, [work.request.names.staging])
        if not any((entry["application"] or "").startswith("dev_refresh") for entry in inside):
            return
        time.sleep(0.01)


def _wait(work: Workspace, schedule: Schedule, workers: list[_Worker]) -> None:
    """Wait until all have ended or one has failed, in short waits, so that a signal is handled; raise RefreshError at the deadline."""
    while any(worker.is_alive() for worker in workers) and not schedule.stopped:
        _ = work.seconds_left
        time.sleep(_POLL_SECONDS)


def _stop(schedule: Schedule, program: PgRestore, workers: list[_Worker]) -> None:
    """End all workers that still work."""
    schedule.stop()
    if any(worker.is_alive() for worker in workers):
        program.stop()
    until = time.monotonic() + CANCEL_SECONDS
    while any(worker.is_alive() for worker in workers) and time.monotonic() < until:
        for worker in workers:
            worker.cancel()
        time.sleep(_POLL_SECONDS)


class _Worker(threading.Thread):
    """Loads tables in a session of its own as long as there are some, then builds indexes."""

    def __init__(
        self, work: Workspace, header: Header, program: PgRestore, schedule: Schedule, with_ids: Tables, errors: list[BaseException]
    ) -> None:
        super().__init__(name="load", daemon=True)
        self._work = work
        self._header = header
        self._program = program
        self._schedule = schedule
        self._with_ids = with_ids
        self.moved_ids = 0
        self._errors = errors
        self._session: Session | None = None

    def run(self) -> None:
        """Work until nothing is left; the first error of all workers counts, and ends them."""
        try:
            with ExitStack() as stack:
                while (item := self._schedule.take()) is not None:
                    if isinstance(item, TableShare):
                        if self._session is None:
                            self._session = stack.enter_context(self._work.owner_session(self._work.request.names.staging))
                            prepare_loading(self._session)
                        self._load(self._session, item)
                    else:
                        # no table comes any more, and pg_restore has a session of its own
                        stack.close()
                        self._program.run(list_text([item.entry], ()))
                    self._schedule.done(item)
        except BaseException as error:
            if not self._schedule.stopped:
                self._errors.append(error)
                self._schedule.stop()

    def cancel(self) -> None:
        """Ask the server to end what the session does."""
        session = self._session
        if session is not None and self.is_alive():
            with suppress(Exception):
                session.cancel()

    def _load(self, session: Session, share: TableShare) -> None:
        """Load the rows of a table."""
        full_name, columns = share.block.entry.full_name, share.target.columns
        name = (share.target.schema, share.target.table)
        table = self._with_ids.get(name)
        places = table.places(columns) if table else None
        how = " without its Xero ids" if places else ""
        frozen = share.size >= FROZEN_BYTES
        try:
            with explained(f'Loading table {full_name}{how} failed on "{self._work.request.names.staging}"', "Nothing in the live database was touched"):
                if table and places:
                    self.moved_ids += load_without_ids(session, name, columns, table, places, lambda: self._pieces(share.block), frozen=frozen)
                else:
                    load_table(session, *name, columns, self._pieces(share.block), frozen=frozen)
        except (DamagedArchiveError, OSError) as error:
            raise RefreshError(f"The rows of table {full_name} cannot be read any more: {error}. Look at the disk, or copy the dump again.") from None

    def _pieces(self, block: Block) -> Iterator[bytes]:
        for data in block_data(block, self._header):
            if self._schedule.stopped:
                raise _StoppedError
            yield data

