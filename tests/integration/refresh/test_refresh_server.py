"""What a server can have against a refresh: a full disk, prepared transactions, locales, tablespaces, limits, templates; and doors left closed."""
from __future__ import annotations

import json
import os
import re
import resource
import secrets
import shutil
import socket
import struct
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psycopg2
import pytest
from ansible.module_utils.dev_refresh.errors import GuardError, RefreshError
from ansible.module_utils.dev_refresh.refresh import checks, plan
from ansible.module_utils.dev_refresh.run_id import new_run_id
from world.postgres_server import PostgresServer, free_port

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
    with no_file_larger(pg, 17 << 20), pytest.raises(RefreshError, match=r"Loading table public.filler failed .*(could not extend|could not write)") as caught:
        pg.whole(large, force=True)
    assert "Nothing in the live database was touched" in str(caught.value)
    assert pg.oids() == before
    assert pg.rows(LIVE) == rows
    assert pg.whole(large)["changed"]


@pytest.fixture
def small_volume(tmp_path: Path) -> Iterator[Callable[[Path, str], None]]:
    """Return a function that mounts an empty volume of a size at a folder, or gives the one that is there another size."""
    if os.geteuid() != 0 or shutil.which("mount") is None:
        pytest.skip("a small volume takes root and mount: not tested is what a full volume does to the server")
    mounted: list[Path] = []

    def mount(folder: Path, size: str) -> None:
        options = f"size={size}" if folder not in mounted else f"remount,size={size}"
        done = subprocess.run(["mount", "-t", "tmpfs", "-o", options, "none", folder], capture_output=True, text=True, check=False)
        if done.returncode:
            pytest.skip(f"no volume can be mounted here ({done.stderr.strip()}): not tested is what a full volume does to the server")
        mounted.append(folder)

    yield mount
    for folder in dict.fromkeys(mounted):
        subprocess.run(["umount", "--lazy", folder], check=False)


