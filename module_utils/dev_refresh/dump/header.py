"""The first bytes of a dump: what kind of file it is, and the header that pg_dump wrote. Needs no client program.

The layout is that of PostgreSQL's ``pg_backup_archiver.c`` (WriteHead, ReadHead), archive versions 1.10 (PostgreSQL 8.0) to 1.16 (17, 18).
"""
from __future__ import annotations

import os
import stat
import zlib
from dataclasses import dataclass
from datetime import datetime
from typing import BinaryIO

from ..errors import Finding

MAGIC = b"PGDMP"
DIRECTORY_TOC = "toc.dat"
NEWEST_ARCHIVE = (1, 16)
OLDEST_ARCHIVE = (1, 10)

RIGHT_COMMAND = "Make a dump in the custom format: pg_dump -Fc -f <file> <database>"
_DIRECTORY_COMMAND = "Copy the whole directory again, or make it again: pg_dump -Fd -f <directory> <database>"

_COMPRESSIONS = {0: "none", 1: "gzip", 2: "lz4", 3: "zstd"}
_CUSTOM, _TAR = 1, 3
_OFFSET_SET = 2
# the client that first wrote this archive version, and so the oldest that reads it
_OLDEST_CLIENT = {(1, 16): 17, (1, 15): 16, (1, 14): 12, (1, 13): 10}
_WRAPPERS = {
    b"\x1f\x8b": ("gzip", "gunzip"),
    b"BZh": ("bzip2", "bunzip2"),
    b"\xfd7zXZ": ("xz", "unxz"),
    b"\x28\xb5\x2f\xfd": ("zstd", "unzstd"),
    b"\x04\x22\x4d\x18": ("lz4", "unlz4"),
    b"PK\x03\x04": ("zip", "unzip"),
}
_ENCRYPTED = {b"Salted__": "OpenSSL", b"-----BEGIN PGP": "GnuPG", b"age-encryption.org": "age"}


class DamagedArchiveError(Exception):
    """The archive's bytes make no sense; the text says where."""


@dataclass(frozen=True, slots=True)
class Header:
    """What the header says; ``created`` is local time on the machine that made the dump (the archive names no zone), ISO 8601."""

    format: str
    version: tuple[int, int]
    compression: str
    created: str
    source_database: str
    server_version: str
    dump_version: str
    int_size: int = 4
    """Bytes of an integer in it, without the one for the sign."""

    @property
    def archive_version(self) -> str:
        """The archive's own version, for example ``1.14``."""
        return f"{self.version[0]}.{self.version[1]}"

    @property
    def oldest_client(self) -> int:
        """The oldest major version of pg_restore that reads this archive, 0 for any."""
        return _OLDEST_CLIENT.get(self.version, 0)

    @property
    def server_major(self) -> int:
        """The major version of the server that was dumped, 0 if unknown."""
        digits = self.server_version.split(".", 1)[0].split(" ", 1)[0]
        return int(digits) if digits.isdigit() else 0


class ArchiveReader:
    """Reads the archive's integers and strings one after the other; raises DamagedArchiveError where they end or make no sense."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._size = os.fstat(file.fileno()).st_size
        self._int_size = 4
        self._offset_size = 8
        self.encoding = "utf-8"

    def exactly(self, count: int) -> bytes:
        """Return the next ``count`` bytes."""
        if count > self._size:
            raise DamagedArchiveError(f"a length of {count} bytes is greater than the file")
        data = self._file.read(count)
        if len(data) != count:
            raise DamagedArchiveError("the file ends inside its header or list of contents")
        return data

    def set_sizes(self, int_size: int, offset_size: int) -> None:
        """Set how long integers and file offsets are."""
        if not 2 <= int_size <= 32 or not 2 <= offset_size <= 32:
            raise DamagedArchiveError("the sizes of its integers make no sense")
        self._int_size, self._offset_size = int_size, offset_size

    def integer(self) -> int:
        """Return the next integer: a byte for the sign, then the lowest byte first."""
        data = self.exactly(1 + self._int_size)
        value = int.from_bytes(data[1:], "little")
        return -value if data[0] else value

    def raw(self) -> bytes | None:
        """Return the next string's bytes, None for a null."""
        length = self.integer()
        return None if length < 0 else self.exactly(length)

    def text(self) -> str:
        """Return the next string, empty for a null."""
        return (self.raw() or b"").decode(self.encoding, "replace")

    def offset(self) -> int | None:
        """Return the next file offset, None if the archive does not say it or the entry has no data."""
        data = self.exactly(1 + self._offset_size)
        return int.from_bytes(data[1:], "little") if data[0] == _OFFSET_SET else None


