"""Forecasts from a dump that is still to be restored."""
from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from ansible.module_utils.dev_refresh.mapping import parse_mapping
from ansible.module_utils.dev_refresh.postgres import marker
from ansible.module_utils.dev_refresh.postgres.mapped_tables import move_original_ids
from seeding_app import App, counts, key


@pytest.fixture
def dumped(small_world: App) -> App:
    """Return a small world with production's ids in its rows; ``app.options`` names its dump, and the database itself is empty again."""
    app = small_world
    app.sql("CREATE TYPE mood AS ENUM ('good', 'bad')")
    app.sql("ALTER TABLE client_client ADD COLUMN mood mood DEFAULT 'good', ADD COLUMN active boolean DEFAULT true")
    app.sql("UPDATE client_client SET xero_contact_id = gen_random_uuid()")
    app.sql("UPDATE job_job SET xero_project_id = gen_random_uuid()")
    app.sql("CREATE TABLE holiday (day date)")
    app.options = {"dump": str(dump(app)), "bin_dir": str(app.cluster.server.bin_dir)}
    return app


def dump(app: App) -> Path:
    """Dump the database."""
    path = app.folder / "app.dump"
    server = app.cluster.server
    argv = [str(server.bin_dir / "pg_dump"), "-Fc", "-h", "127.0.0.1", "-p", str(server.port), "-U", server.superuser, "-f", str(path), app.database]
    subprocess.run(argv, env={**os.environ, "PGPASSWORD": server.password}, check=True, timeout=60)
    return path


def sanitise(app: App) -> None:
    """Do to the database what a refresh does after the restore."""
    app.make_marker()
    session = app.cluster.connect(app.database, owner=True)
    session.autocommit = False
    move_original_ids(session, parse_mapping(app.options.get("mapping")), ["contacts", "projects"])
    session.commit()
    session.close()


def relations(app: App) -> list[tuple]:
    """Return all relations of the database, temporary ones too."""
    return app.sql("SELECT relname, relnamespace::regnamespace::text FROM pg_class ORDER BY 1, 2")


def test_a_forecast_from_a_dump_is_the_next_run(dumped):
    app = dumped
    app.options["mapping"] = {"contacts": {"where": "client_client.active AND mood = 'good'", "email_policy": "keep"}}
    app.sandbox.seed(contacts=[{"name": "acme"}])
    before, there = app.everything(), relations(app)
    forecast = app.seed(check=True)
    assert forecast["forecast"] == "exact", forecast["forecast_reasons"]
    assert app.everything() == before
    assert relations(app) == there
    sanitise(app)
    result = app.seed()
    for name in ("changed", "complete", "contacts", "projects", "unclaimed", "left_out", "skips", "diff"):
        assert forecast[name] == result[name], name
    assert forecast["api"]["writes"] == result["api"]["writes"]
    assert counts(result, "contacts") == {"total": 4, "linked": 1, "created": 3}


def test_the_dump_counts_and_not_the_live_rows(dumped):
    app = dumped
    app.sql("TRUNCATE client_client")
    assert counts(app.seed(check=True), "contacts") == {"total": 4, "created": 4}


def test_without_a_live_database_types_that_are_not_known_become_text(dumped):
    app = dumped
    forecast = app.seed(check=True, database="there_is_none", mapping={"contacts": {"where": "mood = 'good'"}})
    assert forecast["forecast"] == "exact"
    assert counts(forecast, "projects") == {"total": 6, "created": 6}


def test_conditions_that_read_other_tables_make_an_estimate(dumped):
    forecast = dumped.seed(check=True, mapping={"contacts": {"where": "NOT EXISTS (SELECT FROM holiday)"}})
    assert forecast["forecast"] == "estimate"
    assert "reads other tables (public.holiday)" in forecast["forecast_reasons"][0]


def test_reasons_that_are_given_make_an_estimate(dumped):
    forecast = dumped.seed(check=True, forecast_reasons=["migrations are pending"])
    assert (forecast["forecast"], forecast["forecast_reasons"]) == ("estimate", ["migrations are pending"])


