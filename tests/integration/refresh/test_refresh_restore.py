"""The main path of pg_refresh on a real server."""
from __future__ import annotations

import time
from typing import Any

import pytest
from ansible.module_utils.dev_refresh.errors import GuardError, RefreshError
from ansible.module_utils.dev_refresh.run_id import new_run_id


def test_restores_from_nothing_and_is_then_current(pg: Any, dump: Any) -> None:
    """The first run makes live; the second finds it current, changes nothing and is quick."""
    first = pg.whole(dump)
    assert first["changed"]
    assert first["action"] == "restore"
    assert first["situation"]["word"] == "absent"
    assert first["phase"] == "sanitised"
    assert first["row_counts"] == {"tables": 5, "rows": 20 + 40 + 2 + 1 + 1}
    assert pg.rows("SELECT count(*) FROM job_job") == [(40,)]
    assert set(pg.oids()) == {pg.name}
    before = pg.oids()
    started = time.monotonic()
    second = pg.whole(dump)
    assert time.monotonic() - started < 1.5
    assert not second["changed"]
    assert second["action"] == "current"
    assert {name: facts[0] for name, facts in pg.oids().items()} == {name: facts[0] for name, facts in before.items()}


def test_keeps_production_ids_out_of_live(pg: Any, dump: Any) -> None:
    """No Xero id of production reaches live; the originals are in the marker's schema."""
    assert pg.whole(dump)["moved_ids"] == 10 + 13
    assert pg.rows("SELECT count(*) FROM client_client WHERE xero_contact_id IS NOT NULL") == [(0,)]
    assert pg.rows("SELECT count(*) FROM job_job WHERE xero_project_id IS NOT NULL") == [(0,)]
    assert pg.rows("SELECT entity, count(*) FROM dev_refresh.original_ids GROUP BY 1 ORDER BY 1") == [("contacts", 10), ("projects", 13)]


def test_everything_belongs_to_the_owner(pg: Any, dump: Any) -> None:
    """A restore as superuser would leave tables that the app may not read."""
    pg.whole(dump)
    owners = pg.rows("SELECT DISTINCT tableowner FROM pg_tables WHERE schemaname IN ('public', 'dev_refresh')")
    assert owners == [(pg.cluster.owner,)]


def test_new_dump_replaces_live_and_keeps_the_previous_one_closed(pg: Any, dump: Any, newer_dump: Any) -> None:
    """The former live database stays as it was, and nobody gets in."""
    pg.whole(dump)
    old_oid = pg.oids()[pg.name][0]
    result = pg.whole(newer_dump)
    assert result["situation"]["word"] == "behind"
    assert result["live"]["database"]["previous"] == f"{pg.name}_previous"
    assert pg.rows("SELECT count(*) FROM client_client") == [(30,)]
    after = pg.oids()
    assert after[f"{pg.name}_previous"][:2] == (old_oid, False)
    assert set(after) == {pg.name, f"{pg.name}_previous"}
    pg.whole(newer_dump, force=True)
    assert set(pg.oids()) == {pg.name, f"{pg.name}_previous"}


def test_previous_is_dropped_where_it_is_not_kept(pg: Any, dump: Any, newer_dump: Any) -> None:
    """keep_previous=false leaves one database."""
    pg.whole(dump)
    pg.whole(newer_dump, keep_previous=False)
    assert set(pg.oids()) == {pg.name}


def test_an_older_dump_is_refused(pg: Any, dump: Any, newer_dump: Any) -> None:
    """A forgotten path must not take the development database back in time."""
    pg.whole(newer_dump)
    pg.execute("UPDATE dev_refresh.marker SET state = state || '{\"dump_created\": \"2999-01-01T00:00:00\"}'")
    with pytest.raises(GuardError, match="older than the one"):
        pg.whole(dump)
    assert pg.whole(dump, force=True)["changed"]


def test_a_database_that_is_not_ours_needs_adopt(existing: Any, dump: Any) -> None:
    """Nothing of an unknown database is touched until it is said once."""
    existing.execute("CREATE TABLE precious (id int)")
    before = existing.oids()
    with pytest.raises(GuardError, match="adopt"):
        existing.whole(dump)
    assert existing.oids() == before
    result = existing.whole(dump, adopt=True)
    assert result["situation"]["word"] == "unmanaged"
    assert existing.whole(dump)["action"] == "current"
    assert f"{existing.name}_previous" in existing.oids()


