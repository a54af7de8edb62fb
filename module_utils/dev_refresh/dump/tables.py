"""One table out of a dump: its columns and its rows, for forecasts that must not restore anything."""
from __future__ import annotations

import difflib
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ..errors import RefreshError
from ..processes.children import clean_environment, popen_child
from .blocks import Block, block_data, locate_blocks
from .data import BLOCK_END, COPY_END
from .header import DamagedArchiveError, Header
from .programs import ClientPrograms
from .toc import TocEntry, codec, copy_target, read_archive

# what may follow the type in a column's line of CREATE TABLE, as pg_dump writes it
_AFTER_TYPE = re.compile(r" (?:COLLATE|STORAGE|COMPRESSION|DEFAULT|GENERATED|NOT NULL|CONSTRAINT|OPTIONS|WITH OPTIONS)\b")
_COLUMN = re.compile(r'    ("(?:[^"]|"")*"|[^\s"(]+) (.*)', re.DOTALL)


@dataclass(frozen=True, slots=True)
class TableDump:
    """A table in a dump.

    ``columns`` are those with data, in the order of the rows (generated columns have none); ``column_types`` are as in CREATE TABLE, ``text``
    where it does not say; ``copy_text`` yields the rows in COPY's text format, and can be used once.
    """

    schema: str
    name: str
    columns: list[str]
    column_types: dict[str, str]
    encoding: str
    copy_text: Iterator[bytes]


def needs_program(path: str) -> bool:
    """Tell whether only pg_restore reads the data of this dump; one that cannot be read at all needs none."""
    try:
        header, entries, data_start = read_archive(path)
        return locate_blocks(path, header, entries, data_start) is None
    except (DamagedArchiveError, OSError):
        return False


def read_table(programs: ClientPrograms | None, path: str, table: str, *, deadline: float = 3600) -> TableDump:
    """Return the table of this name (``schema.table``, or a name that is public's or only one schema's).

    Of a partitioned table the rows of all its partitions come. Without ``programs`` the dump must be one that ``needs_program`` of none, and
    each table is in memory. Raises RefreshError if the dump does not have it, or has it as INSERTs.
    """
    try:
        header, entries, data_start = read_archive(path)
        blocks = locate_blocks(path, header, entries, data_start) or [] if programs is None else []
    except (DamagedArchiveError, OSError) as exc:
        raise RefreshError(f"{path} cannot be read: {exc}. Give another dump, or copy it again.") from None
    entry = _find(path, entries, table)
    parts = _data_of(entry, entries)
    if not parts or not all(part.copy for part in parts):
        what = "holds no data of it" if not parts else "holds it as INSERT statements"
        raise RefreshError(f"Table {table} cannot be read from {path}: the dump {what}. Make the dump with: pg_dump -Fc -f <file> <database>")
    encoding = codec(entries)
    targets = [copy_target(part.copy, encoding) for part in parts]
    orders = {target.columns for target in targets if target is not None}
    if len(orders) != 1 or None in targets:
        what = "its partitions have their columns in different orders"
        raise RefreshError(f"Table {table} cannot be read from {path}: {what}. Leave the dump out of the forecast.")
    columns = list(orders.pop())
    types = {**dict.fromkeys(columns, "text"), **{name: kind for name, kind in column_types(entry.definition).items() if name in columns}}
    rows = _rows_read_here(header, path, parts, blocks) if programs is None else _rows(programs, path, parts, deadline)
    return TableDump(entry.schema, entry.name, columns, types, encoding, rows)


def column_types(definition: str) -> dict[str, str]:
    """Return the type of each column of a CREATE TABLE statement as pg_dump writes it: one column a line, four spaces before it."""
    start = definition.find("(\n")
    stop = definition.find("\n)", start)
    found: dict[str, str] = {}
    if start < 0 or stop < 0:
        return found
    for line in re.split(r",\n(?=    \S)", definition[start + 2 : stop]):
        match = _COLUMN.fullmatch(line)
        if match is None or match[1] == "CONSTRAINT":
            continue
        name = match[1][1:-1].replace('""', '"') if match[1].startswith('"') else match[1]
        found[name] = _AFTER_TYPE.split(match[2], maxsplit=1)[0]
    return found