def read_header(path: str) -> Header | Finding:
    """Return the header of the dump at ``path``, or what is wrong with it and how to make the right one."""
    refused = _refused_by_status(path)
    if refused is not None:
        return refused
    try:
        with open(toc_path(path), "rb") as file:
            start = file.read(1 << 16)
            if not start.startswith(MAGIC):
                return _name_the_kind(path, start)
            file.seek(0)
            return parse_header(ArchiveReader(file), directory=os.path.isdir(path))
    except DamagedArchiveError as exc:
        return Finding(f"{path} is damaged: {exc}", "Copy it again and compare its checksum with the one taken at the source")
    except _RefusedError as exc:
        return exc.finding(path)
    except OSError as exc:
        return Finding(f"{path} cannot be read: {exc.strerror}", "Correct its permissions, or run as a user who may read it")


def toc_path(path: str) -> str:
    """Return the file with the header and the list of contents: the dump itself, or ``toc.dat`` in a dump that is a directory."""
    return os.path.join(path, DIRECTORY_TOC) if os.path.isdir(path) else path


def parse_header(reader: ArchiveReader, *, directory: bool) -> Header:
    """Read the header from its first byte on; the reader then stands at the list of contents."""
    reader.exactly(len(MAGIC))
    major, minor, _revision = reader.exactly(3)
    version = (major, minor)
    if version > NEWEST_ARCHIVE:
        raise _RefusedError(
            f"has archive version {major}.{minor}; the newest known here is {NEWEST_ARCHIVE[0]}.{NEWEST_ARCHIVE[1]} (PostgreSQL 17 and 18)",
            "Make the dump with a pg_dump of the dev server's major version, or update dev_refresh",
        )
    if version < OLDEST_ARCHIVE:
        raise _RefusedError(f"has archive version {major}.{minor}, older than PostgreSQL 8.0 or damaged", RIGHT_COMMAND)
    int_size, offset_size, layout = reader.exactly(3)
    reader.set_sizes(int_size, offset_size)
    if directory and layout != _TAR:
        raise _RefusedError("contains a toc.dat that is not that of a directory dump", "Make it again: pg_dump -Fd -f <directory> <database>")
    if not directory and layout == _TAR:
        raise _RefusedError("is the list of contents of a dump that is a directory", "Give the directory as the dump, not its toc.dat")
    if not directory and layout != _CUSTOM:
        raise _RefusedError(f"is an archive of a kind that is not supported ({layout})", RIGHT_COMMAND)
    if version >= (1, 15):
        compression = _COMPRESSIONS.get(algorithm := reader.exactly(1)[0], f"unknown ({algorithm})")
    else:
        compression = "none" if reader.integer() == 0 else "gzip"
    second, minute, hour, day, month, year, _dst = (reader.integer() for _ in range(7))
    try:
        created = datetime(year + 1900, month + 1, day, hour, minute, min(second, 59)).isoformat()
    except (ValueError, OverflowError) as exc:
        raise DamagedArchiveError("the time in its header makes no sense") from exc
    return Header("directory" if directory else "custom", version, compression, created, reader.text(), reader.text(), reader.text(), int_size)


class _RefusedError(Exception):
    """The archive is of a kind that cannot be used."""

    def __init__(self, what: str, remedy: str) -> None:
        super().__init__(what)
        self._what, self._remedy = what, remedy

    def finding(self, path: str) -> Finding:
        return Finding(f"{path} {self._what}", self._remedy)


