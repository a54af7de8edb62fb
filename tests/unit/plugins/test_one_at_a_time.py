"""Seeds of one organisation from one controller run one after the other."""

from __future__ import annotations

import sys
import threading
import time
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).resolve().parents[3] / "plugins" / "plugin_utils"))

from one_at_a_time import one_at_a_time


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))


def test_the_second_waits_and_is_told_for_whom():
    events, inside = [], threading.Event()

    def first():
        with one_at_a_time("tenant", "dev1", events.append):
            inside.set()
            time.sleep(0.3)
            events.append("dev1 ends")

    thread = threading.Thread(target=first)
    thread.start()
    inside.wait(5)
    with one_at_a_time("tenant", "dev2", events.append):
        events.append("dev2 begins")
    thread.join()
    assert events == ["dev1", "dev1 ends", "dev2 begins"]


def test_another_organisation_does_not_wait():
    with one_at_a_time("one", "dev1", pytest.fail), one_at_a_time("two", "dev2", pytest.fail):
        pass


def test_the_next_one_knows_the_calls_of_the_last_minute():
    """Catches a second host that begins with a full minute's calls although the first has just used them."""
    with one_at_a_time("tenant", "dev1", pytest.fail) as turn:
        assert turn.recent == []
        turn.leave([1.0, 59.9, 70.0])
    with one_at_a_time("tenant", "dev2", pytest.fail) as turn:
        assert [round(age) for age in turn.recent] == [1, 60]


def test_an_error_frees_it():
    with pytest.raises(ValueError, match="stop"), one_at_a_time("tenant", "dev1", pytest.fail):
        raise ValueError("stop")
    with one_at_a_time("tenant", "dev2", pytest.fail):
        pass
