"""Write a host's report: JSON for programs, Markdown and HTML for people."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from . import html, markdown
from .figures import ranked

KEPT = 30
"""Runs of a host that stay in the history."""


def write(record: Mapping[str, Any], folder: Path) -> Path:
    """Write ``<host>.json``, ``.md`` and ``.html`` (``<host>.check.*`` in check mode) into ``folder``; return the Markdown's path.

    A run's report also goes to ``history/<host>/<time>.*``, where the last ``KEPT`` runs stay; a dry run's does not.
    Each file appears whole or not at all. Raises OSError if the folder cannot be written.
    """
    name = str(record["host"]).replace("/", "_")
    if record["mode"] == "check":
        return _write_pages(record, folder, f"{name}.check")
    history = folder / "history" / name
    _write_pages(record, history, str(record["finished"]).replace(":", "").replace("-", ""))
    _prune(history)
    return _write_pages(record, folder, name)


def write_fleet(records: Sequence[tuple[Mapping[str, Any], Path | None]], folder: Path) -> Path:
    """Write ``all.md`` and ``all.html`` (``all.check.*`` in check mode) over several hosts, each record with its own page; return the Markdown's path."""
    stem = "all.check" if records[0][0]["mode"] == "check" else "all"
    links = {record["host"]: os.path.relpath(page.with_suffix(".html"), folder) if page else None for record, page in records}
    found = ranked([record for record, _ in records])
    folder.mkdir(parents=True, exist_ok=True)
    _replace(folder / f"{stem}.html", html.render_fleet([(record, links[record["host"]]) for record in found]))
    _replace(folder / f"{stem}.md", markdown.render_fleet(found))
    return folder / f"{stem}.md"


def _write_pages(record: Mapping[str, Any], folder: Path, stem: str) -> Path:
    """Write the three files; return the Markdown's path."""
    folder.mkdir(parents=True, exist_ok=True)
    page = folder / f"{stem}.md"
    _replace(folder / f"{stem}.json", json.dumps(record, indent=2, ensure_ascii=False, default=str) + "\n")
    _replace(page, markdown.render(record))
    _replace(folder / f"{stem}.html", html.render(record))
    return page


def _prune(history: Path) -> None:
    """Remove all but the last runs; their names sort by time."""
    for old in sorted(history.glob("*.json"))[:-KEPT]:
        for path in (old.with_suffix(".md"), old.with_suffix(".html"), old):
            path.unlink(missing_ok=True)


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
