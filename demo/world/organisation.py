"""What the demo's Xero organisation holds before the first seed; nothing is read or written here."""
from __future__ import annotations

from dataclasses import dataclass

from .production_data import SPECIAL_CLIENTS, Client, ProductionData


@dataclass(frozen=True, slots=True)
class ExistingContact:
    """A contact that is there already; ``number`` is its ContactNumber."""

    name: str
    number: str | None = None
    is_archived: bool = False


@dataclass(frozen=True, slots=True)
class ExistingProject:
    """A project that is there already, of the contact of that name."""

    contact: str
    name: str


@dataclass(frozen=True, slots=True)
class ExistingRecords:
    """Everything that is in the organisation already."""

    contacts: list[ExistingContact]
    projects: list[ExistingProject]


UNCLAIMED = ("Basket Case", "Ridgeway University", "PowerDirect")
"""Contacts of no client: Xero fills each demo company with such."""


def existing_records(data: ProductionData) -> ExistingRecords:
    """Return contacts to be linked by name or number, archived ones that must not be, strangers, and some projects."""
    ordinary = [client for client in data.clients[SPECIAL_CLIENTS:] if len(client.name) < 100]
    upper, lower, spaced, numbered, archived, archived_number = (ordinary[at : at + 4] for at in range(0, 24, 4))
    accented = next(client for client in data.clients if "ā" in client.name)
    contacts = [
        *(ExistingContact(client.name.upper()) for client in upper),
        *(ExistingContact(client.name.lower()) for client in lower),
        *(ExistingContact(client.name.replace(" ", "  ")) for client in spaced),
        *(ExistingContact(f"Formerly {client.name}", number=str(client.id)) for client in numbered),
        *(ExistingContact(client.name, is_archived=True) for client in archived),
        *(ExistingContact(f"Closed {client.name}", number=str(client.id), is_archived=True) for client in archived_number),
        ExistingContact(accented.name.replace("ā", "a").replace("Ō", "O")),
        *(ExistingContact(name) for name in UNCLAIMED),
    ]
    contact_of = {client.id: _contact_name(client, contacts) for client in [*upper, *lower, *spaced, *numbered]}
    same, moved = [(contact_of[job.client_id], job) for job in data.jobs if job.client_id in contact_of and len(job.name) < 60][:2]
    projects = [
        ExistingProject(same[0], f"JOB {same[1].job_number}:  {same[1].name.upper()}"),
        ExistingProject(moved[0], f"Job {moved[1].job_number}: {moved[1].name}, as first quoted"),
        ExistingProject(moved[0], "Yearly maintenance"),
        ExistingProject(UNCLAIMED[0], "Job 1: Shop fit-out"),
    ]
    return ExistingRecords(contacts, projects)


def _contact_name(client: Client, contacts: list[ExistingContact]) -> str:
    """Return the name of the contact that is the client's, by number or by name."""
    compared = " ".join(client.name.split()).casefold()
    return next(contact.name for contact in contacts if contact.number == str(client.id) or " ".join(contact.name.split()).casefold() == compared)
