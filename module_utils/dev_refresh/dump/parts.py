"""Divide the data of a dump among several readers, so that one core does not uncompress all of it alone."""
from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass

from .toc import TocEntry, list_text

WORTH_BYTES = 8 << 20
"""Compressed bytes from which a second reader is worth its start."""
MOST_READERS = 4


@dataclass(frozen=True, slots=True)
class Part:
    """What one reader reads: the listed entries, or everything where ``listing`` is None."""

    tables: tuple[TocEntry, ...]
    listing: str | None = None


def divide(path: str, entries: Sequence[TocEntry], *, readers: int | None = None) -> list[Part]:
    """Return parts of about the same size that together hold all data; the first one has whatever is not a table's rows.

    It is one part if the dump is small, or if the archive does not say where each table's data begin (it was written to a pipe).
    """
    tables = [entry for entry in entries if entry.kind == "TABLE DATA" and entry.copy]
    whole = [Part(tuple(tables))]
    count = min(readers or os.cpu_count() or 1, MOST_READERS, len(tables))
    if count < 2:
        return whole
    sizes = _sizes(path, entries)
    if sizes is None or sum(sizes.values()) < WORTH_BYTES:
        return whole
    loads = [0] * count
    loads[0] = sum(sizes.values()) - sum(sizes.get(entry.dump_id, 0) for entry in tables)
    reader_of: dict[int, int] = {}
    # the biggest first, each to whom has the least
    for entry in sorted(tables, key=lambda entry: -sizes.get(entry.dump_id, 0)):
        reader = loads.index(min(loads))
        loads[reader] += sizes.get(entry.dump_id, 0)
        reader_of[entry.dump_id] = reader
    parts: list[Part] = []
    for reader in range(count):
        mine = [entry for entry in entries if reader_of.get(entry.dump_id, 0) == reader]
        parts.append(Part(tuple(entry for entry in tables if reader_of[entry.dump_id] == reader), list_text(mine, {})))
    return parts


def _sizes(path: str, entries: Sequence[TocEntry]) -> dict[int, int] | None:
    """Return the stored bytes of each entry with data by dump id; None if they are not known."""
    try:
        if os.path.isdir(path):
            files = {name.split(".", 1)[0]: os.stat(os.path.join(path, name)).st_size for name in os.listdir(path) if ".dat" in name}
            return {entry.dump_id: files.get(str(entry.dump_id), 0) for entry in entries if entry.has_data}
        end = os.stat(path).st_size
    except OSError:
        return None
    if any(entry.has_data and entry.offset is None for entry in entries):
        return None
    starts = sorted((entry.offset, entry.dump_id) for entry in entries if entry.has_data and entry.offset is not None)
    following = [start for start, _ in starts[1:]] + [end]
    return {dump_id: max(0, after - start) for (start, dump_id), after in zip(starts, following, strict=True)}
