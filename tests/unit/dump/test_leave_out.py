"""Xero ids are left out of rows in COPY's text format, wherever these are cut into pieces."""
from __future__ import annotations

from itertools import pairwise

from ansible.module_utils.dev_refresh.dump.data import BLOCK_END, parse_rows
from ansible.module_utils.dev_refresh.dump.leave_out import NULL, IdPlaces, list_ids, without_ids
from hypothesis import given
from hypothesis import strategies as st

VALUES = st.one_of(st.just(None), st.just(""), st.text(alphabet=list("ab\\\t\n.é\r"), max_size=6))
ROWS = st.lists(st.lists(VALUES, min_size=4, max_size=4), max_size=12)
ESCAPES = {"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"}


def copy_text(rows):
    """Return rows as COPY writes them."""
    lines = ["\t".join("\\N" if value is None else "".join(ESCAPES.get(each, each) for each in value) for value in row) + "\n" for row in rows]
    return "".join(lines).encode()


def cut(data, places):
    """Cut at these places."""
    edges = [0, *sorted(place % (len(data) + 1) for place in places), len(data)]
    return [data[start:stop] for start, stop in pairwise(edges)]


@given(ROWS, st.lists(st.integers(0, 400), max_size=6), st.booleans())
def test_ids_are_listed_and_left_out(rows, places, with_tenant):
    """What is listed and what is left make up what was there, and everything else is untouched."""
    where = IdPlaces(key=0, xero_id=2, tenant_id=3 if with_tenant else None)
    chunks = cut(copy_text(rows) + BLOCK_END, places)
    has = [row for row in rows if row[2]]
    listed = parse_rows(b"".join(list_ids(chunks, where)))
    assert listed == [[row[0], row[2], (row[3] or None) if with_tenant else None] for row in has if row[0] is not None]
    taken: list[int] = []
    left = b"".join(without_ids(chunks, where, taken))
    assert left.endswith(BLOCK_END)
    expected = [[row[0], row[1], None if row[2] else row[2], None if row[2] and with_tenant else row[3]] for row in rows]
    assert parse_rows(left[: -len(BLOCK_END)]) == expected
    assert sum(taken) == len(has)


def test_a_tenant_that_cannot_be_emptied_stays():
    where = IdPlaces(key=0, xero_id=1, empty_id=b"", tenant_id=2, empty_tenant=None)
    assert b"".join(without_ids([b"1\tx\tt\n\\.\n\n\n"], where, [])) == b"1\t\tt\n\\.\n\n\n"


def test_a_row_with_too_few_fields_is_left_to_the_server():
    where = IdPlaces(key=0, xero_id=2)
    assert b"".join(without_ids([b"1\tx\n2\ty\tz\n"], where, [])) == b"1\tx\n2\ty\t" + NULL + b"\n"
    assert b"".join(list_ids([b"1\tx\n2\ty\tz\n"], where)) == b"2\tz\t" + NULL + b"\n"


def test_rows_without_an_end_keep_their_last_piece():
    assert b"".join(without_ids([b"1\tx\n2", b"\ty"], IdPlaces(0, 1), [])) == b"1\t\\N\n2\ty"
