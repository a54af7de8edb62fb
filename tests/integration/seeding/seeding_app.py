"""A small app's database beside a sandbox, and the module's function run on them."""
from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils.dev_refresh.errors import RefreshError
from ansible.module_utils.dev_refresh.postgres import marker
from ansible.module_utils.dev_refresh.seed import OPTIONS, seed
from xero_sandbox.testing import SandboxServer

DDL = """
CREATE TABLE client_client (id uuid PRIMARY KEY, name text, email text, phone text, address text, xero_contact_id uuid);
CREATE TABLE job_job (id uuid PRIMARY KEY, client_id uuid, job_number text, name text, delivery_date date, xero_project_id uuid);
"""


def key(number: int) -> str:
    """Return a UUID that sorts by ``number``."""
    return str(uuid.UUID(int=number))


@dataclass
class App:
    """The app's database and the organisation that it is seeded into."""

    cluster: Any
    database: str
    sandbox: SandboxServer
    folder: Path
    options: dict[str, Any] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)

    def sql(self, statement: str, parameters: Any = None) -> list[tuple[Any, ...]]:
        """Execute as the owner; return the rows."""
        session = self.cluster.connect(self.database, owner=True)
        try:
            with session.cursor() as cursor:
                cursor.execute(statement, parameters)
                return cursor.fetchall() if cursor.description else []
        finally:
            session.close()

    def client(self, number: int, name: str | None, **more: Any) -> str:
        """Add a client; return its key."""
        return self._insert("client_client", {"id": key(number), "name": name, **more})

    def job(self, number: int, client: int | None, name: str | None, **more: Any) -> str:
        """Add a job; return its key."""
        row = {"id": key(10**6 + number), "client_id": client and key(client), "job_number": str(number), "name": name, **more}
        return self._insert("job_job", row)

    def _insert(self, table: str, row: Mapping[str, Any]) -> str:
        columns = ", ".join(row)
        self.sql(f"INSERT INTO {table} ({columns}) VALUES ({', '.join(['%s'] * len(row))})", list(row.values()))
        return str(row["id"])

    def params(self, **options: Any) -> dict[str, Any]:
        """Return the module's parameters as Ansible fills them in."""
        given = {
            "login_host": "127.0.0.1", "login_port": self.cluster.server.port, "login_user": self.cluster.owner, "login_password": self.cluster.owner_password,
            "database": self.database, "client_id": self.sandbox.client_id, "client_secret": self.sandbox.client_secret, "api_url": self.sandbox.url,
            "identity_url": self.sandbox.identity_url, "calls_per_minute": 6000, "log_dir": str(self.folder / "logs"), **self.options, **options,
        }  # fmt: skip
        return {**{name: spec.get("default") for name, spec in OPTIONS.items()}, **given}

    def seed(self, *, check: bool = False, **options: Any) -> dict[str, Any]:
        """Run and return the result."""
        self.warnings = []
        return seed(self.params(**options), check_mode=check, warn=self.warnings.append)

    def fail(self, *, check: bool = False, **options: Any) -> RefreshError:
        """Run and return the error."""
        with pytest.raises(RefreshError) as caught:
            self.seed(check=check, **options)
        return caught.value

    def make_marker(self, **fields: Any) -> None:
        """Make this a database that a refresh made."""
        session = self.cluster.connect(self.database, owner=True)
        session.autocommit = False
        marker.create(session)
        with session.cursor() as cursor:
            cursor.execute("SELECT oid::bigint FROM pg_database WHERE datname = current_database()")
            oid = cursor.fetchone()[0]
            marker.write(cursor, marker.Marker(**{"run_id": "20260101T000000Z-abcd", "phase": "live", "dump_sha256": "0" * 64, "db_oid": oid, **fields}))
        session.commit()
        session.close()

    def contact_ids(self) -> dict[str, str | None]:
        """Return the stored contact ids by key."""
        return {str(row_key): found and str(found) for row_key, found in self.sql("SELECT id, xero_contact_id FROM client_client")}

    def project_ids(self) -> dict[str, str | None]:
        """Return the stored project ids by key."""
        return {str(row_key): found and str(found) for row_key, found in self.sql("SELECT id, xero_project_id FROM job_job")}

    def everything(self) -> str:
        """Return all of the database and the organisation, to compare."""
        rows = {table: self.sql(f"SELECT * FROM {table} ORDER BY 1") for table in ("client_client", "job_job")}
        return json.dumps([rows, self.sandbox.contacts(), self.sandbox.projects()], default=str, sort_keys=True)


def counts(result: Mapping[str, Any], entity: str) -> dict[str, int]:
    """Return the counts that are not zero."""
    return {name: count for name, count in result[entity].items() if count}