@pytest.mark.parametrize("suffix", ["_refresh", *(pytest.param(suffix, marks=pytest.mark.full) for suffix in ("_previous", "_old"))])
def test_a_foreign_database_with_a_reserved_name_is_never_dropped(pg: Any, dump: Any, suffix: str) -> None:
    """Our names do not make a database ours."""
    session = pg.cluster.connect()
    with session.cursor() as cursor:
        cursor.execute(f'CREATE DATABASE "{pg.name}{suffix}" OWNER {pg.cluster.owner}')
    session.close()
    pg.execute("CREATE TABLE precious (id int)", f"{pg.name}{suffix}")
    before = pg.oids()
    with pytest.raises(GuardError, match="no refresh has made"):
        pg.whole(dump)
    assert pg.oids() == before


def test_sanitising_runs_before_the_ids_are_moved(pg: Any, dump: Any) -> None:
    """The operator's statements can go by production's ids, and a percent sign stays one."""
    pg.whole(
        dump,
        sanitise_sql=["UPDATE client_client SET name = 'was in Xero' WHERE xero_contact_id IS NOT NULL AND name LIKE 'Client%'", "DELETE FROM oauth_token"],
    )
    assert pg.rows("SELECT count(*) FROM client_client WHERE name = 'was in Xero'") == [(10,)]
    assert pg.rows("SELECT count(*) FROM oauth_token") == [(0,)]


def test_failing_sanitise_leaves_live_untouched(pg: Any, dump: Any, newer_dump: Any) -> None:
    """The statement is named, live is as before and no staging database is left."""
    pg.whole(dump)
    before = pg.oids()
    with pytest.raises(RefreshError, match=r"sanitise_sql\[1\] failed .*no_such_column"):
        pg.whole(newer_dump, sanitise_sql=["SELECT 1", "UPDATE client_client SET no_such_column = 1"])
    assert pg.oids() == before


def test_private_rows_left_over_are_refused(pg: Any, dump: Any) -> None:
    """Counts are shown, values never."""
    with pytest.raises(GuardError, match=r'private table "oauth_token" still has 1 row\.') as caught:
        pg.whole(dump, private_tables=["oauth_token", {"table": "client_client", "columns": ["phone"]}])
    assert "production-token" not in str(caught.value)
    assert pg.oids() == {}
    pg.whole(dump, private_tables=["oauth_token"], sanitise_sql=["DELETE FROM oauth_token"])


def test_a_damaged_dump_leaves_live_untouched(pg: Any, dump: Any, tmp_path: Any) -> None:
    """A cut archive passes pg_restore -l; only the full read finds it."""
    pg.whole(dump)
    before = pg.oids()
    cut = tmp_path / "cut.dump"
    cut.write_bytes(dump.read_bytes()[:-200])
    with pytest.raises(GuardError):
        pg.whole(cut)
    with pytest.raises(GuardError, match="There is no dump at"):
        pg.whole(tmp_path / "missing.dump")
    assert pg.oids() == before


def test_parameters_make_live_stale(pg: Any, dump: Any) -> None:
    """Another sanitise list or other post commands restore the same dump again."""
    pg.whole(dump)
    assert pg.whole(dump, sanitise_sql=["SELECT 1"])["situation"]["word"] == "changed"
    assert pg.whole(dump, sanitise_sql=["SELECT 1"])["action"] == "current"
    assert pg.whole(dump, sanitise_sql=["SELECT 1"], post_commands_sha256="aa")["situation"]["word"] == "changed"


@pytest.mark.parametrize(
    "ruin",
    [
        pytest.param("DROP SCHEMA dev_refresh CASCADE", marks=pytest.mark.full),
        pytest.param("DROP TABLE job_job; CREATE TABLE job_job (id int)", marks=pytest.mark.full),
        "DROP SCHEMA public CASCADE; CREATE SCHEMA public",
    ],
)
def test_a_marker_does_not_outlive_its_data(pg: Any, dump: Any, ruin: str) -> None:
    """Something else restored by hand is noticed, whatever the database's comment says."""
    pg.whole(dump)
    pg.execute(ruin)
    result = pg.whole(dump)
    assert result["situation"]["word"] == "drifted"
    assert pg.rows("SELECT count(*) FROM job_job") == [(40,)]


def test_a_template_copy_is_not_current(pg: Any, dump: Any) -> None:
    """The marker is bound to the database's OID."""
    pg.whole(dump)
    session = pg.cluster.connect()
    with session.cursor() as cursor:
        cursor.execute(f'ALTER DATABASE "{pg.name}" RENAME TO "{pg.name}_old"')
        cursor.execute(f'CREATE DATABASE "{pg.name}" TEMPLATE "{pg.name}_old" OWNER {pg.cluster.owner}')
        cursor.execute(f'DROP DATABASE "{pg.name}_old"')
    session.close()
    with pytest.raises(GuardError, match="adopt"):
        pg.whole(dump)
    assert pg.whole(dump, adopt=True)["action"] == "restore"


