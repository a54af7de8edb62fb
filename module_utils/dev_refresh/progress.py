"""Progress events of a working module, as JSON lines for whoever follows the file."""
from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from typing import Any, TextIO

from .errors import RefreshError


def time_words(least: float, most: float) -> str:
    """Return a time between two numbers of minutes for a person."""
    if most < 1:
        return "less than a minute"
    low, high = round(least), round(most)
    if low == high:
        return f"about {high} minute{'s' if high > 1 else ''}"
    return f"{low} to {high} minutes" if low else f"up to {high} minute{'s' if high > 1 else ''}"


class ProgressWriter:
    """Append one JSON object a line to ``path``; without a path, do nothing.

    Keys: ``phase`` (str), ``done`` and ``total`` (counts, total may be None), ``note`` (str, never a secret or personal data)
    and any further numbers. Raises RefreshError if the file cannot be opened; a file that fails later is written to no more,
    since no run may fail half way for want of somebody to watch it.
    """

    def __init__(self, path: str | Path | None) -> None:
        self._file: TextIO | None = None
        try:
            self._file = open(path, "a", encoding="utf-8", buffering=1) if path else None  # noqa: SIM115 - kept open until close()
        except (OSError, ValueError) as error:
            why = error.strerror if isinstance(error, OSError) else str(error)
            raise RefreshError(f"The progress file {path} cannot be written: {why}. Nothing was changed. Correct progress_file, or leave it out.") from None

    def emit(self, phase: str, done: int, total: int | None = None, note: str = "", **more: Any) -> None:
        """Write one event."""
        if self._file is None:
            return
        try:
            self._file.write(json.dumps({"phase": phase, "done": done, "total": total, "note": note, **more}) + "\n")
        except (OSError, ValueError):
            self.close()

    def close(self) -> None:
        """Close the file; further events are dropped."""
        file, self._file = self._file, None
        if file is not None:
            with suppress(OSError):  # what could not be written is tried once more here
                file.close()
