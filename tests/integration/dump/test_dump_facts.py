"""Facts of real dumps, whole ones and damaged ones."""
from __future__ import annotations

import gzip
import hashlib
import os
import random
import resource
import shutil
import subprocess
import time
from pathlib import Path

import psycopg2
import pytest
from ansible.module_utils.dev_refresh.dump import reading
from ansible.module_utils.dev_refresh.dump.facts import LedgerSpec, read_facts
from ansible.module_utils.dev_refresh.dump.inspection import inspect_dump
from ansible.module_utils.dev_refresh.dump.programs import ClientPrograms, find_programs
from ansible.module_utils.dev_refresh.dump.tables import read_table
from ansible.module_utils.dev_refresh.errors import GuardError, RefreshError
from world.postgres_server import wheel_bin_dir

COUNTS = {
    'Odd schema.t "q" x': 50,
    "public.base": 1,
    "public.child": 2,
    "public.client_client": 1000,
    "public.django_migrations": 3,
    "public.empty_one": 0,
    "public.no_columns": 2,
    "public.part_1": 50,
    "public.part_2": 50,
}
SYSTEM_15 = Path("/usr/lib/postgresql/15/bin")
LEDGER = LedgerSpec("django_migrations", ("app", "name"))


@pytest.fixture(scope="session")
def programs(cluster) -> ClientPrograms:
    return find_programs(str(cluster.server.bin_dir))


def whats(facts):
    return [finding.what for finding in facts.findings]


def copied(path: str, target: Path) -> Path:
    if os.path.isdir(path):
        return Path(shutil.copytree(path, target))
    return Path(shutil.copy(path, target))


def add_manifest(folder: Path) -> None:
    lines = [f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}\n" for path in sorted(folder.iterdir())]
    Path(f"{folder}.sha256").write_text("".join(lines))


@pytest.mark.parametrize("options", [("-Fc",), ("-Fc", "-Z0"), ("-Fc", "-Z9")])
def test_facts_of_a_custom_dump(dump_with, programs, options):
    path = dump_with(*options)
    facts = read_facts(path, programs=programs, ledger=LEDGER, server_major=programs.major)
    assert (whats(facts), facts.complete) == ([], True)
    assert facts.rows == COUNTS
    assert facts.tables['Odd schema.t "q" x'] == ("Odd schema", 't "q" x')
    assert facts.ledger == [["client", "0001_initial"], ["job", "0001_initial"], ["job", "0002_a\\b\ttab"]]
    assert facts.sha256 == hashlib.sha256(Path(path).read_bytes()).hexdigest()
    assert (facts.bytes, facts.format, facts.source_database) == (os.path.getsize(path), "custom", "jobs_prod")
    assert (facts.compression, facts.encoding, facts.extensions) == ("none" if "-Z0" in options else "gzip", "UTF8", ["pg_trgm"])
    assert facts.server_version.startswith(f"{programs.major}.")
    assert ("PUBLICATION", "to_warehouse") in {(entry.kind, entry.name) for entry in facts.skipped_entries}
    assert "PUBLICATION" not in facts.toc_list_text


