"""What a server can have against a refresh: a full disk, prepared transactions, locales, tablespaces, limits, templates; and doors left closed."""
from __future__ import annotations

import resource
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psycopg2
import pytest
from ansible.module_utils.dev_refresh.errors import GuardError, RefreshError
from ansible.module_utils.dev_refresh.refresh import checks, plan
from ansible.module_utils.dev_refresh.run_id import new_run_id

LIVE = "SELECT md5(string_agg(c::text, '|' ORDER BY id)) FROM client_client c"


@pytest.fixture
def make_live(pg: Any) -> Iterator[Callable[..., None]]:
    """Return a function that makes a live database by hand, with the options of CREATE DATABASE."""
    admin = pg.cluster.connect()

    def make(options: str = "") -> None:
        with admin.cursor() as cursor:
            cursor.execute(f'CREATE DATABASE "{pg.name}" OWNER {pg.cluster.owner} TEMPLATE template0 {options}')

    yield make
    with admin.cursor() as cursor:
        cursor.execute("SELECT datname FROM pg_database WHERE datname LIKE %s", (f"{pg.name}%",))
        for (name,) in cursor.fetchall():
            cursor.execute(f'ALTER DATABASE "{name}" IS_TEMPLATE false')
            cursor.execute(f'DROP DATABASE "{name}" WITH (FORCE)')
    admin.close()


def administer(pg: Any, *statements: str, database: str = "postgres") -> None:
    """Run statements as the superuser."""
    session = pg.cluster.connect(database)
    with session.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)
    session.close()


@contextmanager
def no_file_larger(pg: Any, size: int) -> Iterator[None]:
    """Let the server's new processes write no file above ``size`` (segments of the WAL are smaller): for them the disk is full then."""
    pid = pg.cluster.server.pid
    before = resource.prlimit(pid, resource.RLIMIT_FSIZE)
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.prlimit(pid, resource.RLIMIT_FSIZE, before)


def test_a_disk_that_fills_up_leaves_live_as_it_was(pg: Any, dump: Any, production: Any) -> None:
    """The restore fails with the server's words, nothing of it stays, and live is the same to the last row."""
    pg.whole(dump)
    before, rows = pg.oids(), pg.rows(LIVE)
    large = production.dump(5, extra_sql="CREATE TABLE filler AS SELECT repeat(md5(n::text), 60) AS x FROM generate_series(1, 12000) n")
    with no_file_larger(pg, 17 << 20), pytest.raises(RefreshError, match=r"pg_restore failed .*(could not extend|could not write)") as caught:
        pg.whole(large, force=True)
    assert "Nothing in the live database was touched" in str(caught.value)
    assert pg.oids() == before
    assert pg.rows(LIVE) == rows
    assert pg.whole(large)["changed"]


