"""A real PostgreSQL server for the session, and an own database for each test that asks for one."""
from __future__ import annotations

import os
import secrets
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psycopg2
import pytest
from psycopg2 import sql
from world.postgres_server import PostgresServer, free_port, wheel_bin_dir

ADMIN = "postgres"
BIN_DIR = Path(os.environ.get("DEV_REFRESH_TEST_PG_BIN") or wheel_bin_dir())
"""PostgreSQL's programs, for the server and the clients: the wheel's, or those of an installed version."""
OWNER = "app_owner"


@dataclass(frozen=True)
class Cluster:
    """A running server with its administrator (a superuser) and the app's owner role."""

    server: PostgresServer
    owner: str
    owner_password: str

    def connect(self, database: str = "postgres", *, owner: bool = False) -> psycopg2.extensions.connection:
        """Open an autocommit session as the administrator or as the owner."""
        user, password = (self.owner, self.owner_password) if owner else (self.server.superuser, self.server.password)
        session = psycopg2.connect(host="127.0.0.1", port=self.server.port, dbname=database, user=user, password=password)
        session.autocommit = True
        return session

    def databases(self) -> set[str]:
        """Return the names of all databases but the templates."""
        session = self.connect()
        with session.cursor() as cursor:
            cursor.execute("SELECT datname FROM pg_database WHERE NOT datistemplate")
            names = {name for (name,) in cursor.fetchall()}
        session.close()
        return names


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """Start a server for this test process."""
    with tempfile.TemporaryDirectory(prefix="dev_refresh_pg_") as folder:
        server = PostgresServer(Path(folder) / "data", free_port(), ADMIN, secrets.token_hex(12), BIN_DIR)
        server.create()
        server.start({"fsync": "off", "max_connections": "60", "max_prepared_transactions": "5"})
        made = Cluster(server, OWNER, secrets.token_hex(12))
        session = made.connect()
        with session.cursor() as cursor:
            cursor.execute(sql.SQL("CREATE ROLE {} LOGIN PASSWORD %s").format(sql.Identifier(OWNER)), (made.owner_password,))
        session.close()
        yield made
        server.stop()


@pytest.fixture
def database(cluster: Cluster) -> Iterator[str]:
    """Make an empty database owned by the app's role; drop it, and what was made beside it, afterwards."""
    name = f"app_dev_{secrets.token_hex(4)}"
    session = cluster.connect()
    with session.cursor() as cursor:
        cursor.execute(sql.SQL("CREATE DATABASE {} OWNER {} TEMPLATE template0").format(sql.Identifier(name), sql.Identifier(OWNER)))
    yield name
    with session.cursor() as cursor:
        for suffix in ("", "_refresh", "_previous", "_old"):
            cursor.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name + suffix)))
    session.close()
