"""Rows of live that outlive a refresh, streamed from one session to another: nothing touches the disk."""
from __future__ import annotations

import difflib
import os
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..errors import Finding, GuardError, RefreshError
from .contents import list_tables, table_identifier
from .sessions import Session, execute, server_words

if TYPE_CHECKING:
    from psycopg2 import Error


@dataclass(frozen=True, slots=True)
class PreserveSpec:
    """One entry of ``preserve``: whole rows of a table, or with ``columns`` only those of the rows that both sides have."""

    table: str
    key: tuple[str, ...]
    columns: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Column:
    """A column as the catalogue has it."""

    name: str
    type: str
    not_null: bool
    has_default: bool
    generated: bool


@dataclass(frozen=True, slots=True)
class TablePlan:
    """How the rows of one table are carried over."""

    spec: PreserveSpec
    key: tuple[str, ...]
    columns: tuple[str, ...]
    dropped: tuple[str, ...]


def parse_preserve(raw: Sequence[Mapping[str, Any]]) -> list[PreserveSpec]:
    """Return the entries of the option; ``key`` may be one column or several."""
    entries: list[PreserveSpec] = []
    for entry in raw:
        key = entry.get("key") or ()
        entries.append(PreserveSpec(str(entry["table"]), (key,) if isinstance(key, str) else tuple(key), tuple(entry.get("columns") or ())))
    return entries


def read_columns(session: Session, table: str) -> dict[str, Column] | None:
    """Return the columns of a table in order, or None if there is no such table."""
    schema, _, name = table.rpartition(".")
    rows = execute(
        session,
        "SELECT a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull, a.atthasdef OR a.attidentity <> '', a.attgenerated <> ''"
        " FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace"
        " WHERE c.relname = %s AND c.relkind IN ('r', 'p') AND CASE WHEN %s = '' THEN pg_table_is_visible(c.oid) ELSE n.nspname = %s END"
        " AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum",
        (name, schema, schema),
    )
    return {row[0]: Column(*row) for row in rows} or None


def qualified(session: Session, table: str) -> str:
    """Return ``schema.table`` of a table that exists and may have been named without its schema."""
    if "." in table:
        return table
    rows = execute(
        session, "SELECT n.nspname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.relname = %s AND pg_table_is_visible(c.oid)", (table,)
    )
    return f"{rows[0][0]}.{table}"


def read_primary_key(session: Session, table: str) -> tuple[str, ...]:
    """Return the columns of a table's primary key, in its order."""
    rows = execute(
        session,
        "SELECT a.attname FROM pg_index i CROSS JOIN LATERAL unnest(i.indkey) WITH ORDINALITY k(attnum, place)"
        " JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum WHERE i.indrelid = %s::regclass AND i.indisprimary ORDER BY k.place",
        (table_identifier(table).as_string(session),),
    )
    return tuple(str(name) for (name,) in rows)


def plan_tables(source: Session, target: Session, specs: Sequence[PreserveSpec]) -> tuple[list[TablePlan], list[str]]:
    """Return how each entry is carried over, and notes; raise GuardError with every mismatch between the two databases.

    A table that live does not have yet is passed over with a note: there is nothing to keep in it.
    """
    plans: list[TablePlan] = []
    notes: list[str] = []
    findings: list[Finding] = []
    for spec in specs:
        there, here = read_columns(source, spec.table), read_columns(target, spec.table)
        where = f'database_restore_preserve, table "{spec.table}"'
        if here is None:
            findings.append(
                Finding(f"{where}: the table does not exist in the refreshed database{_nearest_table(target, spec.table)}", "Correct or remove the entry")
            )
            continue
        if there is None:
            notes.append(f"{where}: the database to keep rows of has no such table; nothing is carried over.")
            continue
        key = spec.key or read_primary_key(target, spec.table)
        problems = _problems(spec, key, there, here)
        if problems:
            findings.extend(Finding(f"{where}: {what}", remedy) for what, remedy in problems)
            continue
        wanted = spec.columns or tuple(there)
        usable = tuple(name for name in dict.fromkeys((*key, *wanted)) if name in there and name in here and not here[name].generated)
        dropped = tuple(name for name in wanted if name not in here)
        if dropped:
            notes.append(f"{where}: columns {', '.join(dropped)} no longer exist and are not carried over.")
        plans.append(TablePlan(spec, key, usable, dropped))
    if findings:
        raise GuardError(findings)
    return plans, notes


