"""Reading clients and jobs, and writing their Xero ids: by sets, and only where a row is still as it was read."""
from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any

from ..errors import Finding, GuardError, RefreshError
from ..mapping import EntityMapping
from ..seeding.keys import key_order
from ..seeding.records import Change, ClientRow, JobRow, Stored
from .mapped_tables import Table, column_of, describe, emptied, identifier, operators_sql, server_says, without_missing_defaults

if TYPE_CHECKING:
    from psycopg2.extensions import connection as Connection
    from psycopg2.sql import Composable

CHANGED_MEANWHILE = "the row changed while it was being seeded, or a trigger of its table kept it from being written; it keeps its value"


FIRST_YEAR = 1753
"""SQL Server's first year; a date before it is not one that Xero takes."""


@contextmanager
def database_errors(doing: str) -> Iterator[None]:
    """Turn the driver's errors into a sentence that says what was being done."""
    import psycopg2

    try:
        yield
    except psycopg2.OperationalError as error:
        raise RefreshError(
            f"PostgreSQL went away while dev_refresh was {doing}: {server_says(error)}. What was stored stays. Run the same command again when it answers."
        ) from None
    except psycopg2.Error as error:
        raise RefreshError(
            f"PostgreSQL refused while dev_refresh was {doing}: {server_says(error)}. Correct the mapping or the database, then run again."
        ) from None


def read_clients(session: Connection, em: EntityMapping) -> list[ClientRow]:
    """Return all clients, also those outside ``where``, by key; raises GuardError where a key is empty or not the only one of its kind."""
    rows = [
        ClientRow(key=key, in_scope=scope, xero_id=xero_id or None, tenant_id=tenant or None, **values)
        for key, scope, xero_id, tenant, _order, values in _read(session, em)
    ]
    return sorted(rows, key=lambda row: key_order(row.key))


def read_jobs(session: Connection, em: EntityMapping) -> list[JobRow]:
    """Return all jobs, also those outside ``where``, by key; raises GuardError where a key is empty or not the only one of its kind."""
    rows = []
    for key, scope, xero_id, tenant, order, values in _read(session, em):
        deadline, estimate = read_deadline(values.get("deadline")), read_estimate(values.get("estimate"))
        unreadable = tuple(name for name, value in (("deadline", deadline), ("estimate", estimate)) if value is None and (values.get(name) or "").strip())
        rows.append(
            JobRow(
                key=key, client_key=values.get("client"), number=values.get("number"), name=values.get("name"), deadline=deadline, estimate=estimate,
                xero_id=xero_id or None, tenant_id=tenant or None, in_scope=scope, order=order, unreadable=unreadable,
            )
        )  # fmt: skip
    return sorted(rows, key=lambda row: key_order(row.key))


def store_ids(session: Connection, em: EntityMapping, changes: Sequence[Change], tenant_id: str, *, table: Table | None = None) -> Stored:
    """Store Xero ids, and the tenant id where the mapping has a column for it, in one statement, and commit.

    A row is written only if it still holds the id that was read. A row that the database refuses (a constraint, a trigger) does not keep
    the others from being stored.
    """
    import psycopg2

    stored = Stored()
    if not changes:
        return stored
    together = True
    with database_errors(f'storing Xero ids in "{em.table}"'):
        table = table or _table(session, em)
        try:
            stored.done = _store(session, em, table, changes, tenant_id)
            session.commit()
        except (psycopg2.IntegrityError, psycopg2.DataError, psycopg2.InternalError, psycopg2.errors.RaiseException) as error:
            session.rollback()
            together = False
            if len(changes) == 1:
                stored.refused[changes[0].key] = f"the database refused its Xero id: {server_says(error)}"
                return stored
    if not together:
        middle = len(changes) // 2
        for half in (changes[:middle], changes[middle:]):
            part = store_ids(session, em, half, tenant_id, table=table)
            stored.done |= part.done
            stored.refused |= part.refused
        return stored
    stored.refused = {change.key: CHANGED_MEANWHILE for change in changes if change.key not in stored.done}
    return stored


def clear_ids(session: Connection, em: EntityMapping, stale: Sequence[tuple[str, str]]) -> set[str]:
    """Empty the Xero ids of rows (key, id as it was read) in the caller's transaction; return the keys of those that still held it."""
    if not stale:
        return set()
    with database_errors(f'clearing stale Xero ids in "{em.table}"'):
        return _clear(session, em, _table(session, em), stale)


def read_deadline(text: str | None) -> datetime | None:
    """Return a date or time, as PostgreSQL writes it in its ISO style, in UTC; a date is its midnight. None where it is neither."""
    try:
        moment = datetime.fromisoformat((text or "").strip())
        moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
        return moment if moment.year >= FIRST_YEAR else None
    except (ValueError, OverflowError):
        return None


def read_estimate(text: str | None) -> Decimal | None:
    """Return an amount, or None where it is not one."""
    try:
        amount = Decimal((text or "").strip())
    except InvalidOperation:
        return None
    return amount if amount.is_finite() else None


def _table(session: Connection, em: EntityMapping) -> Table:
    """Return the mapped table; raise RefreshError if it does not exist."""
    table = describe(session, em.table)
    if table is None:
        raise RefreshError(f'Database "{session.info.dbname}" has no table "{em.table}". Correct xero_seed_mapping.{em.entity}.table.')
    return table