def test_too_little_space_is_found_before_anything_is_created(pg: Any, dump: Any, newer_dump: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The guard names what is needed and what there is."""
    pg.whole(dump)
    before = pg.oids()
    monkeypatch.setattr(plan, "read_space", lambda *_: checks.Space(needed=5_000_000_000, free=1_000_000_000))
    with pytest.raises(GuardError, match=r"needs about 5,000 MB and the file system .* has 1,000 MB free"):
        pg.whole(newer_dump)
    assert pg.oids() == before


def test_prepared_transactions_are_named(pg: Any, dump: Any, newer_dump: Any) -> None:
    """In the guard; and one that comes later stops the swap before the door is closed."""
    pg.whole(dump)
    prepare = "BEGIN; UPDATE client_client SET name = name WHERE id = 1; PREPARE TRANSACTION 'stuck_{}'"
    session = pg.cluster.connect(pg.name)
    try:
        with session.cursor() as cursor:
            cursor.execute(prepare.format(pg.name))
        with pytest.raises(GuardError, match="1 prepared transactions, so it cannot be renamed"):
            pg.whole(newer_dump)
        administer(pg, f"ROLLBACK PREPARED 'stuck_{pg.name}'", database=pg.name)
        run_id = new_run_id()
        pg("staged", dump=newer_dump, run_id=run_id)
        pg("ready", run_id=run_id)
        with session.cursor() as cursor:
            cursor.execute(prepare.format(pg.name))
        with pytest.raises(RefreshError, match=rf'prepared transactions keep .*"stuck_{pg.name}" in {pg.name}'):
            pg("live", run_id=run_id)
        assert pg.oids()[pg.name][1]
    finally:
        session.close()
        with suppress(psycopg2.Error):
            administer(pg, f"ROLLBACK PREPARED 'stuck_{pg.name}'", database=pg.name)
    assert pg("live", run_id=run_id)["changed"]


@pytest.mark.parametrize(
    ("options", "columns"),
    [
        ("LOCALE 'C' ENCODING 'UTF8' TABLESPACE {space}", "datcollate, datctype, spcname"),
        pytest.param("LOCALE_PROVIDER icu ICU_LOCALE 'de-AT' LOCALE 'C.UTF-8' ENCODING 'UTF8'", "datlocprovider::text, {locale}", id="icu"),
        pytest.param("LOCALE_PROVIDER builtin BUILTIN_LOCALE 'C.UTF-8' LOCALE 'C' ENCODING 'UTF8'", "datlocprovider::text, {locale}", id="builtin"),
    ],
)
def test_locale_and_tablespace_are_live_s(pg: Any, dump: Any, make_live: Any, options: str, columns: str) -> None:
    """Whatever the development database was made with, the refreshed one has too."""
    version = int(pg.rows("SELECT current_setting('server_version_num')", "postgres")[0][0])
    space = f"space_{pg.name}"
    if "TABLESPACE" in options:
        folder: Path = pg.cluster.server.data_dir.parent / space
        folder.mkdir(mode=0o700)
        administer(pg, f"CREATE TABLESPACE {space} LOCATION '{folder}'", f"GRANT CREATE ON TABLESPACE {space} TO {pg.cluster.owner}")
    try:
        make_live(options.format(space=space))
    except psycopg2.Error as error:
        pytest.skip(f"this server cannot make such a database: {error}")
    columns = columns.format(locale="datlocale" if version >= 170000 else "daticulocale")
    facts = f"SELECT {columns} FROM pg_database d JOIN pg_tablespace t ON t.oid = d.dattablespace WHERE datname = '{pg.name}'"
    before = pg.rows(facts, "postgres")
    pg.whole(dump, adopt=True)
    assert pg.rows(facts, "postgres") == before
    assert pg.rows("SELECT count(*) FROM client_client") == [(20,)]


def test_an_encoding_that_cannot_hold_the_dump_is_refused(pg: Any, dump: Any, make_live: Any) -> None:
    """Before anything is created."""
    make_live("LOCALE 'C' ENCODING 'LATIN1'")
    with pytest.raises(GuardError, match="encoding UTF8 and the database to be replaced has LATIN1"):
        pg.whole(dump, adopt=True)
    assert set(pg.oids()) == {pg.name}


def test_a_template_is_not_replaced(pg: Any, dump: Any, newer_dump: Any, make_live: Any) -> None:
    """A template cannot be dropped later."""
    make_live("IS_TEMPLATE true")
    with pytest.raises(GuardError, match=r"is a template and cannot be replaced\. ALTER DATABASE"):
        pg.whole(dump, adopt=True)


def test_a_connection_limit_of_one_is_enough(pg: Any, dump: Any, newer_dump: Any) -> None:
    """Parallel restores need more than live's limit, which comes back with the swap; a client that holds the one connection is told of."""
    pg.whole(dump)
    administer(pg, f'ALTER DATABASE "{pg.name}" CONNECTION LIMIT 1')
    pg.options["preserve"] = [{"table": "oauth_token"}]
    pg.whole(newer_dump)
    assert pg.oids()[pg.name][4] == 1
    assert pg.rows("SELECT count(*) FROM client_client") == [(30,)]
    client = pg.cluster.connect(pg.name, owner=True)
    with pytest.raises((GuardError, RefreshError), match="CONNECTION LIMIT"):
        pg.whole(dump, force=True)
    client.close()


@pytest.mark.parametrize("state", ["ready", "finished"])
def test_every_state_reopens_a_closed_door_first(pg: Any, dump: Any, state: str) -> None:
    """A module used alone does it too."""
    pg.whole(dump)
    comment = pg.oids()[pg.name][2].replace('"role"', '"closed_by": "20260101T000000Z-dead", "role"')
    session = pg.cluster.connect()
    with session.cursor() as cursor:
        cursor.execute(f'ALTER DATABASE "{pg.name}" ALLOW_CONNECTIONS false')
        cursor.execute(f'COMMENT ON DATABASE "{pg.name}" IS %s', (comment,))
    session.close()
    result = pg(state)
    assert result["changed"]
    assert "open again" in result["repaired"][0]
    assert pg.rows("SELECT count(*) FROM client_client") == [(20,)]


def test_a_swap_taken_back_does_not_reject_the_dump(pg: Any, dump: Any, newer_dump: Any) -> None:
    """Unlike a rollback, which is a decision against the dump."""
    pg.options["preserve"] = [{"table": "oauth_token"}]
    pg.whole(dump)
    pg.whole(newer_dump)
    pg.execute("UPDATE oauth_token SET token = 'rotated in between'")
    back = pg("previous", reject=False)
    assert (back["changed"], back["preserved"]) == (True, {"oauth_token": 1})
    assert "The swap was taken back" in back["msg"]
    assert pg.rows("SELECT count(*), (SELECT token FROM oauth_token) FROM client_client") == [(20, "rotated in between")]
    again = pg.whole(newer_dump)
    assert (again["action"], again["situation"]["word"]) == ("restore", "behind")
    assert pg.rows("SELECT count(*) FROM client_client") == [(30,)]


def test_a_marker_of_a_newer_version_is_read(pg: Any, dump: Any) -> None:
    """What it says beside what is known here is left alone."""
    pg.whole(dump)
    pg.execute("UPDATE dev_refresh.marker SET state = state || '{\"of_tomorrow\": 1}'")
    assert pg.whole(dump)["action"] == "current"
    assert pg.rows("SELECT state->>'of_tomorrow' FROM dev_refresh.marker") == [("1",)]


def test_a_backup_under_way_is_told_of_before(pg: Any, dump: Any, newer_dump: Any) -> None:
    """--check names the sessions that the swap would end, a pg_dump's too."""
    pg.whole(dump)
    server = pg.cluster.server
    backup = psycopg2.connect(
        host="127.0.0.1", port=server.port, user=server.superuser, password=server.password, dbname=pg.name, application_name="pg_dump"
    )
    effects = pg("staged", dump=newer_dump, check=True)["effects"]
    assert [session["application"] for session in effects["sessions_ended"]] == ["pg_dump"]
    backup.close()


def test_a_run_that_died_while_it_migrated_live_is_known_to_the_next(pg: Any, dump: Any) -> None:
    """Its services may be stopped: ``finished`` is false until a run has come to its end."""
    pg.whole(dump)
    assert pg("staged", dump=dump)["finished"] is False
    pg("finished")
    assert pg("staged", dump=dump)["finished"] is True
    pg("staged", dump=dump, migrations_pending=True)
    assert pg("staged", dump=dump)["finished"] is False
    assert pg("finished")["changed"] is False
    assert pg("staged", dump=dump)["finished"] is True