@pytest.mark.full
@pytest.mark.parametrize("which", ["all", "wal"])
def test_a_volume_that_fills_up_stops_the_server_and_nothing_else(
    pg: Any, dump: Any, production: Any, small_volume: Any, tmp_path: Path, which: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full WAL volume is a server's panic. The module ends with a sentence; with space again live is the same to the last row, and a run converges."""
    large = production.dump(5, extra_sql="CREATE TABLE filler AS SELECT n, repeat(md5(n::text), 40) AS x FROM generate_series(1, 60000) n")
    folder = tmp_path / "volume"
    folder.mkdir()
    small_volume(folder, "300m")
    cluster = pg.cluster
    server = PostgresServer(folder / "data", free_port(), "postgres", secrets.token_hex(12), cluster.server.bin_dir)
    server.create()
    wal = tmp_path / "wal"
    if which == "wal":
        wal.mkdir()
        small_volume(wal, "56m")
        shutil.copytree(server.data_dir / "pg_wal", wal / "pg_wal")
        shutil.rmtree(server.data_dir / "pg_wal")
        (server.data_dir / "pg_wal").symlink_to(wal / "pg_wal")
    server.start()
    pg.cluster = type(cluster)(server, cluster.owner, secrets.token_hex(12))
    try:
        administer(pg, f"CREATE ROLE {cluster.owner} LOGIN PASSWORD '{pg.cluster.owner_password}'")
        pg.whole(dump)
        before, rows = pg.oids(), pg.rows(LIVE)
        if which == "all":
            used = shutil.disk_usage(folder).used
            small_volume(folder, f"{(used >> 20) + 56}m")
        words = {"wal": "of WAL and the file system of pg_wal has room", "all": "and the file system of the server's data has"}
        with pytest.raises(GuardError, match=words[which]):
            pg.whole(large, force=True)
        assert pg.oids() == before
        # somebody else takes the space after the check
        with monkeypatch.context() as patch:
            patch.setattr(plan, "read_space", lambda *_: checks.Space(1, None))
            with pytest.raises(RefreshError) as caught:
                pg.whole(large, force=True)
        message = str(caught.value)
        assert re.search("No space left on device|its log says why|Cannot connect", message), message
        assert "defect" not in message
        small_volume(wal if which == "wal" else folder, "600m")
        server.stop(immediate=True)
        server.start()
        assert pg.rows(LIVE) == rows
        assert pg.oids()[pg.name] == before[pg.name]
        assert pg.whole(large, force=True)["changed"]
        assert set(pg.oids()) == {pg.name, f"{pg.name}_previous"}
        assert pg.rows("SELECT count(*) FROM filler") == [(60000,)]
    finally:
        server.stop(immediate=True)


def test_too_little_space_is_found_before_anything_is_created(pg: Any, dump: Any, newer_dump: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The guard names what is needed and what there is."""
    pg.whole(dump)
    before = pg.oids()
    monkeypatch.setattr(plan, "read_space", lambda *_: checks.Space(needed=5_000_000_000, free=1_000_000_000))
    with pytest.raises(GuardError, match=r"needs about 5,000 MB and the file system .* has 1,000 MB free"):
        pg.whole(newer_dump)
    assert pg.oids() == before


@pytest.mark.full
def test_a_thousand_tables_take_no_thousand_lines(pg: Any, dump: Any, production: Any) -> None:
    """No list is too long for a command line, and no result, diff or message grows with the number of tables."""
    pg.whole(dump)
    tables = ";".join(f"CREATE TABLE t_{number:04} (id int); INSERT INTO t_{number:04} VALUES ({number})" for number in range(1000))
    many = production.dump(5, extra_sql=tables)
    for check in (True, False):
        staged = pg("staged", dump=many, force=True, check=check)
        assert staged["row_counts"]["tables"] == 1005
        assert len(json.dumps(staged)) < 10_000
        assert "and 952 more tables with other numbers of rows (all of them with -vv)" in staged["diff"]["after"]
    run_id = staged["run_id"]
    assert len(json.dumps([pg("ready", run_id=run_id), pg("live", run_id=run_id)])) < 10_000
    assert pg.rows("SELECT id FROM t_0999") == [(999,)]
    fewer = pg("staged", dump=dump, force=True, check=True)
    assert "t_0000" in fewer["diff"]["before"]
    assert len(json.dumps(fewer)) < 10_000


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
def test_locale_and_tablespace_are_live_s(
    pg: Any, dump: Any, make_live: Any, options: str, columns: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever the development database was made with, the refreshed one has too; the free space that counts is the tablespace's."""
    looked: list[str] = []
    free = plan._free
    monkeypatch.setattr(plan, "_free", lambda folder: looked.append(folder) or free(folder))
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
    assert any(f"/{space}" in folder for folder in looked) is ("TABLESPACE" in options)
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


@contextmanager
def pooler(pg: Any) -> Iterator[int]:
    """Yield the port of something that hands connections on as a pooler does: with a process number of its own making."""
    listener = socket.create_server(("127.0.0.1", 0))

    def hand_on(source: socket.socket, target: socket.socket, *, numbered: bool) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                at = data.find(b"K\0\0\0\x0c") if numbered else -1
                if at >= 0:
                    data = data[: at + 5] + struct.pack("!I", 0x1234567) + data[at + 9 :]
                target.sendall(data)
        with suppress(OSError):
            target.shutdown(socket.SHUT_WR)

    def serve() -> None:
        with suppress(OSError):
            while True:
                client, _ = listener.accept()
                server = socket.create_connection(("127.0.0.1", pg.cluster.server.port))
                threading.Thread(target=hand_on, args=(client, server), kwargs={"numbered": False}, daemon=True).start()
                threading.Thread(target=hand_on, args=(server, client), kwargs={"numbered": True}, daemon=True).start()

    threading.Thread(target=serve, daemon=True).start()
    yield listener.getsockname()[1]
    listener.close()


def test_a_connection_pooler_is_refused(pg: Any, dump: Any) -> None:
    """Through one the lock that keeps two runs apart would not hold; it is said in check mode already."""
    with pooler(pg) as port:
        for check in (True, False):
            with pytest.raises(RefreshError, match=r"a connection pooler such as PgBouncer answers there.*Set database_restore_host and database_restore_port"):
                pg("staged", dump=dump, check=check, login_port=port, ssl_mode="disable")
    assert pg.oids() == {}


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
