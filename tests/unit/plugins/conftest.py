"""Small plays in a folder of the test's own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[3]


def _process(folder: Path, *words: str, **environment: str) -> tuple[list[str], dict[str, Any]]:
    """Return command and surroundings of ``play.yml`` on ``hosts.yml`` of a folder, with the project's settings."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("ANSIBLE_", "DEV_REFRESH", "GITHUB_"))}
    more = {"ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "ANSIBLE_HOME": str(folder / "home"), "ANSIBLE_NOCOLOR": "1", **environment}
    command = [str(Path(sys.executable).parent / "ansible-playbook"), "-i", "hosts.yml", "play.yml", *words]
    return command, {"cwd": folder, "env": {**kept, **more}, "stdin": subprocess.DEVNULL, "text": True}


@pytest.fixture
def play(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Return what runs ``play.yml`` of the test's folder to its end."""

    def run(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
        command, options = _process(tmp_path, *words, **environment)
        return subprocess.run(command, capture_output=True, timeout=120, check=False, **options)

    return run


@pytest.fixture
def start_play(tmp_path: Path) -> Callable[..., subprocess.Popen[str]]:
    """Return what starts ``play.yml`` of the test's folder."""

    def start(*words: str, **environment: str) -> subprocess.Popen[str]:
        command, options = _process(tmp_path, *words, **environment)
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, **options)

    return start
