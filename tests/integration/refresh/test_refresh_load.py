"""Rows that we load ourselves: the database is the one that pg_restore makes, and whatever ends a worker ends all."""
from __future__ import annotations

import hashlib
import json
import os
import re
import secrets
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils.dev_refresh.dump.programs import find_programs
from ansible.module_utils.dev_refresh.errors import RefreshError
from ansible.module_utils.dev_refresh.refresh import load, schedule, stage
from ansible.module_utils.dev_refresh.refresh.pg_restore import PgRestore
from test_refresh_restore import EVERYTHING

MORE = """
CREATE TABLE nothing (); INSERT INTO nothing DEFAULT VALUES; INSERT INTO nothing DEFAULT VALUES;
CREATE TABLE "Odd "" Schema.Table" ("a.b" int, "select" text, "x""y" text); INSERT INTO "Odd "" Schema.Table" VALUES (1, E'\\\\.', E'a\\tb\\nc\\\\');
CREATE TABLE note (id int CONSTRAINT note_key PRIMARY KEY, at date, what text, EXCLUDE USING gist (daterange(at, at + 1) WITH &&));
INSERT INTO note SELECT n, '2026-01-01'::date + n, 'x' || n FROM generate_series(1, 20) n;
CREATE INDEX note_what ON note (lower(what) DESC NULLS LAST) INCLUDE (at) WHERE id > 3; COMMENT ON INDEX note_what IS 'by what';
ALTER TABLE note CLUSTER ON note_key; ALTER TABLE note REPLICA IDENTITY USING INDEX note_key;
ALTER TABLE note ADD UNIQUE (what) DEFERRABLE; COMMENT ON TABLE note IS 'a note'; CREATE STATISTICS both_of ON id, what FROM note;
CREATE RULE silent AS ON INSERT TO note DO INSTEAD NOTHING; ALTER TABLE note ALTER COLUMN what SET STATISTICS 500;
CREATE INDEX ON event (what); ALTER TABLE event_2025 ADD PRIMARY KEY (at);
CREATE TABLE price (amount numeric CHECK (amount > 0), PRIMARY KEY (amount)); INSERT INTO price VALUES (1.10), ('NaN');
ALTER TABLE price ADD CONSTRAINT not_checked CHECK (amount < 5) NOT VALID;
"""
UNMAPPED = {"contacts": {"table": "no_contacts"}, "projects": {"table": "no_projects"}}
SLOW = """
CREATE FUNCTION nap(int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN $1; END';
CREATE TABLE slow (id int CHECK (nap(id) > 0), what text); INSERT INTO slow SELECT n, repeat(md5(n::text), 9) FROM generate_series(1, 60) n;
CREATE OR REPLACE FUNCTION nap(int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS 'BEGIN PERFORM pg_catalog.pg_sleep(0.05); RETURN $1; END';
"""
LOADING = "SELECT pid FROM pg_stat_activity WHERE datname = '{}_refresh' AND query LIKE 'COPY \"public\".\"slow\"%' AND state = 'active'"


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Note how many entries each start of pg_restore gets; treat small tables as the big ones."""
    entries: list[int] = []
    run = PgRestore.run

    def noted(self: PgRestore, listing: str, *, jobs: int = 1) -> None:
        entries.append(len(listing.splitlines()))
        run(self, listing, jobs=jobs)

    monkeypatch.setattr(PgRestore, "run", noted)
    monkeypatch.setattr(schedule, "WORTH_BYTES", 0)
    monkeypatch.setattr(load, "FROZEN_BYTES", 0)
    return entries


@pytest.fixture
def plain(pg: Any) -> Iterator[Any]:
    """Return a function that restores a dump by pg_restore alone and returns the database's name."""
    name = f"{pg.name}_plain"

    def restore(dump: Path) -> str:
        admin = pg.cluster.connect()
        with admin.cursor() as cursor:
            cursor.execute(f'CREATE DATABASE "{name}" OWNER {pg.cluster.owner} TEMPLATE template0')
        admin.close()
        program(pg, "pg_restore", "--no-owner", "--no-privileges", "--exit-on-error", f"--dbname={name}", str(dump))
        return name

    yield restore
    admin = pg.cluster.connect()
    with admin.cursor() as cursor:
        cursor.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
    admin.close()


