"""Tables first, the biggest first; then indexes, as long as somebody else is busy; and never two that lock each other out."""
from __future__ import annotations

import threading
import time

import pytest
from ansible.module_utils.dev_refresh.dump.blocks import Block
from ansible.module_utils.dev_refresh.dump.shares import TableShare
from ansible.module_utils.dev_refresh.dump.toc import CopyTarget, TocEntry
from ansible.module_utils.dev_refresh.refresh.schedule import WORTH_BYTES, Index, Schedule
from hypothesis import given
from hypothesis import strategies as st


def share(number, size, *kinds):
    entries = tuple(TocEntry(100 * number + place, kind, "public", f"i{place}", "", False, b"", "", ()) for place, kind in enumerate(kinds, 1))
    data = TocEntry(number, "TABLE DATA", "public", f"t{number}", "", True, b"", "", ())
    return TableShare(Block(data, "x", 0, size), CopyTarget("public", f"t{number}", ()), entries)


def test_the_biggest_table_comes_first():
    tables = [share(1, 5), share(2, 9), share(3, 7)]
    schedule = Schedule(tables)
    assert [schedule.take() for _ in tables] == [tables[1], tables[2], tables[0]]


def test_indexes_come_while_another_table_is_loaded():
    big, small = share(1, 2 * WORTH_BYTES, "INDEX"), share(2, WORTH_BYTES, "CONSTRAINT", "INDEX")
    schedule = Schedule([big, small])
    assert (schedule.take(), schedule.take()) == (big, small)
    schedule.done(small)
    for number in (201, 202):
        index = schedule.take()
        assert index.entry.dump_id == number
        schedule.done(index)
    assert schedule.built == {201, 202}


def test_indexes_of_small_tables_are_not_worth_a_start_of_pg_restore():
    big, small = share(1, 2 * WORTH_BYTES, "INDEX"), share(2, WORTH_BYTES - 1, "INDEX")
    schedule = Schedule([big, small])
    schedule.take()
    schedule.done(schedule.take())
    timer = threading.Timer(0.05, schedule.done, [big])
    timer.start()
    assert schedule.take() is None


def test_the_last_one_builds_nothing():
    """Several indexes of a table are built faster by one pg_restore with all jobs."""
    only = share(1, 100, "INDEX")
    schedule = Schedule([only])
    schedule.done(schedule.take())
    assert schedule.take() is None
    assert schedule.built == set()


def test_a_constraint_locks_its_table():
    """ADD CONSTRAINT takes ACCESS EXCLUSIVE, so whoever came second would only wait."""
    tables = [share(1, 9 * WORTH_BYTES), share(2, 2 * WORTH_BYTES, "CONSTRAINT", "INDEX", "INDEX"), share(3, WORTH_BYTES, "INDEX")]
    schedule = Schedule(tables)
    for table in [schedule.take() for _ in tables][1:]:
        schedule.done(table)
    constraint, other = schedule.take(), schedule.take()
    assert (constraint.entry.dump_id, other.entry.dump_id) == (201, 301)
    schedule.done(constraint)
    assert {schedule.take().entry.dump_id, schedule.take().entry.dump_id} == {202, 203}


def test_who_has_nothing_to_do_waits_for_what_others_finish():
    tables = [share(1, 9 * WORTH_BYTES), share(2, WORTH_BYTES, "INDEX")]
    schedule = Schedule(tables)
    first, second = schedule.take(), schedule.take()
    found = []
    waiting = threading.Thread(target=lambda: found.append(schedule.take()))
    waiting.start()
    time.sleep(0.05)
    assert waiting.is_alive()
    schedule.done(second)
    waiting.join(5)
    assert found[0].entry.dump_id == 201
    schedule.done(first)


@pytest.mark.parametrize("waiting", [False, True])
def test_a_stop_ends_all(waiting):
    schedule = Schedule([share(1, 2), share(2, 1)])
    schedule.take()
    if waiting:
        schedule.take()
        timer = threading.Timer(0.05, schedule.stop)
        timer.start()
    else:
        schedule.stop()
    assert schedule.take() is None
    assert schedule.stopped


TABLE = st.tuples(st.integers(0, 3 * WORTH_BYTES), st.lists(st.sampled_from(["INDEX", "CONSTRAINT"]), max_size=3))


@given(st.lists(TABLE, min_size=1, max_size=6), st.integers(1, 4), st.randoms())
def test_everything_is_handed_out_at_most_once_and_in_order(tables, workers, random):
    """Whatever the workers' speed: all tables are loaded, no index comes before its table, and no two hold locks that exclude each other."""
    shares = [share(number, size, *kinds) for number, (size, kinds) in enumerate(tables, 1)]
    schedule = Schedule(shares)
    loaded, built, busy = [], [], []
    while True:
        # one that would wait is not asked
        room = len(busy) < workers
        item = None
        if room and (schedule._tables or not schedule._busy or schedule._next_index()):
            item = schedule.take()
        if item is not None:
            busy.append(item)
            if isinstance(item, Index):
                assert len(loaded) + sum(isinstance(each, TableShare) for each in busy) == len(shares)
                assert item.table[1] in {each.target.table for each in loaded}
        elif busy:
            done = busy.pop(random.randrange(len(busy)))
            (loaded.append(done) if isinstance(done, TableShare) else built.append(done.entry.dump_id))
            schedule.done(done)
        else:
            break
        building = [each for each in busy if isinstance(each, Index)]
        assert not any(mine.table == other.table and mine.alone for mine in building for other in building if other is not mine)
    assert sorted(each.target.table for each in loaded) == sorted(each.target.table for each in shares)
    assert sorted(built) == sorted(schedule.built)
    assert len(set(built)) == len(built)
