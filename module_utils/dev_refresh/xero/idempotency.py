"""The idempotency key of a write: the same in every run that sends the same rows the same way."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from typing import Any

MAX_LENGTH = 128


def idempotency_key(*, tenant_id: str, entity: str, row_keys: Sequence[str], body: Any, attempt: int) -> str:
    """Return the key: a hash, since Xero keeps keys per app over all its organisations and allows 128 characters.

    ``attempt`` is raised after a 5xx, whose answer Xero would replay.
    """
    text = json.dumps([tenant_id, entity, list(row_keys), body, attempt], sort_keys=True, ensure_ascii=True, default=str)
    return f"dev-refresh-{entity}-{hashlib.sha256(text.encode()).hexdigest()}"[:MAX_LENGTH]
