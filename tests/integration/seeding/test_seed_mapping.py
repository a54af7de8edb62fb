"""Other tables: their names, conditions, order and constraints; and what is said where the mapping does not fit."""
from __future__ import annotations

import pytest
from ansible.module_utils.dev_refresh.mapping import parse_mapping
from ansible.module_utils.dev_refresh.postgres.rows import CHANGED_MEANWHILE, read_jobs
from seeding_app import counts, key

QUOTED = """
CREATE SCHEMA "Sales Dept";
CREATE TABLE "Sales Dept"."Client""s 100%%" ("Key" uuid PRIMARY KEY, "Full name" varchar(80), "select" text NOT NULL DEFAULT '');
CREATE TABLE "Sales Dept"."Job"
    ("Key" uuid PRIMARY KEY, "Client" uuid, "No." int, "Title" text, due timestamptz, worth money, "Xero %%" text NOT NULL DEFAULT '');
"""
QUOTED_MAPPING = {
    "contacts": {"table": 'Sales Dept.Client"s 100%', "key": "Key", "xero_id": "select", "fields": {"name": "Full name"}},
    "projects": {
        "table": "Sales Dept.Job", "key": "Key", "xero_id": "Xero %", "client": "Client",
        "fields": {"number": "No.", "name": {"sql": "\"Title\" || ' 50%' -- half"}, "deadline": "due", "estimate": "worth"},
    },
}  # fmt: skip


def test_quoted_and_schema_qualified_names(app):
    app.sql(QUOTED.replace("%%", "%"))
    app.sql(f"INSERT INTO \"Sales Dept\".\"Client\"\"s 100%\" VALUES ('{key(1)}', 'Acme')")
    app.sql(f"INSERT INTO \"Sales Dept\".\"Job\" VALUES ('{key(2)}', '{key(1)}', 7, 'Half', '2026-05-01 12:00+12', 1234.5)")
    result = app.seed(mapping=QUOTED_MAPPING)
    assert counts(result, "projects") == {"total": 1, "created": 1}
    project = app.sandbox.projects()[0]
    assert project["name"] == "Job 7: Half 50%"
    assert project["deadlineUtc"].startswith("2026-05-01T00:00:00")
    assert project["estimate"]["value"] == 1234.5
    assert app.sql('SELECT "Xero %" FROM "Sales Dept"."Job"') == [(project["projectId"],)]
    assert not app.seed(mapping=QUOTED_MAPPING)["changed"]


def test_where_tells_who_belongs_in_xero(small_world):
    app = small_world
    there = app.sandbox.seed(contacts=[{"name": "ACME", "number": key(1)}])["contacts"][0]
    mapping = {"contacts": {"where": "name LIKE '%a%' AND name <> 'Acme' -- not 100%"}, "projects": {"where": "job_number <> '6'"}}
    forecast = app.seed(check=True, mapping=mapping)
    result = app.seed(mapping=mapping)
    # Acme is outside and there all the same; Béta has no "a" but at its end
    assert counts(result, "contacts") == {"total": 4, "linked": 1, "created": 3}
    assert app.contact_ids()[key(1)] == there
    assert counts(result, "projects") == {"total": 5, "created": 5}
    assert [forecast[name] for name in ("contacts", "projects")] == [result[name] for name in ("contacts", "projects")]


def test_clients_outside_where_have_no_contact_and_their_jobs_no_project(small_world):
    app = small_world
    app.sql("UPDATE client_client SET xero_contact_id = gen_random_uuid() WHERE name = 'Acme'")
    result = app.seed(mapping={"contacts": {"where": "name <> 'Acme'"}})
    assert counts(result, "contacts") == {"total": 3, "created": 3, "stale": 1}
    assert app.contact_ids()[key(1)] is None
    skipped = [skip["reason"] for skip in result["skips"]]
    assert skipped == [f"its client {key(1)} has no contact, and none is made for it"]
    assert not app.seed(mapping={"contacts": {"where": "name <> 'Acme'"}})["changed"]


def test_rows_that_cannot_be_in_xero_are_skipped(small_world):
    app = small_world
    app.client(5, None)
    app.job(10, 5, "Of a client without a name")
    app.job(11, None, "Without a client")
    app.job(12, 1, "Without a number", job_number=" ")
    app.job(13, 99, "Of a client that is gone")
    result = app.seed()
    assert counts(result, "contacts") == {"total": 5, "created": 4, "skipped": 1}
    assert counts(result, "projects") == {"total": 10, "created": 6, "skipped": 4}
    assert [skip["reason"] for skip in result["skips"]] == [
        "it has no name",
        f"its client {key(5)} is skipped: it has no name",
        "it has no client",
        "it has no number",
        f"its client {key(99)} is not in the clients' table",
    ]
    assert result["complete"]


