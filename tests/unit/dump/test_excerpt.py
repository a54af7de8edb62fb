"""The tables that the controller hands on for a forecast arrive as they were read, and what could not be read as the reason."""
from __future__ import annotations

import pytest
from ansible.module_utils.dev_refresh.dump.excerpt import make_excerpt, read_excerpt
from ansible.module_utils.dev_refresh.dump.facts import DumpFacts, findings_here
from ansible.module_utils.dev_refresh.dump.tables import TableDump
from ansible.module_utils.dev_refresh.dump.toc import Entry
from ansible.module_utils.dev_refresh.errors import RefreshError

ROWS = [b"1\tAcme \xe9\\N\n", b"2\t\\\\x\n"]


def read(name: str) -> TableDump:
    if name == "gone":
        raise RefreshError("The dump has no table gone. Correct the mapping.")
    return TableDump("public", name, ["id", "name"], {"id": "integer", "name": "text"}, "latin-1", iter(ROWS if name == "client" else []))


def test_tables_arrive_as_they_were_read_and_can_be_read_again():
    handed_on = read_excerpt(make_excerpt(read, ["client", "empty", "client"]))
    for _ in range(2):
        found = handed_on("client")
        assert (found.schema, found.name, found.columns, found.column_types, found.encoding) == (
            "public", "client", ["id", "name"], {"id": "integer", "name": "text"}, "latin-1"
        )  # fmt: skip
        assert b"".join(found.copy_text) == b"".join(ROWS)
    assert list(handed_on("empty").copy_text) == []


def test_what_could_not_be_read_is_said_on_the_host():
    """Catches a table that a migration brings and that ends the whole forecast on the controller."""
    with pytest.raises(RefreshError, match=r"has no table gone\. Correct the mapping"):
        read_excerpt(make_excerpt(read, ["gone"]))("gone")


def test_no_name_of_a_row_is_in_the_text():
    assert "Acme" not in make_excerpt(read, ["client"])


def test_tables_too_large_for_it_are_said(monkeypatch):
    monkeypatch.setattr("ansible.module_utils.dev_refresh.dump.excerpt.MOST_BYTES", 100)
    with pytest.raises(RefreshError, match="too large to be handed on"):
        make_excerpt(read, ["client"])


@pytest.mark.parametrize("text", ["", "no base64 at all", "AAAA"])
def test_damage_on_the_way_is_said(text):
    with pytest.raises(RefreshError, match="damaged"):
        read_excerpt(text)


def test_the_facts_of_a_dump_survive_the_way_to_the_host():
    facts = DumpFacts(
        "/srv/p.dump", sha256="ab" * 32, bytes=7, format="custom", archive_version="1.16", server_version="18.6", created="2026-11-22T02:00:00",
        rows={"public.t": 3, "public.u": None}, uncompressed_bytes=99, extensions=["pg_trgm"], skipped_entries=[Entry("PUBLICATION", "p", "it would publish")],
        ledger=[["client", "0001"]], complete=True,
    )  # fmt: skip
    result = facts.as_result()
    again = DumpFacts.from_result({"dump_path": result.pop("path"), **result, "changed": False, "findings": ["of there"]})
    assert again.as_result() == facts.as_result()


def test_a_dump_read_elsewhere_is_held_against_this_server():
    """Catches a forecast of a restore that this server would refuse."""
    facts = DumpFacts("/srv/p.dump", archive_version="1.16", server_version="18.6", dump_version="18.6")
    assert "PostgreSQL 15" in str(findings_here(facts, None, 15)[0])
    assert findings_here(facts, None, 18) == []
