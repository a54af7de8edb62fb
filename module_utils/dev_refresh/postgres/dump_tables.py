"""The mapped tables as a dump has them, as temporary tables: for forecasts of what happens after a restore."""
from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from typing import TYPE_CHECKING

from ..dump.excerpt import ReadTable
from ..dump.tables import TableDump
from ..errors import RefreshError
from ..mapping import EntityMapping, Field, Mapping
from . import marker
from .copy_in import copy_in
from .mapped_tables import attempt, identifier, operators_sql, server_says, tables_used

if TYPE_CHECKING:
    from psycopg2.extensions import connection as Connection
    from psycopg2.sql import Composable

TEMPORARY = "pg_temp"
MARKER_TABLE = f"{marker.SCHEMA}.marker"


@dataclass(slots=True)
class TablesOfDump:
    """The mapping under the temporary tables' names, the dump's own marker if it has one, and why a forecast from them is not exact."""

    mapping: Mapping
    marker: marker.Marker | None = None
    reasons: list[str] = field(default_factory=list)
    doubts: list[str] = field(default_factory=list)
    """Those of the reasons that may be mistakes of the mapping: what the dump lacks, and only migrations could bring."""


@contextmanager
def tables_from_dump(
    session: Connection, read: ReadTable, mapping: Mapping, entities: Collection[str], *, lenient: bool = False
) -> Iterator[TablesOfDump]:
    """Fill temporary tables with what ``read`` returns of the dump and yield their mapping; all is rolled back at the end, and nothing else is written.

    Column types that this server does not know become text. What the dump lacks raises RefreshError, or with ``lenient`` becomes empty and is
    a reason why the forecast is an estimate: migrations may bring it.
    """
    if session.autocommit:
        raise RefreshError("The rows of a dump were asked for outside a transaction. This is a defect of dev_refresh.")
    found = TablesOfDump(mapping)
    try:
        # the clients are needed for the jobs too
        mapped = {"contacts": mapping.contacts, "projects": mapping.projects}
        for number, em in enumerate(mapped.values()):
            if em.entity == "projects" and em.entity not in entities:
                continue
            name = _free_name(session, em.table.split(".", 1)[-1], number)
            try:
                dump = _make(session, read, em, name)
            except RefreshError as error:
                if not lenient:
                    raise
                found.doubts.append(f"{str(error).rstrip('.')}; unless a migration brings the table, the run will stop before the swap")
                dump = _make_empty(session, em, name)
            else:
                found.doubts += [_doubt(em, column, dump) for column in _missing(em, dump)] if lenient else []
            if lenient:
                _add(session, name, _missing(em, dump))
            mapped[em.entity] = replace(em, table=f"{TEMPORARY}.{name}")
        found.reasons += found.doubts
        found.mapping = Mapping(mapped["contacts"], mapped["projects"])
        found.marker = _marker_of(session, read)
        yield found
    finally:
        if not session.closed:
            session.rollback()


def soften(session: Connection, tables: TablesOfDump) -> None:
    """Leave out the conditions and expressions that cannot be evaluated on the dump, and note them and those that read other tables."""
    from psycopg2 import sql

    entities = []
    for mapped in (tables.mapping.contacts, tables.mapping.projects):
        em = mapped
        if not em.table.startswith(f"{TEMPORARY}."):
            entities.append(em)
            continue
        option = f"xero_seed_mapping.{em.entity}"
        own = identifier(em.table)
        if em.where is not None and attempt(session, sql.SQL("EXPLAIN SELECT ({})::boolean FROM {}").format(operators_sql(em.where), own)) is not None:
            tables.reasons.append(f"{option}.where cannot be evaluated on the dump's table alone")
            em = replace(em, where=None)
        fields = dict(em.fields)
        for name, field_ in em.fields.items():
            if field_.sql is not None and attempt(session, sql.SQL("EXPLAIN SELECT ({})::text FROM {}").format(operators_sql(field_.sql), own)) is not None:
                tables.reasons.append(f"{option}.fields.{name} cannot be evaluated on the dump's table alone")
                fields[name] = Field(None, "NULL", required=False)
        em = replace(em, fields=fields)
        others = tables_used(session, em)
        if others:
            tables.reasons.append(f"{option} reads other tables ({', '.join(others)}), and they are the present database's, not the dump's")
        entities.append(em)
    tables.mapping = Mapping(*entities)


def _free_name(session: Connection, name: str, number: int) -> str:
    """Return the table's own name, so that a condition may name the table; another one if there is a temporary table of this name."""
    with session.cursor() as cursor:
        cursor.execute("SELECT to_regclass(%s) IS NULL", (identifier(f"{TEMPORARY}.{name}").as_string(session),))
        row = cursor.fetchone()
    return name if row and row[0] else f"dev_refresh_{number}_{name}"[:63]


def _make(session: Connection, read: ReadTable, em: EntityMapping, name: str) -> list[str]:
    """Make and fill the temporary table of one entity; return its columns."""
    problem = None
    for known_types in (True, False):
        dump = read(em.table)
        problem = _fill(session, dump, name, known_types=known_types)
        if problem is None:
            return list(dump.columns)
    raise RefreshError(f'Table "{em.table}" of the dump cannot be read for the forecast: {problem}.')


