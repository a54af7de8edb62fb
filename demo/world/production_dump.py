"""Make a dump of the demo app's production database, as production's nightly job would."""
from __future__ import annotations

import hashlib
import os
import secrets
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID

import psycopg2
from psycopg2 import sql
from psycopg2.extras import execute_values

from .postgres_server import PostgresServer, ServerError
from .production_data import ProductionData

if TYPE_CHECKING:
    from psycopg2.extensions import connection

DATABASE = "jobs_prod"
ROLE = "jobs_prod_app"
RELEASE = "2026.1"
"""What production runs: older than the checkout, so that a refresh has migrations to apply."""


@dataclass(frozen=True, slots=True)
class DemoApp:
    """The demo app's checkout and the Python that runs it."""

    folder: Path
    python: str

    def manage(self, *arguments: str, server: PostgresServer, database: str, user: str, password: str) -> None:
        """Run a management command on ``database``; raise ServerError with its words if it fails."""
        environment = {
            "DATABASE_NAME": database,
            "DATABASE_HOST": "127.0.0.1",
            "DATABASE_PORT": str(server.port),
            "DATABASE_USER": user,
            "DATABASE_PASSWORD": password,
        }
        _run([self.python, "manage.py", *arguments], environment, folder=self.folder)


def make_dump(server: PostgresServer, app: DemoApp, data: ProductionData, folder: Path) -> Path:
    """Make the production database, fill it, dump it into ``folder`` with a checksum beside the dump, and drop it; return the dump's path."""
    folder.mkdir(parents=True, exist_ok=True)
    password = secrets.token_hex(16)
    administrator = psycopg2.connect(host="127.0.0.1", port=server.port, dbname="postgres", user=server.superuser, password=server.password)
    administrator.autocommit = True
    try:
        _drop_production(administrator)
        with administrator.cursor() as cursor:
            cursor.execute(sql.SQL("CREATE ROLE {} LOGIN PASSWORD %s").format(sql.Identifier(ROLE)), (password,))
            cursor.execute(sql.SQL("CREATE DATABASE {} OWNER {} TEMPLATE template0").format(sql.Identifier(DATABASE), sql.Identifier(ROLE)))
        app.manage("migrate_to_release", RELEASE, server=server, database=DATABASE, user=ROLE, password=password)
        production = psycopg2.connect(host="127.0.0.1", port=server.port, dbname=DATABASE, user=ROLE, password=password)
        with production:
            _fill(production, data)
        production.close()
        return _dump(server, folder, password)
    finally:
        _drop_production(administrator)
        administrator.close()


def _drop_production(administrator: connection) -> None:
    """Remove the production database and its role, also those that an interrupted call left behind."""
    with administrator.cursor() as cursor:
        cursor.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(DATABASE)))
        cursor.execute(sql.SQL("DROP ROLE IF EXISTS {}").format(sql.Identifier(ROLE)))


def _fill(production: connection, data: ProductionData) -> None:
    """Write all rows; the caller commits."""
    tables: dict[str, Sequence[Any]] = {
        "config_setting": data.settings,
        "integration_token": data.tokens,
        "staff_member": data.members,
        "client_client": data.clients,
        "job_job": data.jobs,
        "job_note": data.notes,
    }
    with production.cursor() as cursor:
        for table, rows in tables.items():
            columns = [column.name for column in fields(rows[0])]
            statement = sql.SQL("INSERT INTO {} ({}) VALUES %s").format(sql.Identifier(table), sql.SQL(", ").join(map(sql.Identifier, columns)))
            execute_values(cursor, statement.as_string(cursor), [[_plain(getattr(row, column)) for column in columns] for row in rows], page_size=1000)


def _plain(value: Any) -> Any:
    """Return a value that the driver can send."""
    return str(value) if isinstance(value, UUID) else value


def _dump(server: PostgresServer, folder: Path, password: str) -> Path:
    """Run pg_dump; the dump gets its name when it is whole and its checksum is there."""
    while (path := folder / f"{DATABASE}_{datetime.now(UTC):%Y-%m-%d_%H%M%S}.dump").exists():
        # an archive tells its time to the second: two of the same second could not be told apart
        time.sleep(0.1)
    unfinished = path.with_suffix(".dump.part")
    _run(
        [str(server.bin_dir / "pg_dump"), "-Fc", "-h", "127.0.0.1", "-p", str(server.port), "-U", ROLE, "-d", DATABASE, "-f", str(unfinished)],
        {"PGPASSWORD": password},
        folder=folder,
    )
    with unfinished.open("rb") as file:
        checksum = hashlib.file_digest(file, "sha256").hexdigest()
    path.with_name(path.name + ".sha256").write_text(f"{checksum}  {path.name}\n")
    return unfinished.rename(path)


def _run(argv: list[str], environment: dict[str, str], *, folder: Path) -> None:
    """Run a program with these additions to our environment; raise ServerError with its words if it fails."""
    done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=300, cwd=folder, env={**os.environ, **environment})
    if done.returncode != 0:
        raise ServerError(f"{Path(argv[0]).name} {argv[1]} failed: {done.stderr.strip()[-2000:]}")
