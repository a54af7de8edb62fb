"""ContactNumbers: what identifies a client in Xero, whatever happens to ids and names."""
from __future__ import annotations

import hashlib
import itertools
import re
from collections.abc import Iterable, Iterator

from .keys import is_uuid
from .names import clean

LENGTH = 50
HASH_DIGITS = 32

_SUFFIX = re.compile(r"(.+)~([1-9][0-9]*)", re.ASCII | re.DOTALL)


def contact_number(template: str, key: str) -> str:
    """Return the ContactNumber of a client by the mapping's ``number``; what Xero would not take as it is becomes its hash."""
    number = template.replace("{key}", key)
    return number if len(number) <= LENGTH and number == clean(number) else hashed(number)


def hashed(number: str) -> str:
    """Return the first hexadecimal digits of a number's SHA-256."""
    return hashlib.sha256(number.encode("utf-8", "surrogatepass")).hexdigest()[:HASH_DIGITS]


def is_weak(template: str, key: str) -> bool:
    """Tell whether another app that shares the organisation could write the same number."""
    return template.strip() == "{key}" and not is_uuid(key)


def suffixed(number: str, index: int) -> str:
    """Return ``number~index``, for a client whose own number is held by a contact that may not be linked."""
    text = f"{number}~{index}"
    return text if len(text) <= LENGTH else f"{hashed(number)}~{index}"


class NumberOwners:
    """Which client a contact's number belongs to."""

    def __init__(self, template: str, keys: Iterable[str]) -> None:
        self._template = template
        self.numbers = {key: contact_number(template, key) for key in keys}
        self._owners = {number: key for key, number in self.numbers.items()}
        # a suffix can make a number too long; then its hash carries the suffix
        self._hashes = {hashed(number): key for number, key in self._owners.items() if len(number) > LENGTH - 3}
        self._taken = {number.casefold() for number in self._owners}

    def owner(self, number: str | None) -> tuple[str, int] | None:
        """Return the key of the client that ``number`` belongs to, and its suffix (0 for none); None if it is no client's."""
        if not number:
            return None
        if number in self._owners:
            return self._owners[number], 0
        match = _SUFFIX.fullmatch(number)
        if match is None:
            return None
        base, index = match.group(1), int(match.group(2))
        key = self._owners.get(base) or self._hashes.get(base)
        return (key, index) if key is not None and suffixed(self.numbers[key], index) == number else None

    def weak(self, key: str) -> bool:
        """Tell whether this client's number alone does not prove that a contact is its own."""
        return is_weak(self._template, key)

    def free_number(self, key: str, held: set[str]) -> str:
        """Return the client's number, or where it is among ``held`` (case folded) the lowest free one with a suffix; it is then held."""
        number = next(number for number in self.candidates(key) if number.casefold() not in held)
        held.add(number.casefold())
        return number

    def candidates(self, key: str) -> Iterator[str]:
        """Yield the numbers that the client may be written with, without end."""
        yield self.numbers[key]
        for index in itertools.count(1):
            number = suffixed(self.numbers[key], index)
            if number.casefold() not in self._taken:
                yield number
