"""The rows of a dump as they will be once it is restored and sanitised: without their Xero ids, which are then the originals."""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from ..errors import RefreshError
from ..seeding.records import Change, ClientRow, JobRow, Stored
from .dump_tables import TablesOfDump
from .marker import Marker
from .rows import read_clients, read_jobs

if TYPE_CHECKING:
    from psycopg2.extensions import connection as Connection

    from ..seeding.ports import Organisation


class DumpStore:
    """Implements ``seeding.ports.SeedStore`` for check mode; it cannot write."""

    def __init__(self, session: Connection, tables: TablesOfDump) -> None:
        self._session = session
        self._tables = tables
        self._originals: dict[str, dict[str, str]] = {}

    def clients(self) -> list[ClientRow]:
        """Return all clients."""
        rows = read_clients(self._session, self._tables.mapping.contacts)
        self._originals["contacts"] = {row.key: row.xero_id for row in rows if row.xero_id}
        return [replace(row, xero_id=None, tenant_id=None) for row in rows]

    def jobs(self) -> list[JobRow]:
        """Return all jobs."""
        rows = read_jobs(self._session, self._tables.mapping.projects)
        self._originals["projects"] = {row.key: row.xero_id for row in rows if row.xero_id}
        return [replace(row, xero_id=None, tenant_id=None) for row in rows]

    def marker(self) -> Marker | None:
        """Return the dump's own marker."""
        return self._tables.marker

    def original_ids(self, entity: str) -> dict[str, str]:
        """Return the ids in the dump, once its rows were read."""
        return self._originals.get(entity, {})

    def begin(self, organisation: Organisation, stale: Mapping[str, Mapping[str, str]], *, working: bool) -> dict[str, set[str]]:
        """Refuse: a dump is not written to."""
        raise _cannot_write()

    def store(self, entity: str, changes: Sequence[Change], tenant_id: str) -> Stored:
        """Refuse: a dump is not written to."""
        raise _cannot_write()

    def finish(self) -> None:
        """Refuse: a dump is not written to."""
        raise _cannot_write()

    def note_attempt(self, attempt: int) -> None:
        """Refuse: a dump is not written to."""
        raise _cannot_write()


def _cannot_write() -> RefreshError:
    """Return the error of a write in check mode."""
    return RefreshError("A forecast tried to write. This is a defect of dev_refresh; nothing was written.")
