"""A few tables of a dump that is on another machine, as one text: the controller makes it, and a forecast on the host reads it."""
from __future__ import annotations

import base64
import binascii
import json
import zlib
from collections.abc import Callable, Iterable
from typing import Any

from ..errors import RefreshError
from .tables import TableDump

ReadTable = Callable[[str], TableDump]
"""Returns the table of this name, or raises RefreshError."""
MOST_BYTES = 64 << 20
"""So long may the text be: it goes through a module's options, several times in memory."""


def make_excerpt(read: ReadTable, tables: Iterable[str]) -> str:
    """Return these tables as text; one that cannot be read is in it as the reason."""
    found: dict[str, dict[str, Any]] = {}
    for name in dict.fromkeys(tables):
        try:
            dump = read(name)
            rows = b"".join(dump.copy_text)
        except RefreshError as error:
            found[name] = {"error": str(error)}
            continue
        found[name] = {
            "schema": dump.schema,
            "name": dump.name,
            "columns": dump.columns,
            "column_types": dump.column_types,
            "encoding": dump.encoding,
            "rows": base64.b64encode(rows).decode(),
        }
    text = base64.b64encode(zlib.compress(json.dumps(found).encode())).decode()
    if len(text) > MOST_BYTES:
        what = f"The mapped tables are too large to be handed on for a dry run ({len(text) >> 20} MiB compressed)"
        raise RefreshError(f"{what}. Copy the dump to the host, set database_restore_dump_source to host, and look again.")
    return text


def read_excerpt(text: str) -> ReadTable:
    """Return what reads the tables of ``make_excerpt``."""
    try:
        found = json.loads(zlib.decompress(base64.b64decode(text, validate=True)))
    except (binascii.Error, zlib.error, ValueError):
        raise RefreshError("The rows of the dump arrived damaged. Run again.") from None

    def read(name: str) -> TableDump:
        table = found.get(name)
        if table is None:
            raise RefreshError(f"The dump's table {name} was not handed on. This is a defect of dev_refresh.")
        if "error" in table:
            raise RefreshError(table["error"])
        rows = base64.b64decode(table["rows"])
        return TableDump(table["schema"], table["name"], table["columns"], table["column_types"], table["encoding"], iter([rows] if rows else []))

    return read
