"""Who restores what of a dump: the rows of ordinary tables are loaded by sessions of our own, everything else by pg_restore.

pg_restore uncompresses with zlib, and loads rows so that each has to be looked at once more, by the first who reads it, whether it was committed
(PostgreSQL docs, COPY, FREEZE). Both cost more than all our checks together. So the list of contents is divided: first what tables need, then the
rows, then the rest; and the indexes of a table that is loaded need not wait for the other tables.
"""
from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from .blocks import Block, locate_blocks
from .header import Header
from .toc import CopyTarget, TocEntry, codec, copy_target, encoding_of, read_archive, skipped

_HEAP = ("", "heap")
_INDEXES = ("INDEX", "CONSTRAINT")


@dataclass(frozen=True, slots=True)
class TableShare:
    """A table whose rows we load, and its indexes, which may be built as soon as they are there; ``size`` is that of the stored rows in bytes."""

    block: Block
    target: CopyTarget
    indexes: tuple[TocEntry, ...]

    @property
    def size(self) -> int:
        """Return about how many bytes the rows take in the dump."""
        return self.block.size


@dataclass(frozen=True, slots=True)
class Shares:
    """The division: entries that come before the rows, tables that we load, and other rows and what comes after them, which pg_restore does.

    ``in_order``: with these rows pg_restore must be done before it begins with what comes after.
    """

    header: Header
    before: tuple[TocEntry, ...]
    tables: tuple[TableShare, ...]
    data: tuple[TocEntry, ...]
    after: tuple[TocEntry, ...]
    in_order: bool


def share_out(path: str) -> Shares:
    """Return the division of a dump; raises DamagedArchiveError and OSError."""
    header, entries, data_start = read_archive(path)
    blocks = locate_blocks(path, header, entries, data_start) if encoding_of(entries) == "UTF8" else None
    skip = skipped(entries)
    return divide_entries(header, [entry for entry in entries if entry.dump_id not in skip], blocks or [], codec(entries))


def divide_entries(header: Header, entries: Sequence[TocEntry], blocks: Iterable[Block], encoding: str = "utf-8") -> Shares:
    """Divide the wanted entries, which are in the archive's order; we load what is in ``blocks`` and can be loaded by us."""
    before, rest, after = _by_section(entries)
    tables = {(entry.schema, entry.name): entry for entry in before if entry.kind == "TABLE" and entry.access_method in _HEAP}
    block_of = {block.entry.dump_id: block for block in blocks}
    ours: dict[int, tuple[TocEntry, CopyTarget]] = {}
    elsewhere = False
    for entry in rest:
        target = copy_target(entry.copy, encoding) if entry.kind == "TABLE DATA" and entry.copy else None
        if target is None:
            continue
        if (target.schema or entry.schema, target.table) != (entry.schema, entry.name):
            elsewhere = True
            continue
        # without its TABLE entry it belongs to an extension, which may have put rows of its own into it
        table = tables.get((entry.schema, entry.name))
        if table is not None and entry.dump_id in block_of:
            ours[table.dump_id] = (entry, CopyTarget(entry.schema, entry.name, target.columns))
    indexes = _indexes(before, after, {table: entry for table, (entry, _) in ours.items()})
    loaded = {entry.dump_id for entry, _ in ours.values()}
    return Shares(
        header,
        tuple(before),
        tuple(TableShare(block_of[entry.dump_id], target, tuple(indexes.get(table, ()))) for table, (entry, target) in ours.items()),
        tuple(entry for entry in rest if entry.dump_id not in loaded),
        tuple(after),
        # pg_dump --load-via-partition-root: nothing says which tables get the rows, so triggers and foreign keys of these could come before them
        in_order=elsewhere,
    )


def _by_section(entries: Sequence[TocEntry]) -> tuple[list[TocEntry], list[TocEntry], list[TocEntry]]:
    """Return the entries of the sections pre-data, data and post-data; what is of no section goes with the entry before it, as in pg_restore."""
    sections: dict[str, list[TocEntry]] = {"pre-data": [], "data": [], "post-data": []}
    section = "pre-data"
    for entry in entries:
        section = entry.section or section
        sections[section].append(entry)
    return sections["pre-data"], sections["data"], sections["post-data"]


def _indexes(before: Sequence[TocEntry], after: Sequence[TocEntry], data_of: dict[int, TocEntry]) -> dict[int, list[TocEntry]]:
    """Return, by the table's dump id, the indexes that need nothing but that table's rows and what comes before all rows."""
    there = {entry.dump_id for entry in before}
    tables = {entry.dump_id for entry in before if entry.kind == "TABLE"}
    found: dict[int, list[TocEntry]] = {}
    for entry in after:
        if entry.kind not in _INDEXES:
            continue
        # an index of expressions names its table several times
        table, *others = {number for number in entry.dependencies if number in tables} or {0}
        if not others and table in data_of and all(number in there or number == data_of[table].dump_id for number in entry.dependencies):
            found.setdefault(table, []).append(entry)
    return found
