"""Progress that cannot be written: said before anything is done, and of no harm afterwards."""
from __future__ import annotations

import json
import os

import pytest
from ansible.module_utils.dev_refresh.errors import RefreshError
from ansible.module_utils.dev_refresh.progress import ProgressWriter


def test_one_line_for_each_event(tmp_path):
    writer = ProgressWriter(tmp_path / "events")
    writer.emit("contacts", 1, 2, failed=0)
    writer.emit("contacts", 2, 2, "done", failed=1)
    writer.close()
    events = [json.loads(line) for line in (tmp_path / "events").read_text().splitlines()]
    assert events == [
        {"phase": "contacts", "done": 1, "total": 2, "note": "", "failed": 0},
        {"phase": "contacts", "done": 2, "total": 2, "note": "done", "failed": 1},
    ]


@pytest.mark.parametrize("path", ["no/such/folder/events", ".", "nul\0byte"])
def test_a_file_that_cannot_be_opened_is_named_with_what_to_do(tmp_path, path):
    with pytest.raises(RefreshError, match=r"progress file .* cannot be written: .* Correct progress_file, or leave it out") as caught:
        ProgressWriter(f"{tmp_path}/{path}")
    assert "Nothing was changed" in str(caught.value)


def test_a_file_that_fails_later_fails_nothing():
    """/dev/full takes a file's opening and refuses its first line; a pipe's reader may go at any time."""
    writer = ProgressWriter("/dev/full")
    for number in range(3):
        writer.emit("contacts", number)
    writer.close()
    reader, end = os.pipe()
    writer = ProgressWriter(f"/proc/self/fd/{end}")
    os.close(end)
    os.close(reader)
    writer.emit("contacts", 1)
    writer.close()


def test_events_after_the_end_are_dropped(tmp_path):
    writer = ProgressWriter(tmp_path / "events")
    writer.close()
    writer.emit("contacts", 1)
    writer.close()
    assert (tmp_path / "events").read_text() == ""
