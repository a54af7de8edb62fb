"""The log on the host: one JSON line a request, enough to answer a question a week later; never tokens, bodies or personal data."""

from __future__ import annotations

import json
import os
import threading
from pathlib import Path
from typing import IO, Any

from ..errors import RefreshError
from ..run_id import new_run_id
from .clock import Clock, SystemClock

SYSTEM_FOLDER = "/var/log/dev_refresh"
SUFFIX = ".jsonl"


def default_log_dir() -> str:
    """Return the system's log folder for root, else a folder in the user's state folder."""
    if os.geteuid() == 0:
        return SYSTEM_FOLDER
    return str(Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state") / "dev_refresh")


class RequestLog:
    """Append to ``<folder>/<run id>.<module>.jsonl``; logs of the newest ``keep`` runs stay.

    Raises RefreshError if the folder cannot be written to.
    """

    def __init__(self, folder: str | None, *, module: str, run_id: str | None = None, keep: int = 30, clock: Clock | None = None) -> None:
        self._clock = clock or SystemClock()
        self._lock = threading.Lock()
        self._folder = Path(folder or default_log_dir()).expanduser()
        self._run_id = run_id or new_run_id()
        self.path = self._folder / f"{self._run_id}.{module}{SUFFIX}"
        self._file: IO[str] | None = None
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            handle = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
            self._file = open(handle, "a", encoding="utf-8", buffering=1)  # noqa: SIM115 - open as long as the log
            self._prune(max(keep, 1))
        except OSError as error:
            self.close()
            raise RefreshError(
                f"The log {self.path} cannot be written ({error.strerror}). Set xero_seed_log_dir to a folder that the module's user can write to."
            ) from None

    def request(
        self,
        method: str,
        path: str,
        status: int | None,
        seconds: float,
        *,
        attempt: int = 1,
        key: str | None = None,
        page: int | None = None,
        error: str | None = None,
        minute_remaining: int | None = None,
        day_remaining: int | None = None,
    ) -> None:
        """Note one request; ``path`` without its query."""
        self.write(
            "request",
            method=method,
            path=path,
            status=status,
            ms=round(seconds * 1000),
            attempt=attempt,
            key=key,
            page=page,
            error=error,
            minute_remaining=minute_remaining,
            day_remaining=day_remaining,
        )

    def outcome(self, entity: str, key: str, action: str, **more: Any) -> None:
        """Note what was done with one row, and where it matters the Xero id and the reason."""
        self.write("outcome", entity=entity, key=key, action=action, **more)

    def write(self, kind: str, **fields: Any) -> None:
        """Append one line; None is left out."""
        told = {name: value for name, value in fields.items() if value is not None}
        line = {"time": self._clock.utc().isoformat(timespec="milliseconds"), "kind": kind, **told}
        with self._lock:
            if self._file is not None:
                self._file.write(json.dumps(line, default=str) + "\n")

    def close(self) -> None:
        """Close the file; what is written later is dropped."""
        with self._lock:
            if self._file is not None:
                self._file.close()
                self._file = None

    def _prune(self, keep: int) -> None:
        """Remove the logs of all but the newest runs; run ids sort by their time."""
        logs: dict[str, list[Path]] = {}
        for path in self._folder.glob(f"*.*{SUFFIX}"):
            logs.setdefault(path.name.split(".", 1)[0], []).append(path)
        for run in sorted(logs)[:-keep]:
            if run != self._run_id:
                for path in logs[run]:
                    path.unlink(missing_ok=True)
