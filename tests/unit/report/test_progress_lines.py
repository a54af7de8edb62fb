"""Progress events become lines."""

from __future__ import annotations

import json

from ansible.module_utils.dev_refresh.report.progress_lines import ProgressReader, line


def text(*events: dict) -> str:
    return "".join(json.dumps(event) + "\n" for event in events)


def test_a_line_says_who_where_how_far_how_fast_how_long_and_what_failed():
    event = {"phase": "projects", "done": 312, "total": 620, "per_minute": 58, "seconds_left": 318, "failed": 4, "note": ""}
    assert line("xero_seed", "dev1", event) == "xero_seed dev1 projects 312/620 · 58/min · about 5 min left · 4 failed"


def test_a_wait_says_why():
    assert line("xero_seed", "dev1", {"phase": "projects", "done": 60, "total": 100, "note": "waiting 26 s for Xero's minute limit"}).endswith(
        "60/100 · waiting 26 s for Xero's minute limit"
    )


def test_bytes_are_for_people_and_nothing_is_counted_where_there_is_nothing():
    event = {"phase": "stage", "done": 9_400_000, "total": None, "note": "in the staging database", "dump_bytes": 10_000_000}
    assert line("pg_refresh", "dev1", event) == "pg_refresh dev1 stage 9.4 MB of about 16.0 MB · in the staging database"
    assert line("pg_refresh", "dev1", {"phase": "stage", "done": 0, "total": None, "note": "restoring"}) == "pg_refresh dev1 stage · restoring"


def test_one_line_a_second_and_always_the_last():
    reader = ProgressReader("xero_seed", "dev1")
    first = list(reader.feed(text(*({"phase": "contacts", "done": n, "total": 100} for n in range(50))), 10.0))
    assert first == ["xero_seed dev1 contacts 0/100"]
    assert list(reader.feed(text({"phase": "contacts", "done": 60, "total": 100}), 11.5)) == ["xero_seed dev1 contacts 60/100"]
    rest = list(reader.feed(text({"phase": "contacts", "done": 99, "total": 100}, {"phase": "projects", "done": 0, "total": 5}), 11.6))
    assert rest == ["xero_seed dev1 contacts 99/100", "xero_seed dev1 projects 0/5"]
    assert list(reader.feed(text({"phase": "projects", "done": 1, "total": 5}), 11.7)) == []
    assert list(reader.finish()) == ["xero_seed dev1 projects 1/5"]


def test_a_torn_line_waits_and_rubbish_is_passed_over():
    reader = ProgressReader("pg_refresh", "dev1")
    assert list(reader.feed('{"phase": "stage", "do', 1.0)) == []
    assert list(reader.feed('ne": 1, "total": 2}\nnot json\n[1]\n{"phase": 3}\n', 1.1)) == ["pg_refresh dev1 stage 1/2"]
