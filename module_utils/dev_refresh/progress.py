"""Progress events of a working module, as JSON lines for whoever follows the file."""
from __future__ import annotations

import json
from pathlib import Path
from typing import Any, TextIO


class ProgressWriter:
    """Append one JSON object a line to ``path``; without a path, do nothing.

    Keys: ``phase`` (str), ``done`` and ``total`` (counts, total may be None), ``note`` (str, never a secret or personal data)
    and any further numbers. Raises OSError if the file cannot be opened.
    """

    def __init__(self, path: str | Path | None) -> None:
        self._file: TextIO | None = open(path, "a", encoding="utf-8", buffering=1) if path else None  # noqa: SIM115 - kept open until close()

    def emit(self, phase: str, done: int, total: int | None = None, note: str = "", **more: Any) -> None:
        """Write one event."""
        if self._file is not None:
            self._file.write(json.dumps({"phase": phase, "done": done, "total": total, "note": note, **more}) + "\n")

    def close(self) -> None:
        """Close the file; further events are an error."""
        if self._file is not None:
            self._file.close()
