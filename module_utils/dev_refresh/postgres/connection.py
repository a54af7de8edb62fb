"""Connections to PostgreSQL, with errors that say which server, which role and what to do."""
from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ..errors import RefreshError

if TYPE_CHECKING:
    from psycopg2.extensions import connection as Connection

CONNECT_TIMEOUT = 10
"""Seconds after which a server that does not answer counts as down."""


class NoRoomError(RefreshError):
    """The database or the role has as many sessions as its CONNECTION LIMIT allows."""


@dataclass(frozen=True, slots=True)
class Login:
    """Where and as whom to connect; an empty host means the local Unix socket."""

    user: str
    password: str | None = field(default=None, repr=False)
    host: str = ""
    port: int = 5432
    unix_socket: str = ""
    ssl_mode: str = "prefer"
    ca_cert: str | None = None

    def describe(self) -> str:
        """Return ``role "x" on localhost:5432`` for messages; never the password."""
        place = f"{self.host}:{self.port}" if self.host else f"the socket in {self.unix_socket or 'its default place'}, port {self.port}"
        return f'role "{self.user}" on {place}'

    def libpq(self, database: str) -> dict[str, Any]:
        """Return libpq's connection keywords (PostgreSQL docs, 32.1.2), the password included."""
        words: dict[str, Any] = {"dbname": database, "user": self.user, "port": self.port, "sslmode": self.ssl_mode}
        if self.host or self.unix_socket:
            words["host"] = self.host or self.unix_socket
        if self.password:
            words["password"] = self.password
        if self.ca_cert:
            words["sslrootcert"] = self.ca_cert
        return words


def connect(login: Login, database: str, *, application_name: str, autocommit: bool = False, options: str = "") -> Connection:
    """Open a session.

    Raises RefreshError when psycopg2 is missing, the server is down, the password is wrong, the database is closed or absent, or a connection pooler answers.
    """
    try:
        import psycopg2
    except ImportError as exc:
        raise RefreshError("The Python package psycopg2 is missing here. Install requirements.txt for the interpreter that Ansible uses there.") from exc
    settings: dict[str, Any] = {
        **login.libpq(database),
        "connect_timeout": CONNECT_TIMEOUT,
        "application_name": application_name[:63],
        "client_encoding": "UTF8",
        # a controller behind a dead link must not hold a lock for hours
        "keepalives_idle": 30,
        "keepalives_interval": 10,
        "keepalives_count": 3,
    }
    if options:
        settings["options"] = options
    try:
        session: Connection = psycopg2.connect(**settings)
    except psycopg2.OperationalError as exc:
        kind = NoRoomError if "too many connections for" in str(exc) else RefreshError
        raise kind(_explain(login, database, str(exc))) from None
    session.autocommit = True
    try:
        _refuse_pooler(session, login, database)
    except BaseException:
        session.close()
        raise
    session.autocommit = autocommit
    return session


def _refuse_pooler(session: Connection, login: Login, database: str) -> None:
    """Raise RefreshError if the session is not with the server itself.

    A pooler makes up the process number that a client is told at the start, since its clients share the server's sessions: a lock that is held by
    one would be held for all of them, or for none.
    """
    with session.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        row = cursor.fetchone()
    if row is not None and row[0] != session.get_backend_pid():
        raise RefreshError(_pooler(f'Cannot work on database "{database}" as {login.describe()}'))


def _pooler(where: str) -> str:
    """Return the message for a connection pooler."""
    return (
        f"{where}: a connection pooler such as PgBouncer answers there, and locks and sessions are not kept through it."
        " Set database_restore_host and database_restore_port to the PostgreSQL server itself."
    )


def _explain(login: Login, database: str, text: str) -> str:
    """Return a message for libpq's connection error ``text``."""
    first = " ".join(text.split())
    where = f'Cannot connect to database "{database}" as {login.describe()}'
    if "password authentication failed" in text:
        return f"{where}: the server refused the password. Correct the password of this role in the inventory."
    if "no password supplied" in text:
        return f"{where}: the server asks for a password and none is set. Set the password of this role in the inventory."
    if "Connection refused" in text or "No such file or directory" in text or "timeout expired" in text:
        return f"{where}: no PostgreSQL server answers there. Start the server, or correct database_restore_host and database_restore_port."
    if "unsupported startup parameter" in text:
        return _pooler(where)
    if "is not currently accepting connections" in text:
        return f"{where}: the database is closed to connections. Run restore_dev.yml, which reopens a door that a dead run closed."
    if "too many connections for" in text:
        return f"{where}: it has as many sessions as its CONNECTION LIMIT allows. End some, or raise the limit (ALTER DATABASE or ALTER ROLE)."
    if "does not exist" in text and "database" in text and f'role "{login.user}"' not in text.replace(login.describe(), ""):
        return f"{where}: there is no such database. Run restore_dev.yml to make it, or correct database_restore_name."
    return f"{where}: {first} Correct the connection variables database_restore_* in the inventory."
