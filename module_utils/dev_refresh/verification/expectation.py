"""Which rows must have a Xero id, by the rules alone: worked out from the rows, not from what the seed said it did."""

from __future__ import annotations

import unicodedata
from collections.abc import Collection, Iterable

from ..seeding.records import ClientRow, JobRow

UNSEEN = {"Cc", "Cf", "Cs"}
"""Unicode categories of characters that are not seen: a name made of them alone is none."""


def has_text(text: str | None) -> bool:
    """Tell whether anything of ``text`` can be seen."""
    return any(not char.isspace() and unicodedata.category(char) not in UNSEEN for char in text or "")


def required_clients(rows: Iterable[ClientRow]) -> set[str]:
    """Return the keys of the clients that must be contacts: in scope and with a name."""
    return {row.key for row in rows if row.in_scope and has_text(row.name)}


def required_jobs(rows: Iterable[JobRow], clients_with_contact: Collection[str]) -> set[str]:
    """Return the keys of the jobs that must be projects: in scope, with a number, and of a client that has a contact.

    A client that should have a contact and has none is found as such; its jobs need not be named too.
    """
    return {row.key for row in rows if row.in_scope and has_text(row.number) and row.client_key in clients_with_contact}


def plain(text: str | None) -> str:
    """Return what two names have in common that a person would call the same: folded, without accents, marks, brackets' kind or repeated spaces."""
    decomposed = unicodedata.normalize("NFKD", (text or "").casefold().translate(str.maketrans("<>", "()")))
    seen = "".join(" " if char.isspace() else char for char in decomposed if char.isspace() or unicodedata.category(char) not in UNSEEN | {"Mn"})
    return " ".join(seen.split())
