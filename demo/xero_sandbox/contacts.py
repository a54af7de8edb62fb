"""Writing and listing contacts."""
from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from . import contact_shape as shape
from .contact_query import Condition, QueryError, ordered, parse_where
from .contact_rules import ARCHIVED_MESSAGE, name_taken, number_taken, refusals, rows_of
from .organisation import ACTIVE, ARCHIVED, Contact, Organisation, new_id
from .reply import Reply, envelope, exception, not_found, page_of
from .settings import Settings

PAGE_SIZE, PAGE_SIZE_MAX = 100, 1000
NO_DATA = "No data has been processed for this endpoint. This endpoint is expecting Contact data to be specifed in the request body."


@dataclass(frozen=True, slots=True)
class Context:
    """What an operation on contacts needs to know."""

    organisation: Organisation
    settings: Settings
    now_ms: int
    provider: str = "Sandbox app"

    def envelope(self, rows: list[dict[str, Any]], pagination: dict[str, int] | None = None) -> Reply:
        """Return contacts as a reply."""
        return Reply(200, envelope("Contacts", rows, self.now_ms, provider=self.provider, pagination=pagination))


@dataclass(frozen=True, slots=True)
class Written:
    """What became of one element."""

    contact: Contact | None
    messages: list[str]
    matched: Contact | None = None


class UnknownContactError(Exception):
    """An element names the id of a contact that is not there."""


# -- writing ----------------------------------------------------------------------------------------------------------------------


def elements_of(data: Any) -> list[dict[str, Any]] | None:
    """Return the contacts in a request's body: an envelope in any case, a list or one contact; None if there are none.

    Members must be in Pascal case; others are dropped silently, but for the name.
    """
    if isinstance(data, dict):
        inner = next((value for key, value in data.items() if key.casefold() == "contacts"), None)
        data = [data] if inner is None else inner
    if not isinstance(data, list) or not data or not all(isinstance(row, dict) for row in data):
        return None
    return [_pascal_case(row) for row in data]


def _pascal_case(row: dict[str, Any]) -> dict[str, Any]:
    kept = {key: value for key, value in row.items() if key[:1].isupper()}
    if "Name" not in kept and "name" in row:
        kept["Name"] = row["name"]
    return {key: str(value) if key in shape.PLAIN_FIELDS and isinstance(value, int | float) else value for key, value in kept.items() if value is not None}


def create(context: Context, data: Any, *, summarise: bool) -> Reply:
    """Answer PUT /Contacts."""
    return _write_all(context, data, summarise=summarise, updating=False)


def update_or_create(context: Context, data: Any, *, summarise: bool) -> Reply:
    """Answer POST /Contacts."""
    return _write_all(context, data, summarise=summarise, updating=True)


def update_one(context: Context, contact_id: str, data: Any, *, summarise: bool) -> Reply:
    """Answer POST /Contacts/{ContactID}."""
    elements = elements_of(data)
    if elements is None:
        return exception(17, "NoDataProcessedException", NO_DATA)
    if contact_id.lower() not in context.organisation.contacts:
        return not_found()
    return _write_all(context, [{**elements[0], "ContactID": contact_id}], summarise=summarise, updating=True)


def _write_all(context: Context, data: Any, *, summarise: bool, updating: bool) -> Reply:
    elements = elements_of(data)
    if elements is None:
        return exception(17, "NoDataProcessedException", NO_DATA)
    organisation = context.organisation
    before: list[tuple[str, Contact | None]] = []
    outcomes: list[Written] = []
    for element in elements:
        try:
            outcome = write_one(organisation, element, context.settings, context.now_ms, updating=updating)
        except UnknownContactError:
            _undo(organisation, before)
            return not_found()
        if outcome.contact is not None:
            before.append((outcome.contact.contact_id, organisation.contacts.get(outcome.contact.contact_id)))
            organisation.put(outcome.contact)
        outcomes.append(outcome)
    if summarise and any(outcome.messages for outcome in outcomes):
        if not context.settings.partial_success:
            _undo(organisation, before)
        bad = [
            shape.refused(element, outcome.messages, status_attribute=False, matched=outcome.matched)
            for element, outcome in zip(elements, outcomes, strict=True) if outcome.messages
        ]
        return exception(10, "ValidationException", "A validation exception occurred", elements=bad)
    rows = [
        shape.refused(element, outcome.messages, status_attribute=True, matched=outcome.matched) if outcome.contact is None
        else shape.written(outcome.contact, status_attribute=not summarise)
        for element, outcome in zip(elements, outcomes, strict=True)
    ]
    return context.envelope(rows)


def _undo(organisation: Organisation, before: list[tuple[str, Contact | None]]) -> None:
    for contact_id, contact in reversed(before):
        if contact is None:
            organisation.drop(contact_id)
        else:
            organisation.put(contact)


def write_one(organisation: Organisation, element: Mapping[str, Any], settings: Settings, now_ms: int, *, updating: bool) -> Written:
    """Decide what one element does: the contact as it is to be stored, or the messages of its refusal."""
    matched = _matched(organisation, element) if updating else None
    if matched is not None and matched.status != ACTIVE:
        return Written(None, [ARCHIVED_MESSAGE], matched)
    messages = refusals(element, creating=matched is None)
    if not messages:
        messages = _conflicts(organisation, element, settings, matched)
    if messages:
        return Written(None, messages)
    return Written(_changed(matched, element, now_ms), [])


