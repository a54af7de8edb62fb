"""Who restores what: every wanted entry exactly once, and no row before its table or after its index."""
from __future__ import annotations

from ansible.module_utils.dev_refresh.dump.blocks import Block
from ansible.module_utils.dev_refresh.dump.header import Header
from ansible.module_utils.dev_refresh.dump.shares import divide_entries
from ansible.module_utils.dev_refresh.dump.toc import TocEntry, list_text
from hypothesis import given
from hypothesis import strategies as st

HEADER = Header("custom", (1, 16), "gzip", "", "app", "18.0", "18.0")


def entry(dump_id, kind, name, *needs, section="", copy=True, method="heap", schema="public"):
    statement = f"COPY {schema}.{name} (id) FROM stdin;\n".encode() if kind == "TABLE DATA" and copy else b""
    return TocEntry(dump_id, kind, schema, name, "app", kind == "TABLE DATA", statement, "", needs, 0, "", section, method if kind == "TABLE" else "")


def table(dump_id, name, **more):
    return entry(dump_id, "TABLE", name, section="pre-data", **more)


def rows(dump_id, name, of, **more):
    return entry(dump_id, "TABLE DATA", name, of, section="data", **more)


def later(dump_id, kind, name, *needs):
    return entry(dump_id, kind, name, *needs, section="post-data")


def divide(entries, *, located=None):
    blocks = [Block(each, "x", 0, 10 * each.dump_id) for each in entries if each.has_data and (located is None or each.dump_id in located)]
    return divide_entries(HEADER, entries, blocks)


def listed(text):
    return [int(line.split(";")[0]) for line in text.splitlines()]


def test_a_table_with_its_indexes():
    comment = entry(9, "COMMENT", "TABLE job", 1)
    shares = divide(
        [
            table(1, "job"), comment, table(2, "client"), entry(3, "SEQUENCE", "s", section="pre-data"),
            rows(4, "job", 1), rows(5, "client", 2), entry(6, "SEQUENCE SET", "s", 3, section="data"),
            later(10, "CONSTRAINT", "client pk", 2), later(11, "CONSTRAINT", "job pk", 1), later(12, "INDEX", "on job", 1, 1),
            entry(13, "COMMENT", "INDEX on job", 12), later(14, "FK CONSTRAINT", "job fk", 1, 2, 10), later(15, "TRIGGER", "t", 1),
        ]
    )  # fmt: skip
    assert [each.dump_id for each in shares.before] == [1, 9, 2, 3]
    assert [(share.block.entry.dump_id, [index.dump_id for index in share.indexes]) for share in shares.tables] == [(4, [11, 12]), (5, [10])]
    assert [each.dump_id for each in shares.data] == [6]
    assert [each.dump_id for each in shares.after] == [10, 11, 12, 13, 14, 15]
    assert not shares.in_order


def test_what_is_left_to_pg_restore():
    """Rows of an extension's table, rows for another table, INSERTs, rows that cannot be found, and tables of another access method."""
    elsewhere = TocEntry(22, "TABLE DATA", "public", "part", "app", True, b"COPY public.root (id) FROM stdin;\n", "", (12,), 0, "", "data")
    entries = [
        table(1, "job"), table(12, "part"), table(13, "inserts"), table(14, "lost"), table(15, "columnar", method="columnar"),
        rows(2, "job", 1), rows(21, "of_an_extension", 99), elsewhere, rows(23, "inserts", 13, copy=False), rows(24, "lost", 14), rows(25, "columnar", 15),
        later(30, "INDEX", "on part", 12), later(31, "INDEX", "on two", 1, 12), later(32, "INDEX", "on a view", 1, 33),
        later(33, "MATERIALIZED VIEW DATA", "v", 1),
    ]  # fmt: skip
    shares = divide(entries, located={2, 21, 22, 23, 25})
    assert [(share.block.entry.dump_id, share.indexes) for share in shares.tables] == [(2, ())]
    assert [each.dump_id for each in shares.data] == [21, 22, 23, 24, 25]
    assert [each.dump_id for each in shares.after] == [30, 31, 32, 33]
    assert shares.in_order, "nothing says that the index on the root needs the rows of the part"


def test_without_blocks_pg_restore_loads_all():
    shares = divide([table(1, "job"), rows(2, "job", 1)], located=set())
    assert (shares.tables, [each.dump_id for each in shares.data], shares.in_order) == ((), [2], False)
    assert divide([table(1, "job")]).tables == ()


def test_a_copy_statement_without_schema_is_the_entrys():
    bare = TocEntry(2, "TABLE DATA", "public", "job", "app", True, b"COPY job  FROM stdin;\n", "", (1,), 0, "", "data")
    (share,) = divide([table(1, "job"), bare]).tables
    assert (share.target.schema, share.target.table, share.target.columns) == ("public", "job", ())


KINDS = st.sampled_from(["INDEX", "CONSTRAINT", "FK CONSTRAINT", "TRIGGER", "COMMENT", "SEQUENCE SET"])


@given(st.integers(1, 5), st.lists(st.tuples(KINDS, st.lists(st.integers(1, 30), max_size=3)), max_size=12), st.data())
def test_every_entry_is_restored_exactly_once(tables, more, data):
    entries = [table(number, f"t{number}") for number in range(1, tables + 1)]
    entries += [rows(10 + number, f"t{number}", number) for number in range(1, tables + 1)]
    for number, (kind, needs) in enumerate(more, 20):
        entries.append(entry(number, kind, f"e{number}", *needs, section={"COMMENT": "", "SEQUENCE SET": "data"}.get(kind, "post-data")))
    shares = divide(entries)
    indexes = {index.dump_id for share in shares.tables for index in share.indexes}
    early = set(data.draw(st.lists(st.sampled_from(sorted(indexes)), unique=True))) if indexes else set()
    done = [each.dump_id for each in shares.before] + [share.block.entry.dump_id for share in shares.tables] + sorted(early)
    left = listed(list_text([*shares.data, *shares.after], early))
    assert sorted(done + left) == sorted(each.dump_id for each in entries)
    for share in shares.tables:
        of = int(share.target.table[1:])
        assert all({number for number in index.dependencies if number <= tables} == {of} for index in share.indexes)
        assert all(index.kind in ("INDEX", "CONSTRAINT") and set(index.dependencies) <= {*range(1, tables + 1), 10 + of} for index in share.indexes)
