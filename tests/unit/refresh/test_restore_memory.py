"""How much memory the jobs of a restore get."""
from __future__ import annotations

import pytest
from ansible.module_utils.dev_refresh.refresh import memory
from ansible.module_utils.dev_refresh.refresh.memory import available_memory, sort_memory


@pytest.mark.parametrize(("available", "jobs", "megabytes"), [(0, 2, 0), (1 << 30, 2, 64), (16 << 30, 2, 256), (16 << 30, 64, 32), (1 << 30, 0, 128)])
def test_all_jobs_together_take_a_part_of_what_is_available(available, jobs, megabytes):
    assert sort_memory(available, jobs=jobs) == megabytes << 20


@pytest.mark.parametrize("text", ["", "MemTotal: 5 kB\n", "MemAvailable:\n", "MemAvailable: much\n"])
def test_a_system_that_does_not_say_has_none_to_spare(monkeypatch, tmp_path, text):
    (tmp_path / "meminfo").write_text(text)
    monkeypatch.setattr(memory, "_MEMINFO", str(tmp_path / "meminfo"))
    assert available_memory() == 0
    monkeypatch.setattr(memory, "_MEMINFO", "/no/such")
    assert available_memory() == 0


def test_what_the_system_says_counts(monkeypatch, tmp_path):
    (tmp_path / "meminfo").write_text("MemTotal:        9 kB\nMemAvailable:    7 kB\n")
    monkeypatch.setattr(memory, "_MEMINFO", str(tmp_path / "meminfo"))
    assert available_memory() == 7 * 1024
