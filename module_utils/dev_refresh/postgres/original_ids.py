"""Load the mapped tables without their Xero ids, which go into the marker's schema: production's never get into a row."""
from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from ..dump.leave_out import NULL, IdPlaces, list_ids, without_ids
from ..mapping import ENTITIES, Mapping
from .copy_in import copy_in, load_rows
from .mapped_tables import Column, describe, identifier
from .marker import SCHEMA
from .sessions import Session, execute, transaction

_PLAIN_TYPES = ("uuid", "text", "varchar", "int2", "int4", "int8")
"""Types whose values COPY writes as a cast to text does."""


@dataclass(frozen=True, slots=True)
class TableWithIds:
    """A table that is mapped to an entity."""

    entity: str
    key: Column
    xero_id: Column
    tenant_id: Column | None

    def places(self, columns: Sequence[str]) -> IdPlaces | None:
        """Return where the ids are in rows of these columns; None if they cannot be left out there."""
        needed = [self.key, self.xero_id, *([self.tenant_id] if self.tenant_id else [])]
        if any(column.name not in columns for column in needed):
            return None
        return IdPlaces(
            columns.index(self.key.name),
            columns.index(self.xero_id.name),
            _field(self.xero_id),
            columns.index(self.tenant_id.name) if self.tenant_id else None,
            _field(self.tenant_id) if self.tenant_id and _can_be_empty(self.tenant_id) else None,
        )


def tables_with_ids(session: Session, mapping: Mapping) -> dict[tuple[str, str], TableWithIds]:
    """Return the mapped tables by schema and name; one whose ids cannot be left out while it is loaded is not among them."""
    found: dict[tuple[str, str], TableWithIds] = {}
    twice: set[tuple[str, str]] = set()
    for entity in ENTITIES:
        em = mapping.entity(entity)
        table = describe(session, em.table)
        if table is None or em.key not in table.columns or em.xero_id not in table.columns:
            continue
        key, xero_id, tenant_id = table.columns[em.key], table.columns[em.xero_id], table.columns.get(em.tenant_id or "")
        named = [key, xero_id, *([tenant_id] if tenant_id else [])]
        if any(column.generated or column.type_schema != "pg_catalog" or column.type_name not in _PLAIN_TYPES for column in named):
            continue
        (row,) = execute(
            session,
            "SELECT n.nspname, c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = to_regclass(%s)",
            (identifier(em.table).as_string(session),),
        )
        name = (str(row[0]), str(row[1]))
        if name in found:
            twice.add(name)
        if _can_be_empty(xero_id) and len({column.name for column in named}) == len(named):
            found[name] = TableWithIds(entity, key, xero_id, tenant_id)
    return {name: table for name, table in found.items() if name not in twice}


def load_without_ids(
    session: Session,
    name: tuple[str, str],
    columns: Sequence[str],
    table: TableWithIds,
    places: IdPlaces,
    read: Callable[[], Iterator[bytes]],
    *,
    frozen: bool,
) -> int:
    """Load a table as ``load_table`` does, but with its Xero ids in the marker's schema, which must be there; return how many.

    ``read`` is called twice for the rows, so that no more than a piece of them is ever in memory.
    """
    from psycopg2 import sql

    taken: list[int] = []
    with transaction(session):
        ids = sql.Identifier("pg_temp", "dev_refresh_ids")
        execute(session, sql.SQL("CREATE TEMPORARY TABLE {} (row_key text, xero_id text, tenant_id text) ON COMMIT DROP").format(ids))
        copy_in(session, sql.SQL("COPY {} FROM STDIN").format(ids), list_ids(read(), places))
        execute(
            session,
            sql.SQL(
                "INSERT INTO {}.original_ids (entity, row_key, xero_id, tenant_id)"
                " SELECT {}, row_key, xero_id, tenant_id FROM {} ON CONFLICT DO NOTHING"
            ).format(sql.Identifier(SCHEMA), sql.Literal(table.entity), ids),
        )  # fmt: skip
        load_rows(session, *name, columns, without_ids(read(), places, taken), frozen=frozen)
    return sum(taken)


def _can_be_empty(column: Column) -> bool:
    return column.is_text or not column.not_null


def _field(column: Column) -> bytes:
    """Return what the column holds when it holds nothing, as a field of COPY's text."""
    return NULL if column.empty is None else column.empty.encode()
