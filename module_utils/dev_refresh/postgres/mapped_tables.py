"""The tables that the mapping names: do they exist, can their Xero ids be emptied, and moving production's ids out of them."""
from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from ..errors import Finding
from ..mapping import EntityMapping, Field, Mapping
from .marker import SCHEMA

if TYPE_CHECKING:
    from psycopg2.extensions import connection as Connection
    from psycopg2.sql import Composable

TABLE_KINDS = {"r": "table", "p": "partitioned table", "f": "foreign table"}
"""What can be updated row by row, by pg_class.relkind."""

UUID_LENGTH = 36


@dataclass(frozen=True, slots=True)
class Column:
    """A column's type and what keeps it from being emptied or filled."""

    name: str
    type_schema: str
    type_name: str
    category: str
    """pg_type.typcategory of the type (of a domain, of its base): S are the text types."""
    length: int | None
    """Characters that a varchar or char column holds; None: no limit."""
    not_null: bool
    unique: bool
    generated: bool
    collatable: bool

    @property
    def is_text(self) -> bool:
        """Tell whether the column holds text."""
        return self.category == "S"

    @property
    def cast(self) -> Composable:
        """Return ``::schema.type``; without a length, so that nothing is cut to one silently."""
        from psycopg2 import sql

        return sql.SQL("::") + sql.Identifier(self.type_schema, self.type_name)

    @property
    def empty(self) -> str | None:
        """Return what the column holds when it holds nothing."""
        return "" if self.not_null else None


@dataclass(frozen=True, slots=True)
class Table:
    """A table as the database has it."""

    name: str
    kind: str
    columns: dict[str, Column]


def identifier(table: str) -> Composable:
    """Return the quoted name of ``table`` or ``schema.table``."""
    from psycopg2 import sql

    return sql.Identifier(*table.split(".", 1))


def describe(session: Connection, table: str) -> Table | None:
    """Return what the database knows of ``table``, or None if there is no such table (or this role may not see it)."""
    with session.cursor() as cursor:
        cursor.execute("SELECT c.oid::bigint, c.relkind FROM pg_catalog.pg_class c WHERE c.oid = to_regclass(%s)", (identifier(table).as_string(session),))
        row = cursor.fetchone()
        if row is None:
            return None
        oid, kind = int(row[0]), str(row[1])
        cursor.execute(
            "SELECT a.attname, n.nspname, t.typname, COALESCE(b.typcategory, t.typcategory),"
            " CASE WHEN t.typname IN ('varchar', 'bpchar') AND a.atttypmod > 4 THEN a.atttypmod - 4 END,"
            " a.attnotnull OR t.typnotnull,"
            " EXISTS (SELECT 1 FROM pg_catalog.pg_index i WHERE i.indrelid = a.attrelid AND i.indisunique AND i.indnkeyatts = 1"
            "   AND i.indkey[0] = a.attnum AND i.indpred IS NULL),"
            " a.attgenerated <> '', t.typcollation <> 0"
            " FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_type t ON t.oid = a.atttypid JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace"
            " LEFT JOIN pg_catalog.pg_type b ON b.oid = NULLIF(t.typbasetype, 0)"
            " WHERE a.attrelid = %s AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum",
            (oid,),
        )
        columns = {str(found[0]): Column(*found) for found in cursor.fetchall()}
    return Table(table, kind, columns)


def without_missing_defaults(table: Table, em: EntityMapping) -> tuple[EntityMapping, list[str]]:
    """Return the mapping without the default fields whose column the table lacks, and the names of these fields."""
    missing = [name for name, field in em.fields.items() if not field.required and field.column is not None and field.column not in table.columns]
    return replace(em, fields={name: field for name, field in em.fields.items() if name not in missing}), missing


def check_mapping(session: Connection, mapping: Mapping, entities: Iterable[str]) -> tuple[list[Finding], list[str]]:
    """Return what is wrong with the mapped tables of this database, and warnings.

    Every table, column and expression must exist here; the columns of the Xero ids must be such that they can be emptied and filled.
    Reads only. The mapping of the contacts is checked for the projects too, since they need it.
    """
    findings: list[Finding] = []
    warnings: list[str] = []
    for name in ("contacts", "projects") if "projects" in entities else ("contacts",):
        _check_entity(session, mapping.entity(name), findings, warnings)
    return findings, warnings


