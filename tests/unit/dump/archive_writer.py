"""A writer of pg_dump archives, so that odd ones can be read without a server."""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass
class Wrote:
    """An entry to write into a list of contents."""

    kind: str
    name: str
    schema: str = ""
    definition: str = ""
    copy: str = ""
    dependencies: Sequence[int] = ()


def _integer(value: int) -> bytes:
    return bytes([value < 0]) + abs(value).to_bytes(4, "little")


def _text(value: str | None, encoding: str = "utf-8") -> bytes:
    if value is None:
        return _integer(-1)
    data = value.encode(encoding)
    return _integer(len(data)) + data


def archive_bytes(
    entries: Sequence[Wrote] = (), *, version: tuple[int, int] = (1, 14), layout: int = 1, compression: int = 1, encoding: str = "utf-8"
) -> bytes:
    """Return header and list of contents as WriteHead and WriteToc make them; dump ids count from 1."""
    out = b"PGDMP" + bytes([*version, 0, 4, 8, layout])
    out += bytes([compression]) if version >= (1, 15) else _integer(compression)
    for number in (3, 30, 2, 21, 10, 126, 0):
        out += _integer(number)
    out += _text("jobs_prod") + _text("15.18") + _text("15.18") + _integer(len(entries))
    for number, entry in enumerate(entries, start=1):
        out += _integer(number) + _integer(bool(entry.copy)) + _text("0") + _text("0") + _text(entry.name, encoding) + _text(entry.kind) + _integer(2)
        out += _text(entry.definition, encoding) + _text(None) + _text(entry.copy or None, encoding) + _text(entry.schema, encoding) + _text(None)
        out += _text(None) if version >= (1, 14) else b""
        out += _integer(0) if version >= (1, 16) else b""
        out += _text("owner") + _text("false") + b"".join(_text(str(each)) for each in entry.dependencies) + _text(None)
        out += _text("1.dat") if layout == 3 else bytes(9)
    return out
