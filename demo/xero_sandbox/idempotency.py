"""Idempotency keys: the reply to a key is kept for some minutes and given again."""
from __future__ import annotations

import hashlib
from collections import OrderedDict
from dataclasses import asdict, dataclass
from typing import Any

from .reply import Reply

KEY_MAX = 128


@dataclass(frozen=True, slots=True)
class Kept:
    """A reply, and which request it answered."""

    fingerprint: str
    reply: Reply
    at: float


def fingerprint(method: str, url: str, tenant_id: str, body: bytes) -> str:
    """Return what makes two requests the same."""
    return hashlib.sha256(b"\0".join((method.encode(), url.encode(), tenant_id.encode(), body))).hexdigest()


class KeyRefusedError(Exception):
    """A key that cannot be used for this request; the text is Xero's."""


class IdempotencyKeys:
    """The keys of all apps; a key belongs to an app, whatever the tenant."""

    def __init__(self) -> None:
        self._kept: OrderedDict[tuple[str, str], Kept] = OrderedDict()

    def find(self, client_id: str, key: str, wanted: str, now: float, seconds: float) -> Reply | None:
        """Return the reply that the same request has had, or None if it is new; raise KeyRefusedError for a key of another request."""
        while self._kept and next(iter(self._kept.values())).at <= now - seconds:
            self._kept.popitem(last=False)
        if len(key) > KEY_MAX:
            raise KeyRefusedError(f"Idempotency Key must not be longer than {KEY_MAX} characters.")
        kept = self._kept.get((client_id, key))
        if kept is None:
            return None
        if kept.fingerprint != wanted:
            raise KeyRefusedError(f"Idempotency Key {key} is used with a different request.")
        return kept.reply

    def keep(self, client_id: str, key: str, wanted: str, reply: Reply, now: float) -> None:
        """Keep the reply to a request."""
        if len(key) <= KEY_MAX and (client_id, key) not in self._kept:
            self._kept[(client_id, key)] = Kept(wanted, reply, now)

    def as_list(self) -> list[dict[str, Any]]:
        """Return the keys as JSON data."""
        return [
            {"client_id": client, "key": key, "fingerprint": kept.fingerprint, "at": kept.at, "reply": asdict(kept.reply)}
            for (client, key), kept in self._kept.items()
        ]

    def load(self, rows: list[dict[str, Any]]) -> None:
        """Take over the keys that ``as_list`` wrote."""
        for row in rows:
            self._kept[(row["client_id"], row["key"])] = Kept(row["fingerprint"], Reply(**row["reply"]), row["at"])
