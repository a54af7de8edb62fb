"""A dump read by several readers at once tells the same as one read by one."""
from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from ansible.module_utils.dev_refresh.dump import parts as parts_module
from ansible.module_utils.dev_refresh.dump.facts import read_facts
from ansible.module_utils.dev_refresh.dump.parts import divide
from ansible.module_utils.dev_refresh.dump.programs import ClientPrograms, find_programs
from ansible.module_utils.dev_refresh.dump.reading import read_parts
from ansible.module_utils.dev_refresh.dump.toc import read_archive
from ansible.module_utils.dev_refresh.errors import RefreshError
from ansible.module_utils.dev_refresh.processes import children
from world.postgres_server import wheel_bin_dir

READERS = 3


@pytest.fixture
def programs() -> ClientPrograms:
    return find_programs(str(wheel_bin_dir()), server_major=None)


@pytest.fixture
def divided(monkeypatch):
    """Divide however small the dump is."""
    monkeypatch.setattr(parts_module, "WORTH_BYTES", 0)
    monkeypatch.setattr(parts_module.os, "cpu_count", lambda: READERS)


def test_every_table_is_in_one_part_and_the_rest_in_the_first(dump_with, divided):
    path = dump_with("-Fc")
    entries = read_archive(path)[1]
    parts = divide(path, entries)
    assert len(parts) == READERS
    read = [entry.dump_id for part in parts for entry in part.tables]
    assert sorted(read) == sorted(entry.dump_id for entry in entries if entry.kind == "TABLE DATA" and entry.copy)
    listed = [line.split(";")[0] for part in parts for line in (part.listing or "").splitlines()]
    assert len(listed) == len(set(listed))
    assert all(f"{entry.dump_id}; " in (parts[0].listing or "") for entry in entries if entry.kind == "SEQUENCE SET")


def test_a_small_dump_has_one_reader(dump_with):
    path = dump_with("-Fc")
    assert [part.listing for part in divide(path, read_archive(path)[1])] == [None]


@pytest.mark.usefixtures("divided")
def test_where_the_archive_does_not_say_where_data_begin_there_is_one_reader(dump_with, programs):
    path = dump_with("-Fc")
    entries = [dataclasses.replace(entry, offset=None) for entry in read_archive(path)[1]]
    assert [part.listing for part in divide(path, entries)] == [None]


@pytest.mark.parametrize("options", [("-Fc",), ("-Fc", "-Z0"), ("-Fd",)])
def test_facts_are_those_of_one_reader(dump_with, programs, monkeypatch, options):
    path = dump_with(*options)
    one = read_facts(path, programs=programs)
    monkeypatch.setattr(parts_module, "WORTH_BYTES", 0)
    monkeypatch.setattr(parts_module.os, "cpu_count", lambda: READERS)
    assert len(divide(path, read_archive(path)[1])) == READERS
    several = read_facts(path, programs=programs)
    several.seconds = one.seconds
    assert several == one
    assert one.rows


@pytest.mark.usefixtures("divided")
@pytest.mark.parametrize("keep", [0.5, 0.9, 0.999])
def test_a_cut_is_noticed_by_whoever_reads_that_part(dump_with, programs, tmp_path: Path, keep):
    whole = Path(dump_with("-Fc")).read_bytes()
    cut = tmp_path / "cut.dump"
    cut.write_bytes(whole[: int(len(whole) * keep)])
    facts = read_facts(str(cut), programs=programs)
    assert not facts.complete
    assert facts.findings


@pytest.mark.usefixtures("divided")
def test_an_error_of_one_reader_ends_the_others(dump_with, programs):
    path = dump_with("-Fc")
    parts = divide(path, read_archive(path)[1])

    def fail(_chunk: bytes) -> None:
        raise RefreshError("no")

    with pytest.raises(RefreshError, match="no"):
        read_parts(programs, path, parts, [lambda _chunk: None, *[fail] * (len(parts) - 1)], deadline=30)
    with pytest.raises(RefreshError, match="no"):
        read_parts(programs, path, parts, [fail, *[lambda _chunk: None] * (len(parts) - 1)], deadline=30)
    assert children._groups.pids() == []
