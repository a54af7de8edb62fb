"""Runs of ansible-playbook as a user starts them: from the checkout, with its configuration, with nothing of the caller's own settings."""
from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
BIN = Path(sys.executable).parent
PLAYBOOK = "restore_dev.yml"


def command_line(*arguments: str, playbook: str = PLAYBOOK, extra: Mapping[str, Any] | None = None, inventory: Sequence[str] = ()) -> list[str]:
    """Return the command line of a run; ``extra`` are variables."""
    more = ["-e", json.dumps(extra)] if extra else []
    return [str(BIN / "ansible-playbook"), *inventory, playbook, *arguments, *more]


def environment_of(world: Path) -> dict[str, str]:
    """Return the environment of a run in this world."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("ANSIBLE_", "PG"))}
    return {
        **kept,
        "PATH": f"{BIN}:{kept.get('PATH', '')}",
        "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"),
        "DEV_REFRESH_WORLD": str(world),
        # as versions before 2.21 do: with -vvv whatever a module was given is shown
        "ANSIBLE_INJECT_INVOCATION": "1",
        "PYTHONUNBUFFERED": "1",
        "ANSIBLE_NOCOLOR": "1",
        "COLUMNS": "200",
    }


def run_to_end(command: Sequence[str], environment: Mapping[str, str], *, seconds: float) -> tuple[int, str]:
    """Run a command in the checkout; return its code, and all that it said."""
    done = subprocess.run(
        command, cwd=ROOT, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=seconds, check=False
    )
    return done.returncode, done.stdout


def changes(output: str, host: str) -> int:
    """Return the recap's count of changes for a host."""
    recap = [line for line in output.splitlines() if line.startswith(f"{host} ") and "changed=" in line]
    return int(recap[-1].split("changed=")[1].split()[0])
