"""Production's Xero ids are left out of the rows while these are loaded; what cannot be left out is moved when staging is sanitised."""
from __future__ import annotations

from typing import Any

import pytest
from ansible.module_utils.dev_refresh.errors import RefreshError
from ansible.module_utils.dev_refresh.refresh import run, sanitise

MOVED = 10 + 13
TRIGGERS = """
CREATE TABLE audit (n int);
CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN INSERT INTO public.audit VALUES (1); RETURN NEW; END';
CREATE TRIGGER note AFTER UPDATE ON job_job FOR EACH ROW EXECUTE FUNCTION note();
CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RAISE EXCEPTION ''ids stay here''; END';
CREATE TRIGGER refuse BEFORE UPDATE ON client_client FOR EACH ROW EXECUTE FUNCTION refuse();
CREATE MATERIALIZED VIEW seen AS SELECT xero_project_id FROM job_job;
"""
TENANTS = """
ALTER TABLE job_job ADD COLUMN xero_tenant_id text;
UPDATE job_job SET xero_tenant_id = CASE WHEN id % 2 = 0 THEN 'tenant' END;
"""
EMPTY_TEXT = """
ALTER TABLE client_client ALTER COLUMN xero_contact_id SET DEFAULT '';
UPDATE client_client SET xero_contact_id = '' WHERE xero_contact_id IS NULL;
ALTER TABLE client_client ALTER COLUMN xero_contact_id SET NOT NULL;
"""
ODD_TEXT = r"""
ALTER TABLE job_job DROP COLUMN xero_project_id;
ALTER TABLE job_job ADD COLUMN xero_project_id text;
UPDATE job_job SET name = E'a\tb\nc\\d\\.', xero_project_id = E'x\t\\' || id WHERE id <= 13;
"""
PADDED = """
ALTER TABLE job_job ALTER COLUMN xero_project_id TYPE char(40);
"""


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Note how many ids are left for sanitising itself."""
    left: list[int] = []
    whole = sanitise.sanitise

    def spy(work: Any) -> Any:
        done = whole(work)
        left.append(done.moved_ids)
        return done

    monkeypatch.setattr(run, "sanitise", spy)
    return left


def staging(pg: Any, query: str) -> list[tuple[Any, ...]]:
    found: list[tuple[Any, ...]] = pg.rows(query, f"{pg.name}_refresh")
    return found


def test_nothing_is_left_to_move(pg: Any, dump: Any, later: list[int]) -> None:
    assert pg("staged", dump=dump)["moved_ids"] == MOVED
    assert later == [0]
    assert staging(pg, "SELECT entity, count(*) FROM dev_refresh.original_ids GROUP BY 1 ORDER BY 1") == [("contacts", 10), ("projects", 13)]
    assert staging(pg, "SELECT count(xero_project_id), count(*) FROM job_job") == [(0, 40)]
    found = staging(pg, "SELECT row_key, xero_id, tenant_id FROM dev_refresh.original_ids WHERE entity = 'contacts' ORDER BY row_key::int LIMIT 1")
    assert found == pg.rows("SELECT '2', md5('2')::uuid::text, NULL", "postgres")


def test_the_operators_statements_come_first(pg: Any, dump: Any, later: list[int]) -> None:
    assert pg("staged", dump=dump, sanitise_sql=["DELETE FROM job_job WHERE xero_project_id = md5('j3')::uuid"])["moved_ids"] == MOVED - 1
    assert later == [MOVED - 1]


def test_what_pg_restore_loads_is_moved_at_the_end(pg: Any, production: Any, later: list[int]) -> None:
    assert pg("staged", dump=production.dump(20, options=("-Fc", "-Z0")))["moved_ids"] == MOVED
    assert later == [MOVED]


def test_the_apps_triggers_and_views_never_see_the_ids(pg: Any, production: Any) -> None:
    """They are made after the rows, which hold no ids by then."""
    assert pg("staged", dump=production.dump(20, extra_sql=TRIGGERS))["moved_ids"] == MOVED
    assert staging(pg, "SELECT count(*) FROM audit") == [(0,)]
    assert staging(pg, "SELECT count(xero_project_id), count(*) FROM seen") == [(0, 40)]


def test_materialised_views_do_not_keep_what_is_sanitised(pg: Any, production: Any) -> None:
    """The restore has filled them before the operator's statements, and one reads the other."""
    views = "CREATE MATERIALIZED VIEW b AS SELECT name, xero_project_id FROM job_job; CREATE MATERIALIZED VIEW a AS SELECT * FROM b;"
    views += " CREATE MATERIALIZED VIEW empty AS SELECT * FROM a WITH NO DATA; CREATE UNIQUE INDEX ON a (name);"
    pg("staged", dump=production.dump(20, extra_sql=views), sanitise_sql=["UPDATE job_job SET name = 'job ' || id"])
    assert staging(pg, "SELECT count(*), count(xero_project_id), bool_and(name ~ '^job') FROM a") == [(40, 0, True)]
    assert staging(pg, "SELECT count(xero_project_id) FROM b") == [(0,)]
    assert staging(pg, "SELECT relispopulated FROM pg_class WHERE relname = 'empty'") == [(False,)]


