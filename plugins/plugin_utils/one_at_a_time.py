"""Seeds of one organisation from this controller, one after the other: a lock that ends with whoever holds it."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

POLL = 0.5
WINDOW = 60.0


class Turn:
    """What the holder knows of those before it, and leaves to the next one."""

    def __init__(self, file: int, before: list[float]) -> None:
        self._file = file
        self.recent = before
        """Ages in seconds of the calls that seeds before this one made within the last minute."""

    def leave(self, recent: list[float]) -> None:
        """Leave the ages of our own calls of the last minute."""
        now = time.time()
        _write(self._file, {"calls": [now - age for age in recent if age < WINDOW]})


@contextmanager
def one_at_a_time(key: str, holder: str, waiting: Callable[[str], None]) -> Iterator[Turn]:
    """Hold the lock of ``key``; while another one does, wait, and tell once for whom."""
    folder = Path(tempfile.gettempdir()) / f"dev_refresh_locks_{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    if folder.lstat().st_uid != os.getuid():
        raise OSError(13, "belongs to another user", str(folder))
    path = folder / f"{hashlib.sha256(key.encode()).hexdigest()[:24]}.json"
    file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        told = False
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if not told:
                    waiting(str(_read(file).get("holder", "another run")))
                    told = True
                time.sleep(POLL)
        now = time.time()
        calls = [now - moment for moment in _read(file).get("calls", []) if 0 <= now - moment < WINDOW]
        _write(file, {"holder": holder, "calls": [now - age for age in calls]})
        yield Turn(file, calls)
    finally:
        os.close(file)


def _read(file: int) -> dict[str, Any]:
    with contextlib.suppress(OSError, ValueError):
        found = json.loads(os.pread(file, 1 << 20, 0))
        if isinstance(found, dict):
            return found
    return {}


def _write(file: int, content: dict[str, Any]) -> None:
    data = json.dumps(content).encode()
    os.pwrite(file, data, 0)
    os.ftruncate(file, len(data))