def test_optional_fields_that_xero_would_refuse_are_left_out(app):
    app.client(1, "One", email="one@example.com", phone="1" * 51, address="x" * 501)
    app.client(2, "Two", email="two@", phone="12", address="Line 1\n\n Line  2\nLine 3\nLine 4\nLine 5")
    app.client(3, "Three", email="müller@example.com")
    mapping = {"contacts": {"email_policy": "rewrite", "email_domain": "dev.example.org"}}
    result = app.seed(mapping=mapping)
    assert result["left_out"] == {"address": 1, "email": 2, "phone": 1}
    found = {contact["Name"]: contact for contact in app.sandbox.contacts()}
    assert found["One"]["EmailAddress"] == "one@dev.example.org"
    assert not found["Two"].get("EmailAddress")
    street = next(address for address in found["Two"]["Addresses"] if address["AddressType"] == "STREET")
    assert [street[f"AddressLine{line}"] for line in range(1, 5)] == ["Line 1", "Line 2", "Line 3", "Line 4, Line 5"]


def test_mail_addresses_are_dropped_unless_asked_for(small_world):
    app = small_world
    app.seed()
    assert not any(contact.get("EmailAddress") for contact in app.sandbox.contacts())


def test_odd_dates_and_amounts(app):
    app.sql("ALTER TABLE job_job ADD COLUMN worth numeric, ALTER COLUMN delivery_date TYPE text USING NULL")
    app.client(1, "Acme")
    for number, (date, worth) in enumerate([("2026-02-30", "NaN"), ("infinity", "-5"), ("2026-01-31", "0"), ("", "10.005"), ("0044-03-15", None)], 1):
        app.job(number, 1, "x", delivery_date=date, worth=worth)
    mapping = {"projects": {"fields": {"number": "job_number", "name": "name", "deadline": "delivery_date", "estimate": "worth"}}}
    result = app.seed(mapping=mapping)
    assert counts(result, "projects") == {"total": 5, "created": 5}
    assert result["left_out"] == {"deadline": 3, "estimate": 1}
    found = {project["name"]: project for project in app.sandbox.projects()}
    assert found["Job 4: x"]["estimate"]["value"] == 10.01
    assert "estimate" not in found["Job 2: x"]
    assert "estimate" not in found["Job 3: x"]


def test_default_fields_that_the_table_lacks_are_left_out_with_a_warning(app):
    app.sql("ALTER TABLE client_client DROP COLUMN phone")
    app.client(1, "Acme")
    assert app.seed()["complete"]
    assert [warning for warning in app.warnings if "phone" in warning] == [
        'Table "client_client" has no column "phone" for the default of xero_seed_mapping.contacts.fields.phone; the field is left out.'
    ]


def test_a_table_of_another_revision_is_found(app):
    app.sql("ALTER TABLE client_client RENAME TO company_company")
    error = app.fail()
    assert 'has no table "client_client" (xero_seed_mapping.contacts.table)' in str(error)
    assert "company_company.xero_contact_id" in str(error)
    app.sql("ALTER TABLE job_job RENAME client_id TO company_id")
    error = app.fail(mapping={"contacts": {"table": "company_company"}})
    assert "job_job.company_id" in str(error)
    app.sql(f"INSERT INTO company_company (id, name) VALUES ('{key(1)}', 'Acme')")
    assert app.seed(mapping={"contacts": {"table": "company_company"}, "projects": {"client": "company_id"}})["complete"]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("ALTER COLUMN xero_contact_id SET NOT NULL", "is NOT NULL and of type uuid"),
        ("ALTER COLUMN xero_contact_id TYPE varchar(20)", "holds only 20 characters"),
        ("DROP COLUMN xero_contact_id, ADD COLUMN xero_contact_id integer", "cannot hold a Xero id"),
        ("ALTER COLUMN xero_contact_id TYPE text, ALTER COLUMN xero_contact_id SET NOT NULL, ADD UNIQUE (xero_contact_id)", "is NOT NULL and unique"),
        ("DROP COLUMN xero_contact_id, ADD COLUMN xero_contact_id text GENERATED ALWAYS AS (name) STORED", "computed by the database"),
    ],
)
def test_columns_that_cannot_hold_ids_are_refused(app, change, said):
    app.sql(f"ALTER TABLE client_client {change}")
    assert said in str(app.fail())


def test_sql_that_cannot_be_evaluated_is_refused_with_the_servers_words(app):
    error = app.fail(mapping={"contacts": {"where": "nonsense = 1"}, "projects": {"fields": {"number": {"sql": "1 +"}, "name": "name"}}})
    assert 'xero_seed_mapping.contacts.where cannot be evaluated on table "client_client": column "nonsense" does not exist' in str(error)
    assert "xero_seed_mapping.projects.fields.number cannot be evaluated" in str(error)
    assert len(error.details["findings"]) == 2


