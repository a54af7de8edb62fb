"""Which of the running processes are ours: a process id alone may have been given to another one since."""
from __future__ import annotations

import json
import os
import signal
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from .files import write_private


@dataclass(frozen=True, slots=True)
class Process:
    """A process by its id and by the moment of its start (clock ticks since boot)."""

    pid: int
    started: int

    @classmethod
    def of(cls, pid: int) -> Process | None:
        """Return process ``pid``, or None if it does not run."""
        try:
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            return None
        # fields after the name: state first, start time twentieth; a zombie has ended
        return None if fields[0] in "ZX" else cls(pid, int(fields[19]))

    @classmethod
    def read(cls, pid_file: Path) -> Process | None:
        """Return the process that ``pid_file`` names if it still runs; a stale or broken file counts as none."""
        try:
            noted = cls(**json.loads(pid_file.read_text()))
        except (OSError, ValueError, TypeError):
            return None
        return noted if noted.runs else None

    def write(self, pid_file: Path) -> None:
        """Note the process in ``pid_file``."""
        write_private(pid_file, json.dumps(asdict(self)) + "\n")

    @property
    def runs(self) -> bool:
        """Tell whether this very process still runs."""
        return Process.of(self.pid) == self

    def stop(self, seconds: float = 10) -> None:
        """End the process, politely first, and wait for its end."""
        for number in (signal.SIGTERM, signal.SIGKILL):
            if not self.runs:
                return
            os.kill(self.pid, number)
            deadline = time.monotonic() + seconds
            while self.runs and time.monotonic() < deadline:
                time.sleep(0.02)
