"""The ``where`` and ``order`` parameters of a list of contacts."""
from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from .names import name_key
from .organisation import Contact

Condition = Callable[[Contact], bool]
TERM = re.compile(
    r"""\s*(?P<field>[A-Za-z]+)\s*(?:
        (?P<operator>==|!=|=)\s*(?:(?:guid|Guid)\(\s*"(?P<guid>[^"]*)"\s*\)|"(?P<text>[^"]*)"|(?P<word>true|false|null))
        |\.(?P<function>Contains|StartsWith|EndsWith)\(\s*"(?P<part>[^"]*)"\s*\)
    )\s*""",
    re.VERBOSE,
)
JOINT = re.compile(r"(?:AND|and|&&)\s*")
ORDER = re.compile(r"\s*([A-Za-z]+)(?:\s+(ASC|DESC))?\s*", re.IGNORECASE)
FUNCTIONS: dict[str, Callable[[str, str], bool]] = {
    "Contains": lambda value, part: part in value, "StartsWith": str.startswith, "EndsWith": str.endswith,
}
FIELDS = ("Name", "ContactNumber", "AccountNumber", "FirstName", "LastName", "EmailAddress", "CompanyNumber", "ContactStatus", "ContactID")


class QueryError(Exception):
    """A parameter that cannot be read."""


def parse_where(where: str) -> list[Condition]:
    """Return the conditions of a filter, which must all hold; text is compared without case and accents."""
    conditions: list[Condition] = []
    position = 0
    while position < len(where.rstrip()):
        if conditions:
            joint = JOINT.match(where, position)
            if joint is None:
                raise QueryError(f"Syntax error in the filter at {where[position:position + 20]!r}")
            position = joint.end()
        term = TERM.match(where, position)
        if term is None:
            raise QueryError(f"Syntax error in the filter at {where[position:position + 20]!r}")
        conditions.append(_condition(term))
        position = term.end()
    return conditions


def _condition(term: re.Match[str]) -> Condition:
    name = term["field"]
    if name in ("IsSupplier", "IsCustomer"):
        wanted = (term["word"] == "false") == (term["operator"] != "!=")
        return lambda _contact: wanted
    if name not in FIELDS:
        raise QueryError(f"No property or field '{name}' exists in type 'Contact'")
    if term["function"]:
        function, part = FUNCTIONS[term["function"]], name_key(term["part"])
        return lambda contact: function(name_key(_value(contact, name)), part)
    sent = term["guid"] if term["guid"] is not None else term["text"] if term["text"] is not None else ""
    key, equal = name_key(sent), term["operator"] != "!="
    return lambda contact: (name_key(_value(contact, name)) == key) == equal


def _value(contact: Contact, name: str) -> str:
    if name == "ContactStatus":
        return contact.status
    return contact.contact_id if name == "ContactID" else str(contact.fields.get(name, ""))


def ordered(contacts: list[Contact], order: str) -> list[Contact]:
    """Return the contacts in the order asked for; by default that of their last change."""
    match = ORDER.fullmatch(order) if order.strip() else None
    if order.strip() and match is None:
        raise QueryError(f"Syntax error in the order {order!r}")
    field = match[1] if match else "UpdatedDateUTC"
    keys: dict[str, Callable[[Contact], Any]] = {
        "contactid": lambda c: c.contact_id, "updateddateutc": lambda c: (c.updated, c.contact_id), "name": lambda c: (name_key(c.name), c.contact_id),
        "contactnumber": lambda c: (c.number or "", c.contact_id), "emailaddress": lambda c: (str(c.fields.get("EmailAddress", "")), c.contact_id),
    }
    if field.casefold() not in keys:
        raise QueryError(f"No property or field '{field}' exists in type 'Contact'")
    return sorted(contacts, key=keys[field.casefold()], reverse=bool(match and (match[2] or "").upper() == "DESC"))