def missing_rights(session: Connection, mapping: Mapping, entities: Iterable[str]) -> list[Finding]:
    """Return what this role may not do that seeding needs; the tables exist."""
    findings = []
    for name in entities:
        em = mapping.entity(name)
        with session.cursor() as cursor:
            for column in filter(None, (em.xero_id, em.tenant_id)):
                cursor.execute("SELECT has_column_privilege(to_regclass(%s), %s, 'UPDATE')", (identifier(em.table).as_string(session), column))
                row = cursor.fetchone()
                if not (row and row[0]):
                    what = f'Role "{session.info.user}" may not update column "{em.table}.{column}"'
                    findings.append(Finding(what, "Log in as the app's own role, or grant it the right"))
    return findings


def move_original_ids(session: Connection, mapping: Mapping, entities: Iterable[str]) -> int:
    """Move all Xero ids, and the tenant ids beside them, from the rows into the marker's schema; return how many.

    In the caller's transaction, which has made the schema. An id that is there already for a row is kept. A table or column that does not
    exist (yet) is passed over.
    """
    from psycopg2 import sql

    moved = 0
    for name in entities:
        em = mapping.entity(name)
        table = describe(session, em.table)
        if table is None or em.xero_id not in table.columns or em.key not in table.columns:
            continue
        tenant = em.tenant_id if em.tenant_id in table.columns else None
        filled = sql.SQL("{}::text <> ''").format(sql.Identifier(em.xero_id))
        with session.cursor() as cursor:
            cursor.execute(
                sql.SQL(
                    "INSERT INTO {}.original_ids (entity, row_key, xero_id, tenant_id)"
                    " SELECT {}, {}::text, {}::text, {} FROM {} WHERE {} AND {} IS NOT NULL ON CONFLICT DO NOTHING"
                ).format(
                    sql.Identifier(SCHEMA),
                    sql.Literal(name),
                    sql.Identifier(em.key),
                    sql.Identifier(em.xero_id),
                    sql.SQL("NULLIF({}::text, '')").format(sql.Identifier(tenant)) if tenant else sql.SQL("NULL"),
                    identifier(em.table),
                    filled,
                    sql.Identifier(em.key),
                )
            )
            cursor.execute(sql.SQL("UPDATE {} SET {} WHERE {}").format(identifier(em.table), emptied(table, em), filled))
            moved += cursor.rowcount
    return moved


def emptied(table: Table, em: EntityMapping) -> Composable:
    """Return the assignments that empty the Xero id, and the tenant id where its column can be emptied."""
    from psycopg2 import sql

    columns = [table.columns[em.xero_id]]
    if em.tenant_id and em.tenant_id in table.columns:
        tenant = table.columns[em.tenant_id]
        if tenant.is_text or not tenant.not_null:
            columns.append(tenant)
    return sql.SQL(", ").join(sql.SQL("{} = {}").format(sql.Identifier(column.name), sql.Literal(column.empty)) for column in columns)


def _hides_rows(session: Connection, table: str) -> bool:
    """Tell whether this role would see, and change, only those rows of a table that its policies allow."""
    with session.cursor() as cursor:
        cursor.execute("SELECT row_security_active(to_regclass(%s))", (identifier(table).as_string(session),))
        row = cursor.fetchone()
    return bool(row and row[0])


