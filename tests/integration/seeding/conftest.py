"""An app with empty tables or a small world, and an empty demo company."""
from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from seeding_app import DDL, App
from xero_sandbox.testing import SandboxServer


@pytest.fixture(scope="session")
def shared_sandbox() -> Iterator[SandboxServer]:
    """Start one sandbox for all tests of this folder."""
    with SandboxServer(calls_per_minute=6000, calls_per_day=1_000_000) as sandbox:
        yield sandbox


@pytest.fixture
def sandbox(shared_sandbox: SandboxServer) -> SandboxServer:
    """Return the sandbox with a new and empty demo company."""
    shared_sandbox.clear_faults()
    shared_sandbox.reset_demo_company()
    shared_sandbox.clear_journal()
    return shared_sandbox


@pytest.fixture(scope="session")
def seeding_database(cluster: Any) -> str:
    """Make one database for all tests of this folder: making one takes longer than a test."""
    session = cluster.connect()
    with session.cursor() as cursor:
        cursor.execute(f"CREATE DATABASE app_dev_seeding OWNER {cluster.owner} TEMPLATE template0")
    session.close()
    return "app_dev_seeding"


@pytest.fixture
def app(cluster: Any, seeding_database: str, sandbox: SandboxServer, tmp_path: Path) -> App:
    """Return an app with empty tables."""
    made = App(cluster, seeding_database, sandbox, tmp_path)
    for (schema,) in made.sql("SELECT nspname FROM pg_namespace WHERE nspname !~ '^pg_' AND nspname <> 'information_schema'"):
        made.sql(f'DROP SCHEMA "{schema}" CASCADE')
    made.sql("CREATE SCHEMA public")
    made.sql(DDL)
    return made


@pytest.fixture
def small_world(app: App) -> App:
    """Return an app with a few clients and jobs."""
    for number, name in enumerate(("Acme", "Béta & Co", "Gamma <NZ>", " Delta  Ltd "), 1):
        app.client(number, name, email=f"info{number}@example.com", phone="021 555", address="1 Main St\nAuckland")
    for number in range(1, 7):
        app.job(number, (number % 4) + 1, f"Job of {number}", delivery_date="2026-05-01")
    return app
