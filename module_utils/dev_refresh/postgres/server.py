"""Facts about the server and the two roles, for the checks before anything is created."""
from __future__ import annotations

from dataclasses import dataclass, field

from .sessions import Session, execute


@dataclass(frozen=True, slots=True)
class RoleFacts:
    """What a role may do."""

    name: str
    superuser: bool
    create_db: bool
    can_login: bool
    connection_limit: int


@dataclass(frozen=True, slots=True)
class ServerFacts:
    """The server as the administrator sees it; ``data_directory`` is None where it may not be looked at."""

    version: int
    admin: RoleFacts
    owner: RoleFacts | None
    member_of_owner: bool
    may_signal: bool
    not_member_of: dict[str, str]
    """Database name to its owner, for databases whose owner role the administrator does not have."""
    free_connections: int
    data_directory: str | None
    max_wal_bytes: int
    extensions: dict[str, bool]
    """Available extensions, and whether a database owner may create them."""
    prepared_transactions: dict[str, int] = field(default_factory=dict)
    replication_slots: dict[str, int] = field(default_factory=dict)

    @property
    def major(self) -> int:
        """Return the major version."""
        return self.version // 10000


def read_server(session: Session, *, owner: str, names: list[str]) -> ServerFacts:
    """Return the facts; ``names`` are the databases that the run may rename or drop."""
    roles = {
        row[0]: RoleFacts(*row)
        for row in execute(
            session, "SELECT rolname, rolsuper, rolcreatedb, rolcanlogin, rolconnlimit FROM pg_roles WHERE rolname IN (%s, current_user)", (owner,)
        )
    }
    current_user = str(execute(session, "SELECT current_user")[0][0])
    # since 16 a membership may lack the right to act as the role
    kind = "SET" if session.server_version >= 160000 else "MEMBER"
    member = owner in roles and bool(execute(session, "SELECT pg_has_role(%s, %s) AND pg_has_role(%s, 'USAGE')", (owner, kind, owner))[0][0])
    signal = bool(execute(session, "SELECT pg_has_role('pg_signal_backend', 'USAGE')")[0][0])
    strangers = execute(
        session,
        "SELECT d.datname, r.rolname FROM pg_database d JOIN pg_roles r ON r.oid = d.datdba WHERE datname = ANY(%s) AND NOT pg_has_role(d.datdba, 'USAGE')",
        (names,),
    )
    free = execute(
        session,
        "SELECT current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int"
        " - coalesce(current_setting('reserved_connections', true)::int, 0)"
        " - (SELECT count(*) FROM pg_stat_activity WHERE coalesce(backend_type, 'client backend') = 'client backend')::int",
    )
    # a hidden setting is an error for who may not read it; pg_settings leaves it out instead
    data = execute(session, "SELECT setting FROM pg_settings WHERE name = 'data_directory'")
    wal = execute(session, "SELECT setting::bigint * 1024 * 1024 FROM pg_settings WHERE name = 'max_wal_size'")
    trusted = "bool_or(v.trusted OR NOT v.superuser)" if session.server_version >= 130000 else "bool_or(NOT v.superuser)"
    extensions = execute(session, f"SELECT v.name, {trusted} FROM pg_available_extension_versions v GROUP BY v.name")  # noqa: S608 - our own words
    prepared = execute(session, "SELECT database, count(*) FROM pg_prepared_xacts GROUP BY 1")
    slots = execute(session, "SELECT database, count(*) FROM pg_replication_slots WHERE database IS NOT NULL GROUP BY 1")
    return ServerFacts(
        version=session.server_version,
        admin=roles[current_user],
        owner=roles.get(owner),
        member_of_owner=member,
        may_signal=signal,
        not_member_of={str(name): str(role) for name, role in strangers},
        free_connections=int(free[0][0]),
        data_directory=str(data[0][0]) if data and data[0][0] else None,
        max_wal_bytes=int(wal[0][0]) if wal else 0,
        extensions={str(name): bool(allowed) for name, allowed in extensions},
        prepared_transactions={str(name): int(count) for name, count in prepared},
        replication_slots={str(name): int(count) for name, count in slots},
    )
