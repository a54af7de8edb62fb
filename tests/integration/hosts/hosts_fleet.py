"""An inventory of hosts that use one demo world, and runs of the playbooks on it."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from playbook_runs import PLAYBOOK, ROOT, changes, command_line, environment_of, run_to_end
from world.lifecycle import World


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
        return changes(self.output, host)


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

    def command(self, *arguments: str, playbook: str = PLAYBOOK, extra: dict[str, Any] | None = None) -> list[str]:
        """Return the command line of a run."""
        return command_line(*arguments, playbook=playbook, extra=extra, inventory=self.inventory())

    @property
    def environment(self) -> dict[str, str]:
        """Return the environment of a run."""
        return environment_of(self.world.folder)

    def run(self, *arguments: str, playbook: str = PLAYBOOK, extra: dict[str, Any] | None = None) -> Done:
        """Run a playbook to its end."""
        code, output = run_to_end(self.command(*arguments, playbook=playbook, extra=extra), self.environment, seconds=400)
        return Done(code, output, self.world.folder)
