"""Names of databases and servers, and checks of the server."""
from __future__ import annotations

from dataclasses import replace

import pytest
from ansible.module_utils.dev_refresh.postgres.connection import Login
from ansible.module_utils.dev_refresh.postgres.databases import Database, _setting_value, format_comment, parse_comment
from ansible.module_utils.dev_refresh.postgres.server import RoleFacts, ServerFacts
from ansible.module_utils.dev_refresh.refresh import checks
from ansible.module_utils.dev_refresh.refresh.names import Names, host_findings, name_findings, source_findings
from ansible.module_utils.dev_refresh.refresh.pg_restore import conninfo, first_error

SERVER = ServerFacts(
    version=150018,
    admin=RoleFacts("dba", False, True, True, -1),
    owner=RoleFacts("app", False, False, True, -1),
    member_of_owner=True,
    may_signal=True,
    not_member_of={},
    free_connections=50,
    data_directory=None,
    max_wal_bytes=1 << 30,
    extensions={"pg_trgm": True, "postgres_fdw": False},
)
LIVE = Database("app_dev", 1, "app", "UTF8", "C", "C", "c", None, "pg_default", -1, True, False, None)


@pytest.mark.parametrize("name", ["app_dev", "dev", "APP-DEV", "dw_msm_uat", "crm.test", "demo2", "hotfix_1", "alive_dev", "product_dev", "livery_test"])
def test_names_of_development_are_allowed(name: str) -> None:
    assert name_findings(name, allowed=None, maintenance="postgres") == []


@pytest.mark.parametrize(
    "name",
    ["crm", "device", "app_prod", "prod_dev", "dev-production", "LIVE_dev", "prod2_dev", "app_dev_old", "x_dev_previous", "", " dev", "de\nv", "template1"],
)
def test_other_names_are_refused(name: str) -> None:
    assert name_findings(name, allowed=None, maintenance="postgres")


def test_a_pattern_of_the_operator_counts() -> None:
    assert name_findings("crm", allowed="^crm$", maintenance="postgres") == []
    assert name_findings("crm_prod", allowed=".", maintenance="postgres")
    assert name_findings("app_dev", allowed="(", maintenance="postgres")
    assert name_findings("maint_dev", allowed=None, maintenance="maint_dev")


def test_names_fit_with_their_suffix() -> None:
    longest = max(len(name) for name in Names("").all)
    assert name_findings("dev_" + "x" * (63 - 4 - longest), allowed=None, maintenance="postgres") == []
    assert name_findings("dev_" + "x" * (64 - 4 - longest), allowed=None, maintenance="postgres")


def test_forbidden_servers_by_any_name() -> None:
    assert host_findings({"db.example.com", "10.0.0.5"}, ["10.0.0.5"])
    assert host_findings({"DB.example.com."}, ["db.example.COM"])
    assert not host_findings({"db-dev.example.com"}, ["db.example.com", ""])


def test_a_dump_of_the_same_name() -> None:
    assert source_findings("app_dev", "APP_dev")
    assert not source_findings("app_dev", "app")
    assert not source_findings("app_dev", None)


def test_rights_that_lack_are_named_with_their_grant() -> None:
    assert checks.role_findings(SERVER, owner="app") == []
    weak = replace(SERVER, admin=RoleFacts("dba", False, False, True, -1), member_of_owner=False, may_signal=False, not_member_of={"app_dev": "someone"})
    assert [finding.remedy for finding in checks.role_findings(weak, owner="app")] == [
        'ALTER ROLE "dba" CREATEDB',
        'GRANT "app" TO "dba"',
        'GRANT pg_signal_backend TO "dba"',
        'GRANT "someone" TO "dba"',
    ]
    assert len(checks.role_findings(replace(SERVER, owner=None, version=120000), owner="app")) == 2
    assert len(checks.role_findings(replace(SERVER, owner=RoleFacts("app", True, False, False, -1)), owner="app")) == 2


