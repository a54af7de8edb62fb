"""Which texts are ids: only a valid UUID that is not zero ever counts."""

from __future__ import annotations

import re

_UUID = re.compile(r"[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}")
ZERO = "00000000-0000-0000-0000-000000000000"
"""What Xero puts into an element that it refused."""


def valid_id(value: object) -> str | None:
    """Return ``value`` in lower case if it is a UUID other than zero, else None."""
    if isinstance(value, str) and _UUID.fullmatch(value) and value != ZERO:
        return value.lower()
    return None
