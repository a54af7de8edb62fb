"""The marker: which dump a database came from and how far its refresh got, in a schema of its own.

A comment on the database or a database setting would survive ``DROP SCHEMA public CASCADE`` and another restore; a row bound to the
database's OID and to the OIDs of a few anchor tables does not (measured, PostgreSQL 15).
"""
from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field, fields
from datetime import datetime
from typing import TYPE_CHECKING, Any

from ..errors import RefreshError
from ..run_id import may_take_over

if TYPE_CHECKING:
    from psycopg2.extensions import connection as Connection
    from psycopg2.extensions import cursor as Cursor

SCHEMA = "dev_refresh"

PHASES = ("created", "restored", "sanitised", "migrating", "ready", "live", "rejected")
"""In order: ``sanitised`` and ``ready`` are the checkpoints that another run may resume from."""

_DDL = f"""
CREATE SCHEMA IF NOT EXISTS {SCHEMA};
CREATE TABLE IF NOT EXISTS {SCHEMA}.marker (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    state jsonb NOT NULL
);
CREATE TABLE IF NOT EXISTS {SCHEMA}.original_ids (
    entity text NOT NULL,
    row_key text NOT NULL,
    xero_id text NOT NULL,
    tenant_id text,
    PRIMARY KEY (entity, row_key)
);
"""


@dataclass(slots=True)
class Marker:
    """What the marker says; times are ISO 8601 in UTC, hashes hexadecimal."""

    run_id: str
    phase: str
    dump_sha256: str
    dump_path: str = ""
    dump_bytes: int = 0
    dump_created: str | None = None
    source_database: str | None = None
    parameters_sha256: str = ""
    db_oid: int = 0
    anchors: dict[str, int] = field(default_factory=dict)
    row_counts: dict[str, int] = field(default_factory=dict)
    version: str = ""
    restored_at: str | None = None
    swapped_at: str | None = None
    tenant_id: str | None = None
    """Organisation that the stored Xero ids belong to; set before the first write to Xero."""
    tenant_name: str | None = None
    seeded_at: str | None = None
    verified_at: str | None = None
    finished_at: str | None = None
    extra: dict[str, Any] = field(default_factory=dict)
    """What only one part needs, by its name."""


def create(session: Connection) -> None:
    """Create the schema and its empty tables, if they are not there; the caller commits."""
    with session.cursor() as cursor:
        cursor.execute(_DDL)


def exists(session: Connection) -> bool:
    """Tell whether the database has the marker's table."""
    with session.cursor() as cursor:
        cursor.execute("SELECT to_regclass(%s) IS NOT NULL", (f"{SCHEMA}.marker",))
        row = cursor.fetchone()
    return bool(row and row[0])


def read(session: Connection, *, lock: bool = False) -> Marker | None:
    """Return the marker, or None without one; ``lock`` holds its row until the end of the transaction."""
    if not exists(session):
        return None
    with session.cursor() as cursor:
        cursor.execute(f"SELECT state FROM {SCHEMA}.marker" + (" FOR UPDATE" if lock else ""))
        row = cursor.fetchone()
    if row is None:
        return None
    state = row[0] if isinstance(row[0], dict) else json.loads(row[0])
    known = {f.name for f in fields(Marker)}
    return Marker(**{name: value for name, value in state.items() if name in known})


def write(cursor: Cursor, marker: Marker) -> None:
    """Store the marker in the cursor's transaction."""
    cursor.execute(
        f"INSERT INTO {SCHEMA}.marker (state) VALUES (%s::jsonb) ON CONFLICT (only_row) DO UPDATE SET state = EXCLUDED.state",
        (json.dumps(asdict(marker)),),
    )


def update(cursor: Cursor, **changes: Any) -> None:
    """Change some fields of the stored marker in the cursor's transaction; do nothing where there is none."""
    cursor.execute(f"UPDATE {SCHEMA}.marker SET state = state || %s::jsonb", (json.dumps(changes),))


def now(cursor: Cursor) -> str:
    """Return the server's time, ISO 8601 in UTC with seconds."""
    cursor.execute("SELECT clock_timestamp() AT TIME ZONE 'UTC'")
    row = cursor.fetchone()
    assert row is not None and isinstance(row[0], datetime)
    return row[0].strftime("%Y-%m-%dT%H:%M:%SZ")


def anchors(session: Connection, tables: Iterable[str]) -> dict[str, int]:
    """Return the OID of each named table that exists; a restore over the data changes them."""
    found: dict[str, int] = {}
    with session.cursor() as cursor:
        for table in tables:
            cursor.execute("SELECT to_regclass(%s)::oid::bigint", (table,))
            row = cursor.fetchone()
            if row and row[0] is not None:
                found[table] = int(row[0])
    return found


def fits(session: Connection, marker: Marker) -> bool:
    """Tell whether the marker was written for this very database and data, not copied or left behind."""
    with session.cursor() as cursor:
        cursor.execute("SELECT oid::bigint FROM pg_database WHERE datname = current_database()")
        row = cursor.fetchone()
    return bool(row) and row is not None and int(row[0]) == marker.db_oid and anchors(session, marker.anchors) == marker.anchors


def original_ids(session: Connection, entity: str) -> dict[str, str]:
    """Return production's Xero ids by row key (text), as they came with the dump; empty without a marker."""
    if not exists(session):
        return {}
    with session.cursor() as cursor:
        cursor.execute(f"SELECT row_key, xero_id FROM {SCHEMA}.original_ids WHERE entity = %s", (entity,))
        return {str(key): str(xero_id) for key, xero_id in cursor.fetchall()}


def check_fence(mine: str | None, marker: Marker | None) -> None:
    """Raise RefreshError if a newer run than ``mine`` has taken over; without a run id or a marker there is no fence."""
    if not mine or marker is None or may_take_over(mine, marker.run_id):
        return
    raise RefreshError(
        f"Run {marker.run_id} has taken over this database since run {mine} began. This run stops here; the newer one does the work.",
        details={"fenced": True},
    )