def _check_entity(session: Connection, em: EntityMapping, findings: list[Finding], warnings: list[str]) -> None:
    """Check one entity's mapping."""
    option = f"xero_seed_mapping.{em.entity}"
    table = describe(session, em.table)
    if table is None:
        near = _nearest_tables(session, em)
        findings.append(
            Finding(
                f'Database "{session.info.dbname}" has no table "{em.table}" ({option}.table) that role "{session.info.user}" can see',
                f"Correct {option}.table" + (f"; the nearest here: {', '.join(near)}" if near else ""),
            )
        )
        return
    if table.kind not in TABLE_KINDS:
        findings.append(Finding(f'"{em.table}" ({option}.table) is not a table', f"Name in {option}.table the table behind it, whose rows can be updated"))
    if _hides_rows(session, em.table):
        findings.append(
            Finding(
                f'Row-level security hides rows of table "{em.table}" ({option}.table) from role "{session.info.user}"',
                f'ALTER ROLE "{session.info.user}" BYPASSRLS, or lift it in a post command (ALTER TABLE ... NO FORCE ROW LEVEL SECURITY)',
            )
        )
    named = {"key": em.key, "xero_id": em.xero_id, "tenant_id": em.tenant_id}
    if em.entity == "projects":
        named |= {"client": em.client, "order_by": em.order_by}
    named |= {f"fields.{name}": field.column for name, field in em.fields.items() if field.required or name in ("name", "number")}
    sound = True
    for place, column in named.items():
        if column is not None and column not in table.columns:
            sound = False
            findings.append(_missing_column(session, table, f"{option}.{place}", column))
    if em.xero_id in table.columns:
        findings += _unfit_for_ids(table, em, option)
    em, missing = without_missing_defaults(table, em)
    for name in missing:
        if f"fields.{name}" not in named:
            warnings.append(f'Table "{em.table}" has no column "{name}" for the default of {option}.fields.{name}; the field is left out.')
    if sound:
        findings += _unsound_sql(session, em, option)


def _missing_column(session: Connection, table: Table, option: str, column: str) -> Finding:
    """Return the finding of a column that does not exist, with the nearest that do."""
    near = difflib.get_close_matches(column, table.columns, n=3, cutoff=0.5)
    candidates = [f"{table.name}.{name}" for name in near]
    with session.cursor() as cursor:
        cursor.execute(f"{_TABLES_WITH_COLUMN} LIMIT 5", (column, SCHEMA))
        candidates += [str(name) for (name,) in cursor.fetchall()]
    hint = f"; the nearest here: {', '.join(candidates)}" if candidates else f"; its columns are {', '.join(table.columns)}"
    return Finding(f'Table "{table.name}" has no column "{column}" ({option})', f"Correct {option}{hint}")


_TABLES_WITH_COLUMN = (
    "SELECT CASE WHEN pg_catalog.pg_table_is_visible(c.oid) THEN '' ELSE n.nspname || '.' END || c.relname || '.' || a.attname"
    " FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_class c ON c.oid = a.attrelid JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace"
    " WHERE c.relkind IN ('r', 'p', 'f') AND a.attname = %s AND NOT a.attisdropped AND n.nspname NOT IN ('pg_catalog', 'information_schema', %s)"
    " ORDER BY 1"
)


def _nearest_tables(session: Connection, em: EntityMapping) -> list[str]:
    """Return, as ``table.column``, the tables that have a column of the Xero id's name, else as ``table`` those with a similar name."""
    with session.cursor() as cursor:
        cursor.execute(_TABLES_WITH_COLUMN, (em.xero_id, SCHEMA))
        near = [str(name) for (name,) in cursor.fetchall()]
        if not near:
            cursor.execute(
                "SELECT CASE WHEN pg_catalog.pg_table_is_visible(c.oid) THEN '' ELSE n.nspname || '.' END || c.relname FROM pg_catalog.pg_class c"
                " JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace"
                " WHERE c.relkind IN ('r', 'p', 'f') AND n.nspname NOT IN ('pg_catalog', 'information_schema', %s)",
                (SCHEMA,),
            )
            near = difflib.get_close_matches(em.table, [str(name) for (name,) in cursor.fetchall()], n=3, cutoff=0.4)
    return near[:5]


def _unfit_for_ids(table: Table, em: EntityMapping, option: str) -> list[Finding]:
    """Return why the column of the Xero ids cannot be emptied or filled."""
    column = table.columns[em.xero_id]
    where = f'Column "{em.table}.{em.xero_id}" ({option}.xero_id)'
    findings = []
    if not column.is_text and column.type_name != "uuid":
        findings.append(Finding(f"{where} is of type {column.type_name} and cannot hold a Xero id", f"Name in {option}.xero_id a column of type uuid or text"))
    elif column.length is not None and column.length < UUID_LENGTH:
        findings.append(Finding(f"{where} holds only {column.length} characters and a Xero id has {UUID_LENGTH}", "Make the column longer"))
    elif column.generated:
        findings.append(Finding(f"{where} is computed by the database and cannot be written", f"Name in {option}.xero_id a plain column"))
    elif column.not_null and not column.is_text:
        findings.append(Finding(f"{where} is NOT NULL and of type {column.type_name}, so no row can be without an id", "Make the column nullable"))
    elif column.not_null and column.unique:
        findings.append(Finding(f"{where} is NOT NULL and unique, so no two rows can be without an id", "Make the column nullable, or drop the constraint"))
    return findings


