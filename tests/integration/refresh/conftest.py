"""Dumps of a small generated production database, and a way to call pg_refresh."""
from __future__ import annotations

import hashlib
import json
import os
import secrets
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pg_refresh
import pytest
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible.module_utils.dev_refresh.postgres.options import POSTGRESQL_OPTIONS
from ansible.module_utils.dev_refresh.refresh.run import refresh
from ansible.module_utils.dev_refresh.run_id import new_run_id
from psycopg2 import sql

ROOT = Path(__file__).resolve().parents[3]

PRODUCTION = """
CREATE TABLE client_client (id int PRIMARY KEY, name text NOT NULL, email text, phone text, address text, xero_contact_id text);
CREATE TABLE job_job (id int PRIMARY KEY, job_number int, name text, delivery_date date,
 client_id int REFERENCES client_client DEFERRABLE INITIALLY DEFERRED, xero_project_id uuid);
CREATE TABLE django_migrations (id serial PRIMARY KEY, app text, name text);
CREATE TABLE oauth_token (id serial PRIMARY KEY, provider text UNIQUE NOT NULL, token text NOT NULL);
CREATE TABLE "Odd Table" ("Kéy" int PRIMARY KEY, "a %% b" text);
CREATE INDEX ON job_job (job_number);
INSERT INTO client_client SELECT n, 'Client ' || n, 'c' || n || '@example.com', NULL, NULL,
 CASE WHEN n %% 2 = 0 THEN md5(n::text)::uuid::text END FROM generate_series(1, {rows}) n;
INSERT INTO job_job SELECT n, 1000 + n, 'Job ' || n, NULL, 1 + n %% {rows},
 CASE WHEN n %% 3 = 0 THEN md5('j' || n)::uuid END FROM generate_series(1, {rows} * 2) n;
INSERT INTO django_migrations (app, name) VALUES ('client', '0001_initial'), ('job', '0001_initial');
INSERT INTO oauth_token (provider, token) VALUES ('xero', 'production-token');
INSERT INTO "Odd Table" VALUES (1, 'x');
"""


@dataclass(frozen=True)
class Production:
    """Makes dumps of production as it was at different times."""

    cluster: Any
    folder: Path

    def dump(self, rows: int = 20, *, extra_sql: str = "", name: str | None = None, options: tuple[str, ...] = ("-Fc",), source: str | None = None) -> Path:
        """Fill a database, dump it, drop it."""
        database = source or f"prod_src_{secrets.token_hex(3)}"
        admin = self.cluster.connect()
        with admin.cursor() as cursor:
            cursor.execute(sql.SQL("CREATE DATABASE {} TEMPLATE template0").format(sql.Identifier(database)))
        try:
            session = self.cluster.connect(database)
            with session.cursor() as cursor:
                cursor.execute(PRODUCTION.format(rows=rows).replace("%%", "%"))
                if extra_sql:
                    cursor.execute(extra_sql)
            session.close()
            path = self.folder / (name or f"{secrets.token_hex(3)}.dump")
            server = self.cluster.server
            subprocess.run(
                [server.bin_dir / "pg_dump", *options, "-h", "127.0.0.1", "-p", str(server.port), "-U", server.superuser, "-f", path, database],
                check=True,
                env={"PATH": os.environ["PATH"], "PGPASSWORD": server.password},
                timeout=60,
            )
        finally:
            with self.cluster.connect(database) as session, session.cursor() as cursor:
                cursor.execute("SELECT subname FROM pg_subscription WHERE subdbid = (SELECT oid FROM pg_database WHERE datname = current_database())")
                for (subscription,) in cursor.fetchall():
                    cursor.execute(f"DROP SUBSCRIPTION {subscription}")
            session.close()
            with admin.cursor() as cursor:
                cursor.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(database)))
            admin.close()
        return path


@pytest.fixture(scope="session")
def production(cluster: Any, tmp_path_factory: pytest.TempPathFactory) -> Production:
    return Production(cluster, tmp_path_factory.mktemp("dumps"))


@pytest.fixture(scope="session")
def dump(production: Production) -> Path:
    """Make the dump that most tests restore."""
    return production.dump(20)


@pytest.fixture(scope="session")
def newer_dump(production: Production, dump: Path) -> Path:
    """Make a dump after it, with more rows."""
    return production.dump(30)