def _find(path: str, entries: Sequence[TocEntry], table: str) -> TocEntry:
    """Return the entry of the table's definition."""
    tables = [entry for entry in entries if entry.kind == "TABLE"]
    exact = [entry for entry in tables if table in (entry.full_name, entry.full_name.removeprefix("public."))]
    named = [entry for entry in tables if entry.name == table]
    if exact or len(named) == 1:
        return (exact or named)[0]
    close = difflib.get_close_matches(table, [entry.full_name for entry in tables] + [entry.name for entry in tables], n=3)
    hint = f" The nearest are: {', '.join(close)}." if close else ""
    raise RefreshError(f"The dump {path} has no table {table}.{hint} Correct the mapping, or give the right dump.")


def _data_of(entry: TocEntry, entries: Sequence[TocEntry]) -> list[TocEntry]:
    """Return the entries with the table's rows: its own, and those of its partitions, theirs included."""
    # "ALTER TABLE ONLY parent ATTACH PARTITION child ..." depends on both, on the parent first
    children: dict[int, list[int]] = {}
    for attach in entries:
        if attach.kind == "TABLE ATTACH" and len(attach.dependencies) >= 2:
            parent, child = _attached(attach, entries)
            children.setdefault(parent, []).append(child)
    wanted = [entry.dump_id]
    for number in wanted:
        wanted += [child for child in children.get(number, []) if child not in wanted]
    tables = {(e.schema, e.name) for e in entries if e.dump_id in set(wanted)}
    return [e for e in entries if e.kind == "TABLE DATA" and (e.schema, e.name) in tables]


def _attached(attach: TocEntry, entries: Sequence[TocEntry]) -> tuple[int, int]:
    """Return the dump ids of parent and child; the entry carries the child's name."""
    tables = [e for e in entries if e.kind == "TABLE" and e.dump_id in attach.dependencies]
    child = next((e.dump_id for e in tables if (e.schema, e.name) == (attach.schema, attach.name)), 0)
    parent = next((e.dump_id for e in tables if e.dump_id != child), 0)
    return parent, child


def _rows(programs: ClientPrograms, path: str, parts: Sequence[TocEntry], deadline: float) -> Iterator[bytes]:
    """Yield the rows of these entries, and nothing else."""
    for part in parts:
        # the list goes by standard input: exactly this entry, whatever characters its name has
        argv = [programs.pg_restore, "--section=data", "--use-list=/dev/stdin", "--file=-", path]
        with popen_child(argv, deadline=deadline, env=clean_environment(os.environ), stdin_bytes=f"{part.dump_id};\n".encode()) as child:
            yield from between(child.chunks(), b"\n" + part.copy, path, part.full_name)
            result = child.result()
            if result.timed_out or result.returncode != 0:
                words = "it took too long" if result.timed_out else " ".join(result.last_lines(3).split())
                raise RefreshError(f"Table {part.full_name} cannot be read from {path}: {words}. Copy the dump again, or make it again.")


def _rows_read_here(header: Header, path: str, parts: Sequence[TocEntry], blocks: Sequence[Block]) -> Iterator[bytes]:
    """Yield the rows of these entries without a program."""
    places = {block.entry.dump_id: block for block in blocks}
    for part in parts:
        try:
            if part.dump_id not in places:
                raise DamagedArchiveError("its data are read by pg_restore alone")
            data = b"".join(block_data(places[part.dump_id], header))
            if not (b"\n" + data).endswith(b"\n" + BLOCK_END):
                raise DamagedArchiveError("its data has no end")
        except (DamagedArchiveError, OSError) as exc:
            raise RefreshError(f"Table {part.full_name} cannot be read from {path}: {exc}. Copy the dump again, or make it again.") from None
        yield data[: -len(BLOCK_END)]


def between(chunks: Iterator[bytes], statement: bytes, path: str, table: str) -> Iterator[bytes]:
    """Yield what the chunks contain after the statement and before the end of its data."""
    carry, inside, done = b"\n", False, False
    for chunk in chunks:
        if done:
            continue
        data = carry + chunk
        if not inside:
            start = data.find(statement)
            if start < 0:
                carry = data[max(0, len(data) - len(statement) + 1) :]
                continue
            inside = True
            data = data[start + len(statement) - 1 :]
            first = True
        end = data.find(COPY_END)
        done = end >= 0
        keep = end + 1 if done else max(0, len(data) - len(COPY_END) + 1)
        if keep > first:
            # the first byte of all is the statement's own newline
            yield data[first:keep]
        if keep:
            first = False
        carry = data[keep:]
    if not done:
        raise RefreshError(f"Table {table} cannot be read from {path}: its data has no end. Copy the dump again, or make it again.")