def _unsound_sql(session: Connection, em: EntityMapping, option: str) -> list[Finding]:
    """Return what the server says against the operator's conditions and expressions."""
    from psycopg2 import sql

    findings = []
    expressions = {f"fields.{name}": field.sql for name, field in em.fields.items() if field.sql is not None}
    if em.where is not None:
        expressions["where"] = em.where
    for place, text in expressions.items():
        wanted = sql.SQL("({})::boolean" if place == "where" else "({})::text").format(operators_sql(text))
        error = attempt(session, sql.SQL("EXPLAIN SELECT {} FROM {}").format(wanted, identifier(em.table)))
        if error is not None:
            findings.append(Finding(f'{option}.{place} cannot be evaluated on table "{em.table}": {error}', f"Correct {option}.{place}"))
    return findings


def operators_sql(text: str) -> Composable:
    """Return an operator's SQL for a statement that is executed without parameters, so that its ``%`` stays as it is."""
    from psycopg2 import sql

    # on lines of its own, so that a comment at its end ends there
    return sql.SQL("\n") + sql.SQL(text) + sql.SQL("\n")


def attempt(session: Connection, statement: Composable) -> str | None:
    """Execute a read-only statement so that its failure does no harm to a transaction; return what the server says against it, or None."""
    import psycopg2

    with session.cursor() as cursor:
        if session.autocommit:
            try:
                cursor.execute(statement)
            except psycopg2.Error as error:
                return server_says(error)
            return None
        cursor.execute("SAVEPOINT dev_refresh_attempt")
        try:
            cursor.execute(statement)
            message = None
        except psycopg2.Error as error:
            message = server_says(error)
            cursor.execute("ROLLBACK TO SAVEPOINT dev_refresh_attempt")
        cursor.execute("RELEASE SAVEPOINT dev_refresh_attempt")
    return message


def server_says(error: Exception) -> str:
    """Return the server's own sentence for a database error, without the statement."""
    diagnostics: Any = getattr(error, "diag", None)
    text = getattr(diagnostics, "message_primary", None) or " ".join(str(error).split()) or type(error).__name__
    return str(text)


def tables_used(session: Connection, em: EntityMapping) -> Sequence[str]:
    """Return the other tables that ``where`` and the expressions read, by the server's own plan."""
    from psycopg2 import sql

    expressions: list[Composable] = [sql.SQL("({})::text").format(operators_sql(field.sql)) for field in em.fields.values() if field.sql is not None]
    condition = sql.SQL(" WHERE ({})").format(operators_sql(em.where)) if em.where else sql.SQL("")
    if not expressions and not em.where:
        return ()
    selected = sql.SQL(", ").join(expressions or [sql.SQL("1")])
    statement = sql.SQL("EXPLAIN (FORMAT JSON, VERBOSE) SELECT {} FROM {}{}").format(selected, identifier(em.table), condition)
    with session.cursor() as cursor:
        cursor.execute(statement)
        row = cursor.fetchone()
    found: set[str] = set()
    _collect_relations(row[0] if row else [], found)
    own = em.table.split(".", 1)[-1]
    return sorted(name for name in found if name.split(".", 1)[-1] != own)


def _collect_relations(node: Any, found: set[str]) -> None:
    """Add the relations that a plan in JSON reads to ``found``."""
    if isinstance(node, list):
        for inner in node:
            _collect_relations(inner, found)
    elif isinstance(node, dict):
        if "Relation Name" in node:
            found.add(f"{node.get('Schema', '')}.{node['Relation Name']}")
        for inner in node.values():
            _collect_relations(inner, found)


def column_of(field: Field) -> Composable:
    """Return the expression that reads a field."""
    from psycopg2 import sql

    return sql.Identifier(field.column) if field.column is not None else sql.SQL("({})").format(operators_sql(field.sql or ""))
