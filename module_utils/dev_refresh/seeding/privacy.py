"""What may be kept: Xero quotes what it refuses, and the log must not hold names, e-mail addresses or telephone numbers."""
from __future__ import annotations

import re

_ADDRESS = r"[^\s\"'<>(),;:@]+@[^\s\"'<>(),;:@]+"
_UUID = r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}"
_TELEPHONE = r"[+(]?\d[\d ()/.\-]{4,}\d"
_PERSONAL = re.compile(f"(?P<id>{_UUID})|(?P<address>{_ADDRESS})|(?P<telephone>{_TELEPHONE})")


def impersonal(reason: str, *names: str) -> str:
    """Return a reason for the log: without ``names``, e-mail addresses and telephone numbers; ids stay."""
    for name in sorted(filter(None, names), key=len, reverse=True):
        # not inside of another word: a client may be called "A"
        reason = re.sub(rf"(?<!\w){re.escape(name)}(?!\w)", "(name)", reason, flags=re.IGNORECASE)
    return _PERSONAL.sub(lambda found: found[0] if found["id"] else "(e-mail)" if found["address"] else "(telephone)", reason)
