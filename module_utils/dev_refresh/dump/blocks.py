"""Where an archive keeps the data of each entry, and reading them without pg_restore.

The layout is that of PostgreSQL's ``pg_backup_custom.c`` and ``pg_backup_directory.c``. Only what is common is read here: custom and directory
format, gzip or no compression. Everything else is left to pg_restore.
"""
from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import BinaryIO

from .header import DamagedArchiveError, Header
from .inflate import Inflater
from .toc import TocEntry

# a block's first byte in the custom format
_DATA, _LARGE_OBJECTS = 1, 3
_LARGE_OBJECT_KINDS = ("BLOBS", "BLOB")
_BUFFER = 1 << 20
_SMALLEST_BUFFER = 4096
_BATCH = 64 << 10
"""Stored bytes that are uncompressed at once: pg_dump writes pieces of 4 kB, and each call costs."""
_SKIPPED = 64 << 10

CUT_OFF = "it ends inside its data"


@dataclass(frozen=True, slots=True)
class Block:
    """The data of one entry: in which file, from where on, and how many bytes about they take there."""

    entry: TocEntry
    path: str
    offset: int
    size: int
    gzip_file: bool = False


def locate_blocks(path: str, header: Header, entries: Sequence[TocEntry], data_start: int) -> list[Block] | None:
    """Return where all data are, None if pg_restore has to read them; raises DamagedArchiveError and OSError."""
    wanted = [entry for entry in entries if entry.has_data]
    if header.compression not in ("gzip", "none"):
        return None
    if header.format == "directory":
        return _locate_files(path, wanted)
    if header.compression == "none":
        # pg_dump up to 15 writes a piece for each row, which pg_restore reads faster than we
        return None
    if any(entry.kind not in ("TABLE DATA", *_LARGE_OBJECT_KINDS) for entry in wanted):
        return None
    end = os.stat(path).st_size
    starts = {entry.dump_id: entry.offset for entry in wanted if entry.offset is not None}
    if len(starts) < len(wanted):
        # it was written to a pipe, so that pg_dump could not go back and note the places
        starts |= _scan(path, header, data_start, end)
    if missing := [entry for entry in wanted if entry.dump_id not in starts]:
        raise DamagedArchiveError(f"its data are not all there ({missing[0].kind.lower()} of {missing[0].full_name})")
    if any(starts[entry.dump_id] >= end for entry in wanted):
        raise DamagedArchiveError(CUT_OFF)
    ordered = sorted(starts[entry.dump_id] for entry in wanted)
    following = dict(zip(ordered, [*ordered[1:], end], strict=True))
    return [Block(entry, path, starts[entry.dump_id], max(0, following[starts[entry.dump_id]] - starts[entry.dump_id])) for entry in wanted]


def _locate_files(path: str, wanted: Sequence[TocEntry]) -> list[Block] | None:
    """Return the files of a directory dump; pg_restore too prefers a plain file to a compressed one."""
    found: list[Block] = []
    for entry in wanted:
        if entry.kind != "TABLE DATA" or not entry.file_name or os.path.basename(entry.file_name) != entry.file_name:
            return None
        plain = os.path.join(path, entry.file_name)
        name = plain if os.path.lexists(plain) else f"{plain}.gz"
        try:
            size = os.stat(name).st_size
        except FileNotFoundError:
            if os.path.lexists(f"{plain}.lz4") or os.path.lexists(f"{plain}.zst"):
                return None
            raise DamagedArchiveError(f"it lacks the file {entry.file_name} (table data of {entry.full_name})") from None
        found.append(Block(entry, name, 0, size, gzip_file=name != plain))
    return found


def _scan(path: str, header: Header, start: int, end: int) -> dict[int, int]:
    """Return where each block begins by its dump id, going from one piece to the next."""
    found: dict[int, int] = {}
    with open(path, "rb", buffering=_SKIPPED) as file:
        file.seek(start)
        while (position := file.tell()) < end:
            kind, dump_id = _block_head(file, header)
            found[dump_id] = position
            if kind == _LARGE_OBJECTS:
                while _integer(file, header):
                    _skip(file, header, end)
            else:
                _skip(file, header, end)
    return found


def _skip(file: BinaryIO, header: Header, end: int) -> None:
    """Go to the end of one stream of pieces."""
    while length := _integer(file, header):
        if file.seek(length, os.SEEK_CUR) > end:
            raise DamagedArchiveError(CUT_OFF)


def block_data(block: Block, header: Header) -> Iterator[bytes]:
    """Yield the uncompressed data of one block to its end.

    Raises DamagedArchiveError where it is not what pg_dump writes: cut off, of another entry, or with a wrong check sum.
    """
    # of a small block no more is read than there is of it
    with open(block.path, "rb", buffering=max(_SMALLEST_BUFFER, min(_BUFFER, block.size))) as file:
        if header.format == "directory":
            yield from _uncompressed(iter(lambda: file.read(_BATCH), b""), Inflater(gzip=True) if block.gzip_file else None)
            return
        file.seek(block.offset)
        kind, dump_id = _block_head(file, header)
        if dump_id != block.entry.dump_id:
            raise DamagedArchiveError("the places of its data are mixed up")
        if kind == _DATA:
            yield from _uncompressed(_pieces(file, header, block), Inflater())
            return
        while _integer(file, header):
            yield from _uncompressed(_pieces(file, header, block), Inflater())


def _uncompressed(pieces: Iterator[bytes], inflater: Inflater | None) -> Iterator[bytes]:
    """Yield one stream, uncompressed."""
    for stored in pieces:
        if inflater is None:
            yield stored
        else:
            yield from inflater.feed(stored)
    if inflater is not None:
        inflater.end()


def _pieces(file: BinaryIO, header: Header, block: Block) -> Iterator[bytes]:
    """Yield the stored pieces of one stream, some at once."""
    read, width = file.read, 1 + header.int_size
    end = os.fstat(file.fileno()).st_size
    batch: list[bytes] = []
    held = 0
    while True:
        head = read(width)
        if len(head) != width:
            raise DamagedArchiveError(CUT_OFF)
        if head[0]:
            raise DamagedArchiveError("a length in its data makes no sense")
        length = int.from_bytes(head[1:], "little")
        if not length:
            break
        # a length that a flipped bit made huge must not be allocated
        piece = read(length) if length <= end - block.offset else b""
        if len(piece) != length:
            raise DamagedArchiveError(CUT_OFF)
        batch.append(piece)
        held += length
        if held >= _BATCH:
            yield b"".join(batch)
            batch.clear()
            held = 0
    if batch:
        yield b"".join(batch)


def _block_head(file: BinaryIO, header: Header) -> tuple[int, int]:
    """Return kind and dump id of the block that begins here."""
    kind = file.read(1)
    if not kind:
        raise DamagedArchiveError(CUT_OFF)
    if kind[0] not in (_DATA, _LARGE_OBJECTS):
        raise DamagedArchiveError("a block of its data is of no known kind")
    return kind[0], _integer(file, header)


def _integer(file: BinaryIO, header: Header) -> int:
    data = file.read(1 + header.int_size)
    if len(data) != 1 + header.int_size:
        raise DamagedArchiveError(CUT_OFF)
    if data[0]:
        raise DamagedArchiveError("a number in its data makes no sense")
    return int.from_bytes(data[1:], "little")
