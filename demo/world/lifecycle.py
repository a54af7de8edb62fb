"""The demo's world as a whole: made once, started as often as needed, stopped without a trace."""
from __future__ import annotations

import fcntl
import json
import os
import secrets
import shutil
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import psycopg2
from psycopg2 import sql

from .agreement import compare, read_live
from .files import write_private
from .organisation import existing_records
from .postgres_server import PostgresServer, ServerError, free_port, wheel_bin_dir
from .production_data import make_production_data
from .production_dump import DemoApp, make_dump
from .sandbox_process import Sandbox

ROOT = Path(__file__).resolve().parent.parent.parent
SUPERUSER = "postgres"
OWNER = "jobs_app"
DATABASE = "jobs_demo"
SEED = 1
SERVER_SETTINGS = {"fsync": "off", "max_connections": "60", "timezone": "UTC", "log_timezone": "UTC"}


def default_folder() -> Path:
    """Return the world's folder: $DEV_REFRESH_WORLD, else .demo in the checkout."""
    named = os.environ.get("DEV_REFRESH_WORLD")
    return Path(named).absolute() if named else ROOT / ".demo"


@dataclass(frozen=True)
class World:
    """The world in ``folder``: a PostgreSQL server, the sandbox, and dumps of the demo app's production database."""

    folder: Path

    @property
    def file(self) -> Path:
        """Return the file that tells others where everything is; it is there only while the world is up."""
        return self.folder / "world.json"

    @property
    def dumps(self) -> list[Path]:
        """Return the dumps, the oldest first."""
        return sorted((self.folder / "dumps").glob("*.dump"))

    @cached_property
    def _made(self) -> dict[str, Any]:
        """Return secrets and ports, made up once for each world."""
        path = self.folder / "made.json"
        try:
            return dict(json.loads(path.read_text()))
        except (OSError, ValueError):
            names = ("superuser_password", "owner_password", "client_secret", "dev_login_password")
            made: dict[str, Any] = {**{name: secrets.token_hex(16) for name in names}, "client_id": secrets.token_hex(16).upper()}
            made |= {"postgres_port": free_port(), "sandbox_port": free_port()}
            write_private(path, json.dumps(made, indent=2) + "\n")
            return made

    @property
    def postgres(self) -> PostgresServer:
        """Return the server, running or not."""
        return PostgresServer(self.folder / "postgres", self._made["postgres_port"], SUPERUSER, self._made["superuser_password"], wheel_bin_dir())

    @property
    def sandbox(self) -> Sandbox:
        """Return the sandbox, running or not."""
        return Sandbox(self.folder / "sandbox", self._made["sandbox_port"], self._made["client_id"], self._made["client_secret"])

    @property
    def app(self) -> DemoApp:
        """Return the demo app."""
        return DemoApp(ROOT / "demo" / "app", sys.executable)

    def start(self) -> None:
        """Bring up what is not up, make what was not made, and write the world file; nothing is done twice."""
        with self._lock():
            if self.is_up:
                return
            self.file.unlink(missing_ok=True)
            self._start_postgres()
            self._start_sandbox()
            if not self.dumps:
                self._make_dump()
            self._write_file()

    def stop(self) -> None:
        """Stop everything; data, dumps and the organisation stay."""
        if not self.folder.exists():
            return
        with self._lock():
            self.file.unlink(missing_ok=True)
            if (self.folder / "made.json").exists():
                self.sandbox.stop()
                self.postgres.stop()

    def remove(self) -> None:
        """Stop everything and remove the world's folder."""
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def new_dump(self) -> Path:
        """Make the dump of a week later and let the world file name it; the world must be up."""
        with self._lock():
            if not self.is_up:
                raise ServerError(f"The demo's world in {self.folder} is not up; start it first")
            path = self._make_dump()
            self._write_file()
            return path

    def disagreements(self) -> list[str]:
        """Return what differs between the live database and the organisation; the world must be up."""
        production_ids = make_production_data(seed=SEED, weeks=len(self.dumps)).xero_ids()
        return compare(read_live(self.describe()), self.sandbox.organisation(), production_ids)

    @property
    def is_up(self) -> bool:
        """Tell whether everything runs and the world file is there."""
        return self.file.exists() and bool(self.dumps) and self.postgres.pid is not None and self.sandbox.answers

    def describe(self) -> dict[str, Any]:
        """Return what the world file says."""
        server, sandbox = self.postgres, self.sandbox
        process = sandbox.process
        return {
            "postgres": {
                "host": "127.0.0.1",
                "port": server.port,
                "bin_dir": str(server.bin_dir),
                "superuser": SUPERUSER,
                "superuser_password": server.password,
                "owner": OWNER,
                "owner_password": self._made["owner_password"],
            },
            "xero": {
                "url": sandbox.url,
                "identity_url": sandbox.identity_url,
                "client_id": sandbox.client_id,
                "client_secret": sandbox.client_secret,
                "tenant_id": sandbox.tenant_id(),
            },
            "database": DATABASE,
            "dump": str(self.dumps[-1]),
            "python": self.app.python,
            "app_dir": str(self.app.folder),
            "dev_login_password": self._made["dev_login_password"],
            "pids": {"postgres": server.pid, "sandbox": process.pid if process else None},
        }

    def _start_postgres(self) -> None:
        """Start the server, made if needed, with the app's role in it."""
        if self.postgres.pid is None and _is_taken(self._made["postgres_port"]):
            self._change_port("postgres_port")
        server = self.postgres
        if not (server.data_dir / "PG_VERSION").exists():
            server.create()
        server.start(SERVER_SETTINGS)
        session = psycopg2.connect(host="127.0.0.1", port=server.port, dbname="postgres", user=SUPERUSER, password=server.password)
        session.autocommit = True
        with session.cursor() as cursor:
            cursor.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", (OWNER,))
            verb = "ALTER" if cursor.fetchone() else "CREATE"
            statement = sql.SQL(f"{verb} ROLE {{}} LOGIN PASSWORD %s").format(sql.Identifier(OWNER))
            cursor.execute(statement, (self._made["owner_password"],))
        session.close()

    def _start_sandbox(self) -> None:
        """Start the sandbox and fill its organisation, once."""
        if self.sandbox.process is None and _is_taken(self._made["sandbox_port"]):
            self._change_port("sandbox_port")
        sandbox = self.sandbox
        filled = sandbox.folder / "filled"
        if not filled.exists():
            # a fill that was interrupted cannot be repeated on top of itself
            sandbox.stop()
            shutil.rmtree(sandbox.folder, ignore_errors=True)
        sandbox.start()
        if not filled.exists():
            sandbox.fill(existing_records(make_production_data(seed=SEED)))
            # its state is on disk for certain once it has ended in order
            sandbox.stop()
            filled.touch()
            sandbox.start()

    def _make_dump(self) -> Path:
        """Make the next dump: each is a week older than the one before."""
        return make_dump(self.postgres, self.app, make_production_data(seed=SEED, weeks=len(self.dumps)), self.folder / "dumps")

    def _write_file(self) -> None:
        """Write the world file."""
        write_private(self.file, json.dumps(self.describe(), indent=2) + "\n")

    def _change_port(self, name: str) -> None:
        """Take another port, because somebody else has taken this one."""
        self._made[name] = free_port()
        write_private(self.folder / "made.json", json.dumps(self._made, indent=2) + "\n")

    @contextmanager
    def _lock(self) -> Iterator[None]:
        """Keep a second call waiting until this one is done."""
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        # not handed to the servers: Python opens files that children do not inherit
        with (self.folder / "lock").open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield


def _is_taken(port: int) -> bool:
    """Tell whether some server listens on the port."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return True
    return False
