"""What Xero accepts in a contact; pure functions from an element of a request to the messages of its refusal."""
from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Mapping
from typing import Any

MAX_LENGTHS = {
    "Name": 255, "FirstName": 255, "LastName": 255, "EmailAddress": 255, "ContactNumber": 50, "AccountNumber": 50, "CompanyNumber": 50, "TaxNumber": 50,
}
PHONE_LENGTHS = {"PhoneNumber": 50, "PhoneAreaCode": 10, "PhoneCountryCode": 20}
ADDRESS_LENGTHS = {
    "AddressLine1": 500, "AddressLine2": 500, "AddressLine3": 500, "AddressLine4": 500, "City": 255, "Region": 255, "PostalCode": 50, "Country": 50,
    "AttentionTo": 255,
}
PHONE_TYPES = ("DEFAULT", "DDI", "FAX", "MOBILE")
ADDRESS_TYPES = ("STREET", "POBOX")
MAX_PERSONS = 5

ARCHIVED_MESSAGE = "The specified contact details matched an archived contact. Archived contacts cannot currently be edited via the API."
EMAIL = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*@([A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?\.)+[A-Za-z0-9-]*[A-Za-z]")


def name_taken(name: str) -> str:
    """Return Xero's words about a name that another contact has."""
    return f"The contact name {name} is already assigned to another contact. The contact name must be unique across all active contacts."


def number_taken(number: str) -> str:
    """Return Xero's words about a number that another contact has."""
    return f"The contact number {number} is already assigned to another contact. The contact number must be unique across all contacts."


def refusals(element: Mapping[str, Any], *, creating: bool) -> list[str]:
    """Return all that is wrong with an element by itself."""
    return [*_name_refusals(element, creating=creating), *_field_refusals(element)]


def _name_refusals(element: Mapping[str, Any], *, creating: bool) -> Iterator[str]:
    if "Name" not in element and not creating:
        return
    name = element.get("Name")
    if not isinstance(name, str) or not name.strip():
        yield "The contact name is required."
        return
    if "<" in name or ">" in name:
        yield "The contact name cannot contain the characters < or >."
    if name != name.strip() or "  " in name:
        yield "The contact name cannot have leading, trailing or repeated spaces."
    if any(unicodedata.category(char) == "Cc" for char in name):
        yield "The contact name contains invalid characters."


def _field_refusals(element: Mapping[str, Any]) -> Iterator[str]:
    yield from _too_long(element, MAX_LENGTHS)
    email = element.get("EmailAddress")
    if email and not (isinstance(email, str) and EMAIL.fullmatch(email)):
        yield "Email address must be valid."
    for phone in rows_of(element.get("Phones")):
        if phone.get("PhoneType", "DEFAULT") not in (*PHONE_TYPES, "OFFICE"):
            yield f"The PhoneType {phone.get('PhoneType')} is not valid."
        yield from _too_long(phone, PHONE_LENGTHS)
    for address in rows_of(element.get("Addresses")):
        if address.get("AddressType", "POBOX") not in (*ADDRESS_TYPES, "DELIVERY"):
            yield f"The AddressType {address.get('AddressType')} is not valid."
        yield from _too_long(address, ADDRESS_LENGTHS)
    persons = rows_of(element.get("ContactPersons"))
    if len(persons) > MAX_PERSONS:
        yield f"A contact can have a maximum of {MAX_PERSONS} contact persons."
    if any(p.get("EmailAddress") and not EMAIL.fullmatch(str(p["EmailAddress"])) for p in persons):
        yield "Email address must be valid."
    if element.get("ContactStatus", "ACTIVE") not in ("ACTIVE", "ARCHIVED"):
        yield f"The ContactStatus {element.get('ContactStatus')} is not valid."


def _too_long(element: Mapping[str, Any], lengths: Mapping[str, int]) -> Iterator[str]:
    for name, longest in lengths.items():
        value = element.get(name)
        if value is not None and not isinstance(value, str):
            yield f"The {name} field must be a text."
        elif value is not None and len(value) > longest:
            yield f"The {name} field must not be longer than {longest} characters."


def rows_of(value: Any) -> list[Mapping[str, Any]]:
    """Return the objects of a list; anything else is no list."""
    return [row for row in value if isinstance(row, Mapping)] if isinstance(value, list) else []
