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


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say at how many points runs were made to die (tests note it as the property ``crash points``)."""
    passed = terminalreporter.stats.get("passed", [])
    tried = sum(value for report in passed for name, value in report.user_properties if name == "crash points")
    if tried:
        terminalreporter.write_line(f"Crash points: {tried} tried; the next run ended in the undisturbed state after each of them.")
