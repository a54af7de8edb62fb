"""The header and the list of contents, of every archive version that pg_dump writes today."""
from __future__ import annotations

import bz2
import contextlib
import gzip
import io
import os
import tarfile
from pathlib import Path

import pytest
from ansible.module_utils.dev_refresh.dump.header import DamagedArchiveError, Header, read_header
from ansible.module_utils.dev_refresh.dump.tables import column_types
from ansible.module_utils.dev_refresh.dump.toc import copy_target, encoding_of, list_text, locale_of, read_archive, skipped, unknown_kinds
from ansible.module_utils.dev_refresh.errors import Finding
from archive_writer import Wrote, archive_bytes
from hypothesis import given
from hypothesis import strategies as st

ENCODING = Wrote("ENCODING", "ENCODING", definition="SET client_encoding = 'UTF8';\n")
PLAIN = "--\n-- PostgreSQL database dump\n--\n\nCREATE TABLE t (a int);\n"


@pytest.mark.parametrize(("version", "compression", "named"), [((1, 12), 0, "none"), ((1, 14), -1, "gzip"), ((1, 15), 2, "lz4"), ((1, 16), 3, "zstd")])
@pytest.mark.parametrize("layout", [1, 3])
def test_every_version_is_read(write_archive, tmp_path, version, compression, named, layout):
    entries = [ENCODING, Wrote("TABLE DATA", "t x", "s", copy='COPY s."t x" (a) FROM stdin;\n', dependencies=[1])]
    path = write_archive(entries, name="toc.dat" if layout == 3 else "a.dump", version=version, compression=compression, layout=layout)
    path = str(tmp_path) if layout == 3 else path
    header = read_header(path)
    assert isinstance(header, Header)
    assert (header.archive_version, header.compression, header.created) == (f"1.{version[1]}", named, "2026-11-21T02:30:03")
    assert (header.source_database, header.server_major, header.format) == ("jobs_prod", 15, "directory" if layout == 3 else "custom")
    _, found, _ = read_archive(path)
    assert [(entry.kind, entry.full_name, entry.dependencies) for entry in found] == [("ENCODING", "ENCODING", ()), ("TABLE DATA", "s.t x", (1,))]
    assert encoding_of(found) == "UTF8"


def gz(data: bytes) -> bytes:
    return gzip.compress(data, mtime=0)


def tar(data: bytes) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as file:
        info = tarfile.TarInfo("toc.dat")
        info.size = len(data)
        file.addfile(info, io.BytesIO(data))
    return out.getvalue()


@pytest.mark.parametrize(
    ("content", "what", "remedy"),
    [
        (b"", "is empty (0 bytes)", "pg_dump -Fc -f <file> <database>"),
        (b"PG", "is cut off: it has 2 bytes", "Copy it again"),
        (b"PGDMP\x01\x0e\x00", "ends inside its header", "Copy it again"),
        (archive_bytes([ENCODING])[:60], "ends inside its header", "Copy it again"),
        (archive_bytes(version=(1, 99)), "archive version 1.99", "pg_dump of the dev server's major version"),
        (archive_bytes(version=(1, 5)), "archive version 1.5", "pg_dump -Fc"),
        (archive_bytes(layout=3), "list of contents of a dump that is a directory", "Give the directory"),
        (archive_bytes(layout=7), "not supported (7)", "pg_dump -Fc"),
        (archive_bytes().replace(bytes([0, 10, 0, 0, 0]), bytes([0, 77, 0, 0, 0])), "time in its header", "Copy it again"),
        (PLAIN.encode(), "is plain SQL", "pg_dump -Fc"),
        (b"SET x = 1;\nCREATE TABLE t (a int);\n", "is plain SQL", "pg_dump -Fc"),
        (b"--\n-- PostgreSQL database cluster dump\n--\n", "pg_dumpall", "pg_dump -Fc"),
        (gz(PLAIN.encode()), "is wrapped in gzip, and inside it is plain SQL", "pg_dump -Fc"),
        (gz(archive_bytes()), "is a dump wrapped in gzip", "gunzip <"),
        (gz(tar(b"x" * 900)), "is a tar archive wrapped in gzip", "pg_dump -Fc"),
        (gz(PLAIN.encode())[:14], "is wrapped in gzip", "pg_dump -Fc"),
        (bz2.compress(b"x"), "is wrapped in bzip2", "pg_dump -Fc"),
        (tar(b"x"), "is a tar archive, which pg_restore may read for ever", "pg_dump -Fc"),
        (tar(b"x" * 5000)[:700], "is a tar archive", "pg_dump -Fc"),
        (b"<!DOCTYPE html><html><body>404</body></html>", "is an HTML or XML page", "pg_dump -Fc"),
        (b'{"error": "no such key"}', "is JSON", "pg_dump -Fc"),
        (b"hello\n", "is a text file", "pg_dump -Fc"),
        (b"Salted__" + bytes(range(99)), "is encrypted (OpenSSL)", "Decrypt it"),
        (bytes(range(128, 256)), "is not an archive made by pg_dump", "pg_dump -Fc"),
    ],
)
def test_what_is_not_a_dump_is_named_with_the_remedy(tmp_path, content, what, remedy):
    path = tmp_path / "prod.dump"
    path.write_bytes(content)
    found = read_header(str(path))
    assert isinstance(found, Finding)
    assert str(path) in found.what
    assert what in found.what
    assert remedy in found.remedy


