"""Databases as wholes: facts, comments that say they are ours, creation, properties, renames."""
from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .sessions import Session, execute, explained, transaction

COMMENT_KEY = "dev_refresh"


@dataclass(frozen=True, slots=True)
class Database:
    """What pg_database and its comment say about one database."""

    name: str
    oid: int
    owner: str
    encoding: str
    collate: str
    ctype: str
    provider: str
    provider_locale: str | None
    tablespace: str
    connection_limit: int
    open: bool
    is_template: bool
    comment: str | None

    @property
    def note(self) -> dict[str, Any] | None:
        """Return what our comment says, or None if the comment is not ours."""
        return parse_comment(self.comment)


def parse_comment(comment: str | None) -> dict[str, Any] | None:
    """Return the facts in a database comment of ours, or None for any other comment."""
    try:
        parsed = json.loads(comment or "")
    except ValueError:
        return None
    note = parsed.get(COMMENT_KEY) if isinstance(parsed, dict) else None
    return note if isinstance(note, dict) else None


def format_comment(note: Mapping[str, Any]) -> str:
    """Return the comment that says a database is ours."""
    return json.dumps({COMMENT_KEY: dict(note)}, sort_keys=True)


def read_databases(session: Session, names: Iterable[str]) -> dict[str, Database]:
    """Return those of the named databases that exist."""
    version = session.server_version
    provider = "d.datlocprovider" if version >= 150000 else "'c'"
    locale = "d.datlocale" if version >= 170000 else "d.daticulocale" if version >= 150000 else "NULL"
    rows = execute(
        session,
        "SELECT d.datname, d.oid::bigint, r.rolname, pg_encoding_to_char(d.encoding), d.datcollate, d.datctype,"  # noqa: S608 - column names of our own
        f" {provider}, {locale}, t.spcname, d.datconnlimit, d.datallowconn, d.datistemplate, shobj_description(d.oid, 'pg_database')"
        " FROM pg_database d JOIN pg_roles r ON r.oid = d.datdba JOIN pg_tablespace t ON t.oid = d.dattablespace WHERE d.datname = ANY(%s)",
        (list(names),),
    )
    return {row[0]: Database(*row) for row in rows}


def read_size(session: Session, name: str) -> int:
    """Return the bytes that a database takes; 0 if it does not exist or may not be looked at."""
    rows = execute(
        session,
        "SELECT CASE WHEN has_database_privilege(oid, 'CONNECT') THEN pg_database_size(oid) ELSE 0 END FROM pg_database WHERE datname = %s",
        (name,),
    )
    return int(rows[0][0]) if rows else 0


def read_location(session: Session, tablespace: str) -> str:
    """Return the folder of a tablespace; an empty text for one in the server's data directory."""
    rows = execute(session, "SELECT pg_tablespace_location(oid) FROM pg_tablespace WHERE spcname = %s", (tablespace,))
    return str(rows[0][0] or "") if rows else ""


def create_database(session: Session, name: str, *, owner: str, like: Database | None, note: Mapping[str, Any]) -> None:
    """Create an empty database from template0, with the encoding and locale of ``like``, and comment it as ours at once.

    Nobody but its owner may connect: half restored production data is no one's business.
    """
    from psycopg2 import sql

    words: list[Any] = [sql.SQL("CREATE DATABASE {} OWNER {} TEMPLATE template0").format(sql.Identifier(name), sql.Identifier(owner))]
    words.append(sql.SQL("ENCODING {}").format(sql.Literal(like.encoding if like else "UTF8")))
    if like is not None:
        words.append(sql.SQL("LC_COLLATE {} LC_CTYPE {}").format(sql.Literal(like.collate), sql.Literal(like.ctype)))
        if like.provider == "i":
            words.append(sql.SQL("LOCALE_PROVIDER icu ICU_LOCALE {}").format(sql.Literal(like.provider_locale)))
        elif like.provider == "b":
            words.append(sql.SQL("LOCALE_PROVIDER builtin BUILTIN_LOCALE {}").format(sql.Literal(like.provider_locale)))
        if like.tablespace != "pg_default":
            words.append(sql.SQL("TABLESPACE {}").format(sql.Identifier(like.tablespace)))
    with explained(f'Creating database "{name}" failed', "The administrator needs CREATEDB and must be a member of the owner role"):
        execute(session, sql.SQL(" ").join(words))
        set_note(session, name, note)
        execute(session, sql.SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC").format(sql.Identifier(name)))


def set_note(session: Session, name: str, note: Mapping[str, Any]) -> None:
    """Comment a database as ours."""
    set_comment(session, name, format_comment(note))


def set_comment(session: Session, name: str, comment: str | None) -> None:
    """Set or remove a database's comment."""
    from psycopg2 import sql

    execute(session, sql.SQL("COMMENT ON DATABASE {} IS {}").format(sql.Identifier(name), sql.Literal(comment)))


def drop_database(session: Session, name: str) -> None:
    """Drop a database and end its sessions; the caller has proven that it is ours."""
    from psycopg2 import sql

    with explained(f'Dropping database "{name}" failed', "End what uses it (sessions of superusers, prepared transactions, subscriptions), then run again"):
        execute(session, sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))


