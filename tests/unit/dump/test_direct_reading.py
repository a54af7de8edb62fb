"""Reading an archive's data without pg_restore: every stream whole, counted and checked, with each library that uncompresses."""
from __future__ import annotations

import gzip
import os
import zlib
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
from ansible.module_utils.dev_refresh.dump import blocks as blocks_module
from ansible.module_utils.dev_refresh.dump import direct as direct_module
from ansible.module_utils.dev_refresh.dump import inflate as inflate_module
from ansible.module_utils.dev_refresh.dump.blocks import locate_blocks
from ansible.module_utils.dev_refresh.dump.checksums import HashThread
from ansible.module_utils.dev_refresh.dump.data import BLOCK_END, CopyBlock, CopyCounter, parse_rows
from ansible.module_utils.dev_refresh.dump.direct import MissingEndError, read_blocks
from ansible.module_utils.dev_refresh.dump.facts import read_facts
from ansible.module_utils.dev_refresh.dump.header import DamagedArchiveError
from ansible.module_utils.dev_refresh.dump.inflate import Inflater
from ansible.module_utils.dev_refresh.dump.toc import read_archive
from archive_writer import Wrote, archive_bytes
from hypothesis import given
from hypothesis import strategies as st

try:
    from isal import isal_zlib
except ImportError:
    isal_zlib = None

ROWS = {"small": b"1\tx\n2\ty\n", "none": b"", "big": b"".join(b"%d\t%s\n" % (n, os.urandom(9).hex().encode()) for n in range(20_000))}
LARGE_OBJECT = b"\x00\x01large" * 500
ENTRIES = [
    *(Wrote("TABLE", name, "public", f"CREATE TABLE public.{name} (\n    a integer\n);\n") for name in ROWS),
    *(Wrote("TABLE DATA", name, "public", copy=f"COPY public.{name} (a) FROM stdin;\n") for name in ROWS),
    Wrote("BLOBS", "BLOBS", copy="x"),
]
"""Dump ids count from 1: tables 1 to 3, their data 4 to 6, large objects 7."""


def integer(value: int) -> bytes:
    return b"\0" + value.to_bytes(4, "little")


def stream(data: bytes, piece: int = 4096) -> bytes:
    """Return what pg_dump writes of one stream: pieces with their length before them, and a zero."""
    stored = zlib.compress(data)
    return b"".join(integer(len(stored[at : at + piece])) + stored[at : at + piece] for at in range(0, len(stored), piece)) + integer(0)


def whole(rows: dict[str, bytes] = ROWS) -> bytes:
    """Return an archive with data that was written to a pipe, so that it does not say where they are."""
    out = archive_bytes(ENTRIES)
    for dump_id, data in enumerate(rows.values(), len(ROWS) + 1):
        out += b"\1" + integer(dump_id) + stream(data + BLOCK_END)
    large = b"".join(integer(oid) + (stream(LARGE_OBJECT) if oid != 17 else integer(0)) for oid in (16, 17, 18))
    return out + b"\3" + integer(2 * len(ROWS) + 1) + large + integer(0)


@pytest.fixture(params=["isal", "zlib"])
def library(request, monkeypatch):
    """Uncompress with one library after the other."""
    module = isal_zlib if request.param == "isal" else zlib
    if module is None:
        pytest.skip("isal is not installed")
    monkeypatch.setattr(inflate_module, "_library", module)
    monkeypatch.setattr(inflate_module, "_ERROR", module.error)
    return module


@pytest.fixture
def several(monkeypatch):
    """Take several readers however small the dump is."""
    monkeypatch.setattr(direct_module, "WORTH_BYTES", 0)


def read(path: str, *, readers: int = 1) -> dict[str, CopyBlock]:
    header, entries, start = read_archive(path)
    found = {entry.dump_id: CopyBlock(entry.copy, collect=True) for entry in entries if entry.kind == "TABLE DATA"}
    places = locate_blocks(path, header, entries, start)
    assert places is not None
    read_blocks(places, header, found, seconds=60, readers=readers)
    return {entry.name: found[entry.dump_id] for entry in entries if entry.dump_id in found}


