"""Counting rows in the stream of pg_restore, whatever the rows contain and wherever the pieces end."""
from __future__ import annotations

from itertools import pairwise

import pytest
from ansible.module_utils.dev_refresh.dump.data import CopyBlock, CopyScanner, parse_rows
from ansible.module_utils.dev_refresh.dump.tables import between
from hypothesis import given
from hypothesis import strategies as st

HEAD = b"--\n-- PostgreSQL database dump\n--\n\nSET x = 1;\n\n"

VALUES = st.none() | st.text(st.characters(blacklist_categories=("Cs",), blacklist_characters="\0")) | st.sampled_from(
    ["\\.", "\n\\.\n", "\\N", "COPY public.t1 (a) FROM stdin;", "\nCOPY public.t1 (a) FROM stdin;\n", "", "\r\n", "--", "\x01\x02", "\\x5c2e0a"]
)


def copy_text(value: str | None) -> str:
    """Return a value as PostgreSQL's COPY TO writes it (CopyAttributeOutText)."""
    if value is None:
        return "\\N"
    for character, escaped in (("\\", "\\\\"), ("\b", "\\b"), ("\f", "\\f"), ("\n", "\\n"), ("\r", "\\r"), ("\t", "\\t"), ("\v", "\\v")):
        value = value.replace(character, escaped)
    return value


def block(statement: bytes, rows: list[list[str | None]]) -> bytes:
    data = "".join("\t".join(copy_text(value) for value in row) + "\n" for row in rows).encode()
    return b"--\n-- Data for Name: t; Type: TABLE DATA\n--\n\n" + statement + data + b"\\.\n\n\n"


def statement(index: int) -> bytes:
    return f"COPY public.t{index} (a) FROM stdin;\n".encode()


@st.composite
def tables(draw: st.DrawFn) -> list[list[list[str | None]]]:
    """Return the rows of a few tables; all rows of a table have the same number of columns."""
    made = []
    for _ in range(draw(st.integers(0, 4))):
        width = draw(st.integers(1, 3))
        made.append(draw(st.lists(st.lists(VALUES, min_size=width, max_size=width), max_size=6)))
    return made


def pieces(data: bytes, cuts: list[int]) -> list[bytes]:
    marks = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
    return [data[start:stop] for start, stop in pairwise(marks)]


@given(tables(), st.lists(st.integers(0, 1 << 20), max_size=30))
def test_rows_are_counted_whatever_they_contain_and_wherever_pieces_end(rows, cuts):
    blocks = [CopyBlock(statement(index), collect=True) for index in range(len(rows))]
    stream = HEAD + b"".join(block(statement(index), each) for index, each in enumerate(rows)) + b"SELECT pg_catalog.setval('s', 1, true);\n"
    scanner = CopyScanner(blocks)
    for piece in pieces(stream, cuts):
        scanner.feed(piece)
    assert scanner.unfinished() is None
    assert [found.rows for found in blocks] == [len(each) for each in rows]
    assert [parse_rows(bytes(found.collected or b"")) for found in blocks] == rows
    assert [found.size for found in blocks] == [len(found.collected or b"") for found in blocks]


@given(tables().filter(bool), st.lists(st.integers(0, 1 << 20), max_size=30))
def test_the_rows_of_one_table_are_taken_out_whole(rows, cuts):
    stream = HEAD + block(statement(0), rows[0]) + b"SET y = 2;\n"
    assert parse_rows(b"".join(between(iter(pieces(stream, cuts)), b"\n" + statement(0), "x.dump", "t0"))) == rows[0]


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 7, 64, 10_000])
def test_pieces_of_any_size(size):
    blocks = [CopyBlock(statement(0)), CopyBlock(statement(1)), CopyBlock(b"COPY public.none  FROM stdin;\n")]
    stream = HEAD + block(statement(0), []) + block(statement(1), [["\\."], ["x"]]) + block(blocks[2].statement, [[""], [""]])
    scanner = CopyScanner(blocks)
    for start in range(0, len(stream), size):
        scanner.feed(stream[start : start + size])
    assert [found.rows for found in blocks] == [0, 2, 2]


def test_text_that_looks_like_copy_is_not_taken_for_data():
    """Only the statements of the list of contents count, in their order."""
    blocks = [CopyBlock(statement(0)), CopyBlock(statement(1))]
    scanner = CopyScanner(blocks)
    scanner.feed(HEAD + b"COMMENT ON LARGE OBJECT 1 IS '\nCOPY public.t1 (a) FROM stdin;\nCOPY public.other (a) FROM stdin;\n';\n")
    scanner.feed(block(statement(0), [["1"]]) + block(statement(1), [["1"], ["2"]]))
    assert [found.rows for found in blocks] == [1, 2]


def test_data_without_an_end_is_noticed():
    """An emptied data file of a directory dump loses its end mark; the next table's rows must not count for it in silence."""
    blocks = [CopyBlock(statement(index)) for index in range(3)]
    scanner = CopyScanner(blocks)
    scanner.feed(HEAD + block(statement(0), [["1"]]) + statement(1) + b"\n\n" + block(statement(2), [["1"]]))
    assert scanner.unfinished() == 2
    cut = CopyScanner(blocks)
    cut.feed(HEAD + block(statement(0), [["1"]])[:-4])
    assert cut.unfinished() == 0


def test_a_table_too_big_to_be_collected_is_still_counted(monkeypatch):
    monkeypatch.setattr("ansible.module_utils.dev_refresh.dump.data._MOST_COLLECTED", 10)
    one = CopyBlock(statement(0), collect=True)
    scanner = CopyScanner([one])
    stream = HEAD + block(statement(0), [["some text"]] * 50)
    for start in range(0, len(stream), 20):
        scanner.feed(stream[start : start + 20])
    assert (one.rows, one.collected, scanner.overflow) == (50, None, True)
