"""Whole runs of the playbooks against a world of the test's own."""

from __future__ import annotations

import json
import os
import shutil
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg2
import pytest
from playbook_runs import PLAYBOOK, changes, command_line, environment_of, run_to_end
from world.lifecycle import World


@dataclass(frozen=True)
class Ran:
    """One run of ansible-playbook."""

    code: int
    output: str
    report: dict[str, Any] | None

    @property
    def changed(self) -> int:
        """Return the recap's count of changes for dev1."""
        return changes(self.output, "dev1")


@dataclass(frozen=True)
class Stage:
    """A world, and what may be done with it."""

    world: World

    @property
    def told(self) -> dict[str, Any]:
        """Return what the world's file tells the inventory."""
        return json.loads(self.world.file.read_text())

    def command(self, *arguments: str, playbook: str = PLAYBOOK, extra: dict[str, Any] | None = None) -> list[str]:
        """Return the command line of a run."""
        return command_line(*arguments, playbook=playbook, extra=extra)

    @property
    def environment(self) -> dict[str, str]:
        """Return the environment of a run."""
        return environment_of(self.world.folder)

    def run(self, *arguments: str, playbook: str = PLAYBOOK, extra: dict[str, Any] | None = None) -> Ran:
        """Run a playbook to its end."""
        report = self.world.folder / "reports" / ("dev1.check.json" if "--check" in arguments else "dev1.json")
        report.unlink(missing_ok=True)
        code, output = run_to_end(self.command(*arguments, playbook=playbook, extra=extra), self.environment, seconds=240)
        return Ran(code, output, json.loads(report.read_text()) if report.exists() else None)

    def connect(self, database: str) -> psycopg2.extensions.connection:
        """Open an autocommit session as the administrator."""
        server = self.told["postgres"]
        session = psycopg2.connect(host=server["host"], port=server["port"], user=server["superuser"], password=server["superuser_password"], dbname=database)
        session.autocommit = True
        return session

    def query(self, database: str, statement: str) -> list[tuple[Any, ...]]:
        """Return the rows of a query."""
        session = self.connect(database)
        try:
            with session.cursor() as cursor:
                cursor.execute(statement)
                return cursor.fetchall()
        finally:
            session.close()

    def databases(self) -> list[tuple[Any, ...]]:
        """Return every database with what a run could change of it from outside."""
        return self.query(
            "postgres",
            "SELECT datname, oid::bigint, datallowconn, shobj_description(oid, 'pg_database'), datacl::text FROM pg_database"
            " WHERE NOT datistemplate ORDER BY 1",
        )

    def contents(self) -> dict[str, str]:
        """Return a hash of every table of every open database of the app."""
        hashes: dict[str, str] = {}
        for name, _, is_open, *_ in self.databases():
            if not is_open or name == "postgres":
                continue
            tables = self.query(name, "SELECT schemaname, tablename FROM pg_tables WHERE schemaname NOT IN ('pg_catalog', 'information_schema')")
            for schema, table in tables:
                rows = self.query(name, f"SELECT md5(coalesce(string_agg(t::text, '|' ORDER BY t::text), '')) FROM \"{schema}\".\"{table}\" t")
                hashes[f"{name}.{schema}.{table}"] = rows[0][0]
        return hashes

    def sandbox(self, path: str) -> Any:
        """Return what the sandbox says of itself."""
        with urllib.request.urlopen(f"{self.told['xero']['url']}/sandbox/{path}", timeout=10) as reply:
            return json.load(reply)

    def organisation(self) -> Any:
        """Return the contacts and projects of the sandbox's organisation."""
        organisation = self.sandbox("state")["organisations"][0]
        return {name: organisation[name] for name in ("contacts", "projects")}

    def everything(self) -> tuple[Any, ...]:
        """Return all that a dry run must not change."""
        return self.databases(), self.contents(), self.organisation()

    def calls_since(self, seen: int) -> list[dict[str, Any]]:
        """Return the journal's calls after ``seen`` rows."""
        rows: list[dict[str, Any]] = self.sandbox("journal")["requests"]
        return rows[seen:]

    def processes(self) -> list[int]:
        """Return the processes that belong to a run in this world (by the environment that they got from it)."""
        mark = f"DEV_REFRESH_WORLD={self.world.folder}".encode()
        found = []
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit() and int(entry.name) != os.getpid():
                try:
                    if mark in (entry / "environ").read_bytes().split(b"\0"):
                        found.append(int(entry.name))
                except OSError:
                    continue
        return found


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """Make a world that no other test file sees."""
    folder = tmp_path_factory.mktemp("world")
    world = World(folder)
    world.start()
    yield Stage(world)
    world.remove()
    shutil.rmtree(folder, ignore_errors=True)