def pieces(data: bytes, cuts: Sequence[int]) -> list[bytes]:
    marks = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
    return [data[start:stop] for start, stop in pairwise(marks)]


@given(st.lists(st.sampled_from([b"a", b"\\\\.", b"\\N", b"\\n"]), max_size=5), st.lists(st.integers(0, 1 << 20), max_size=12))
def test_rows_are_counted_wherever_pieces_end(rows, cuts):
    block = CopyBlock(b"", collect=True)
    counter = CopyCounter(block)
    data = b"".join(row + b"\n" for row in rows)
    for piece in pieces(data + BLOCK_END, cuts):
        counter.feed(piece)
    assert counter.end()
    assert (block.rows, block.size, bytes(block.collected or b"")) == (len(rows), len(data), data)


@pytest.mark.parametrize("data", [b"", b"1\n", b"1\n\\.\n\n", b"1\\.\n\n\n", b"1\n\\.\n\n\n\n", b"\n\n\n"])
def test_rows_that_do_not_end_as_pg_dump_ends_them_are_noticed(data):
    block = CopyBlock(b"")
    counter = CopyCounter(block)
    counter.feed(data)
    assert not counter.end()
    assert block.rows is None


@pytest.mark.usefixtures("library", "several")
@pytest.mark.parametrize("readers", [1, 3])
@pytest.mark.parametrize("batch", [1, 5000, 1 << 20])
@pytest.mark.parametrize("most", [100, 1 << 20])
def test_all_is_read_in_pieces_of_any_size(tmp_path: Path, monkeypatch, readers, batch, most):
    monkeypatch.setattr(blocks_module, "_BATCH", batch)
    monkeypatch.setattr(inflate_module, "_MOST", most)
    path = tmp_path / "made.dump"
    path.write_bytes(whole())
    found = read(str(path), readers=readers)
    assert {name: bytes(block.collected or b"") for name, block in found.items()} == ROWS
    assert {name: block.rows for name, block in found.items()} == {name: data.count(b"\n") for name, data in ROWS.items()}
    assert parse_rows(bytes(found["small"].collected or b"")) == [["1", "x"], ["2", "y"]]


@pytest.mark.usefixtures("library")
def test_few_bytes_that_hold_very_many_come_in_pieces():
    inflater = Inflater()
    sizes = [len(data) for data in inflater.feed(zlib.compress(bytes(30 << 20), 9))]
    inflater.end()
    assert sum(sizes) == 30 << 20
    assert max(sizes) <= 1 << 20


@pytest.mark.usefixtures("library")
@pytest.mark.parametrize("is_gzip", [False, True])
@pytest.mark.parametrize("damage", ["cut", "check sum", "more behind", "empty"])
def test_a_stream_must_come_to_its_end_with_its_check_sum(is_gzip, damage):
    stored = gzip.compress(ROWS["big"]) if is_gzip else zlib.compress(ROWS["big"])
    stored = {"cut": stored[:-1], "check sum": stored[:-5] + bytes([stored[-5] ^ 1]) + stored[-4:], "more behind": stored + b"x", "empty": b""}[damage]
    if damage == "check sum" and not is_gzip:
        stored = zlib.compress(ROWS["big"])
        stored = stored[:-1] + bytes([stored[-1] ^ 1])
    inflater = Inflater(gzip=is_gzip)

    def run() -> None:
        for piece in pieces(stored, [7, 100]):
            list(inflater.feed(piece))
        inflater.end()

    if damage == "empty" and not is_gzip:
        # pg_dump writes no byte at all of a stream without data
        Inflater().end()
    else:
        with pytest.raises(DamagedArchiveError):
            run() if stored else inflater.end()