def program(pg: Any, name: str, *options: str) -> str:
    """Run a client program as the owner; return what it writes."""
    server = pg.cluster.server
    login = {"PGHOST": "127.0.0.1", "PGPORT": str(server.port), "PGUSER": pg.cluster.owner, "PGPASSWORD": pg.cluster.owner_password}
    argv = [str(server.bin_dir / name), *options]
    return subprocess.run(argv, check=True, capture_output=True, text=True, timeout=60, env={"PATH": os.environ["PATH"], **login}).stdout


def contents(pg: Any, database: str) -> str:
    """Return schema and rows of a database as SQL."""
    text = program(pg, "pg_dump", "--no-owner", "--no-privileges", "--exclude-schema=dev_refresh", database)
    return re.sub(r"^\\(un)?restrict .*$", "", text, flags=re.MULTILINE)


# how the dump is made, and whether the restore is divided for it
WAYS = {
    "custom": (("-Fc",), True),
    "directory": (("-Fd",), True),
    "directory, not compressed": (("-Fd", "-Z0"), True),
    "through the root": (("-Fc", "--load-via-partition-root"), True),
    "through the root, not compressed": (("-Fc", "-Z0", "--load-via-partition-root"), True),
    "not compressed": (("-Fc", "-Z0"), False),
    "INSERTs": (("-Fc", "--inserts"), False),
    "another encoding": (("-Fc", "--encoding=LATIN1"), False),
}


@pytest.mark.parametrize("way", WAYS)
def test_it_is_the_database_that_pg_restore_makes(pg: Any, production: Any, plain: Any, runs: list[int], way: str) -> None:
    """To the last byte of a dump of it: schema, rows and their order, comments, large objects."""
    options, divided = WAYS[way]
    source = EVERYTHING.replace("{{", "{").replace("}}", "}") + MORE
    if "-Fd" in options:
        # with large objects in it, pg_restore alone reads a directory
        source = re.sub("SELECT lo_from_bytea.*;", "", source)
    dump = production.dump(40, extra_sql=source, options=options)
    if dump.is_dir():
        manifest = "".join(f"{hashlib.sha256(file.read_bytes()).hexdigest()}  {file.name}\n" for file in dump.iterdir())
        dump.with_name(f"{dump.name}.sha256").write_text(manifest)
    result = pg("staged", dump=dump, jobs=3, mapping=UNMAPPED)
    assert result["row_counts"]["rows"] == (0 if way == "INSERTs" else 224)
    assert (len(runs) >= 2) == divided, runs
    expected = contents(pg, plain(dump))
    assert len(expected) > 10_000
    assert contents(pg, f"{pg.name}_refresh") == expected
    assert len(pg.rows("SELECT 1 FROM pg_largeobject", f"{pg.name}_refresh")) == (0 if dump.is_dir() else 1)


def test_small_tables_are_loaded_alike(pg: Any, production: Any, plain: Any) -> None:
    """Their rows are not frozen, since emptying a table costs more than that saves."""
    dump = production.dump(40, extra_sql=EVERYTHING.replace("{{", "{").replace("}}", "}") + MORE)
    pg("staged", dump=dump, mapping=UNMAPPED)
    assert contents(pg, f"{pg.name}_refresh") == contents(pg, plain(dump))


def test_indexes_are_built_while_another_table_is_loaded(pg: Any, production: Any, runs: list[int]) -> None:
    pg("staged", dump=production.dump(5, extra_sql=SLOW.replace("0.05", "0.02")))
    assert len(runs) > 2
    assert pg.rows("SELECT count(*) FROM pg_indexes WHERE schemaname = 'public'", f"{pg.name}_refresh") == [(7,)]


def test_loaded_rows_are_frozen(pg: Any, production: Any) -> None:
    """Their pages are marked as visible to all, so that no reader and no VACUUM has to look at them again; the rest are empty, for more rows."""
    filler = "CREATE TABLE filler AS SELECT repeat(md5(n::text), 60) AS x FROM generate_series(1, 6000) n"
    pg("staged", dump=production.dump(5, extra_sql=filler))
    ((pages, visible),) = pg.rows("SELECT relpages, relallvisible FROM pg_class WHERE relname = 'filler'", f"{pg.name}_refresh")
    assert pages >= 1500
    assert visible >= 1500