def _refused_by_status(path: str) -> Finding | None:
    """Return why the path cannot be a dump, without reading it."""
    try:
        status = os.stat(path)
    except FileNotFoundError:
        if os.path.islink(path):
            return Finding(f"{path} is a link to {os.readlink(path)}, which does not exist", "Correct the link, or database_restore_dump")
        return Finding(f"There is no dump at {path}", "Copy it there, or correct database_restore_dump (and database_restore_dump_source: host or controller)")
    except OSError as exc:
        return Finding(f"{path} cannot be reached: {exc.strerror}", "Correct its permissions, or run as a user who may read it")
    if stat.S_ISDIR(status.st_mode):
        if os.access(path, os.R_OK | os.X_OK) and not os.path.lexists(os.path.join(path, DIRECTORY_TOC)):
            return _name_the_directory(path)
        return None
    if not stat.S_ISREG(status.st_mode):
        return Finding(f"{path} is not a regular file", "Give a file or a directory made by pg_dump")
    if status.st_size == 0:
        return Finding(f"{path} is empty (0 bytes)", f"Look at why the dump or its copy failed, and make it again. {RIGHT_COMMAND}")
    return None


def _name_the_directory(path: str) -> Finding:
    if os.path.exists(os.path.join(path, "PG_VERSION")):
        return Finding(f"{path} is a PostgreSQL data directory, not a dump", RIGHT_COMMAND)
    names = os.listdir(path)
    if any(name.endswith((".dat", ".dat.gz", ".dat.lz4", ".dat.zst")) for name in names):
        return Finding(f"{path} has no {DIRECTORY_TOC}: the dump in it is incomplete", _DIRECTORY_COMMAND)
    return Finding(f"{path} is a directory without a dump in it", "Give a file, a directory made by pg_dump -Fd, or a pattern such as <directory>/*.dump")


def _name_the_kind(path: str, start: bytes) -> Finding:
    """Return a finding for a file that is no archive of pg_dump."""
    if MAGIC.startswith(start[: len(MAGIC)]):
        return Finding(f"{path} is cut off: it has {len(start)} bytes", "Copy it again and compare its checksum with the one taken at the source")
    if os.path.isdir(path):
        return Finding(f"{path}/{DIRECTORY_TOC} is not pg_dump's", _DIRECTORY_COMMAND)
    for magic, (name, unwrap) in _WRAPPERS.items():
        if start.startswith(magic):
            return _name_the_wrapped(path, start, name, unwrap)
    for magic, name in _ENCRYPTED.items():
        if start.startswith(magic):
            return Finding(f"{path} is encrypted ({name})", "Decrypt it first, and give the decrypted dump")
    if start[257:262] == b"ustar":
        return Finding(f"{path} is a tar archive, which pg_restore may read for ever if it is cut off", RIGHT_COMMAND)
    return Finding(f"{path} {_name_the_text(start)}", RIGHT_COMMAND)


def _name_the_wrapped(path: str, start: bytes, name: str, unwrap: str) -> Finding:
    """Return a finding for a compressed file, which may contain the right dump."""
    inner = b""
    if name == "gzip":
        try:
            inner = zlib.decompressobj(31).decompress(start, 4096)
        except zlib.error:
            inner = b""
    if inner.startswith(MAGIC):
        return Finding(f"{path} is a dump wrapped in gzip", f"Unwrap it: {unwrap} < {path} > <file>; dumps in the custom format are compressed already")
    if inner[257:262] == b"ustar":
        return Finding(f"{path} is a tar archive wrapped in gzip", RIGHT_COMMAND)
    what = f", and inside it {_name_the_text(inner)}" if inner else ""
    return Finding(f"{path} is wrapped in {name}{what}", f"{RIGHT_COMMAND} (it is compressed as it is)")


def _name_the_text(start: bytes) -> str:
    """Return what a file of text seems to be, as the rest of a sentence."""
    head = start.lstrip(b"\xef\xbb\xbf \t\r\n")[:4096]
    lower = head.lower()
    if lower.startswith((b"<!doctype html", b"<html", b"<?xml", b"<head", b"<body")):
        return "is an HTML or XML page, probably the error page of the server that it was downloaded from"
    if b"PostgreSQL database cluster dump" in head:
        return "is plain SQL of a whole cluster (pg_dumpall)"
    if b"PostgreSQL database dump" in head:
        return "is plain SQL, of which nobody can tell whether it is whole"
    if lower.startswith((b"{", b"[")):
        return "is JSON, not a dump"
    if any(word in lower for word in (b"create table", b"insert into", b"\nset ", b"copy ", b"begin;")) or lower.startswith((b"set ", b"--")):
        return "is plain SQL, of which nobody can tell whether it is whole"
    if b"\0" not in start[:1024] and start[:1024].isascii():
        return "is a text file, not a dump"
    return "is not an archive made by pg_dump"