def make_missing(path: Path) -> None:
    pass


def make_dead_link(path: Path) -> None:
    path.symlink_to("/no/such/dump")


def make_fifo(path: Path) -> None:
    os.mkfifo(path)


def make_empty_folder(path: Path) -> None:
    path.mkdir()


def make_data_directory(path: Path) -> None:
    path.mkdir()
    (path / "PG_VERSION").write_text("15\n")


def make_without_toc(path: Path) -> None:
    path.mkdir()
    (path / "3442.dat.gz").write_bytes(b"x")


def make_wrong_toc(path: Path) -> None:
    path.mkdir()
    (path / "toc.dat").write_bytes(b"x" * 99)


@pytest.mark.parametrize(
    ("make", "what"),
    [
        (make_missing, "There is no dump at"),
        (make_dead_link, "is a link to /no/such/dump"),
        (make_fifo, "is not a regular file"),
        (make_empty_folder, "is a directory without a dump in it"),
        (make_data_directory, "is a PostgreSQL data directory"),
        (make_without_toc, "has no toc.dat"),
        (make_wrong_toc, "toc.dat is not pg_dump's"),
    ],
)
def test_what_cannot_be_opened_as_a_dump(tmp_path, make, what):
    path = tmp_path / "prod.dump"
    make(path)
    found = read_header(str(path))
    assert isinstance(found, Finding)
    assert what in found.what


def test_a_dump_that_may_not_be_read(write_archive, monkeypatch):
    path = write_archive()

    def refuse(*_args, **_more):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("builtins.open", refuse)
    found = read_header(path)
    assert isinstance(found, Finding)
    assert "Permission denied" in found.what


@given(st.data())
def test_flipped_and_cut_lists_never_crash(tmp_path_factory, data):
    """A damaged archive is damaged, or reads as something else; it must not raise anything but that, or ask for all memory."""
    good = archive_bytes([ENCODING, Wrote("TABLE", "t", "s", definition="CREATE TABLE s.t (\n    a integer\n);\n", dependencies=[1])], version=(1, 16))
    bad = bytearray(good[: data.draw(st.integers(0, len(good)))])
    for place in data.draw(st.lists(st.integers(0, max(0, len(bad) - 1)), max_size=4)) if bad else []:
        bad[place] ^= 1 << data.draw(st.integers(0, 7))
    path = tmp_path_factory.getbasetemp() / "damaged.dump"
    path.write_bytes(bytes(bad))
    if isinstance(read_header(str(path)), Header):
        with contextlib.suppress(DamagedArchiveError):
            read_archive(str(path))


def test_names_are_decoded_in_the_encoding_of_the_dump(write_archive):
    latin = Wrote("ENCODING", "ENCODING", definition="SET client_encoding = 'LATIN1';\n")
    _, entries, _ = read_archive(write_archive([latin, Wrote("TABLE", "größe", "public")], encoding="iso8859-1"))
    assert entries[1].name == "größe"


def test_locale_is_read_from_the_database_entry(write_archive):
    definition = "CREATE DATABASE x WITH TEMPLATE = template0 ENCODING = 'UTF8' LOCALE_PROVIDER = libc LOCALE = 'en_NZ.UTF-8';\n"
    database = Wrote("DATABASE", "x", definition=definition)
    assert locale_of(read_archive(write_archive([database]))[1]) == "en_NZ.UTF-8"