def test_a_tight_connection_limit_is_enough(pg: Any, production: Any, runs: list[int]) -> None:
    """Sessions that were just closed still count, and each start of pg_restore needs one."""
    dump = production.dump(5, extra_sql=SLOW.replace("0.05", "0.02"))
    owner = f"tight_{secrets.token_hex(3)}"
    admin = pg.cluster.connect()
    with admin.cursor() as cursor:
        cursor.execute(f"CREATE ROLE {owner} LOGIN CONNECTION LIMIT 5 PASSWORD '{pg.cluster.owner_password}'")
    try:
        pg("staged", dump=dump, jobs=3, owner=owner)
        assert len(runs) > 4
    finally:
        with admin.cursor() as cursor:
            cursor.execute(f'DROP DATABASE IF EXISTS "{pg.name}_refresh" WITH (FORCE)')
            cursor.execute(f"DROP ROLE {owner}")
        admin.close()


def nothing_left(pg: Any) -> bool:
    """Tell whether staging, its sessions and our threads are gone."""
    threads = [thread for thread in threading.enumerate() if thread.name == "load"]
    return not pg.rows(f"SELECT 1 FROM pg_database WHERE datname = '{pg.name}_refresh'", "postgres") and not threads


@pytest.mark.usefixtures("runs")
def test_the_first_error_ends_the_other_workers(pg: Any, dump: Any, production: Any) -> None:
    """Also one that is in the middle of a table, and one whose pg_restore builds an index."""
    pg.whole(dump)
    before = pg.oids()
    failing = "CREATE TABLE wrong (id int); INSERT INTO wrong VALUES (1);"
    failing += " CREATE FUNCTION bad(int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT 1'; CREATE INDEX ON wrong (bad(id));"
    failing += " CREATE OR REPLACE FUNCTION bad(int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT 1 / ($1 - 1)';"
    wrong = production.dump(5, extra_sql=SLOW.replace("0.05", "0.5") + failing)
    started = time.monotonic()
    with pytest.raises(RefreshError, match=r"pg_restore failed .*division by zero.* Nothing in the live database was touched"):
        pg("staged", dump=wrong, force=True)
    assert time.monotonic() - started < 10, "the slow table alone takes half a minute"
    assert nothing_left(pg)
    assert pg.oids() == before


def test_a_session_that_the_server_ends(pg: Any, production: Any, wait_for: Any) -> None:
    errors: list[str] = []

    def run() -> None:
        try:
            pg("staged", dump=slow)
        except RefreshError as error:
            errors.append(str(error))

    slow = production.dump(5, extra_sql=SLOW)
    thread = threading.Thread(target=run)
    thread.start()
    wait_for(lambda: bool(pg.rows(LOADING.format(pg.name), "postgres")))
    pg.rows(LOADING.format(pg.name).replace("SELECT pid", "SELECT pg_terminate_backend(pid)"), "postgres")
    thread.join(30)
    assert re.fullmatch(r'Loading table public.slow failed on ".*": .*its log says why.* Nothing in the live database was touched\.', errors[0]), errors
    assert nothing_left(pg)


def test_the_deadline_ends_a_load(pg: Any, production: Any) -> None:
    with pytest.raises(RefreshError, match="The deadline of 2 seconds is over"):
        pg("staged", dump=production.dump(5, extra_sql=SLOW), deadline=2)
    assert nothing_left(pg)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_a_load(pg: Any, production: Any, wait_for: Any, number: signal.Signals) -> None:
    child = pg.process("staged", dump=production.dump(5, extra_sql=SLOW.replace("0.05", "0.5")))
    wait_for(lambda: bool(pg.rows(LOADING.format(pg.name), "postgres")) or child.poll() is not None)
    child.send_signal(number)
    output, errors = child.communicate(timeout=15)
    assert b"Traceback" not in errors
    assert json.loads(output)["failed"]
    assert nothing_left(pg)


def test_a_dump_that_is_cut_off_after_it_was_read(pg: Any, production: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody copies a new one over it just then."""
    filler = "CREATE TABLE filler AS SELECT md5(n::text) AS x FROM generate_series(1, 90000) n"
    dump = production.dump(5, extra_sql=filler)
    create = stage.create_staging

    def cut(work: Any, plan: Any) -> None:
        create(work, plan)
        os.truncate(dump, dump.stat().st_size // 2)

    monkeypatch.setattr(stage, "create_staging", cut)
    with pytest.raises(RefreshError, match="cannot be read any more: it ends inside its data"):
        pg("staged", dump=dump)
    assert nothing_left(pg)


def test_the_programs_of_these_tests_are_the_servers(pg: Any) -> None:
    """Otherwise the comparison with pg_restore would compare two versions."""
    bin_dir = str(pg.cluster.server.bin_dir)
    assert find_programs(None, server_major=None, environment={"PATH": bin_dir}).bin_dir == bin_dir
