"""The hash of everything beside the dump that makes a restored database what it is."""
from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence

SKIP_LIST = ("EVENT TRIGGER", "FOREIGN DATA WRAPPER", "FOREIGN TABLE", "PUBLICATION", "SERVER", "SUBSCRIPTION", "USER MAPPING")
"""Kinds of entries that stay out of a dev database; another list makes what was restored with the former one stale."""


def parameters_sha256(*, sanitise_sql: Sequence[str], post_commands_sha256: str | None, skip_list: Sequence[str] = SKIP_LIST) -> str:
    """Return the hash of the sanitise list, the skip list and the post commands."""
    text = json.dumps({"sanitise_sql": list(sanitise_sql), "skip_list": sorted(skip_list), "post_commands": post_commands_sha256 or ""}, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()
