"""When Xero takes two names to be the same."""
from __future__ import annotations

import unicodedata


def name_key(name: str) -> str:
    """Return the form under which contact names are unique: without accents, case and superfluous white space."""
    plain = "".join(char for char in unicodedata.normalize("NFD", name) if not unicodedata.combining(char))
    return " ".join(plain.casefold().split())
