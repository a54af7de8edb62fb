"""Tables read out of a dump without pg_restore, as the controller does for a dry run, are those that pg_restore reads."""
from __future__ import annotations

from pathlib import Path

import pytest
from ansible.module_utils.dev_refresh.dump.excerpt import make_excerpt, read_excerpt
from ansible.module_utils.dev_refresh.dump.inspection import inspect_dump
from ansible.module_utils.dev_refresh.dump.programs import find_programs
from ansible.module_utils.dev_refresh.dump.tables import needs_program, read_table
from ansible.module_utils.dev_refresh.errors import RefreshError

TABLES = ["client_client", 'Odd schema.t "q" x', "public.empty_one", "no_columns", "part", "part_1", "base"]



@pytest.fixture
def programs(cluster):
    return find_programs(str(cluster.server.bin_dir))


def test_the_same_rows_come_with_and_without_pg_restore(dump_with, programs):
    path = dump_with("-Fc")
    assert not needs_program(path)
    handed_on = read_excerpt(make_excerpt(lambda name: read_table(None, path, name), TABLES))
    for name in TABLES:
        known, found = read_table(programs, path, name), handed_on(name)
        assert (found.schema, found.name, found.columns, found.column_types) == (known.schema, known.name, known.columns, known.column_types)
        assert b"".join(found.copy_text) == b"".join(known.copy_text)


def test_an_unusual_dump_takes_a_program(dump_with):
    path = dump_with("-Fc", "-Z0")
    assert needs_program(path)
    with pytest.raises(RefreshError, match="read by pg_restore alone"):
        list(read_table(None, path, "client_client").copy_text)


def test_damage_is_said(dump_with, tmp_path):
    """Catches rows that end in the middle and count as all of them."""
    whole = Path(dump_with("-Fc")).read_bytes()
    cut = tmp_path / "cut.dump"
    cut.write_bytes(whole[: len(whole) * 2 // 3])
    told = read_excerpt(make_excerpt(lambda name: read_table(None, str(cut), name), TABLES))
    refused = []
    for name in TABLES:
        try:
            told(name)
        except RefreshError as error:
            refused.append(str(error))
    assert refused
    assert all("cannot be read" in words for words in refused)


def test_the_facts_need_no_program_either(dump_with, programs):
    known = inspect_dump(dump_with("-Fc"), bin_dir=programs.bin_dir).facts
    found = inspect_dump(dump_with("-Fc"), sparing=True, bin_dir="/no/such").facts
    assert found.complete
    assert (found.rows, found.sha256, found.findings) == (known.rows, known.sha256, [])
