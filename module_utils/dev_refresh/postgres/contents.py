"""What is inside one database: row counts, broken indexes, anchors, private tables, the operator's statements."""
from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from ..errors import Finding, RefreshError
from . import marker
from .sessions import Session, execute, execute_at_once, execute_long, server_words, transaction

_BYTES_APART = 8 << 20
_MOST_APART = 8
"""So many tables are analyzed each by itself, if they have so many bytes."""


def table_identifier(table: str) -> Any:
    """Return ``table`` or ``schema.table`` as a quoted identifier (a dotted name is split first)."""
    from psycopg2 import sql

    return sql.Identifier(*table.split(".", 1))


def list_tables(session: Session) -> list[tuple[str, str]]:
    """Return schema and name of every ordinary and partitioned table outside the system's schemas and our own, sorted."""
    rows = execute(
        session,
        "SELECT n.nspname, c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind IN ('r', 'p')"
        " AND n.nspname NOT LIKE 'pg\\_%%' AND n.nspname NOT IN ('information_schema', %s) ORDER BY 1, 2",
        (marker.SCHEMA,),
    )
    return [(str(schema), str(name)) for schema, name in rows]


def count_rows(session: Session, tables: Iterable[str], *, unseen: bool = False) -> Iterator[tuple[str, int | None]]:
    """Yield each ``schema.table`` with its exact number of rows; None if it does not exist.

    Rows that row-level security hides from the tables' own owner are an error of the server's, or with ``unseen`` are counted too (not on live: it
    takes a lock).
    """
    kinds = _read_kinds(session)
    for table in tables:
        if table not in kinds:
            yield table, None
            continue
        kind, hidden = kinds[table]
        if hidden and unseen:
            with transaction(session), all_rows(session):
                yield table, int(execute_long(session, _count_of(table, kind))[0][0])
        else:
            yield table, int(execute_long(session, _count_of(table, kind))[0][0])


def analyze_statements(session: Session) -> list[str]:
    """Return statements that together ANALYZE the database, system tables included: one for each of the biggest tables, the last for the rest."""
    rows = execute(
        session,
        "SELECT format('%I.%I', n.nspname, c.relname), CASE WHEN n.nspname = 'pg_catalog' THEN 0 ELSE pg_relation_size(c.oid) END AS size"
        " FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
        " WHERE c.relkind IN ('r', 'p', 'm') AND c.relpersistence <> 't' AND NOT c.relisshared"
        " ORDER BY size DESC, 1",
    )
    apart = [str(name) for name, size in rows[:_MOST_APART] if size >= _BYTES_APART]
    rest = [str(name) for name, _ in rows[len(apart) :]]
    return [f"ANALYZE {name}" for name in apart] + ([f"ANALYZE {', '.join(rest)}"] if rest else [])


def count_rows_at_once(sessions: Sequence[Session], tables: Mapping[str, int], *, beside: Sequence[str]) -> Iterator[tuple[str, int | None]]:
    """Yield each ``schema.table`` with its exact number of rows as it is counted, hidden rows included; None if it does not exist.

    The sessions share the tables, the biggest (by ``tables``) first, after the statements ``beside``.
    """
    kinds = _read_kinds(sessions[0])
    hidden = [table for table in tables if table in kinds and kinds[table][1]]
    yield from ((table, None) for table in tables if table not in kinds)
    seen = sorted((table for table in tables if table in kinds and not kinds[table][1]), key=lambda table: -tables[table])
    for place, rows in execute_at_once(sessions, [*beside, *(_count_of(table, kinds[table][0]) for table in seen)]):
        if place >= len(beside):
            yield seen[place - len(beside)], int(rows[0][0])
    # last, since seeing these rows takes locks
    yield from count_rows(sessions[0], hidden, unseen=True)


def _read_kinds(session: Session) -> dict[str, tuple[str, bool]]:
    """Return of each ``schema.table`` its pg_class.relkind and whether row-level security hides rows of it from this role."""
    rows = execute(
        session,
        "SELECT n.nspname, c.relname, c.relkind, c.relforcerowsecurity AND row_security_active(c.oid)"
        " FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace",
    )
    return {f"{schema}.{name}": (str(kind), bool(hidden)) for schema, name, kind, hidden in rows}


def _count_of(table: str, kind: str) -> Any:
    """Return the statement that counts a table's own rows."""
    from psycopg2 import sql

    # a partitioned table has no rows but those of its partitions
    return sql.SQL("SELECT count(*) FROM {}{}").format(sql.SQL("" if kind == "p" else "ONLY "), table_identifier(table))


@contextmanager
def all_rows(session: Session) -> Iterator[None]:
    """Let the owner see the rows of its tables that forced row-level security hides from it: inside the block, in the caller's transaction.

    Else counts, the operator's statements and the check of private tables would pass over them. A failure leaves it to the transaction to undo it.
    """
    rows = execute(
        session,
        "SELECT c.oid::bigint, format('%I.%I', n.nspname, c.relname) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
        " WHERE c.relforcerowsecurity AND c.relrowsecurity AND row_security_active(c.oid) AND pg_has_role(c.relowner, 'USAGE')",
    )
    for _, name in rows:
        execute(session, f"ALTER TABLE {name} NO FORCE ROW LEVEL SECURITY")
    yield
    if rows:
        # a table with checks to come cannot be altered
        execute(session, "SET CONSTRAINTS ALL IMMEDIATE")
        left = execute(
            session,
            "SELECT format('%%I.%%I', n.nspname, c.relname) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
            " WHERE c.oid = ANY(%s) AND c.relrowsecurity",
            ([oid for oid, _ in rows],),
        )
        for (name,) in left:
            execute(session, f"ALTER TABLE {name} FORCE ROW LEVEL SECURITY")