def test_the_tenants_go_with_the_ids(pg: Any, production: Any, later: list[int]) -> None:
    mapping = {"projects": {"tenant_id": "xero_tenant_id"}}
    pg("staged", dump=production.dump(20, extra_sql=TENANTS), mapping=mapping)
    assert later == [0]
    originals = "SELECT count(*), count(tenant_id), min(tenant_id) FROM dev_refresh.original_ids WHERE entity = 'projects'"
    assert staging(pg, originals) == [(13, 6, "tenant")]
    # of rows without an id the tenant stays, as it does when ids are moved later
    assert staging(pg, "SELECT count(xero_tenant_id) FROM job_job") == [(20 - 6,)]


def test_a_column_that_may_not_be_null_becomes_empty(pg: Any, production: Any, later: list[int]) -> None:
    assert pg("staged", dump=production.dump(20, extra_sql=EMPTY_TEXT))["moved_ids"] == MOVED
    assert later == [0]
    assert staging(pg, "SELECT DISTINCT xero_contact_id FROM client_client") == [("",)]


def test_other_values_arrive_as_they_are(pg: Any, production: Any, later: list[int]) -> None:
    """Tabs, line ends and backslashes in values, and in an id."""
    pg("staged", dump=production.dump(20, extra_sql=ODD_TEXT))
    assert later == [0]
    assert staging(pg, "SELECT count(*), count(xero_project_id) FROM job_job WHERE name = E'a\\tb\\nc\\\\d\\\\.'") == [(13, 0)]
    assert staging(pg, "SELECT xero_id FROM dev_refresh.original_ids WHERE entity = 'projects' AND row_key = '7'") == [("x\t\\7",)]


def test_a_type_that_copy_writes_differently_is_left_to_sanitising(pg: Any, production: Any, later: list[int]) -> None:
    assert pg("staged", dump=production.dump(20, extra_sql=PADDED))["moved_ids"] == MOVED
    assert later == [13]
    assert {length for (length,) in staging(pg, "SELECT length(xero_id) FROM dev_refresh.original_ids")} == {36}


def test_the_table_is_the_one_that_the_owner_sees(pg: Any, production: Any, later: list[int]) -> None:
    """A mapping's name without a schema means what it means to the owner's sessions, and its namesake stays as it is."""
    other = "CREATE SCHEMA other; CREATE TABLE other.job_job (id int, xero_project_id uuid); INSERT INTO other.job_job VALUES (1, md5('o')::uuid);"
    assert pg("staged", dump=production.dump(20, extra_sql=other))["moved_ids"] == MOVED
    assert staging(pg, "SELECT count(xero_project_id) FROM other.job_job") == [(1,)]
    mapping = {"projects": {"table": "other.job_job"}}
    assert pg("staged", dump=production.dump(20, extra_sql=other + "SELECT 1"), mapping=mapping)["moved_ids"] == 10 + 1
    assert staging(pg, "SELECT count(xero_project_id) FROM job_job") == [(13,)]
    assert later == [0, 0]


def test_a_dump_of_a_development_database_keeps_what_it_brought(pg: Any, dump: Any, production: Any, later: list[int]) -> None:
    """Its originals are older, so they are production's."""
    brought = "INSERT INTO dev_refresh.original_ids VALUES ('projects', '3', 'from production', NULL);"
    schema = "CREATE SCHEMA dev_refresh; CREATE TABLE dev_refresh.marker (only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row), state jsonb NOT NULL);"
    schema += " CREATE TABLE dev_refresh.original_ids (entity text NOT NULL, row_key text NOT NULL, xero_id text NOT NULL, tenant_id text,"
    schema += " PRIMARY KEY (entity, row_key));"
    assert pg("staged", dump=production.dump(20, extra_sql=schema + brought))["moved_ids"] == MOVED
    assert later == [MOVED]
    assert staging(pg, "SELECT xero_id FROM dev_refresh.original_ids WHERE entity = 'projects' AND row_key = '3'") == [("from production",)]


def test_an_id_that_cannot_be_left_out_is_explained_and_nothing_stays(pg: Any, production: Any) -> None:
    """It would fail later too, when the ids are moved."""
    check = "ALTER TABLE job_job ADD CONSTRAINT has_id CHECK (id % 3 <> 0 OR xero_project_id IS NOT NULL)"
    with pytest.raises(RefreshError, match=r'Loading table public.job_job without its Xero ids failed .*violates check constraint "has_id"'):
        pg("staged", dump=production.dump(20, extra_sql=check))
    assert pg.oids() == {}