def _read(session: Connection, em: EntityMapping) -> list[tuple[str, bool, str | None, str | None, int, dict[str, str | None]]]:
    """Return key, scope, Xero id, tenant id, rank and fields of every row; all values as text, so that no type is beyond the driver."""
    from psycopg2 import sql

    with database_errors(f'reading "{em.table}"'), session.cursor() as cursor:
        table = _table(session, em)
        em, _missing = without_missing_defaults(table, em)
        cursor.execute("SELECT set_config('TimeZone', 'UTC', false), set_config('DateStyle', 'ISO, YMD', false)")
        names = list(em.fields)
        values = [_as_text(table, column_of(em.fields[name]), em.fields[name].column) for name in names]
        if em.entity == "projects":
            names.append("client")
            values.append(_as_text(table, sql.Identifier(em.client), em.client))
        columns = [
            sql.SQL("{}::text").format(sql.Identifier(em.key)),
            sql.SQL("COALESCE(({})::boolean, false)").format(operators_sql(em.where)) if em.where else sql.SQL("true"),
            sql.SQL("{}::text").format(sql.Identifier(em.xero_id)),
            sql.SQL("{}::text").format(sql.Identifier(em.tenant_id)) if em.tenant_id else sql.SQL("NULL"),
            _rank(table, em.order_by),
            *values,
        ]
        # no parameters: with them the driver would read a % in the operator's SQL as a placeholder
        cursor.execute(sql.SQL("SELECT {} FROM {}").format(sql.SQL(", ").join(columns), identifier(em.table)))
        rows = cursor.fetchall()
    _demand_unique_keys(em, [row[0] for row in rows])
    return [(row[0], row[1], row[2], row[3], int(row[4]) - 1, dict(zip(names, row[5:], strict=True))) for row in rows]


def _as_text(table: Table, expression: Composable, column: str | None) -> Composable:
    """Return the expression as text; an amount of money without its currency sign."""
    from psycopg2 import sql

    money = column is not None and table.columns[column].type_name == "money"
    return sql.SQL("{}::numeric::text" if money else "{}::text").format(expression)


def _rank(table: Table, order_by: str | None) -> Composable:
    """Return the expression of a row's rank: largest first, empty last, text by code points whatever the database's collation."""
    from psycopg2 import sql

    if order_by is None:
        return sql.SQL("1")
    collation = sql.SQL(' COLLATE "C"' if table.columns[order_by].collatable else "")
    return sql.SQL("dense_rank() OVER (ORDER BY {}{} DESC NULLS LAST)").format(sql.Identifier(order_by), collation)


def _demand_unique_keys(em: EntityMapping, keys: Sequence[Any]) -> None:
    """Raise GuardError if a key is empty or occurs twice."""
    option = f"xero_seed_mapping.{em.entity}.key"
    findings = []
    if None in keys:
        empty = sum(key is None for key in keys)
        findings.append(Finding(f'Column "{em.table}.{em.key}" ({option}) is empty in {empty} rows', f"Name in {option} the table's key"))
    elif len(set(keys)) < len(keys):
        findings.append(Finding(f'Column "{em.table}.{em.key}" ({option}) holds the same value in several rows', f"Name in {option} the table's key"))
    if findings:
        raise GuardError(findings)


def _store(session: Connection, em: EntityMapping, table: Table, changes: Sequence[Change], tenant_id: str) -> set[str]:
    """Write the changes in the open transaction; return the keys of the rows that were written."""
    from psycopg2 import sql

    olds = {change.key: change.old or "" for change in changes}
    if table.columns[em.xero_id].unique:
        # two rows that exchange their ids would meet the constraint half way
        coming = {change.new for change in changes}
        leaving = [(change.key, change.old) for change in changes if change.old and change.old.lower() in coming and change.old.lower() != change.new]
        gone = _clear(session, em, table, leaving) if leaving else set()
        olds |= dict.fromkeys(gone, "")
    assignments = [sql.SQL("{} = v.new{}").format(sql.Identifier(em.xero_id), table.columns[em.xero_id].cast)]
    if em.tenant_id:
        assignments.append(sql.SQL("{} = {}{}").format(sql.Identifier(em.tenant_id), sql.Literal(tenant_id), table.columns[em.tenant_id].cast))
    columns = [[change.key for change in changes], [olds[change.key] for change in changes], [change.new for change in changes]]
    return _update(session, em, table, sql.SQL(", ").join(assignments), columns, sql.SQL("v(key, old, new)"))


def _clear(session: Connection, em: EntityMapping, table: Table, stale: Sequence[tuple[str, str]]) -> set[str]:
    """Empty ids in the open transaction; return the keys of the rows that held them."""
    from psycopg2 import sql

    return _update(session, em, table, emptied(table, em), [[key for key, _old in stale], [old for _key, old in stale]], sql.SQL("v(key, old)"))


def _update(session: Connection, em: EntityMapping, table: Table, assignments: Composable, columns: Sequence[Sequence[str]], alias: Composable) -> set[str]:
    """Update the rows whose key and present id are given, as arrays; return the keys of those found."""
    from psycopg2 import sql

    key, xero_id = sql.Identifier("t", em.key), sql.Identifier("t", em.xero_id)
    arrays = sql.SQL(", ").join(sql.SQL("{}::text[]").format(sql.Literal(list(column))) for column in columns)
    statement = sql.SQL("UPDATE {} AS t SET {} FROM unnest({}) AS {} WHERE {} = v.key{} AND COALESCE({}::text, '') = v.old RETURNING v.key").format(
        identifier(em.table), assignments, arrays, alias, key, table.columns[em.key].cast, xero_id
    )
    with session.cursor() as cursor:
        cursor.execute(statement)
        return {str(found) for (found,) in cursor.fetchall()}