def _problems(spec: PreserveSpec, key: Sequence[str], there: Mapping[str, Column], here: Mapping[str, Column]) -> list[tuple[str, str]]:
    """Return what keeps an entry from being carried over, with remedies."""
    problems: list[tuple[str, str]] = []
    if not key:
        problems.append(("the table has no primary key and the entry names no key", "Add key, the column or columns that tell its rows apart"))
    for name in (*key, *spec.columns):
        for side, columns in (("the database to keep rows of", there), ("the refreshed database", here)):
            if name not in columns:
                near = difflib.get_close_matches(name, columns, n=3)
                hint = f" (nearest: {', '.join(near)})" if near else ""
                problems.append((f'{side} has no column "{name}"{hint}', "Correct the entry, or rename the column in the preserve list"))
    if not spec.columns:
        for column in here.values():
            if column.not_null and not column.has_default and not column.generated and column.name not in there:
                problems.append(
                    (
                        f'column "{column.name}" is new, NOT NULL and without a default, so kept rows cannot fill it',
                        "Give the column a default, or list the columns to keep",
                    )
                )
    return problems


def _nearest_table(session: Session, table: str) -> str:
    """Return the nearest existing tables as words for a message."""
    names = [name if schema == "public" else f"{schema}.{name}" for schema, name in list_tables(session)]
    near = difflib.get_close_matches(table, names, n=3)
    return f" (nearest: {', '.join(near)})" if near else ""


def carry_over(source: Session, target: Session, plans: Sequence[TablePlan]) -> dict[str, int]:
    """Copy the rows inside the caller's transaction on ``target``; return the rows kept for each table.

    Rows are changed in place by key, deleted and added as needed; whole tables are never truncated, since that would take what refers to them.
    Raises RefreshError naming the table, and the key where one is at fault.
    """
    import psycopg2
    from psycopg2 import sql

    kept: dict[str, int] = {}
    temporary = [sql.Identifier(f"dev_refresh_keep_{number}") for number in range(len(plans))]
    for plan, kept_rows in zip(plans, temporary, strict=True):
        table, columns = table_identifier(plan.spec.table), _names(plan.columns)
        try:
            execute(target, sql.SQL("CREATE TEMP TABLE {} ON COMMIT DROP AS SELECT {} FROM {} WITH NO DATA").format(kept_rows, columns, table))
            kept[plan.spec.table] = _stream(
                source,
                sql.SQL("COPY (SELECT {} FROM {}) TO STDOUT").format(columns, table).as_string(source),
                target,
                sql.SQL("COPY {} ({}) FROM STDIN").format(kept_rows, columns).as_string(target),
            )
            doubled = execute(target, sql.SQL("SELECT count(*) FROM (SELECT FROM {} GROUP BY {} HAVING count(*) > 1) d").format(kept_rows, _names(plan.key)))
        except psycopg2.Error as error:
            raise _mismatch(plan, error) from None
        if doubled[0][0]:
            raise GuardError(
                [
                    Finding(
                        f'database_restore_preserve, table "{plan.spec.table}": the key {", ".join(plan.key)} is shared by several rows',
                        "Name a key that is unique",
                    )
                ]
            )
    for plan, kept_rows in reversed(list(zip(plans, temporary, strict=True))):
        if plan.spec.columns:
            continue
        statement = sql.SQL("DELETE FROM {} t WHERE NOT EXISTS (SELECT FROM {} k WHERE {})").format(
            table_identifier(plan.spec.table), kept_rows, _same_key(plan)
        )
        _run(target, plan, statement)
    for plan, kept_rows in zip(plans, temporary, strict=True):
        table = table_identifier(plan.spec.table)
        data = [name for name in plan.columns if name not in plan.key]
        if data:
            sets = sql.SQL(", ").join(sql.SQL("{0} = k.{0}").format(sql.Identifier(name)) for name in data)
            _run(target, plan, sql.SQL("UPDATE {} t SET {} FROM {} k WHERE {}").format(table, sets, kept_rows, _same_key(plan)))
        if not plan.spec.columns:
            columns = _names(plan.columns)
            statement = sql.SQL("INSERT INTO {} ({}) OVERRIDING SYSTEM VALUE SELECT {} FROM {} k WHERE NOT EXISTS (SELECT FROM {} t WHERE {})").format(
                table, columns, columns, kept_rows, table, _same_key(plan)
            )
            _run(target, plan, statement)
            _advance_sequences(target, plan)
    try:
        execute(target, "SET CONSTRAINTS ALL IMMEDIATE")
    except psycopg2.Error as error:
        at_fault = next((plan for plan in plans if plan.spec.table.rpartition(".")[2] == error.diag.table_name), None)
        if at_fault is None:
            raise GuardError(
                [
                    Finding(
                        f"database_restore_preserve: the refreshed database refers to rows that are not kept: {server_words(error)}",
                        "List the columns to keep instead of whole rows",
                    )
                ]
            ) from None
        raise _mismatch(at_fault, error) from None
    return kept


