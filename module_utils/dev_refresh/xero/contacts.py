"""Contacts: list them all, create them in batches."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from ..seeding.records import Contact, CreateReply, NewContact
from .errors import OutcomeUnknown, XeroError
from .idempotency import idempotency_key
from .ids import valid_id
from .lists import Page, complete_list, page_info
from .transport import LOOK_FIRST, Reply, Transport, messages, said_by, shorten

PATH = "/api.xro/2.0/Contacts"
PAGE_SIZE = 1000
_DUPLICATE = re.compile(r"already (?:been )?(?:assigned|exists?|in use|taken|used)|must be unique|matched an archived contact", re.IGNORECASE)


def list_contacts(transport: Transport, tenant_id: str) -> list[Contact]:
    """Return every contact, archived ones included, or raise."""

    def page(number: int) -> Page[Contact]:
        # ordered by id: stable while others write
        query = [("page", str(number)), ("pageSize", str(PAGE_SIZE)), ("includeArchived", "true"), ("order", "ContactID")]
        body = transport.read(PATH, what="the contacts", tenant_id=tenant_id, query=query, page=number)
        return page_info(body, "Contacts", parse_contact, asked_size=PAGE_SIZE)

    return complete_list(page, what="contacts", entry_id=lambda contact: contact.id)


def parse_contact(element: dict[str, Any]) -> Contact | None:
    """Return the contact of a list's element, or None if it has no valid id."""
    contact_id = valid_id(element.get("ContactID"))
    if contact_id is None:
        return None
    return Contact(
        id=contact_id,
        name=_text(element.get("Name")) or "",
        number=_text(element.get("ContactNumber")),
        status=_text(element.get("ContactStatus")) or "UNKNOWN",
        merged_to=valid_id(element.get("MergedToContactID")),
    )


def contact_body(new: NewContact) -> dict[str, Any]:
    """Return the element for one contact; PascalCase, since Xero drops other keys without a word."""
    element: dict[str, Any] = {"Name": new.name, "ContactNumber": new.number}
    if new.email:
        element["EmailAddress"] = new.email
    if new.phone:
        element["Phones"] = [{"PhoneType": "DEFAULT", "PhoneNumber": new.phone}]
    if new.address:
        lines = [line.strip()[:500] for line in new.address.splitlines() if line.strip()][:4]
        if lines:
            element["Addresses"] = [{"AddressType": "STREET", **{f"AddressLine{number}": line for number, line in enumerate(lines, 1)}}]
    return element


def create_contacts(transport: Transport, tenant_id: str, batch: Sequence[NewContact], *, key_attempt: int) -> list[CreateReply]:
    """Create a batch by PUT, which can never overwrite a contact; return one reply for each row, in the order sent.

    Raises OutcomeUnknown when it is not known which rows were created.
    """
    if not batch:
        return []
    body = {"Contacts": [contact_body(new) for new in batch]}
    key = idempotency_key(tenant_id=tenant_id, entity="contacts", row_keys=[new.key for new in batch], body=body, attempt=key_attempt)
    what = f"creating {len(batch)} contact{'s' if len(batch) > 1 else ''}"
    reply = transport.write("PUT", PATH, what=what, tenant_id=tenant_id, body=body, idempotency_key=key, query=[("summarizeErrors", "false")])
    if reply.ok:
        return match_replies(batch, reply.body.get("Contacts"), what)
    return _refused_batch(transport, tenant_id, batch, reply, what, key_attempt)


def match_replies(batch: Sequence[NewContact], elements: Any, what: str) -> list[CreateReply]:
    """Give each row its element by the echoed number, else by the name; the order is not trusted."""
    by_number = {new.number: new for new in batch}
    by_name: dict[str, list[NewContact]] = {}
    for new in batch:
        by_name.setdefault(new.name, []).append(new)
    found: dict[str, CreateReply] = {}
    for element in elements if isinstance(elements, list) else []:
        if not isinstance(element, dict):
            continue
        number = _text(element.get("ContactNumber"))
        named = by_name.get(_text(element.get("Name")) or "", [])
        row = by_number.get(number) if number else named[0] if len(named) == 1 else None
        if row is None or row.key in found:
            continue
        answer = _element_reply(row, element)
        if answer is not None:
            found[row.key] = answer
    missing = [new for new in batch if new.key not in found]
    if missing:
        raise OutcomeUnknown(f"Xero's reply to {what} has no usable answer for {len(missing)} of them", LOOK_FIRST, raise_attempt=False)
    return [found[new.key] for new in batch]


def _element_reply(row: NewContact, element: dict[str, Any]) -> CreateReply | None:
    """Return what an element says of its row, or None if it says neither yes nor no."""
    words = messages(element)
    status = _text(element.get("StatusAttributeString")) or ""
    if words or status.upper() == "ERROR" or (element.get("HasValidationErrors") is True and status.upper() != "WARNING"):
        if status.upper() == "WARNING" and valid_id(element.get("ContactID")):
            return CreateReply(row.key, "created", id=valid_id(element.get("ContactID")))
        reason = shorten("; ".join(words)) or "Xero refused it without a reason"
        return CreateReply(row.key, "duplicate" if _DUPLICATE.search(reason) else "refused", reason=reason)
    contact_id = valid_id(element.get("ContactID"))
    return CreateReply(row.key, "created", id=contact_id) if contact_id else None


def _refused_batch(transport: Transport, tenant_id: str, batch: Sequence[NewContact], reply: Reply, what: str, key_attempt: int) -> list[CreateReply]:
    """Return the replies to a batch that was refused as a whole: the good rows of it go again without the bad ones."""
    reason = said_by(reply) or f"HTTP {reply.status}"
    if reply.status == 413 or reply.status == 404 or not isinstance(reply.body, dict):
        said = "" if reason.startswith("HTTP ") else f", {reason}"
        raise XeroError(f"Xero refused {what} (PUT {PATH}: HTTP {reply.status}{said})", "Check xero_seed_api_url, then run again")
    elements = reply.body.get("Elements")
    if len(batch) == 1:
        return [CreateReply(batch[0].key, "duplicate" if _DUPLICATE.search(reason) else "refused", reason=reason)]
    bad: dict[str, CreateReply] = {}
    by_number = {new.number: new for new in batch}
    by_name = {new.name: new for new in batch}
    for element in elements if isinstance(elements, list) else []:
        if isinstance(element, dict) and messages(element):
            row = by_number.get(_text(element.get("ContactNumber")) or "") or by_name.get(_text(element.get("Name")) or "")
            answer = _element_reply(row, element) if row is not None else None
            if row is not None and answer is not None:
                bad[row.key] = answer
    good = [new for new in batch if new.key not in bad]
    if bad:
        again = {answer.key: answer for answer in create_contacts(transport, tenant_id, good, key_attempt=key_attempt)}
    else:
        # the reply names no row: each half alone, down to the one that Xero means
        middle = len(batch) // 2
        halves = (batch[:middle], batch[middle:])
        again = {answer.key: answer for half in halves for answer in create_contacts(transport, tenant_id, half, key_attempt=key_attempt)}
    return [bad.get(new.key) or again[new.key] for new in batch]


def _text(value: Any) -> str | None:
    """Return a non-empty text, else None."""
    return value if isinstance(value, str) and value else None