def test_what_does_not_belong_in_development_is_skipped_with_all_that_needs_it(write_archive):
    secret = "CREATE USER MAPPING FOR app SERVER prod OPTIONS (password 'hunter2-secret');\n"
    made = [
        Wrote("SCHEMA", "public"),  # 1
        Wrote("COMMENT", "SCHEMA public", dependencies=[1]),  # 2
        Wrote("EXTENSION", "postgres_fdw"),  # 3
        Wrote("SERVER", "prod", dependencies=[3]),  # 4
        Wrote("USER MAPPING", "USER MAPPING app SERVER prod", definition=secret, dependencies=[4]),  # 5
        Wrote("FOREIGN TABLE", "far", "public", dependencies=[4, 1]),  # 6
        Wrote("VIEW", "over_far", "public", dependencies=[6, 1]),  # 7
        Wrote("VIEW", "over_view", "public", dependencies=[7, 1]),  # 8
        Wrote("TABLE", "client_client", "public", dependencies=[1]),  # 9
        Wrote("SUBSCRIPTION", "sub", definition="CREATE SUBSCRIPTION sub CONNECTION 'password=hunter2-secret'"),  # 10
        Wrote("PUBLICATION", "pub"),  # 11
        Wrote("PUBLICATION TABLE", "pub client_client", "public", dependencies=[11, 9]),  # 12
        Wrote("EVENT TRIGGER", "watch"),  # 13
        Wrote("EXTENSION", "pg_trgm"),  # 14
        Wrote("COMMENT", "EXTENSION pg_trgm", dependencies=[14]),  # 15
        Wrote("TABLE DATA", "client_client", "public", copy="COPY public.client_client (id) FROM stdin;\n", dependencies=[9]),  # 16
        Wrote("SHINY THING", "new"),  # 17
    ]
    _, entries, _ = read_archive(write_archive(made))
    skip = skipped(entries)
    assert sorted(skip) == [1, 2, 3, 4, 5, 6, 7, 8, 10, 11, 12, 13, 15]
    assert skip[8].why == "it needs VIEW public.over_far, which is skipped"
    assert unknown_kinds(entries) == ["SHINY THING"]
    listed = list_text(entries, skip)
    assert [int(line.split(";")[0]) for line in listed.splitlines()] == [9, 14, 16, 17]
    assert "hunter2" not in listed + repr(list(skip.values())) + repr(entries)


@pytest.mark.parametrize(
    ("statement", "schema", "table", "columns"),
    [
        ("COPY public.t (a, b) FROM stdin;\n", "public", "t", ("a", "b")),
        ("COPY public.t  FROM stdin;\n", "public", "t", ()),
        ('COPY "Odd s"."a ""q"" (x)" ("c, 1", d, "e)""") FROM stdin;\n', "Odd s", 'a "q" (x)', ("c, 1", "d", 'e)"')),
        ("COPY größe.straße (id) FROM stdin;\n", "größe", "straße", ("id",)),
    ],
)
def test_copy_statements_are_taken_apart(statement, schema, table, columns):
    found = copy_target(statement.encode())
    assert found is not None
    assert (found.schema, found.table, found.columns) == (schema, table, columns)


def test_column_types_of_create_table():
    definition = """CREATE TABLE public.t (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    name character varying(255) COLLATE public."x" DEFAULT 'a, b'::character varying NOT NULL,
    "E ""Mail" text,
    n numeric(10,2) DEFAULT 0.0,
    made timestamp with time zone,
    tags text[] DEFAULT '{}'::text[] NOT NULL,
    lower text GENERATED ALWAYS AS (lower((name)::text)) STORED,
    number integer GENERATED BY DEFAULT AS IDENTITY,
    mood public.mood,
    CONSTRAINT positive CHECK ((n >= (0)::numeric))
);
"""
    assert column_types(definition) == {
        "id": "uuid",
        "name": "character varying(255)",
        'E "Mail': "text",
        "n": "numeric(10,2)",
        "made": "timestamp with time zone",
        "tags": "text[]",
        "lower": "text",
        "number": "integer",
        "mood": "public.mood",
    }
