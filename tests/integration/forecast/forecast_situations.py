"""Situations in which a refresh is asked what it would do: generated, built in a database and an organisation, and told in a line."""
from __future__ import annotations

import os
import random
import subprocess
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pg_refresh
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible.module_utils.dev_refresh.postgres.options import POSTGRESQL_OPTIONS
from ansible.module_utils.dev_refresh.refresh.run import refresh
from ansible.module_utils.dev_refresh.run_id import new_run_id
from ansible.module_utils.dev_refresh.seed import OPTIONS, seed
from ansible.module_utils.dev_refresh.verification.run import OPTIONS as VERIFY_OPTIONS
from ansible.module_utils.dev_refresh.verification.run import verify_refresh
from psycopg2 import sql
from xero_sandbox.testing import SandboxServer

EMPTY_LIST_SHA256 = "4f53cda18c2baa0c0354bb5f9a3ecbe5ed12ab4d8e11ba873c2f11161202b945"
"""SHA-256 of ``[]``: the role's hash of no post commands."""
DDL = """
CREATE TABLE client_client (id uuid PRIMARY KEY, name text, email text, phone text, address text, active boolean, xero_contact_id uuid);
CREATE TABLE job_job (id uuid PRIMARY KEY, client_id uuid, job_number text, name text, delivery_date date, xero_project_id uuid);
CREATE TABLE django_migrations (id serial PRIMARY KEY, app text, name text);
CREATE TABLE holiday (day date);
INSERT INTO django_migrations (app, name) VALUES ('client', '0001_initial'), ('job', '0001_initial');
"""
BEFORE = ("nothing", "nothing", "older", "older", "same", "edited", "edited", "unseeded", "staged", "half", "reset", "rejected")
"""What was there before: no database; an older dump, seeded; this dump; this dump with rows edited since; this dump without a seed; a run killed
after staging; a seed that the day limit ended; this dump, but the organisation was reset; this dump rejected by a rollback."""
NAMES = ("Acme", "Béta & Co", "Gamma <NZ>", " Delta  Ltd ", "Ēpsilon", "Zeta/Eta", "theta", "THETA", "Iota\u200b", "Lambda" * 30, "O'Mu")


@dataclass(frozen=True)
class Row:
    """A client or a job."""

    key: str
    columns: Mapping[str, Any]


@dataclass(frozen=True)
class Situation:
    """One situation, by its number."""

    number: int
    before: str
    clients: list[Row]
    jobs: list[Row]
    contacts: list[dict[str, Any]]
    projects: list[dict[str, Any]]
    archived: list[int]
    entities: list[str]
    where: str | None
    quota: int | None
    """Calls that the day still has, or None for plenty."""
    migrations: int
    choose: random.Random = field(repr=False, compare=False)

    @property
    def mapping(self) -> dict[str, Any]:
        """Return the mapping that the situation's run has."""
        return {"contacts": {"where": self.where, "email_policy": "keep"}} if self.where else {"contacts": {"email_policy": "keep"}}

    def __str__(self) -> str:
        """Return it in a line."""
        return (
            f"situation {self.number}: before {self.before}, {len(self.clients)} clients, {len(self.jobs)} jobs, {len(self.contacts)} contacts"
            f" ({len(self.archived)} archived), {len(self.projects)} projects, {'+'.join(self.entities)}, where {self.where}, quota {self.quota}"
            f", {self.migrations} migrations"
        )


def situation(number: int) -> Situation:
    """Return the situation with this number, always the same."""
    choose = random.Random(f"forecast {number}")
    before = BEFORE[number % len(BEFORE)]
    clients, jobs = _clients(choose, choose.randrange(1, 30)), []
    for index in range(choose.randrange(40)):
        columns = {
            "client_id": choose.choice([*(row.key for row in clients), None]) if choose.random() < 0.9 else None,
            "job_number": choose.choice([str(1000 + index), str(1000 + index), "1000", None]),
            "name": choose.choice([f"Job of {index}", f"Job <{index}>", "", "x" * 200]),
            "delivery_date": choose.choice([None, "2026-05-01"]),
            "xero_project_id": str(_uuid(choose)) if choose.random() < 0.4 else None,
        }
        jobs.append(Row(str(_uuid(choose)), columns))
    contacts: list[dict[str, Any]] = []
    for row in clients:
        kind = choose.random()
        name = " ".join(str(row.columns["name"] or "x").replace("\u200b", "").split())[:255]
        if kind < 0.15:
            contacts.append({"name": f"{name} {len(contacts)}", "number": row.key})
        elif kind < 0.3:
            contacts.append({"name": name.upper() if choose.random() < 0.3 else name})
        elif kind < 0.35:
            contacts.append({"name": name, "number": str(_uuid(choose))})
    contacts += [{"name": f"Stranger {n}"} for n in range(choose.randrange(4))]
    unique: dict[str, dict[str, Any]] = {}
    for contact in contacts:
        unique.setdefault(contact["name"].casefold(), contact)
    contacts = list(unique.values())
    projects = [
        {"contact": choose.choice(contacts)["name"], "name": choose.choice([f"Job {1000 + n}: Job of {n}", f"Job {1000 + n}: renamed", f"Other {n}"])}
        for n in range(choose.randrange(8) if contacts else 0)
    ]
    for project in projects:
        if choose.random() < 0.3:
            project["status"] = "CLOSED"
    held = {project["contact"] for project in projects}
    archived = [n for n, contact in enumerate(contacts) if contact["name"] not in held and choose.random() < 0.2]
    return Situation(
        number=number, before=before, clients=clients, jobs=jobs, contacts=contacts, projects=projects, archived=archived,
        entities=["contacts"] if choose.random() < 0.15 else ["contacts", "projects"],
        where="active" if choose.random() < 0.25 else None,
        quota=choose.randrange(14, 40) if before != "half" and choose.random() < 0.25 else None,
        migrations=choose.choice([0, 0, 0, 1, 2]),
        choose=choose,
    )  # fmt: skip


