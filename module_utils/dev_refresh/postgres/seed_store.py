"""The database as seeding sees it: rows, marker and originals, each write in one short transaction."""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from ..mapping import Mapping as RowMapping
from ..seeding.records import Change, ClientRow, JobRow, Stored
from . import marker
from .mapped_tables import Table, describe
from .rows import clear_ids, database_errors, read_clients, read_jobs, store_ids

if TYPE_CHECKING:
    from psycopg2.extensions import connection as Connection

    from ..seeding.ports import Organisation


class PgSeedStore:
    """Implements ``seeding.ports.SeedStore`` on one session, which must not be in autocommit mode."""

    def __init__(self, session: Connection, mapping: RowMapping, *, run_id: str | None) -> None:
        self._session = session
        self._mapping = mapping
        self._run_id = run_id
        self._tables: dict[str, Table | None] = {}

    def clients(self) -> list[ClientRow]:
        """Return all clients."""
        rows = read_clients(self._session, self._mapping.contacts)
        self._session.rollback()
        return rows

    def jobs(self) -> list[JobRow]:
        """Return all jobs."""
        rows = read_jobs(self._session, self._mapping.projects)
        self._session.rollback()
        return rows

    def marker(self) -> marker.Marker | None:
        """Return the marker if it was written for this very database."""
        with database_errors("reading the marker"):
            found = marker.read(self._session)
            fitting = found if found is not None and marker.fits(self._session, found) else None
            self._session.rollback()
        return fitting

    def original_ids(self, entity: str) -> dict[str, str]:
        """Return the Xero ids that came with the dump, by key of the row."""
        with database_errors("reading the ids that came with the dump"):
            found = marker.original_ids(self._session, entity)
            self._session.rollback()
        return found

    def begin(self, organisation: Organisation, stale: Mapping[str, Mapping[str, str]], *, working: bool) -> dict[str, set[str]]:
        """Clear stale ids and note the organisation, in one transaction; return the keys of the rows that were cleared, by entity."""
        with database_errors("clearing stale ids and noting the organisation"), self._session.cursor() as cursor:
            present = marker.read(self._session, lock=True)
            if present is not None and not marker.fits(self._session, present):
                present = None
            marker.check_fence(self._run_id, present)
            if present is not None:
                changes: dict[str, str | None] = {"tenant_id": organisation.tenant_id, "tenant_name": organisation.name}
                if present.tenant_id != organisation.tenant_id:
                    # another organisation: what was seeded, verified and finished was so elsewhere
                    changes |= dict.fromkeys(("seeded_at", "verified_at", "finished_at"))
                elif working:
                    changes |= {"seeded_at": None}
                if self._run_id:
                    changes["run_id"] = self._run_id
                marker.update(cursor, **changes)
            cleared = {entity: clear_ids(self._session, self._mapping.entity(entity), list(ids.items())) for entity, ids in stale.items()}
            self._session.commit()
        return cleared

    def store(self, entity: str, changes: Sequence[Change], tenant_id: str) -> Stored:
        """Store Xero ids and commit."""
        em = self._mapping.entity(entity)
        if entity not in self._tables:
            with database_errors(f'looking at "{em.table}"'):
                self._tables[entity] = describe(self._session, em.table)
        return store_ids(self._session, em, changes, tenant_id, table=self._tables[entity])

    def finish(self) -> None:
        """Note that everything is seeded."""
        with database_errors("noting the end of the seed"), self._session.cursor() as cursor:
            if marker.exists(self._session):
                marker.update(cursor, seeded_at=marker.now(cursor))
            self._session.commit()

    def note_attempt(self, attempt: int) -> None:
        """Note the first number for the idempotency keys of the next run in the marker."""
        with database_errors("noting the attempt"), self._session.cursor() as cursor:
            present = marker.read(self._session, lock=True)
            if present is not None:
                marker.update(cursor, extra={**present.extra, "key_attempt": attempt})
            self._session.commit()