def test_counts_are_what_the_server_has_after_a_restore_by_the_list(dump_with, programs, cluster, database, tmp_path):
    """The promise behind "verified": the numbers must be those of ONLY each table in a database restored from the same list."""
    path = dump_with("-Fc")
    facts = read_facts(path, programs=programs)
    listed = tmp_path / "list"
    listed.write_text(facts.toc_list_text)
    connection = ["-h", "127.0.0.1", "-p", str(cluster.server.port), "-U", cluster.owner, "-d", database]
    argv = [programs.pg_restore, *connection, "--no-owner", "--no-privileges", "--exit-on-error", "-L", str(listed), path]
    done = subprocess.run(argv, env={**os.environ, "PGPASSWORD": cluster.owner_password}, check=False, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    session = cluster.connect(database)
    with session.cursor() as cursor:
        found = {}
        for key, (schema, name) in facts.tables.items():
            cursor.execute(psycopg2.sql.SQL("SELECT count(*) FROM ONLY {}.{}").format(psycopg2.sql.Identifier(schema), psycopg2.sql.Identifier(name)))
            found[key] = cursor.fetchone()[0]
        cursor.execute("SELECT count(*) FROM pg_largeobject_metadata")
        assert cursor.fetchone()[0] == 3
    session.close()
    assert found == facts.rows == COUNTS


def test_a_dump_of_inserts_has_no_counts(dump_with, programs):
    facts = read_facts(dump_with("-Fc", "--inserts"), programs=programs)
    assert (whats(facts), set(facts.rows.values()), facts.complete) == ([], {None}, True)


def test_rows_loaded_by_the_partition_root_count_for_the_root(dump_with, programs):
    facts = read_facts(dump_with("-Fc", "--load-via-partition-root"), programs=programs)
    assert (facts.rows["public.part"], facts.rows["public.part_1"], facts.rows["public.client_client"]) == (100, None, 1000)


def test_a_dump_of_one_schema_does_not_create_public_again(dump_with, programs):
    facts = read_facts(dump_with("-Fc", "-npublic"), programs=programs)
    assert ("SCHEMA", "public") in {(entry.kind, entry.name) for entry in facts.skipped_entries}


@pytest.mark.parametrize(("option", "what"), [("--schema-only", "holds no data"), ("--data-only", "holds data but no tables")])
def test_half_a_dump_is_a_finding(dump_with, programs, option, what):
    assert what in whats(read_facts(dump_with("-Fc", option), programs=programs))[0]


def test_a_directory_with_its_manifest(dump_with, programs, tmp_path):
    folder = copied(dump_with("-Fd"), tmp_path / "prod.dir")
    facts = read_facts(str(folder), programs=programs, ledger=LEDGER)
    assert len(facts.findings) == 1
    assert "without a manifest" in whats(facts)[0]
    assert "sha256sum -- *) > prod.dir.sha256" in facts.findings[0].remedy
    add_manifest(folder)
    facts = read_facts(str(folder), programs=programs, ledger=LEDGER)
    assert (whats(facts), facts.rows, facts.format) == ([], COUNTS, "directory")
    manifest = hashlib.sha256(Path(f"{folder}.sha256").read_bytes()).hexdigest()
    assert read_facts(str(folder), programs=programs, sha256_expected=manifest).findings == []


@pytest.mark.parametrize("with_manifest", [True, False])
def test_an_emptied_data_file_of_a_directory_is_noticed(dump_with, programs, tmp_path, with_manifest):
    """pg_restore reads it without a word: a whole table would be lost (restored rows 0, return code 0)."""
    folder = copied(dump_with("-Fd", "-Z0"), tmp_path / "prod.dir")
    if with_manifest:
        add_manifest(folder)
    biggest = max((path for path in folder.iterdir() if path.name != "toc.dat"), key=lambda path: path.stat().st_size)
    biggest.write_bytes(b"")
    facts = read_facts(str(folder), programs=programs)
    assert any("is missing or has no end" in what for what in whats(facts))
    assert any("does not have the checksum" in what for what in whats(facts)) == with_manifest
    assert not facts.complete


@pytest.mark.parametrize("damage", ["remove", "cut"])
@pytest.mark.parametrize("options", [("-Fd",), ("-Fd", "-B")])
def test_a_damaged_file_of_a_directory(dump_with, programs, tmp_path, damage, options):
    """With large objects pg_restore reads it, without them we do."""
    folder = copied(dump_with(*options), tmp_path / "prod.dir")
    add_manifest(folder)
    biggest = max((path for path in folder.iterdir() if path.name != "toc.dat"), key=lambda path: path.stat().st_size)
    if damage == "remove":
        biggest.unlink()
    else:
        biggest.write_bytes(biggest.read_bytes()[:-100])
    found = whats(read_facts(str(folder), programs=programs))
    assert any("lacks the file" in what or "does not have the checksum" in what for what in found)
    assert any("pg_restore" in what or "table data of" in what for what in found)


@pytest.mark.parametrize("keep", [0.5, 0.9, -1000, -1])
def test_a_dump_that_is_cut_off_is_noticed_though_its_checksum_fits(dump_with, programs, tmp_path, keep):
    """Cut at the source: pg_restore -l passes every one of these."""
    path = copied(dump_with("-Fc"), tmp_path / "prod.dump")
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * keep) if 0 < keep < 1 else keep])
    facts = read_facts(str(path), programs=programs, sha256_expected=hashlib.sha256(path.read_bytes()).hexdigest())
    assert len(facts.findings) == 1
    assert "is cut off" in whats(facts)[0]


