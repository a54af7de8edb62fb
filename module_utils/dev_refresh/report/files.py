"""Write a host's report: JSON for programs, Markdown and HTML for people."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from . import html, markdown


def write(record: Mapping[str, Any], folder: Path) -> Path:
    """Write ``<host>.json``, ``.md`` and ``.html`` (``<host>.check.*`` in check mode) into ``folder``; return the Markdown's path.

    Each file appears whole or not at all. Raises OSError if the folder cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    stem = str(record["host"]).replace("/", "_") + (".check" if record["mode"] == "check" else "")
    _replace(folder / f"{stem}.json", json.dumps(record, indent=2, ensure_ascii=False, default=str) + "\n")
    page = folder / f"{stem}.md"
    _replace(page, markdown.render(record))
    _replace(folder / f"{stem}.html", html.render(record))
    return page


def _replace(path: Path, text: str) -> None:
    """Write ``text`` beside ``path`` and rename it there."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        Path(name).chmod(0o644)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