def test_migrations_pending_on_a_current_dump_migrate_live(pg: Any, dump: Any) -> None:
    """Only the checkout moved: no restore; the marker is bound to the tables as migrations leave them."""
    pg.whole(dump)
    run_id = new_run_id()
    staged = pg("staged", dump=dump, migrations_pending=True, run_id=run_id)
    assert (staged["action"], staged["changed"], staged["database"]["working_name"]) == ("migrate", False, pg.name)
    pg.execute("ALTER TABLE job_job RENAME TO job_job_before; CREATE TABLE job_job AS SELECT * FROM job_job_before; DROP TABLE job_job_before")
    assert not pg("ready", run_id=run_id)["changed"]
    assert not pg("live", run_id=run_id)["changed"]
    assert pg.whole(dump)["action"] == "current"


def test_database_properties_are_carried_over(pg: Any, dump: Any, newer_dump: Any) -> None:
    """Settings, limits and privileges belong to the database that goes away."""
    pg.whole(dump)
    session = pg.cluster.connect()
    name = pg.name
    with session.cursor() as cursor:
        cursor.execute(f'ALTER DATABASE "{name}" SET timezone TO \'Pacific/Auckland\'')
        cursor.execute(f'ALTER DATABASE "{name}" SET search_path TO public, "Other Schema"')
        cursor.execute(f'ALTER DATABASE "{name}" SET default_transaction_read_only TO on')
        cursor.execute(f'ALTER ROLE {pg.cluster.owner} IN DATABASE "{name}" SET app.flag TO \'x y\'')
        cursor.execute(f'ALTER DATABASE "{name}" CONNECTION LIMIT 17')
        cursor.execute(f'REVOKE CONNECT ON DATABASE "{name}" FROM PUBLIC')
        cursor.execute(f'GRANT CONNECT ON DATABASE "{name}" TO pg_monitor')
    query = (
        "SELECT s.setrole::regrole::text, s.setconfig, d.datconnlimit, d.datacl::text, d.encoding, d.datcollate FROM pg_database d"
        f" JOIN pg_db_role_setting s ON s.setdatabase = d.oid WHERE d.datname = '{name}' ORDER BY 1"
    )
    before = pg.rows(query, "postgres")
    pg.whole(newer_dump)
    after = pg.rows(query, "postgres")
    assert [(row[0], row[1], row[2], row[4], row[5]) for row in after] == [(row[0], row[1], row[2], row[4], row[5]) for row in before]
    assert sorted(after[0][3].strip("{}").split(",")) == sorted(before[0][3].strip("{}").split(","))
    session.close()


EVERYTHING = """
CREATE SCHEMA sales;
CREATE TYPE sales.kind AS ENUM ('small', 'large');
CREATE DOMAIN sales.percent AS int CHECK (VALUE BETWEEN 0 AND 100);
CREATE TABLE sales.line (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, net numeric(9,2), gross numeric(9,2) GENERATED ALWAYS AS (net * 1.2) STORED,
 kind sales.kind, off sales.percent, tags text[], doc jsonb, raw bytea, during tstzrange);
INSERT INTO sales.line (net, kind, off, tags, doc, raw, during)
 SELECT n, 'large', n, ARRAY['a,b', NULL, E'c\\nd'], '{{"k": [1, null]}}', '\\x00ff0a', tstzrange(now(), NULL) FROM generate_series(1, 10) n;
CREATE TABLE event (at date NOT NULL, what text) PARTITION BY RANGE (at);
CREATE TABLE event_2025 PARTITION OF event FOR VALUES FROM ('2025-01-01') TO ('2026-01-01');
CREATE TABLE event_2026 PARTITION OF event FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');
INSERT INTO event SELECT '2025-12-01'::date + n, E'tab\\there' FROM generate_series(1, 60) n;
CREATE TABLE parent (id int); CREATE TABLE child (extra int) INHERITS (parent); INSERT INTO child VALUES (1, 2), (3, 4);
CREATE TABLE hen (id int PRIMARY KEY, egg int); CREATE TABLE egg (id int PRIMARY KEY, hen int REFERENCES hen DEFERRABLE INITIALLY DEFERRED);
ALTER TABLE hen ADD FOREIGN KEY (egg) REFERENCES egg DEFERRABLE INITIALLY DEFERRED;
BEGIN; INSERT INTO hen VALUES (1, 1); INSERT INTO egg VALUES (1, 1); COMMIT;
CREATE MATERIALIZED VIEW totals AS SELECT kind, sum(gross) AS sum FROM sales.line GROUP BY 1;
CREATE VIEW big AS SELECT * FROM sales.line WHERE net > 5;
CREATE FUNCTION stamp() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN NEW.what := NEW.what || ''!''; RETURN NEW; END';
CREATE TRIGGER stamp BEFORE INSERT ON event FOR EACH ROW EXECUTE FUNCTION stamp();
CREATE UNLOGGED TABLE scratch (id int); INSERT INTO scratch VALUES (7);
SELECT lo_from_bytea(4242, '\\xdeadbeef');
"""
SEEN = """
SELECT (SELECT sum(gross) FROM sales.line)::text, (SELECT count(*) FROM event_2025), (SELECT count(*) FROM event_2026), (SELECT count(*) FROM parent),
 (SELECT sum FROM totals)::text, (SELECT count(*) FROM big), (SELECT encode(lo_get(4242), 'hex')), (SELECT id FROM scratch),
 (SELECT tags[1] || coalesce(tags[2], 'null') || tags[3] || (doc->'k'->>0) || encode(raw, 'hex') FROM sales.line LIMIT 1),
 (SELECT egg FROM hen), (SELECT min(what) FROM event)
"""


