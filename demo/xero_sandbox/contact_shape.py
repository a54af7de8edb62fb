"""How a contact looks in Xero's replies; the shapes are those of recorded ones."""
from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .clock import json_date_utc
from .contact_rules import PHONE_TYPES, rows_of
from .organisation import Contact
from .reply import ZERO_ID

FIRST_FIELDS = ("ContactNumber", "AccountNumber")
LATER_FIELDS = (
    "Name", "FirstName", "LastName", "CompanyNumber", "EmailAddress", "BankAccountDetails", "TaxNumber", "AccountsReceivableTaxType", "AccountsPayableTaxType",
)
LAST_FIELDS = ("DefaultCurrency", "Website")
PLAIN_FIELDS = (*FIRST_FIELDS, *LATER_FIELDS, *LAST_FIELDS)


def _head(contact: Contact) -> dict[str, Any]:
    row: dict[str, Any] = {"ContactID": contact.contact_id}
    _copy(contact.fields, FIRST_FIELDS, row)
    row["ContactStatus"] = contact.status
    _copy(contact.fields, LATER_FIELDS, row)
    return row


def written(contact: Contact, *, status_attribute: bool) -> dict[str, Any]:
    """Return the element that answers a successful write."""
    row = _head(contact)
    row["Addresses"] = contact.addresses
    row["Phones"] = contact.phones
    row["UpdatedDateUTC"] = json_date_utc(contact.updated)
    row |= {"ContactGroups": [], "IsSupplier": False, "IsCustomer": False}
    _copy(contact.fields, LAST_FIELDS, row)
    row |= {"SalesTrackingCategories": [], "PurchasesTrackingCategories": [], "ContactPersons": contact.persons, "HasValidationErrors": False}
    if status_attribute:
        row["StatusAttributeString"] = "OK"
    return row


def listed(contact: Contact, *, paged: bool) -> dict[str, Any]:
    """Return a contact in a list or by itself; only paged lists and single contacts tell merges and persons."""
    row = _head(contact)
    if paged and contact.merged_to is not None:
        row["MergedToContactID"] = contact.merged_to
    row["Addresses"] = contact.addresses
    row["Phones"] = sorted(contact.phones, key=lambda phone: phone["PhoneType"])
    row["UpdatedDateUTC"] = json_date_utc(contact.updated)
    row |= {"ContactGroups": [], "IsSupplier": False, "IsCustomer": False}
    _copy(contact.fields, LAST_FIELDS, row)
    row |= {"ContactPersons": contact.persons if paged else [], "HasAttachments": False, "HasValidationErrors": False}
    return row


def summarised(contact: Contact) -> dict[str, Any]:
    """Return a contact in a list with summaryOnly."""
    row = _head(contact)
    row["UpdatedDateUTC"] = json_date_utc(contact.updated)
    row |= {"HasAttachments": False, "HasValidationErrors": False}
    return row


def refused(element: Mapping[str, Any], messages: list[str], *, status_attribute: bool, matched: Contact | None = None) -> dict[str, Any]:
    """Return the element that answers a refused write: what was sent, the zero id, and why."""
    row: dict[str, Any] = {"ContactID": matched.contact_id if matched else ZERO_ID}
    _copy(element, FIRST_FIELDS, row)
    if matched is not None:
        row["ContactStatus"] = matched.status
        row["Name"] = matched.name
    elif "ContactStatus" in element:
        row["ContactStatus"] = element["ContactStatus"]
    _copy(element, LATER_FIELDS, row)
    row["Addresses"] = _echoed(element.get("Addresses"))
    row["Phones"] = _echoed(element.get("Phones"))
    row["ContactGroups"] = []
    _copy(element, ("IsSupplier", "IsCustomer"), row)
    row["ContactPersons"] = _echoed(element.get("ContactPersons"))
    row["HasValidationErrors"] = True
    if status_attribute:
        row["StatusAttributeString"] = "ERROR"
    row["ValidationErrors"] = [{"Message": message} for message in messages]
    return row


def address_slots(sent: Any, *, kept: list[dict[str, str]] | None = None) -> list[dict[str, str]]:
    """Return the two addresses that a contact always has after a write."""
    slots = {address["AddressType"]: address for address in kept or []}
    for kind in ("STREET", "POBOX"):
        slots.setdefault(kind, {"AddressType": kind, "City": "", "Region": "", "PostalCode": "", "Country": ""})
    for address in rows_of(sent):
        kind = address.get("AddressType", "POBOX")
        if kind in slots:
            texts = {name: str(value) for name, value in address.items() if name != "AddressType" and isinstance(value, str)}
            slots[kind] = {"AddressType": kind, "City": "", "Region": "", "PostalCode": "", "Country": "", **texts}
    return list(slots.values())


def phone_slots(sent: Any, *, kept: list[dict[str, str]] | None = None) -> list[dict[str, str]]:
    """Return the four phones that a contact always has after a write."""
    slots = {kind: {"PhoneType": kind, "PhoneNumber": "", "PhoneAreaCode": "", "PhoneCountryCode": ""} for kind in PHONE_TYPES}
    slots |= {phone["PhoneType"]: phone for phone in kept or []}
    for phone in rows_of(sent):
        kind = phone.get("PhoneType", "DEFAULT")
        if kind in slots:
            slots[kind] = {"PhoneType": kind} | {name: str(phone.get(name) or "") for name in ("PhoneNumber", "PhoneAreaCode", "PhoneCountryCode")}
    return list(slots.values())


def _echoed(rows: Any) -> list[dict[str, Any]]:
    return [{**row, "ValidationErrors": []} for row in rows_of(rows)]


def _copy(source: Mapping[str, Any], names: tuple[str, ...], target: dict[str, Any]) -> None:
    for name in names:
        if source.get(name) is not None:
            target[name] = source[name]