def _uuid(choose: random.Random) -> uuid.UUID:
    return uuid.UUID(int=choose.getrandbits(128), version=4)


def _clients(choose: random.Random, count: int) -> list[Row]:
    rows = []
    for index in range(count):
        name = choose.choice([*NAMES, None]) if choose.random() < 0.5 else f"Client {index}"
        columns = {
            "name": name,
            "email": choose.choice([None, f"c{index}@example.com", "not an address"]),
            "phone": choose.choice([None, "021 555", "0" * 80]),
            "address": choose.choice([None, "1 Main St\nAuckland"]),
            "active": choose.random() < 0.8,
            "xero_contact_id": str(_uuid(choose)) if choose.random() < 0.4 else None,
        }
        rows.append(Row(str(_uuid(choose)), columns))
    return rows


@dataclass
class Place:
    """A server, a sandbox and the names to work with."""

    connect: Callable[..., Any]
    port: int
    bin_dir: Path
    admin: str
    admin_password: str
    owner: str
    owner_password: str
    sandbox: SandboxServer
    folder: Path
    live: str
    per_day: int = 100_000

    @property
    def names(self) -> list[str]:
        """Return the databases of a refresh."""
        return [self.live + suffix for suffix in ("", "_refresh", "_previous", "_old")]

    def execute(self, database: str, statement: Any, *, owner: bool = False) -> None:
        """Run a statement."""
        session = self.connect(database, owner=owner)
        with session.cursor() as cursor:
            cursor.execute(statement)
        session.close()

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        """Query the live database."""
        session = self.connect(self.live)
        with session.cursor() as cursor:
            cursor.execute(query)
            found: list[tuple[Any, ...]] = cursor.fetchall()
        session.close()
        return found

    def clear(self) -> None:
        """Drop the databases, empty the organisation, give the day its calls back."""
        for name in self.names:
            self.execute("postgres", sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))
        self.sandbox.set(calls_per_day=self.per_day)
        self.sandbox.reset_demo_company()

    def dump(self, clients: list[Row], jobs: list[Row]) -> Path:
        """Make a dump of a production database with these rows."""
        source = f"prod_{uuid.uuid4().hex[:8]}"
        self.execute("postgres", sql.SQL("CREATE DATABASE {} TEMPLATE template0").format(sql.Identifier(source)))
        try:
            session = self.connect(source)
            with session.cursor() as cursor:
                cursor.execute(DDL)
                for table, rows in (("client_client", clients), ("job_job", jobs)):
                    for row in rows:
                        values = {"id": row.key, **row.columns}
                        cursor.execute(f"INSERT INTO {table} ({', '.join(values)}) VALUES ({', '.join(['%s'] * len(values))})", list(values.values()))
            session.close()
            path = self.folder / f"{source}.dump"
            command = [self.bin_dir / "pg_dump", "-Fc", "-h", "127.0.0.1", "-p", str(self.port), "-U", self.admin, "-f", path, source]
            subprocess.run(command, check=True, timeout=60, env={"PATH": os.environ["PATH"], "PGPASSWORD": self.admin_password})
            return path
        finally:
            self.execute("postgres", sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(source)))

    def refresh(self, state: str, *, check: bool = False, **more: Any) -> dict[str, Any]:
        """Call pg_refresh as the playbook does."""
        raw = {
            "name": self.live, "state": state, "login_host": "127.0.0.1", "login_port": self.port, "login_user": self.admin,
            "login_password": self.admin_password, "owner": self.owner, "owner_password": self.owner_password, "owner_host": "127.0.0.1",
            "bin_dir": str(self.bin_dir), "jobs": 2, "post_commands_sha256": EMPTY_LIST_SHA256, "allowed_names": "dev|demo", **more,
        }  # fmt: skip
        checked = ArgumentSpecValidator({**POSTGRESQL_OPTIONS, **pg_refresh.OPTIONS}).validate({name: _plain(value) for name, value in raw.items()})
        assert not checked.error_messages, checked.error_messages
        return refresh(checked.validated_parameters, check_mode=check)

    def _options(self, spec: Mapping[str, Any], **more: Any) -> dict[str, Any]:
        given = {
            "login_host": "127.0.0.1", "login_port": self.port, "login_user": self.owner, "login_password": self.owner_password, "database": self.live,
            "client_id": self.sandbox.client_id, "client_secret": self.sandbox.client_secret, "api_url": self.sandbox.url,
            "identity_url": self.sandbox.identity_url, "calls_per_minute": 6000, "log_dir": str(self.folder / "logs"), "bin_dir": str(self.bin_dir),
            **more,
        }  # fmt: skip
        return {**{name: option.get("default") for name, option in spec.items()}, **{name: value for name, value in given.items() if name in spec}}

    def seed(self, there: Situation, *, check: bool = False, **more: Any) -> dict[str, Any]:
        """Call xero_seed."""
        return seed(self._options(OPTIONS, entities=there.entities, mapping=there.mapping, **more), check_mode=check, warn=lambda _: None)

    def verify(self, there: Situation, **more: Any) -> dict[str, Any]:
        """Call refresh_verify."""
        return verify_refresh(self._options(VERIFY_OPTIONS, entities=there.entities, mapping=there.mapping, **more))

    def stage(self, there: Situation, dump: Path) -> str:
        """Restore a dump as far as staging; return the run's id."""
        run_id = new_run_id()
        self.refresh("staged", dump=dump, run_id=run_id, mapping=there.mapping, entities=there.entities)
        return run_id

    def restore(self, there: Situation, dump: Path) -> None:
        """Restore a dump and make it live."""
        run_id = self.stage(there, dump)
        for state in ("ready", "live"):
            self.refresh(state, run_id=run_id, mapping=there.mapping, entities=there.entities)

    def build(self, there: Situation) -> Path:
        """Make the situation; return the dump that is to be refreshed."""
        self.clear()
        before, choose = there.before, there.choose
        if before in ("older", "rejected"):
            older = self.dump(choose.sample(there.clients, (len(there.clients) + 1) // 2), choose.sample(there.jobs, len(there.jobs) // 2))
        dump = self.dump(there.clients, there.jobs)
        ids: list[str] = []
        if there.contacts:
            ids = self.sandbox.seed(there.contacts, there.projects)["contacts"]
        for index in there.archived:
            self.sandbox.archive_contact(ids[index])
        if before in ("older", "rejected"):
            self.restore(there, older)
            self.seed(there)
        if before in ("same", "edited", "unseeded", "half", "reset", "rejected"):
            self.restore(there, dump)
        if before == "half":
            # what the day has left is enough to read and for a few writes
            self.leave(choose.randrange(9, 14))
            self.seed(there)
            self.sandbox.set(calls_per_day=self.per_day)
        if before in ("same", "edited", "reset", "rejected"):
            self.seed(there)
        if before == "rejected":
            self.refresh("previous", mapping=there.mapping, entities=there.entities)
        if before == "staged":
            self.stage(there, dump)
        if before == "reset":
            self.sandbox.reset_demo_company()
        if before == "edited":
            self._edit(there)
        if there.quota is not None:
            self.leave(there.quota)
        return dump

    def leave(self, calls: int) -> None:
        """Leave so many of the day's calls."""
        self.sandbox.set(calls_per_day=self.per_day)
        used = sum(row["day"][1] for row in self.sandbox.limits()["usage"] if row.get("tenant_id") == self.sandbox.tenant_id)
        self.sandbox.set(calls_per_day=used + calls)

    def _edit(self, there: Situation) -> None:
        """Change rows behind the seed's back."""
        choose = there.choose
        for table, column, rows in (("client_client", "xero_contact_id", there.clients), ("job_job", "xero_project_id", there.jobs)):
            for row in rows:
                kind = choose.random()
                if kind < 0.15:
                    self.execute(self.live, f"UPDATE {table} SET {column} = NULL WHERE id = '{row.key}'")
                elif kind < 0.3:
                    self.execute(self.live, f"UPDATE {table} SET {column} = '{_uuid(choose)}' WHERE id = '{row.key}'")
                elif kind < 0.4:
                    self.execute(self.live, f"UPDATE {table} SET name = 'Edited {row.key[:4]}' WHERE id = '{row.key}'")
        for row in _clients(choose, 3):
            self.execute(self.live, f"INSERT INTO client_client (id, name, active) VALUES ('{row.key}', 'Added {row.key[:4]}', true)")


def _plain(value: Any) -> Any:
    return str(value) if isinstance(value, Path) else value
