"""An inventory of hosts that use one demo world, and runs of the playbooks on it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from world.lifecycle import World

ROOT = Path(__file__).resolve().parents[3]


@dataclass(frozen=True)
class Done:
    """A run of ansible-playbook that has ended."""

    code: int
    output: str
    folder: Path

    @property
    def text(self) -> str:
        """Return the output with its line breaks taken out, for comparing sentences."""
        return " ".join(self.output.split())

    def report(self, host: str, *, check: bool = False) -> dict[str, Any]:
        """Return the report of a host."""
        return json.loads((self.folder / "reports" / f"{host}{'.check' if check else ''}.json").read_text())

    def changed(self, host: str) -> int:
        """Return the recap's count of changes."""
        recap = [line for line in self.output.splitlines() if line.startswith(f"{host} ") and "changed=" in line]
        return int(recap[-1].split("changed=")[1].split()[0])


@dataclass(frozen=True)
class Fleet:
    """A world, and an inventory of hosts that use it."""

    world: World
    hosts: dict[str, dict[str, Any]]

    def inventory(self) -> list[str]:
        """Write the inventory: the demo's variables, and hosts of our own."""
        folder = self.world.folder / "inventory"
        folder.mkdir(exist_ok=True)
        shutil.copytree(ROOT / "inventory" / "demo" / "group_vars", folder / "group_vars", dirs_exist_ok=True)
        (folder / "hosts.yml").write_text(json.dumps({"all": {"children": {"dev": {"hosts": self.hosts}}}}, indent=2))
        return ["-i", str(folder)]

    def command(self, *arguments: str, playbook: str = "restore_dev.yml", extra: dict[str, Any] | None = None) -> list[str]:
        """Return the command line of a run."""
        more = ["-e", json.dumps(extra)] if extra else []
        return [str(Path(sys.executable).parent / "ansible-playbook"), *self.inventory(), playbook, *arguments, *more]

    @property
    def environment(self) -> dict[str, str]:
        """Return the environment of a run."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("ANSIBLE_", "PG"))}
        return {
            **kept,
            "PATH": f"{Path(sys.executable).parent}:{kept.get('PATH', '')}",
            "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"),
            "DEV_REFRESH_WORLD": str(self.world.folder),
            "PYTHONUNBUFFERED": "1",
            "ANSIBLE_NOCOLOR": "1",
            "COLUMNS": "200",
        }

    def run(self, *arguments: str, playbook: str = "restore_dev.yml", extra: dict[str, Any] | None = None) -> Done:
        """Run a playbook to its end."""
        done = subprocess.run(
            self.command(*arguments, playbook=playbook, extra=extra),
            cwd=ROOT,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=400,
            check=False,
        )
        return Done(done.returncode, done.stdout, self.world.folder)