def test_what_a_schema_can_hold_arrives(pg: Any, production: Any) -> None:
    """Identity and generated columns, partitions, inheritance, circular keys, materialised views, triggers (which the restore must not fire), large objects."""
    result = pg.whole(production.dump(5, extra_sql=EVERYTHING.replace("{{", "{").replace("}}", "}")))
    assert result["row_counts"]["rows"] == 5 + 10 + 2 + 1 + 1 + 10 + 60 + 2 + 1 + 1 + 1
    assert pg.rows(SEEN) == [("66.00", 30, 30, 2, "66.00", 5, "deadbeef", 7, "a,bnullc\nd1" + "00ff0a", 1, "tab\there")]
    pg.execute("INSERT INTO sales.line (net) VALUES (1)")
    assert pg.rows("SELECT max(id) FROM sales.line") == [(11,)]


FORCED = """
CREATE TABLE tenant_secret (id int PRIMARY KEY, tenant int, token text); INSERT INTO tenant_secret VALUES (1, 1, 'a'), (2, 2, 'b');
ALTER TABLE tenant_secret ENABLE ROW LEVEL SECURITY; ALTER TABLE tenant_secret FORCE ROW LEVEL SECURITY;
CREATE POLICY own ON tenant_secret USING (tenant = current_setting('app.tenant', true)::int);
"""


def test_rows_that_their_owner_may_not_see_are_sanitised_too(pg: Any, production: Any) -> None:
    """Forced row-level security would hide production's rows from the counts, from the sanitising and from the check of the private tables."""
    dump = production.dump(5, extra_sql=FORCED)
    private = [{"table": "tenant_secret", "columns": ["token"]}]
    with pytest.raises(GuardError, match=r'column "token" of table "tenant_secret" still has 2 rows'):
        pg.whole(dump, private_tables=private)
    pg.whole(dump, private_tables=private, sanitise_sql=["UPDATE tenant_secret SET token = NULL"])
    assert pg.rows("SELECT count(*), count(token) FROM tenant_secret") == [(2, 0)]
    assert pg.rows("SELECT relrowsecurity, relforcerowsecurity FROM pg_class WHERE relname = 'tenant_secret'") == [(True, True)]


@pytest.mark.full
def test_a_mapped_table_whose_rows_are_hidden_is_refused_before_the_swap(pg: Any, dump: Any, production: Any) -> None:
    """A seed would see a part of the clients; lifted by a post command it goes on."""
    pg.whole(dump)
    # without its foreign key, which the server may refuse to check then
    forced = "ALTER TABLE client_client ENABLE ROW LEVEL SECURITY; ALTER TABLE client_client FORCE ROW LEVEL SECURITY"
    hidden = production.dump(5, extra_sql=f"ALTER TABLE job_job DROP CONSTRAINT job_job_client_id_fkey; {forced}")
    before = pg.oids()[pg.name][0]
    with pytest.raises(GuardError, match=r'Row-level security hides rows of table "client_client" .*ALTER ROLE "app_owner" BYPASSRLS, or lift it'):
        pg.whole(hidden, force=True)
    assert pg.oids()[pg.name][0] == before
    run_id = new_run_id()
    pg("staged", dump=hidden, force=True, run_id=run_id)
    pg.execute("ALTER TABLE client_client NO FORCE ROW LEVEL SECURITY", f"{pg.name}_refresh")
    pg("ready", run_id=run_id)
    assert pg("live", run_id=run_id)["changed"]
    assert pg.rows("SELECT count(*), count(xero_contact_id) FROM client_client") == [(5, 0)]


def test_preserved_rows_that_their_owner_may_not_see_are_an_error(pg: Any, production: Any) -> None:
    """Better than to carry over those that happen to be visible."""
    dump = production.dump(5, extra_sql=FORCED)
    pg.whole(dump)
    with pytest.raises(RefreshError, match='would be affected by row-level security policy for table "tenant_secret"'):
        pg.whole(dump, force=True, preserve=[{"table": "tenant_secret"}])
