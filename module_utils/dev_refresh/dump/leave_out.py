r"""Leave the Xero ids of a table out of its rows while they are loaded, in COPY's text format.

There a row is a line, its fields are divided by tabs, NULL is ``\N``, and line ends, tabs and backslashes in values are escaped: so fields can be
taken and put without looking into them.
"""
from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

NULL = b"\\N"
_END = b"\\."


@dataclass(frozen=True, slots=True)
class IdPlaces:
    """At which place of a row are its key, its Xero id and the tenant id (None: nowhere), and what to put there instead of the last two."""

    key: int
    xero_id: int
    empty_id: bytes = NULL
    tenant_id: int | None = None
    empty_tenant: bytes | None = NULL
    """None: the tenant id stays."""


def list_ids(chunks: Iterable[bytes], places: IdPlaces) -> Iterator[bytes]:
    """Yield key, Xero id and tenant id of every row that has an id and a key, as rows themselves."""
    for lines, _ in _lines(chunks):
        found = []
        for line in lines:
            fields = line.split(b"\t")
            if has_id(fields, places) and fields[places.key] != NULL:
                tenant = fields[places.tenant_id] if places.tenant_id is not None else NULL
                found.append(b"\t".join((fields[places.key], fields[places.xero_id], tenant or NULL)) + b"\n")
        if found:
            yield b"".join(found)


def without_ids(chunks: Iterable[bytes], places: IdPlaces, taken: list[int]) -> Iterator[bytes]:
    """Yield the rows with the ids left out; ``taken`` gets how many at each step."""
    for lines, rest in _lines(chunks):
        count = 0
        for number, line in enumerate(lines):
            fields = line.split(b"\t")
            if has_id(fields, places):
                fields[places.xero_id] = places.empty_id
                if places.tenant_id is not None and places.empty_tenant is not None:
                    fields[places.tenant_id] = places.empty_tenant
                lines[number] = b"\t".join(fields)
                count += 1
        taken.append(count)
        if lines:
            yield b"\n".join(lines) + b"\n"
        if rest:
            yield rest


def has_id(fields: list[bytes], places: IdPlaces) -> bool:
    """Tell whether a row has a Xero id; one with too few fields is left to the server to refuse."""
    return len(fields) > max(places.key, places.xero_id, places.tenant_id or 0) and fields[places.xero_id] not in (NULL, b"")


def _lines(chunks: Iterable[bytes]) -> Iterator[tuple[list[bytes], bytes]]:
    """Yield whole lines, some at once, and what is no row: the end and whatever is behind it."""
    carry = b""
    ended = False
    for chunk in chunks:
        if ended:
            yield [], chunk
            continue
        lines = (carry + chunk).split(b"\n")
        carry = lines.pop()
        if _END in lines:
            end = lines.index(_END)
            yield lines[:end], b"\n".join([*lines[end:], carry])
            ended, carry = True, b""
        elif lines:
            yield lines, b""
    if carry:
        yield [], carry