def _make_empty(session: Connection, em: EntityMapping, name: str) -> list[str]:
    """Make the temporary table of one entity with its key alone; return its columns."""
    from psycopg2 import sql

    with session.cursor() as cursor:
        cursor.execute(sql.SQL("CREATE TEMPORARY TABLE {} ({} text) ON COMMIT DROP").format(sql.Identifier(name), sql.Identifier(em.key)))
    return [em.key]


def _missing(em: EntityMapping, columns: Collection[str]) -> list[str]:
    """Return the mapped columns that a table needs and does not have."""
    required = {name for name in ("name", "number") if name in em.fields}
    wanted = [em.xero_id, em.tenant_id, *(field_.column for name, field_ in em.fields.items() if field_.required or name in required)]
    wanted += [em.client, em.order_by] if em.entity == "projects" else []
    return [column for column in dict.fromkeys(wanted) if column is not None and column not in columns]


def _doubt(em: EntityMapping, column: str, columns: Collection[str]) -> str:
    """Return what may be wrong with a mapped column that the dump's table lacks, with the nearest that it has."""
    nearest = get_close_matches(column, columns, n=1)
    hint = f' (the nearest is "{nearest[0]}")' if nearest else ""
    return f'Table "{em.table}" of the dump has no column "{column}"{hint}; unless a migration brings it, the run will stop before the swap'


def _add(session: Connection, name: str, columns: Iterable[str]) -> None:
    """Add empty columns to a temporary table."""
    from psycopg2 import sql

    with session.cursor() as cursor:
        for column in columns:
            cursor.execute(sql.SQL("ALTER TABLE {} ADD COLUMN {} text").format(sql.Identifier(TEMPORARY, name), sql.Identifier(column)))


def _fill(session: Connection, dump: TableDump, name: str, *, known_types: bool) -> str | None:
    """Create and fill one temporary table; return what the server said against it, with the table gone again."""
    import psycopg2
    from psycopg2 import sql

    with session.cursor() as cursor:
        cursor.execute("SAVEPOINT dev_refresh_table")
        try:
            types = [_type(session, dump.column_types.get(column, "text"), user_types=known_types) for column in dump.columns]
            columns = [sql.SQL("{} {}").format(sql.Identifier(column), kind) for column, kind in zip(dump.columns, types, strict=True)]
            cursor.execute(sql.SQL("CREATE TEMPORARY TABLE {} ({}) ON COMMIT DROP").format(sql.Identifier(name), sql.SQL(", ").join(columns)))
            listed = sql.SQL(", ").join(map(sql.Identifier, dump.columns))
            statement = sql.SQL("COPY {} ({}) FROM STDIN").format(sql.Identifier(TEMPORARY, name), listed)
            copy_in(session, statement, dump.copy_text, encoding=dump.encoding)
            cursor.execute(sql.SQL("ANALYZE {}").format(sql.Identifier(TEMPORARY, name)))
        except RefreshError:
            # the dump's rows end here, and the caller may go on without them
            if not session.closed:
                cursor.execute("ROLLBACK TO SAVEPOINT dev_refresh_table")
            raise
        except psycopg2.Error as error:
            message = server_says(error)
            if session.closed:
                raise RefreshError(f"PostgreSQL went away while a dump was being read: {message}. Run the same command again.") from None
            cursor.execute("ROLLBACK TO SAVEPOINT dev_refresh_table")
            return message
        cursor.execute("RELEASE SAVEPOINT dev_refresh_table")
    return None


def _type(session: Connection, text: str, *, user_types: bool) -> Composable:
    """Return the type that ``text`` names here, without its length; text where the server has none of that name."""
    from psycopg2 import sql

    unknown = sql.SQL("text")
    if attempt(session, sql.SQL("SELECT to_regtype({})").format(sql.Literal(text))) is not None:
        return unknown
    with session.cursor() as cursor:
        # looked up by value: a type's name in a dump never becomes part of a statement
        cursor.execute(
            "SELECT n.nspname, t.typname FROM pg_catalog.pg_type t JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace WHERE t.oid = to_regtype(%s)",
            (text,),
        )
        row = cursor.fetchone()
    if row is None or not (user_types or row[0] == "pg_catalog"):
        return unknown
    return sql.Identifier(str(row[0]), str(row[1]))


def _marker_of(session: Connection, read: ReadTable) -> marker.Marker | None:
    """Return the marker in the dump: that of a development database that was seeded before it was dumped."""
    try:
        dump = read(MARKER_TABLE)
    except RefreshError:
        return None
    name = "dev_refresh_marker_of_dump"
    if "state" not in dump.columns or _fill(session, dump, name, known_types=True) is not None:
        return None
    with session.cursor() as cursor:
        cursor.execute("SELECT state->>'run_id', state->>'tenant_id', state->>'tenant_name' FROM pg_temp.dev_refresh_marker_of_dump")
        row = cursor.fetchone()
    return marker.Marker(run_id=row[0] or "", phase="live", dump_sha256="", tenant_id=row[1], tenant_name=row[2]) if row else None
