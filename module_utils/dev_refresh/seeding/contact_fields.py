"""A client's optional fields in the form that Xero accepts; what it would refuse is left out, so that one bad address breaks nothing."""
from __future__ import annotations

import re
from dataclasses import dataclass

from ..mapping import EntityMapping
from .names import clean, utf16_length
from .records import ClientRow

EMAIL_LENGTH = 255
PHONE_LENGTH = 50
ADDRESS_LENGTH = 500
ADDRESS_LINES = 4
"""Limits of EmailAddress, PhoneNumber and AddressLine1 to 4 (xero_accounting.yaml)."""

_ATOM = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"
_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_EMAIL = re.compile(rf"({_ATOM}(?:\.{_ATOM})*)@((?:{_LABEL}\.)+[A-Za-z]{{2,63}})", re.ASCII)


@dataclass(frozen=True, slots=True)
class OptionalFields:
    """What is sent beside name and number, and the names of the fields that are left out because Xero would refuse them."""

    email: str | None = None
    phone: str | None = None
    address: str | None = None
    left_out: tuple[str, ...] = ()


def optional_fields(row: ClientRow, em: EntityMapping) -> OptionalFields:
    """Return a client's optional fields under the mapping's e-mail policy."""
    found = {"email": _email(row.email, em), "phone": _short(row.phone, PHONE_LENGTH), "address": _address(row.address)}
    left_out = tuple(name for name, (_value, fits) in found.items() if not fits)
    return OptionalFields(found["email"][0], found["phone"][0], found["address"][0], left_out)


def _email(text: str | None, em: EntityMapping) -> tuple[str | None, bool]:
    """Return the address to send, and False if there is one that Xero would refuse."""
    given = (text or "").strip()
    if em.email_policy == "drop" or not given:
        return None, True
    match = _EMAIL.fullmatch(given)
    if match is None or len(match.group(1)) > 64:
        return None, False
    address = f"{match.group(1)}@{em.email_domain}" if em.email_policy == "rewrite" else given
    return (address, True) if len(address) <= EMAIL_LENGTH else (None, False)


def _short(text: str | None, length: int) -> tuple[str | None, bool]:
    """Return a text in one line, and False if it is longer than Xero takes."""
    line = clean(text, length=2**16)
    return (line or None, True) if utf16_length(line) <= length else (None, False)


def _address(text: str | None) -> tuple[str | None, bool]:
    """Return an address in at most four lines, and False if one is longer than Xero takes."""
    lines = [line for line in (clean(part, length=2**16) for part in (text or "").splitlines()) if line]
    lines = [*lines[: ADDRESS_LINES - 1], ", ".join(lines[ADDRESS_LINES - 1 :])] if len(lines) > ADDRESS_LINES else lines
    return ("\n".join(lines) or None, True) if all(utf16_length(line) <= ADDRESS_LENGTH for line in lines) else (None, False)