def _names(columns: Sequence[str]) -> Any:
    """Return columns as a quoted list."""
    from psycopg2 import sql

    return sql.SQL(", ").join(map(sql.Identifier, columns))


def _same_key(plan: TablePlan) -> Any:
    """Return the condition that row t and kept row k are the same."""
    from psycopg2 import sql

    return sql.SQL(" AND ").join(sql.SQL("t.{0} = k.{0}").format(sql.Identifier(name)) for name in plan.key)


def _run(session: Session, plan: TablePlan, statement: Any) -> None:
    """Run a statement for one table; raise RefreshError in the entry's words."""
    import psycopg2

    try:
        execute(session, statement)
    except psycopg2.Error as error:
        raise _mismatch(plan, error) from None


def _mismatch(plan: TablePlan, error: Error) -> RefreshError:
    """Return the error that says why the rows of a table do not fit."""
    remedies = {
        "23502": "A kept row has no value for a column that must have one; give the column a default or list the columns to keep",
        "23503": "A kept row refers to a row that production does not have; keep that table too (list it first), or list the columns to keep",
        "23505": "A kept row and a row of the dump share a unique value; keep the whole table (without columns), or another key",
    }
    remedy = remedies.get(error.pgcode or "", "Correct the entry, or remove it")
    return GuardError(
        [Finding(f'database_restore_preserve, table "{plan.spec.table}": its rows do not fit the refreshed database: {server_words(error)}', remedy)]
    )


def _advance_sequences(session: Session, plan: TablePlan) -> None:
    """Set the sequences of serial and identity columns past the kept rows."""
    from psycopg2 import sql

    table = table_identifier(plan.spec.table)
    for name in plan.columns:
        owned = execute(session, "SELECT pg_get_serial_sequence(%s, %s)", (table.as_string(session), name))[0][0]
        if owned:
            execute(
                session,
                sql.SQL(
                    "SELECT setval(%s, greatest(m.highest, (SELECT last_value FROM {}))) FROM (SELECT max({}) AS highest FROM {}) m WHERE m.highest IS NOT NULL"
                ).format(sql.SQL(owned), sql.Identifier(name), table),
                (owned,),
            )


def _stream(source: Session, copy_out: str, target: Session, copy_in: str) -> int:
    """Pipe a COPY of one session into a COPY of another; return the rows."""
    reading, writing = os.pipe()
    failures: list[BaseException] = []

    def send() -> None:
        with os.fdopen(writing, "wb") as sink, source.cursor() as cursor:
            try:
                cursor.copy_expert(copy_out, sink)
            except BaseException as error:
                failures.append(error)

    sender = threading.Thread(target=send, name="preserve", daemon=True)
    sender.start()
    try:
        with os.fdopen(reading, "rb") as stream, target.cursor() as cursor:
            cursor.copy_expert(copy_in, stream)
            rows = cursor.rowcount
    finally:
        # the closed reading end breaks the sender's pipe if the receiver failed
        sender.join(60)
    if failures:
        raise failures[0]
    return int(rows)
