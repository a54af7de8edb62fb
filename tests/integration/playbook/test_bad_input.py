"""What a user can get wrong: each gives a clear message, and nothing is changed."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from world.lifecycle import SEED
from world.production_data import make_production_data


@pytest.fixture(scope="module")
def dumps(stage, tmp_path_factory):
    """Return bad dumps by name."""
    folder = tmp_path_factory.mktemp("dumps")
    told = stage.told
    good = Path(told["dump"])
    restore = Path(told["postgres"]["bin_dir"]) / "pg_restore"
    made = {name: folder / f"{name}.dump" for name in ("text", "plain", "truncated", "tar", "other")}
    made["text"].write_text("<html>404 Not Found</html>\n")
    made["plain"].write_bytes(subprocess.run([restore, "-f", "-", good], check=True, capture_output=True).stdout)
    made["truncated"].write_bytes(good.read_bytes()[:-2000])
    dump = Path(told["postgres"]["bin_dir"]) / "pg_dump"
    environment = {"PGPASSWORD": told["postgres"]["superuser_password"]}
    reach = ["-h", told["postgres"]["host"], "-p", str(told["postgres"]["port"]), "-U", told["postgres"]["superuser"]]
    subprocess.run([dump, *reach, "-Ft", "-f", made["tar"], "postgres"], check=True, env=environment)
    session = stage.connect("postgres")
    with session.cursor() as cursor:
        cursor.execute("CREATE DATABASE another_app")
    session.close()
    other = stage.connect("another_app")
    with other.cursor() as cursor:
        cursor.execute("CREATE TABLE recipe (id int)")
    other.close()
    subprocess.run([dump, *reach, "-Fc", "-f", made["other"], "another_app"], check=True, env=environment)
    session = stage.connect("postgres")
    with session.cursor() as cursor:
        cursor.execute("DROP DATABASE another_app")
    session.close()
    return {name: str(path) for name, path in made.items()}


def refused(stage, extra, *messages):
    """Run with ``extra`` and check that it fails in the guard, saying ``messages``, and changes nothing."""
    before = stage.everything()
    ran = stage.run(extra=extra)
    assert ran.code == 2, ran.output
    text = " ".join(ran.output.split())
    for message in messages:
        assert message in text, ran.output
    assert "Traceback" not in ran.output
    assert "Unexpected" not in ran.output
    assert stage.everything() == before
    assert ran.report["status"] == "failed"
    assert {phase["name"]: phase["status"] for phase in ran.report["phases"]}["guard"] == "failed"
    return ran


def test_wrong_password_and_server_down(stage):
    refused(stage, {"database_restore_admin_password": "not-the-password", "xero_seed_client_id": ""}, "the server refused the password", "xero_seed_client_id")
    refused(stage, {"database_restore_port": 1}, "no PostgreSQL server answers")


def test_several_mistakes_are_listed_together(stage):
    """The user mends all of it at once instead of one a run."""
    refused(
        stage,
        {
            "database_restore_name": "jobs_production",
            "database_restore_dump": "/nowhere/production.dump",
            "xero_seed_client_secret": "not-the-secret-at-all",
            "xero_seed_entities": ["contact"],
            "xero_seed_mapping": {"contacts": {"tabel": "client_client"}},
            "database_restore_dump_sorce": "controller",
        },
        "production",
        "/nowhere/production.dump",
        "client id or secret",
        "xero_seed_entities",
        "tabel",
        "Correct it to database_restore_dump_source",
    )


def test_a_mapping_that_names_what_is_not_there_is_told_the_nearest(stage):
    """The dump must be migrated first, so this is found on staging, before the swap."""
    before = stage.everything()
    ran = stage.run(extra={"xero_seed_mapping": {"contacts": {"table": "client_cleint"}}})
    assert ran.code == 2
    assert "client_client" in ran.output
    databases, contents, organisation = stage.everything()
    assert [row for row in databases if not row[0].endswith("_refresh")] == list(before[0]), "live was touched"
    assert organisation == before[2]
    assert {name: value for name, value in contents.items() if "_refresh." not in name} == before[1]


def test_a_live_database_that_is_not_ours_needs_adopt(stage):
    name = stage.told["database"]
    session = stage.connect("postgres")
    with session.cursor() as cursor:
        cursor.execute(f"DROP DATABASE IF EXISTS {name}_refresh WITH (FORCE)")
        cursor.execute(f"CREATE DATABASE {name} OWNER {stage.told['postgres']['owner']} TEMPLATE template0")
    live = stage.connect(name)
    with live.cursor() as cursor:
        cursor.execute("CREATE TABLE somebodys_work (id int)")
    live.close()
    refused(stage, {}, "database_restore_adopt")
    with session.cursor() as cursor:
        cursor.execute(f"DROP DATABASE {name} WITH (FORCE)")
    session.close()


@pytest.mark.parametrize(
    ("dump", "dump_messages", "organisation", "organisation_messages"),
    [
        ("missing", ["There is no dump at /nowhere/production.dump"], "not_demo", ["demo company", "xero_seed_allow_non_demo"]),
        ("text", ["pg_dump -Fc"], "none", ["connected"]),
        ("plain", ["plain SQL", "pg_dump -Fc"], "several", ["xero_seed_tenant_id"]),
        ("tar", ["tar", "pg_dump -Fc"], "forbidden", ["xero_seed_forbidden_tenant_ids"]),
        ("truncated", ["is cut off"], "wrong_name", ["Somebody Else Ltd"]),
        ("other", ["another app"], "wrong_secret", ["client id or secret"]),
    ],
)
def test_a_dump_that_is_none_and_an_organisation_that_is_not_the_one(stage, dumps, xero, dump, dump_messages, organisation, organisation_messages):
    """Both are said in one run; each line is one case of either."""
    extra = {
        "xero_seed_api_url": xero.url,
        "xero_seed_identity_url": xero.identity_url,
        "xero_seed_client_id": xero.client_id,
        "xero_seed_client_secret": xero.client_secret,
        "xero_seed_tenant_id": xero.tenant_id,
        "database_restore_dump": dumps.get(dump, "/nowhere/production.dump"),
        "database_restore_require_checksum": False,
    }
    if organisation == "not_demo":
        xero.change_organisation(is_demo_company=False)
    elif organisation == "none":
        xero.disconnect()
        extra["xero_seed_tenant_id"] = ""
    elif organisation == "several":
        xero.connect(xero.add_organisation(name="Another Company (NZ)"))
        extra["xero_seed_tenant_id"] = ""
    elif organisation == "forbidden":
        extra["xero_seed_forbidden_tenant_ids"] = [xero.tenant_id]
    elif organisation == "wrong_name":
        extra["xero_seed_organisation"] = "Somebody Else Ltd"
    else:
        extra["xero_seed_client_secret"] = "not-the-secret-at-all"
    before = (xero.contacts(), xero.projects())
    refused(stage, extra, *dump_messages, *organisation_messages)
    assert (xero.contacts(), xero.projects()) == before


def test_a_day_without_calls_left_is_no_red_night(stage, xero):
    """Where the operator said so, the run ends well, changes nothing and tells when to go on."""
    xero.set(calls_per_day=100)
    xero.spend(day=100)
    before = stage.everything()
    ran = stage.run(
        extra={
            "xero_seed_api_url": xero.url,
            "xero_seed_identity_url": xero.identity_url,
            "xero_seed_client_id": xero.client_id,
            "xero_seed_client_secret": xero.client_secret,
            "xero_seed_tenant_id": xero.tenant_id,
            "xero_seed_incomplete_ok": True,
        }
    )
    assert ran.code == 0, ran.output
    assert ran.report["status"] == "incomplete"
    assert "again after 20" in ran.report["next_step"]
    assert stage.everything() == before


def test_an_organisation_that_holds_the_dump_s_own_ids_is_production(stage, xero):
    """Allowed by name and tenant id, and yet refused before anything is restored: a contact there has an id that came with the dump."""
    client = next(client for client in make_production_data(seed=SEED).clients if client.xero_contact_id)
    xero.change_organisation(is_demo_company=False, name="Joinery Ltd")
    xero.seed(contacts=[{"name": client.name.strip() or "A client", "id": client.xero_contact_id}], projects=[])
    extra = {
        "xero_seed_api_url": xero.url,
        "xero_seed_identity_url": xero.identity_url,
        "xero_seed_client_id": xero.client_id,
        "xero_seed_client_secret": xero.client_secret,
        "xero_seed_tenant_id": xero.tenant_id,
        "xero_seed_organisation": "Joinery Ltd",
        "xero_seed_allow_non_demo": True,
    }
    before = (xero.contacts(), xero.projects())
    refused(stage, extra, "production", "Joinery Ltd")
    assert (xero.contacts(), xero.projects()) == before


@pytest.fixture
def xero():
    """Start a sandbox of the test's own."""
    from xero_sandbox.testing import SandboxServer

    with SandboxServer() as server:
        yield server