def _matched(organisation: Organisation, element: Mapping[str, Any]) -> Contact | None:
    """Return the contact that POST updates: by id, else by number, else by name."""
    contact_id = element.get("ContactID")
    if contact_id:
        contact = organisation.contacts.get(str(contact_id).lower())
        if contact is None:
            raise UnknownContactError(contact_id)
        return contact
    number, name = element.get("ContactNumber"), element.get("Name")
    by_number = organisation.with_number(number) if isinstance(number, str) and number else None
    return by_number or (organisation.active_with_name(name) if isinstance(name, str) else None)


def _conflicts(organisation: Organisation, element: Mapping[str, Any], settings: Settings, matched: Contact | None) -> list[str]:
    own = matched.contact_id if matched else None
    messages = []
    name, number, account = element.get("Name"), element.get("ContactNumber"), element.get("AccountNumber")
    other = organisation.active_with_name(name) if name else None
    if other is not None and other.contact_id != own:
        messages.append(name_taken(str(name)))
    other = organisation.with_number(number, archived=settings.number_unique_over_archived) if number else None
    if other is not None and other.contact_id != own:
        messages.append(number_taken(str(number)))
    other = organisation.active_with_account(account) if account else None
    if other is not None and other.contact_id != own:
        messages.append("The Account Number already exists")
    return messages


def _changed(matched: Contact | None, element: Mapping[str, Any], now_ms: int) -> Contact:
    sent = {name: str(element[name]) for name in shape.PLAIN_FIELDS if element.get(name) is not None}
    persons = element.get("ContactPersons")
    clean_persons = [dict(person) for person in rows_of(persons)] if isinstance(persons, list) else None
    if matched is None:
        fields = {"EmailAddress": "", "BankAccountDetails": "", **sent}
        contact = Contact(new_id(), str(element.get("ContactStatus", ACTIVE)), fields, now_ms, shape.address_slots(element.get("Addresses")),
                          shape.phone_slots(element.get("Phones")), clean_persons or [])
    else:
        contact = Contact(matched.contact_id, str(element.get("ContactStatus", matched.status)), {**matched.fields, **sent}, now_ms,
                          shape.address_slots(element.get("Addresses"), kept=matched.addresses),
                          shape.phone_slots(element.get("Phones"), kept=matched.phones),
                          matched.persons if clean_persons is None else clean_persons, matched.merged_to)
    if not contact.fields.get("ContactNumber"):
        contact.fields.pop("ContactNumber", None)
    return contact


# -- reading ----------------------------------------------------------------------------------------------------------------------


def get_one(context: Context, key: str) -> Reply:
    """Answer GET /Contacts/{ContactID or ContactNumber}."""
    contact = context.organisation.contacts.get(key.lower()) or context.organisation.with_number(key)
    return not_found() if contact is None else context.envelope([shape.listed(contact, paged=True)])


def list_contacts(context: Context, query: Mapping[str, str], *, modified_since_ms: int | None = None) -> Reply:
    """Answer GET /Contacts."""
    try:
        conditions = parse_where(query.get("where", ""))
        rows = _selected(context.organisation, query, conditions, modified_since_ms)
        rows = ordered(rows, query.get("order", ""))
    except QueryError as error:
        return exception(16, "QueryParseException", str(error))
    summary = _true(query.get("summaryOnly"))
    if not summary and "page" not in query and "pageSize" not in query:
        if len(rows) > context.settings.list_maximum:
            message = f"The request would return more than {context.settings.list_maximum} contacts. Use paging."
            return exception(10, "ValidationException", message, elements=[])
        return context.envelope([shape.listed(contact, paged=False) for contact in rows])
    page = max(1, _number(query.get("page"), 1))
    size = _number(query.get("pageSize"), PAGE_SIZE)
    size = PAGE_SIZE if size < 1 else min(size, PAGE_SIZE_MAX)
    part = rows[(page - 1) * size : page * size]
    shown = [shape.summarised(contact) if summary else shape.listed(contact, paged=True) for contact in part]
    return context.envelope(shown, page_of(page, size, len(rows)))


def _selected(organisation: Organisation, query: Mapping[str, str], conditions: list[Condition], modified_since_ms: int | None) -> list[Contact]:
    wanted_ids = {part.strip().lower() for part in query["IDs"].split(",")} if query.get("IDs") else None
    archived = _true(query.get("includeArchived"))
    term = query.get("searchTerm", "").casefold()
    return [
        contact for contact in organisation.contacts.values()
        if (archived or contact.status != ARCHIVED)
        and (wanted_ids is None or contact.contact_id in wanted_ids)
        and (not term or _mentions(contact, term))
        and (modified_since_ms is None or contact.updated >= modified_since_ms)
        and all(condition(contact) for condition in conditions)
    ]


def _mentions(contact: Contact, term: str) -> bool:
    names = ("Name", "FirstName", "LastName", "ContactNumber", "CompanyNumber", "EmailAddress")
    return any(term in str(contact.fields.get(name, "")).casefold() for name in names)


def _true(value: str | None) -> bool:
    return (value or "").casefold() == "true"


def _number(value: str | None, default: int) -> int:
    try:
        return int(value) if value is not None else default
    except ValueError:
        return default