def is_empty(session: Session) -> bool:
    """Tell whether the session's database has no relation outside the system's schemas."""
    rows = execute(
        session,
        "SELECT EXISTS (SELECT FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
        " WHERE n.nspname NOT LIKE 'pg\\_%' AND n.nspname <> 'information_schema' AND NOT EXISTS"
        " (SELECT FROM pg_depend e WHERE e.classid = 'pg_class'::regclass AND e.objid = c.oid AND e.deptype = 'e'))",
    )
    return not rows[0][0]


def copy_settings(session: Session, source: str, target: str) -> list[str]:
    """Give ``target`` the per-database and role-in-database settings of ``source``; return what could not be set, one sentence each."""
    import psycopg2
    from psycopg2 import sql

    left_out: list[str] = []
    rows = execute(
        session,
        "SELECT r.rolname, s.setconfig FROM pg_db_role_setting s LEFT JOIN pg_roles r ON r.oid = s.setrole"
        " WHERE s.setdatabase = (SELECT oid FROM pg_database WHERE datname = %s)",
        (source,),
    )
    for role, settings in rows:
        for setting in settings:
            name, _, value = str(setting).partition("=")
            whom = (
                sql.SQL("ALTER ROLE {} IN DATABASE {}").format(sql.Identifier(role), sql.Identifier(target))
                if role
                else sql.SQL("ALTER DATABASE {}").format(sql.Identifier(target))
            )
            # the parameter's name may be dotted and is quoted part by part; lists keep the form in which the catalogue has them
            parameter = sql.SQL(".").join(sql.Identifier(part) for part in name.split("."))
            try:
                execute(session, sql.SQL("{} SET {} TO {}").format(whom, parameter, _setting_value(name, value)))
            except psycopg2.Error:
                left_out.append(f'The setting {name} of database "{source}"{f" for role {role}" if role else ""} could not be copied; set it by hand.')
    return left_out


# list parameters keep their quoting in the catalogue and must not be quoted as one word (as pg_dump does)
_LIST_SETTINGS = (
    "local_preload_libraries",
    "search_path",
    "session_preload_libraries",
    "shared_preload_libraries",
    "temp_tablespaces",
    "unix_socket_directories",
)


def _setting_value(name: str, value: str) -> Any:
    """Return a setting's value as SQL."""
    from psycopg2 import sql

    if name.lower() not in _LIST_SETTINGS:
        return sql.Literal(value)
    words: list[str] = []
    word, quoted, index = "", False, 0
    while index < len(value):
        character = value[index]
        if character == '"':
            if quoted and value[index + 1 : index + 2] == '"':
                word, index = word + '"', index + 1
            else:
                quoted = not quoted
        elif character == "," and not quoted:
            words, word = [*words, word], ""
        elif quoted or not character.isspace():
            word += character
        index += 1
    return sql.SQL(", ").join(sql.Literal(entry) for entry in [*words, word])


def copy_access(session: Session, source: Database, target: str) -> list[str]:
    """Give ``target`` the privileges and the connection limit of ``source``; return what could not be set, one sentence each."""
    import psycopg2
    from psycopg2 import sql

    left_out: list[str] = []
    grants = execute(
        session,
        "SELECT CASE WHEN a.grantee = 0 THEN NULL ELSE r.rolname END, a.grantee = 0, a.privilege_type, a.is_grantable"
        " FROM pg_database d, aclexplode(coalesce(d.datacl, acldefault('d', d.datdba))) a LEFT JOIN pg_roles r ON r.oid = a.grantee"
        " WHERE d.datname = %s AND a.grantee <> d.datdba",
        (source.name,),
    )
    for role, is_public, privilege, grantable in grants:
        if role is None and not is_public:
            continue
        whom = sql.SQL("PUBLIC") if is_public else sql.Identifier(role)
        statement = sql.SQL("GRANT {} ON DATABASE {} TO {}{}").format(
            sql.SQL(privilege), sql.Identifier(target), whom, sql.SQL(" WITH GRANT OPTION" if grantable else "")
        )
        try:
            execute(session, statement)
        except psycopg2.Error:
            left_out.append(f'The privilege {privilege} of {role or "PUBLIC"} on database "{source.name}" could not be copied; grant it by hand.')
    execute(session, sql.SQL("ALTER DATABASE {} CONNECTION LIMIT {}").format(sql.Identifier(target), sql.Literal(source.connection_limit)))
    return left_out


@dataclass(frozen=True, slots=True)
class Move:
    """One rename of the swap: the database's comment and whether it is open afterwards."""

    old: str
    new: str
    note: Mapping[str, Any]
    open: bool


def rename_all(session: Session, moves: Sequence[Move]) -> None:
    """Rename databases in one transaction, in the order given; all or none of it happens."""
    from psycopg2 import sql

    with explained("Renaming the databases failed and nothing was renamed", "End the sessions that use them, then run again"), transaction(session):
        for move in moves:
            execute(session, sql.SQL("ALTER DATABASE {} RENAME TO {}").format(sql.Identifier(move.old), sql.Identifier(move.new)))
            execute(session, sql.SQL("ALTER DATABASE {} WITH ALLOW_CONNECTIONS {}").format(sql.Identifier(move.new), sql.Literal(move.open)))
            set_note(session, move.new, move.note)