@pytest.mark.usefixtures("library")
def test_every_cut_and_every_flipped_bit_in_the_data_is_noticed(tmp_path: Path):
    """But one that changes nothing: the last byte before a check sum may have bits that belong to no data."""
    rows = dict(ROWS, big=b"7\tbig\n")
    good = whole(rows)
    start = len(archive_bytes(ENTRIES))
    large_objects = good.rindex(b"\3" + integer(2 * len(ROWS) + 1))
    path = tmp_path / "made.dump"
    for at in range(start, len(good), 3):
        path.write_bytes(good[:at])
        with pytest.raises(DamagedArchiveError):
            read(str(path))
    harmless = 0
    for bit in range(8 * start, 8 * large_objects):
        data = bytearray(good)
        data[bit // 8] ^= 1 << bit % 8
        path.write_bytes(bytes(data))
        with suppress(DamagedArchiveError):
            found = read(str(path))
            assert {name: bytes(block.collected or b"") for name, block in found.items()} == rows
            harmless += 1
    assert harmless < 8 * len(rows)


@pytest.mark.usefixtures("several")
@pytest.mark.parametrize("readers", [1, 3])
def test_what_one_reader_finds_ends_the_others(tmp_path: Path, readers):
    path = tmp_path / "made.dump"
    path.write_bytes(whole(dict(ROWS, none=b"no end of a line")))
    with pytest.raises(MissingEndError, match=r"public\.none"):
        read(str(path), readers=readers)


def test_data_of_another_entry_are_noticed(tmp_path: Path):
    path = tmp_path / "made.dump"
    path.write_bytes(whole())
    header, entries, start = read_archive(str(path))
    places = locate_blocks(str(path), header, entries, start)
    assert places is not None
    swapped = [replace(places[0], offset=places[1].offset), *places[1:]]
    with pytest.raises(DamagedArchiveError, match="mixed up"):
        read_blocks(swapped, header, {}, seconds=60)


def test_reading_ends_at_its_deadline(tmp_path: Path):
    path = tmp_path / "made.dump"
    path.write_bytes(whole())
    header, entries, start = read_archive(str(path))
    with pytest.raises(TimeoutError):
        read_blocks(locate_blocks(str(path), header, entries, start) or (), header, {}, seconds=-1)


@pytest.mark.parametrize(
    ("how", "entries"),
    [({"compression": 0}, ENTRIES), ({"version": (1, 16), "compression": 3}, ENTRIES), ({}, [replace(ENTRIES[3], kind="NEW KIND")])],
)
def test_what_is_unusual_is_left_to_pg_restore(write_archive: Callable[..., str], how, entries):
    path = write_archive(entries, **how)
    header, found, start = read_archive(path)
    assert locate_blocks(path, header, found, start) is None


def test_facts_need_no_client_programs(tmp_path: Path):
    path = tmp_path / "made.dump"
    path.write_bytes(whole())
    facts = read_facts(str(path), programs=None)
    assert (facts.findings, facts.complete) == ([], True)
    assert facts.rows == {f"public.{name}": data.count(b"\n") for name, data in ROWS.items()}


def test_a_checksum_taken_before_holds_until_the_dump_is_touched(tmp_path: Path, monkeypatch):
    path = tmp_path / "made.dump"
    path.write_bytes(whole())
    hashed = HashThread(str(path), seconds=60)
    hashed.run()
    taken: list[str] = []
    run = HashThread.run
    monkeypatch.setattr(HashThread, "run", lambda thread: (taken.append("again"), run(thread))[1])
    assert (read_facts(str(path), programs=None, hashed=hashed).sha256, taken) == (hashed.sha256, [])
    os.utime(path, (1, 1))
    assert (read_facts(str(path), programs=None, hashed=hashed).sha256, taken) == (hashed.sha256, ["again"])
    path.write_bytes(path.read_bytes() + b"more")
    assert read_facts(str(path), programs=None, hashed=hashed).sha256 != hashed.sha256