def broken_indexes(session: Session) -> list[str]:
    """Return the names of indexes that are not valid."""
    rows = execute(
        session,
        "SELECT i.indexrelid::regclass::text FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid"
        " WHERE c.relkind = 'i' AND NOT (i.indisvalid AND i.indisready) ORDER BY 1",
    )
    return [str(name) for (name,) in rows]


def choose_anchors(session: Session, preferred: Sequence[str], *, most: int = 6) -> list[str]:
    """Return quoted names of the tables that the marker is bound to: the preferred ones that exist, then those first by name."""
    found: list[str] = []
    everything = execute(
        session,
        "SELECT format('%%I.%%I', n.nspname, c.relname) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind IN ('r', 'p')"
        " AND n.nspname NOT LIKE 'pg\\_%%' AND n.nspname NOT IN ('information_schema', %s)"
        " ORDER BY c.relname <> 'django_migrations', c.reltuples DESC, 1 LIMIT %s",
        (marker.SCHEMA, most),
    )
    for table in preferred:
        schema, _, name = table.rpartition(".")
        rows = execute(
            session,
            "SELECT format('%%I.%%I', n.nspname, c.relname) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
            " WHERE c.relname = %s AND c.relkind IN ('r', 'p') AND CASE WHEN %s = '' THEN pg_table_is_visible(c.oid) ELSE n.nspname = %s END",
            (name, schema, schema),
        )
        found.extend(str(row[0]) for row in rows)
    found.extend(str(row[0]) for row in everything)
    return list(dict.fromkeys(found))[:most]


def setting_bytes(session: Session, name: str) -> int:
    """Return a setting that is an amount of memory in kilobytes."""
    return 1024 * int(execute(session, "SELECT setting::bigint FROM pg_settings WHERE name = %s", (name,))[0][0])


def database_oid(session: Session) -> int:
    """Return the OID of the session's database."""
    return int(execute(session, "SELECT oid::bigint FROM pg_database WHERE datname = current_database()")[0][0])


def run_statements(session: Session, statements: Sequence[str], *, option: str, where: str) -> None:
    """Run the operator's statements in the caller's transaction; raise RefreshError naming the one that fails."""
    import psycopg2

    for number, statement in enumerate(statements, 1):
        try:
            # without parameters psycopg2 leaves % as it is
            execute_long(session, statement)
        except psycopg2.Error as error:
            shown = " ".join(statement.split())
            shown = shown if len(shown) <= 120 else shown[:117] + "..."
            raise RefreshError(f"{option}[{number - 1}] failed on {where}: {server_words(error)}. Statement: {shown}. Correct it, then run again.") from None


def refresh_views(session: Session) -> None:
    """Fill the materialised views anew that hold rows, in the caller's transaction; they were made in an order in which each comes after what it reads."""
    rows = execute(
        session,
        "SELECT format('%I.%I', n.nspname, c.relname) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
        " WHERE c.relkind = 'm' AND c.relispopulated AND pg_has_role(c.relowner, 'USAGE') ORDER BY c.oid",
    )
    for (name,) in rows:
        execute_long(session, f"REFRESH MATERIALIZED VIEW {name}")


def private_findings(session: Session, private_tables: Sequence[Mapping[str, Any]]) -> list[Finding]:
    """Return a finding for each private table (or column) that still holds something; counts only, never values."""
    import psycopg2
    from psycopg2 import sql

    findings: list[Finding] = []
    for entry in private_tables:
        table = str(entry["table"])
        for column in entry.get("columns") or [None]:
            what = f'column "{column}" of table "{table}"' if column else f'table "{table}"'
            query = sql.SQL("SELECT count(*) FROM {}").format(table_identifier(table))
            if column:
                query = sql.SQL("SELECT count(*) FROM {} WHERE {} IS NOT NULL AND {}::text <> ''").format(
                    table_identifier(table), sql.Identifier(column), sql.Identifier(column)
                )
            try:
                with session.cursor() as cursor:
                    cursor.execute("SAVEPOINT private_check")
                    cursor.execute(query)
                    row = cursor.fetchone()
                    cursor.execute("RELEASE SAVEPOINT private_check")
            except psycopg2.Error as error:
                execute(session, "ROLLBACK TO SAVEPOINT private_check")
                findings.append(Finding(f"database_restore_private_tables: {what} cannot be read: {server_words(error)}", "Correct the entry"))
                continue
            if row and row[0]:
                left = f"{row[0]} row{'' if row[0] == 1 else 's'}"
                findings.append(Finding(f"After sanitising, production's private {what} still has {left}", "Empty it in database_restore_sanitise_sql"))
    return findings