def test_zeros_in_the_middle_are_noticed(dump_with, programs, tmp_path):
    path = copied(dump_with("-Fc"), tmp_path / "prod.dump")
    data = bytearray(path.read_bytes())
    data[len(data) * 2 // 3 : len(data) * 2 // 3 + 1024] = bytes(1024)
    path.write_bytes(bytes(data))
    assert "is damaged" in whats(read_facts(str(path), programs=programs))[0]


@pytest.mark.parametrize("options", [("-Fc",), ("-Fc", "-Z0")])
def test_any_flipped_bit_is_noticed_by_a_checksum_taken_at_the_source(dump_with, programs, tmp_path, options):
    source = Path(dump_with(*options)).read_bytes()
    expected = hashlib.sha256(source).hexdigest()
    path = tmp_path / "prod.dump"
    choose = random.Random(7)
    for _ in range(12):
        data = bytearray(source)
        data[choose.randrange(len(data))] ^= 1 << choose.randrange(8)
        path.write_bytes(bytes(data))
        assert read_facts(str(path), programs=programs, sha256_expected=expected, deadline=20).findings


@pytest.mark.full
def test_many_flipped_bits_raise_nothing_and_end_in_time(dump_with, programs, tmp_path, monkeypatch):
    """Some make pg_restore turn in a circle without reading or writing anything."""
    monkeypatch.setattr(reading, "STALL_SECONDS", 2.0)
    source = Path(dump_with("-Fc")).read_bytes()
    path = tmp_path / "prod.dump"
    choose = random.Random(11)
    for _ in range(300):
        data = bytearray(source)
        data[choose.randrange(len(data))] ^= 1 << choose.randrange(8)
        path.write_bytes(bytes(data))
        assert read_facts(str(path), programs=programs, deadline=20).seconds < 20


@pytest.mark.parametrize("keep", [1.0, 0.5])
def test_tar_is_refused_at_once_whole_or_cut(dump_with, programs, tmp_path, keep):
    """pg_restore 15 and 18 read a cut tar archive for ever."""
    path = copied(dump_with("-Ft"), tmp_path / "prod.tar")
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * keep)])
    started = time.monotonic()
    facts = read_facts(str(path), programs=programs)
    assert time.monotonic() - started < 1
    assert "is a tar archive" in whats(facts)[0]
    assert "pg_dump -Fc -f <file> <database>" in facts.findings[0].remedy


def test_plain_sql_and_wrapped_dumps_are_refused(dump_with, programs, tmp_path):
    plain, wrapped, wrapped_sql = dump_with("-Fp"), tmp_path / "prod.dump.gz", tmp_path / "prod.sql.gz"
    wrapped.write_bytes(gzip.compress(Path(dump_with("-Fc")).read_bytes()))
    wrapped_sql.write_bytes(gzip.compress(Path(plain).read_bytes()))
    assert "is plain SQL" in whats(read_facts(plain, programs=programs))[0]
    assert "is a dump wrapped in gzip" in whats(read_facts(str(wrapped), programs=programs))[0]
    assert "inside it is plain SQL" in whats(read_facts(str(wrapped_sql), programs=programs))[0]


def test_a_file_that_is_still_written_is_noticed(dump_with, programs, tmp_path, monkeypatch):
    path = copied(dump_with("-Fc"), tmp_path / "prod.dump")
    module = "ansible.module_utils.dev_refresh.dump.facts"

    def touch(*_args, **_more):
        os.utime(path, (1, 1))

    monkeypatch.setattr(f"{module}._read_data", touch)
    assert any("changed while it was read" in what for what in whats(read_facts(str(path), programs=programs)))


def test_a_compression_that_the_client_lacks(dump_with, programs, tmp_path):
    """The wheel is built without zstd; pg_restore -l passes such a dump with a mere warning."""
    if programs.major < 16:
        pytest.skip("archives made by PostgreSQL 15 and older know no other compression than gzip")
    path = copied(dump_with("-Fc"), tmp_path / "prod.dump")
    data = bytearray(path.read_bytes())
    data[11] = 3
    path.write_bytes(bytes(data))
    facts = read_facts(str(path), programs=programs)
    assert "compressed with zstd, and the pg_restore in" in whats(facts)[0]
    assert "-Z gzip" in facts.findings[0].remedy


def test_reading_ends_at_its_deadline(tmp_path, dump_with):
    slow = tmp_path / "pg_restore"
    slow.write_text('#!/bin/sh\n[ "$1" = --version ] && { echo "pg_restore (PostgreSQL) 18.6"; exit; }\nexec sleep 60\n')
    slow.chmod(0o755)
    started = time.monotonic()
    facts = read_facts(dump_with("-Fc"), programs=find_programs(str(tmp_path)), deadline=0.5)
    assert time.monotonic() - started < 3
    assert "was not read within" in whats(facts)[0]


@pytest.mark.skipif(not (SYSTEM_15 / "pg_restore").exists(), reason="PostgreSQL 15 is not installed")
def test_the_client_of_the_servers_major_version_is_chosen_and_an_old_one_refuses(dump_with, programs):
    if programs.major < 17:
        pytest.skip("PostgreSQL 15 reads what this server's own pg_dump writes")
    old = find_programs(None, server_major=15)
    assert old.major == 15
    facts = read_facts(dump_with("-Fc"), programs=old, server_major=15)
    assert "archive version 1.16 needs pg_restore 17 or later" in whats(facts)[0]
    assert "pg_dump 15" in facts.findings[0].remedy
    assert "from a PostgreSQL 18 server, and the dev server is PostgreSQL 15" in whats(facts)[1]


