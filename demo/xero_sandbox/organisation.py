"""One organisation and all that is in it."""
from __future__ import annotations

import secrets
import uuid
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from typing import Any

from .names import name_key

ACTIVE, ARCHIVED = "ACTIVE", "ARCHIVED"
INPROGRESS, CLOSED = "INPROGRESS", "CLOSED"
CURRENCIES = {"NZ": "NZD", "AU": "AUD", "GB": "GBP", "US": "USD"}


def new_id() -> str:
    """Return a random id, as Xero makes them."""
    return str(uuid.uuid4())


@dataclass(slots=True)
class Contact:
    """A contact: ``fields`` are its plain members under Xero's names, Name among them."""

    contact_id: str
    status: str
    fields: dict[str, Any]
    updated: int
    addresses: list[dict[str, str]] = field(default_factory=list)
    phones: list[dict[str, str]] = field(default_factory=list)
    persons: list[dict[str, Any]] = field(default_factory=list)
    merged_to: str | None = None

    @property
    def name(self) -> str:
        """Return the contact's name."""
        return str(self.fields["Name"])

    @property
    def number(self) -> str | None:
        """Return the ContactNumber, if there is one."""
        return self.fields.get("ContactNumber") or None


@dataclass(slots=True)
class Task:
    """A task of a project."""

    task_id: str
    name: str
    charge_type: str
    rate_currency: str
    rate_value: float
    estimate_minutes: int | None = None


@dataclass(slots=True)
class Project:
    """A project; ``estimate`` and ``deadline`` may be missing."""

    project_id: str
    contact_id: str
    name: str
    status: str = INPROGRESS
    deadline: str | None = None
    estimate: float | None = None
    tasks: list[Task] = field(default_factory=list)


@dataclass
class Organisation:
    """A tenant with its contacts and projects, and the indexes that its rules ask."""

    name: str
    tenant_id: str = field(default_factory=new_id)
    is_demo_company: bool = True
    country: str = "NZ"
    created: int = 0
    projects_enabled: bool = True
    short_code: str = field(default_factory=lambda: "!" + secrets.token_urlsafe(4)[:5])
    contacts: dict[str, Contact] = field(default_factory=dict)
    projects: dict[str, Project] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._names: dict[str, set[str]] = {}
        self._numbers: dict[str, set[str]] = {}
        self._accounts: dict[str, set[str]] = {}
        for contact in self.contacts.values():
            self._index(contact)

    @property
    def currency(self) -> str:
        """Return the base currency."""
        return CURRENCIES.get(self.country, "USD")

    def put(self, contact: Contact) -> None:
        """Add a contact, or replace the one with its id."""
        self.drop(contact.contact_id)
        self.contacts[contact.contact_id] = contact
        self._index(contact)

    def drop(self, contact_id: str) -> None:
        """Remove a contact if it is there."""
        contact = self.contacts.pop(contact_id, None)
        if contact is not None:
            for index, key in self._keys(contact):
                index[key].discard(contact_id)
                if not index[key]:
                    del index[key]

    def active_with_name(self, name: str) -> Contact | None:
        """Return the active contact that has this name, in any case and spelling of accents."""
        return next((c for c in self._found(self._names, name_key(name)) if c.status == ACTIVE), None)

    def with_number(self, number: str, *, archived: bool = True) -> Contact | None:
        """Return the contact with this ContactNumber, an active one first."""
        found = sorted(self._found(self._numbers, number.strip().casefold()), key=lambda c: c.status != ACTIVE)
        return next((c for c in found if archived or c.status == ACTIVE), None)

    def active_with_account(self, account: str) -> Contact | None:
        """Return the active contact with this AccountNumber."""
        return next((c for c in self._found(self._accounts, account.strip().casefold()) if c.status == ACTIVE), None)

    def _found(self, index: dict[str, set[str]], key: str) -> Iterator[Contact]:
        return (self.contacts[contact_id] for contact_id in sorted(index.get(key, ())))

    def _keys(self, contact: Contact) -> Iterator[tuple[dict[str, set[str]], str]]:
        yield self._names, name_key(contact.name)
        if contact.number:
            yield self._numbers, contact.number.strip().casefold()
        if contact.fields.get("AccountNumber"):
            yield self._accounts, str(contact.fields["AccountNumber"]).strip().casefold()

    def _index(self, contact: Contact) -> None:
        for index, key in self._keys(contact):
            index.setdefault(key, set()).add(contact.contact_id)

    def as_dict(self) -> dict[str, Any]:
        """Return the organisation as JSON data."""
        plain = {name: getattr(self, name) for name in ("name", "tenant_id", "is_demo_company", "country", "created", "projects_enabled", "short_code")}
        return {**plain, "contacts": [_plain(c) for c in self.contacts.values()], "projects": [_plain_project(p) for p in self.projects.values()]}

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Organisation:
        """Return the organisation that ``as_dict`` wrote."""
        contacts = {row["contact_id"]: Contact(**row) for row in data.get("contacts", [])}
        projects = {row["project_id"]: Project(**{**row, "tasks": [Task(**task) for task in row.get("tasks", [])]}) for row in data.get("projects", [])}
        plain = {name: value for name, value in data.items() if name not in ("contacts", "projects")}
        return cls(**plain, contacts=contacts, projects=projects)


def _plain(contact: Contact) -> dict[str, Any]:
    """Return a contact as JSON data; by hand, since asdict's deep copy is slow and this runs on each save."""
    return {name: getattr(contact, name) for name in Contact.__slots__}


def _plain_project(project: Project) -> dict[str, Any]:
    """Return a project as JSON data."""
    return {**{name: getattr(project, name) for name in Project.__slots__}, "tasks": [asdict(task) for task in project.tasks]}


def organisation_reply(organisation: Organisation) -> dict[str, Any]:
    """Return the element of GET /Organisation."""
    return {
        "Name": organisation.name,
        "LegalName": organisation.name,
        "PaysTax": True,
        "Version": organisation.country if organisation.country in ("NZ", "AU", "US") else "GLOBAL" if organisation.country != "GB" else "UK",
        "OrganisationType": "COMPANY",
        "BaseCurrency": organisation.currency,
        "CountryCode": organisation.country,
        "IsDemoCompany": organisation.is_demo_company,
        "OrganisationStatus": "ACTIVE",
        "TaxNumber": "101-2-303",
        "FinancialYearEndDay": 31,
        "FinancialYearEndMonth": 3,
        "SalesTaxBasis": "PAYMENTS",
        "SalesTaxPeriod": "TWOMONTHS",
        "DefaultSalesTax": "Remember previous",
        "DefaultPurchasesTax": "Remember previous",
        "PeriodLockDate": "/Date(1254268800000+0000)/",
        "CreatedDateUTC": f"/Date({organisation.created})/",
        "OrganisationEntityType": "COMPANY",
        "Timezone": "NEWZEALANDSTANDARDTIME",
        "ShortCode": organisation.short_code,
        "OrganisationID": organisation.tenant_id,
        "Edition": "BUSINESS",
        "Class": "DEMO" if organisation.is_demo_company else "STANDARD",
        "Addresses": [
            {"AddressType": "POBOX", "AddressLine1": "23 Main Street", "AddressLine2": "Central City", "City": "Marineville", "Region": "",
             "PostalCode": "1234", "Country": "", "AttentionTo": ""},
        ],
        "Phones": [{"PhoneType": "OFFICE", "PhoneNumber": "800 1234", "PhoneCountryCode": "64"}],
        "ExternalLinks": [],
        "PaymentTerms": {},
    }