def test_keys_must_be_keys(app):
    app.sql("ALTER TABLE client_client DROP CONSTRAINT client_client_pkey, ALTER COLUMN id DROP NOT NULL")
    app.client(1, "A")
    app.client(1, "B")
    assert "holds the same value in several rows" in str(app.fail())
    app.sql("UPDATE client_client SET id = NULL WHERE name = 'B'")
    assert "is empty in 1 rows" in str(app.fail())
    assert app.sandbox.contacts() == []


def test_row_triggers_and_constraints_fail_their_row_alone(small_world):
    app = small_world
    app.sql(
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN IF NEW.name = 'Acme' THEN RAISE EXCEPTION 'Acme is frozen'; END IF;"
        " IF NEW.name LIKE 'Gamma%' THEN RETURN NULL; END IF; RETURN NEW; END $$"
    )
    app.sql("CREATE TRIGGER refuse BEFORE UPDATE ON client_client FOR EACH ROW EXECUTE FUNCTION refuse()")
    result = app.fail().details
    assert counts(result, "contacts") == {"total": 4, "created": 2, "failed": 2}
    assert [failure["reason"] for failure in result["failures"]] == [
        "the database refused its Xero id: Acme is frozen", CHANGED_MEANWHILE
    ]
    assert counts(result, "projects") == {"total": 6, "created": 3, "skipped": 3}
    app.sql("DROP TRIGGER refuse ON client_client")
    again = app.seed()
    assert counts(again, "contacts") == {"total": 4, "already_linked": 2, "linked": 2}


def test_row_triggers_see_each_id_once_and_may_change_other_columns(small_world):
    """A table that keeps an audit trail and a change date, as frameworks have them."""
    app = small_world
    app.sql("ALTER TABLE client_client ADD COLUMN changed timestamptz")
    app.sql("CREATE TABLE audit (id uuid, before uuid, after uuid)")
    app.sql("CREATE FUNCTION stamp() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.changed := clock_timestamp(); RETURN NEW; END $$")
    app.sql(
        "CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
        " INSERT INTO audit VALUES (NEW.id, OLD.xero_contact_id, NEW.xero_contact_id); RETURN NULL; END $$"
    )
    app.sql("CREATE TRIGGER stamp BEFORE UPDATE ON client_client FOR EACH ROW EXECUTE FUNCTION stamp()")
    app.sql("CREATE TRIGGER note AFTER UPDATE ON client_client FOR EACH ROW EXECUTE FUNCTION note()")
    stale = "00000000-0000-0000-0000-00000000dead"
    app.sql("UPDATE client_client SET xero_contact_id = %s WHERE id = %s", (stale, key(1)))
    app.sql("TRUNCATE audit")
    assert counts(app.seed(), "contacts") == {"total": 4, "created": 4, "stale": 1}
    ids = app.contact_ids()
    trail = [(str(row), before and str(before), after and str(after)) for row, before, after in app.sql("SELECT * FROM audit")]
    assert sorted(trail, key=str) == sorted([(key(1), stale, None), *((row, None, ids[row]) for row in ids)], key=str)
    assert app.sql("SELECT count(*) FROM client_client WHERE changed IS NULL") == [(0,)]
    assert not app.seed()["changed"]
    assert len(app.sql("SELECT * FROM audit")) == 5, "a run with nothing to do touches no row"


def test_contacts_alone_and_projects_alone(small_world):
    app = small_world
    assert counts(app.seed(entities=["projects"]), "projects") == {"total": 6, "skipped": 6}
    assert app.sandbox.contacts() == []
    assert counts(app.seed(entities=["contacts"]), "contacts") == {"total": 4, "created": 4}
    assert app.sandbox.projects() == []
    result = app.seed(entities=["projects"])
    assert counts(result, "projects") == {"total": 6, "created": 6}
    assert counts(result, "contacts") == {}


def test_order_by_tells_which_jobs_come_first(app):
    app.sql("ALTER TABLE job_job ADD COLUMN rank text COLLATE \"C\"")
    app.client(1, "Acme")
    for number, rank in enumerate(["b", None, "a", "B", "ä", "b"], 1):
        app.job(number, 1, "x", rank=rank)

    mapping = {"projects": {"order_by": "rank"}}
    session = app.cluster.connect(app.database, owner=True)
    rows = sorted(read_jobs(session, parse_mapping(mapping).projects), key=lambda row: row.order)
    session.close()

    assert [row.number for row in rows] == ["5", "1", "6", "3", "4", "2"]


def test_a_role_that_may_not_update_is_refused_before_anything_is_written(small_world):
    app = small_world
    session = app.cluster.connect(app.database)
    with session.cursor() as cursor:
        cursor.execute("ALTER TABLE job_job OWNER TO postgres")
        cursor.execute(f"GRANT SELECT ON job_job TO {app.cluster.owner}")
    error = app.fail()
    assert 'may not update column "job_job.xero_project_id"' in str(error)
    assert app.sandbox.contacts() == []
    with session.cursor() as cursor:
        cursor.execute(f"ALTER TABLE job_job OWNER TO {app.cluster.owner}")
    session.close()