def test_capacity() -> None:
    enough = checks.Space(100, 200)
    assert checks.capacity_findings(SERVER, jobs=2, space=enough) == []
    assert checks.capacity_findings(replace(SERVER, free_connections=4), jobs=2, space=enough)
    assert checks.capacity_findings(replace(SERVER, owner=RoleFacts("app", False, False, True, 3)), jobs=2, space=enough)
    assert checks.capacity_findings(SERVER, jobs=2, space=checks.Space(200, 100))
    assert checks.capacity_findings(SERVER, jobs=2, space=checks.Space(200, None)) == []
    assert checks.needed_bytes(uncompressed=1000, live_size=0) == int(1.2 * 1700)
    assert checks.needed_wal_bytes(uncompressed=1000, max_wal=1 << 30) == 4000
    assert checks.capacity_findings(SERVER, jobs=2, space=checks.Space(100, 200, wal_needed=100, wal_room=200)) == []
    short = checks.capacity_findings(SERVER, jobs=2, space=checks.Space(100, 200, wal_needed=200_000_000, wal_room=100_000_000))
    assert "200 MB of WAL and the file system of pg_wal has room for 100 MB" in str(short[0])


def test_extensions_and_encodings() -> None:
    assert checks.extension_findings(SERVER, ["plpgsql", "pg_trgm"]) == []
    assert len(checks.extension_findings(SERVER, ["postgis", "postgres_fdw"])) == 2
    assert checks.encoding_findings(LIVE, "UTF8") == []
    assert checks.encoding_findings(None, "LATIN1") == []
    assert checks.encoding_findings(replace(LIVE, encoding="LATIN1"), "UTF8")
    assert checks.encoding_findings(replace(LIVE, encoding="LATIN1"), "LATIN1") == []


def test_what_keeps_live_from_being_renamed() -> None:
    assert checks.live_findings(SERVER, None) == []
    assert checks.live_findings(SERVER, LIVE) == []
    assert checks.live_findings(SERVER, replace(LIVE, open=False))
    assert checks.live_findings(SERVER, replace(LIVE, open=False, comment=format_comment({"closed_by": "x"}))) == []
    assert len(checks.live_findings(replace(SERVER, prepared_transactions={"app_dev": 1}, replication_slots={"app_dev": 1}), LIVE)) == 2


@pytest.mark.parametrize("comment", [None, "", "words", "[]", "3", '{"other": 1}', '{"dev_refresh": "text"}'])
def test_other_comments_are_not_ours(comment: str | None) -> None:
    assert parse_comment(comment) is None


def test_a_comment_of_ours_comes_back() -> None:
    assert parse_comment(format_comment({"role": "live", "run_id": "x"})) == {"role": "live", "run_id": "x"}


def test_connection_strings_hold_no_password_and_quote_everything() -> None:
    text = conninfo(Login("o'wner", "secret-word", "h\\ost", 5433), "my 'db'")
    assert "secret-word" not in text
    assert r"dbname='my \'db\''" in text
    assert r"host='h\\ost'" in text


def test_the_first_error_of_pg_restore_without_rows() -> None:
    stderr = (
        "pg_restore: connecting\npg_restore: while PROCESSING TOC:\npg_restore: error: COPY failed for table \"t\": ERROR:  invalid input\n"
        "DETAIL:  Key (email)=(someone@example.com)\nCONTEXT:  COPY t, line 3: \"secret row\"\n"
    )
    words = first_error(stderr)
    assert "COPY failed" in words
    assert "example.com" not in words
    assert "secret row" not in words
    assert first_error("") == "it said nothing."


def test_list_settings_keep_their_parts() -> None:
    assert [part.wrapped for part in _setting_value("search_path", 'public, "Other, ""x""", c').seq if hasattr(part, "wrapped") and part.wrapped != ", "] == [
        "public",
        'Other, "x"',
        "c",
    ]
