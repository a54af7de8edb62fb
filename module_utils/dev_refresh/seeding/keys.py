"""Row keys as text: their order, which no database collation decides, and the Xero ids beside them."""
from __future__ import annotations

import re
from uuid import UUID

_INTEGER = re.compile(r"0|-?[1-9][0-9]*", re.ASCII)
_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.ASCII | re.IGNORECASE)


def is_uuid(text: str | None) -> bool:
    """Tell whether ``text`` is a UUID in its usual form."""
    return text is not None and _UUID.fullmatch(text) is not None


def key_order(key: str) -> tuple[int, int, str]:
    """Return what keys are sorted by: integers as integers, UUIDs as UUIDs, other text by code points."""
    if _INTEGER.fullmatch(key):
        return (0, int(key), key)
    if is_uuid(key):
        return (1, UUID(key).int, key)
    return (2, 0, key)


def valid_xero_id(text: str | None) -> str | None:
    """Return ``text`` in lower case if it is a UUID that stands for something, else None.

    Xero answers a refused row with the zero UUID, and the SDK makes "None" of a null: neither may ever be stored.
    """
    if text is None or not is_uuid(text) or UUID(text).int == 0:
        return None
    return text.lower()
