"""Make the product's code importable just as Ansible imports it."""
from __future__ import annotations

import sys
from pathlib import Path

import ansible.module_utils
import pytest

ROOT = Path(__file__).resolve().parent.parent
ansible.module_utils.__path__.append(str(ROOT / "module_utils"))
for folder in ("library", "demo"):
    sys.path.insert(0, str(ROOT / folder))


NOTED = {
    "crash points": "Crash points: {} tried; the next run ended in the undisturbed state after each of them.",
    "forecasts": "Forecasts: {} situations; the next run did what was foretold in each of them.",
}
"""Properties that tests note, a number each, and what the end of the test run says of their sum."""


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say at how many points runs were made to die, and the like, also with several workers."""
    passed = terminalreporter.stats.get("passed", [])
    for noted, said in NOTED.items():
        tried = sum(value for report in passed for name, value in report.user_properties if name == noted)
        if tried:
            terminalreporter.write_line(said.format(tried))