def test_a_client_of_another_major_version_is_refused_with_what_was_found():
    with pytest.raises(GuardError) as caught:
        find_programs(str(wheel_bin_dir()), server_major=15)
    assert "The server is PostgreSQL 15" in str(caught.value)
    assert str(wheel_bin_dir()) in str(caught.value)
    with pytest.raises(GuardError, match="no working pg_restore in /no/such"):
        find_programs("/no/such", server_major=15)


def test_debians_wrapper_is_not_taken_for_a_client(tmp_path):
    wrapper = tmp_path / "share" / "pg_wrapper"
    wrapper.parent.mkdir()
    wrapper.write_text('#!/bin/sh\necho "pg_restore (PostgreSQL) 99.1"\n')
    wrapper.chmod(0o755)
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "pg_restore").symlink_to(wrapper)
    found = find_programs(None, environment={"PATH": f"{tmp_path}/bin:{wheel_bin_dir()}"})
    assert found.major != 99


def test_all_findings_come_together(dump_with, tmp_path):
    path = copied(dump_with("-Ft"), tmp_path / "prod.tar")
    done = inspect_dump(str(path), require_checksum=True, bin_dir="/no/such")
    assert len(done.facts.findings) == 3


@pytest.mark.parametrize("options", [("-Fc",), ("-Fd",)])
def test_one_table_is_read_out_of_a_dump(dump_with, programs, options):
    found = read_table(programs, dump_with(*options), "client_client")
    rows = b"".join(found.copy_text)
    assert found.columns == ["id", "name", "E Mail", "m"]
    assert found.column_types == {"id": "uuid", "name": "character varying(255)", "E Mail": "text", "m": "public.mood"}
    assert (found.schema, found.name, rows.count(b"\n")) == ("public", "client_client", 1000)


@pytest.mark.parametrize(
    ("table", "rows"),
    [('Odd schema.t "q" x', 50), ("public.empty_one", 0), ("no_columns", 2), ("part", 100), ("part_1", 50), ("base", 1)],
)
def test_tables_of_every_kind_are_read_whole(dump_with, programs, table, rows):
    assert b"".join(read_table(programs, dump_with("-Fc"), table).copy_text).count(b"\n") == rows


def test_rows_read_out_of_a_dump_can_be_loaded_as_they_are(dump_with, programs, cluster, database):
    found = read_table(programs, dump_with("-Fc"), 'Odd schema.t "q" x')
    session = cluster.connect(database)
    with session.cursor() as cursor:
        cursor.execute("CREATE TEMPORARY TABLE t (n int, b bytea)")

        class Stream:
            def read(self, _size: int) -> bytes:
                return next(found.copy_text, b"")

        cursor.copy_expert("COPY t FROM STDIN", Stream())
        cursor.execute("SELECT count(*), count(DISTINCT n), min(encode(b, 'hex')) FROM t")
        assert cursor.fetchone() == (50, 50, "5c2e0a0a5c2e")
    session.close()


@pytest.mark.parametrize(
    ("options", "table", "words"),
    [(("-Fc",), "client_cliend", "nearest are: .*client_client"), (("-Fc", "--inserts"), "client_client", "as INSERT")],
)
def test_a_table_that_cannot_be_read_is_explained(dump_with, programs, options, table, words):
    with pytest.raises(RefreshError, match=words):
        read_table(programs, dump_with(*options), table)


def test_a_reader_that_stops_early_leaves_nothing_running(dump_with, programs):
    found = read_table(programs, dump_with("-Fc"), "client_client")
    next(found.copy_text)
    found.copy_text.close()


def test_memory_is_flat_in_the_size_of_the_dump(cluster, database, programs, tmp_path):
    session = cluster.connect(database)
    with session.cursor() as cursor:
        cursor.execute("CREATE TABLE big AS SELECT i, repeat(md5(i::text), 30) AS t FROM generate_series(1, 100000) i")
    session.close()
    path = tmp_path / "big.dump"
    connection = ["-h", "127.0.0.1", "-p", str(cluster.server.port), "-U", cluster.server.superuser]
    argv = [str(cluster.server.bin_dir / "pg_dump"), *connection, "-Fc", "-Z1", "-f", str(path), database]
    subprocess.run(argv, env={**os.environ, "PGPASSWORD": cluster.server.password}, check=True, timeout=60)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    facts = read_facts(str(path), programs=programs)
    assert facts.uncompressed_bytes > 90_000_000
    assert facts.rows == {"public.big": 100_000}
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 25_000