def test_what_migrations_will_bring_is_not_demanded_of_the_dump(dumped):
    app = dumped
    mapping = {"contacts": {"table": "company_company"}, "projects": {"xero_id": "xero_projct_id"}}
    assert "has no table company_company" in str(app.fail(check=True, mapping=mapping))
    forecast = app.seed(check=True, mapping=mapping, forecast_reasons=["migrations are pending"])
    assert forecast["forecast"] == "estimate"
    told = forecast["forecast_reasons"]
    assert len(told) == 3
    assert "has no table company_company" in told[1]
    assert 'has no column "xero_projct_id" (the nearest is "xero_project_id"); unless a migration brings it' in told[2]
    assert [warning for warning in app.warnings if "could not be checked" in warning] == [f"The mapping could not be checked: {text}." for text in told[1:]]
    mapping = {"contacts": {"where": "later_column"}}
    assert "later_column" in str(app.fail(check=True, mapping=mapping))
    forecast = app.seed(check=True, mapping=mapping, forecast_reasons=["migrations are pending"])
    assert counts(forecast, "contacts") == {"total": 4, "created": 4}


def test_the_ids_in_the_dump_betray_production(dumped):
    app = dumped
    known = app.sql("SELECT xero_contact_id::text FROM client_client WHERE name = 'Acme'")[0][0]
    name = app.sandbox.get_state()["name"]
    app.sandbox.seed(contacts=[{"id": known, "name": "Acme"}])
    app.sandbox.change_organisation(is_demo_company=False)
    try:
        assert "it is production" in str(app.fail(check=True, organisation=name, allow_non_demo=True))
    finally:
        app.sandbox.change_organisation(is_demo_company=True)


def test_a_dump_of_a_development_database_passes_by_its_own_marker(dumped):
    app = dumped
    name = app.sandbox.get_state()["name"]
    known = app.sql("SELECT xero_contact_id::text FROM client_client WHERE name = 'Acme'")[0][0]
    app.sandbox.seed(contacts=[{"id": known, "name": "Acme"}])
    app.make_marker(tenant_id=app.sandbox.tenant_id)
    app.options["dump"] = str(dump(app))
    app.sandbox.change_organisation(is_demo_company=False)
    try:
        assert app.seed(check=True, organisation=name, allow_non_demo=True)["forecast"] == "exact"
    finally:
        app.sandbox.change_organisation(is_demo_company=True)


def test_moving_the_originals_keeps_the_first(dumped):
    app = dumped
    production = app.contact_ids()
    sanitise(app)
    assert set(app.contact_ids().values()) == {None}
    assert dict(app.sql("SELECT row_key, xero_id FROM dev_refresh.original_ids WHERE entity = 'contacts'")) == production
    app.sql("UPDATE client_client SET xero_contact_id = gen_random_uuid() WHERE id = %s", (key(1),))
    sanitise(app)
    assert dict(app.sql("SELECT row_key, xero_id FROM dev_refresh.original_ids WHERE entity = 'contacts'")) == production
    assert marker.SCHEMA == "dev_refresh"


def test_clients_alone_need_no_table_of_jobs(dumped):
    app = dumped
    mapping = {"projects": {"table": "there_is_none"}}
    assert counts(app.seed(check=True, mapping=mapping, entities=["contacts"]), "contacts") == {"total": 4, "created": 4}


def test_a_schema_qualified_table_of_the_dump(dumped):
    app = dumped
    app.sql("CREATE SCHEMA sales")
    app.sql("ALTER TABLE client_client SET SCHEMA sales")
    app.sql("ALTER TABLE sales.client_client RENAME TO job_job")
    app.options["dump"] = str(dump(app))
    forecast = app.seed(check=True, mapping={"contacts": {"table": "sales.job_job", "where": "job_job.name > ''"}, "projects": {"table": "public.job_job"}})
    assert forecast["forecast"] == "exact"
    assert counts(forecast, "projects") == {"total": 6, "created": 6}