@dataclass
class Refresh:
    """Calls pg_refresh for one database with the same options each time."""

    cluster: Any
    name: str
    options: dict[str, Any] = field(default_factory=dict)

    def params(self, state: str, **more: Any) -> dict[str, Any]:
        """Return the module's parameters as Ansible would hand them over."""
        server = self.cluster.server
        raw = {
            "name": self.name,
            "state": state,
            "login_host": "127.0.0.1",
            "login_port": server.port,
            "login_user": server.superuser,
            "login_password": server.password,
            "owner": self.cluster.owner,
            "owner_password": self.cluster.owner_password,
            "bin_dir": str(server.bin_dir),
            "jobs": 2,
            **self.options,
            **more,
        }
        return {key: str(value) if isinstance(value, Path) else value for key, value in raw.items()}

    def __call__(self, state: str, *, check: bool = False, **more: Any) -> dict[str, Any]:
        """Run one state in this process."""
        checked = ArgumentSpecValidator({**POSTGRESQL_OPTIONS, **pg_refresh.OPTIONS}).validate(self.params(state, **more))
        assert not checked.error_messages, checked.error_messages
        return refresh(checked.validated_parameters, check_mode=check)

    def whole(self, dump: Path, **more: Any) -> dict[str, Any]:
        """Run staged, ready and live as the playbook does; return the result of staged with the changes of all."""
        run_id = more.pop("run_id", None) or new_run_id()
        staged = self("staged", dump=dump, run_id=run_id, **more)
        ready = self("ready", run_id=run_id, **more)
        live = self("live", run_id=run_id, **more)
        return {**staged, "changed": staged["changed"] or ready["changed"] or live["changed"], "ready": ready, "live": live}

    def process(self, state: str, *, env: dict[str, str] | None = None, **more: Any) -> subprocess.Popen[bytes]:
        """Start the module as a process of its own."""
        code = (
            "import sys, json; sys.path[:0] = [{lib!r}]; import ansible.module_utils as m; m.__path__.append({utils!r});"
            "from ansible.module_utils.testing import patch_module_args; import pg_refresh\n"
            # a shell without job control starts what is in its background with SIGINT ignored, the tests and all below them
            "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
            "with patch_module_args(json.loads(sys.stdin.read())): pg_refresh.main()"
        ).format(lib=str(ROOT / "library"), utils=str(ROOT / "module_utils"))
        child = subprocess.Popen(
            [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env={**os.environ, **(env or {})}
        )
        assert child.stdin is not None
        child.stdin.write(json.dumps(self.params(state, **more)).encode())
        child.stdin.close()
        child.stdin = None
        return child

    def rows(self, query: str, database: str | None = None) -> list[tuple[Any, ...]]:
        """Query the live (or another) database."""
        session = self.cluster.connect(database or self.name)
        try:
            with session.cursor() as cursor:
                cursor.execute(query)
                return list(cursor.fetchall())
        finally:
            session.close()

    def execute(self, statement: str, database: str | None = None) -> None:
        """Run a statement as the owner."""
        session = self.cluster.connect(database or self.name, owner=True)
        with session.cursor() as cursor:
            cursor.execute(statement)
        session.close()

    def oids(self) -> dict[str, tuple[Any, ...]]:
        """Return what is known of all databases of this test."""
        found = self.rows(
            "SELECT datname, oid::bigint, datallowconn, shobj_description(oid, 'pg_database'), datacl::text, datconnlimit"
            f" FROM pg_database WHERE datname LIKE '{self.name}%'",
            "postgres",
        )
        return {row[0]: row[1:] for row in found}

    def fingerprint(self) -> str:
        """Return a hash of what live holds, order aside; Xero ids and marker included, times and ids of runs left out."""
        text = self.rows(
            "SELECT coalesce(string_agg(t::text, '|' ORDER BY t::text), '') FROM (SELECT c::text FROM client_client c UNION ALL SELECT j::text FROM job_job j"
            " UNION ALL SELECT o::text FROM oauth_token o UNION ALL SELECT d::text FROM django_migrations d"
            " UNION ALL SELECT i::text FROM dev_refresh.original_ids i UNION ALL"
            " SELECT concat(state->>'phase', state->>'dump_sha256', state->>'parameters_sha256') FROM dev_refresh.marker) t(t)"
        )[0][0]
        return hashlib.sha256(text.encode()).hexdigest()


@pytest.fixture(scope="session")
def caller() -> type[Refresh]:
    """Return the class of ``pg``, for databases that several tests share."""
    return Refresh


@pytest.fixture
def pg(cluster: Any, database: str) -> Refresh:
    """Return a caller for a database that does not exist yet."""
    session = cluster.connect()
    with session.cursor() as cursor:
        cursor.execute(sql.SQL("DROP DATABASE {}").format(sql.Identifier(database)))
    session.close()
    return Refresh(cluster, database)


@pytest.fixture
def existing(cluster: Any, database: str) -> Refresh:
    """Return a caller for an empty database that no refresh has made."""
    return Refresh(cluster, database)


@pytest.fixture(scope="session")
def wait_for() -> Callable[[Callable[[], bool], float], None]:
    """Return a function that polls until a condition holds."""
    import time

    def wait(condition: Callable[[], bool], seconds: float = 15) -> None:
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, "the condition did not come true in time"
            time.sleep(0.02)

    return wait


