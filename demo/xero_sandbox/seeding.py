"""Filling an organisation in bulk, past the API's rules and limits."""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from .organisation import ACTIVE, INPROGRESS, Contact, Organisation, Project, new_id

SHORT_NAMES = {"name": "Name", "number": "ContactNumber", "email": "EmailAddress", "account_number": "AccountNumber"}


class SeedError(ValueError):
    """Rows that cannot be put into an organisation."""


def add_contacts(organisation: Organisation, rows: Sequence[Mapping[str, Any]], now_ms: int) -> list[str]:
    """Add contacts as a user would in Xero's own pages; return their ids.

    A row has ``name`` and may have ``id``, ``number``, ``email``, ``account_number``, ``status`` and ``merged_to``.
    """
    ids: list[str] = []
    for row in rows:
        if not row.get("name"):
            raise SeedError("A contact needs a name")
        fields = {full: str(row[short]) for short, full in SHORT_NAMES.items() if row.get(short)}
        status = str(row.get("status", ACTIVE))
        clash = organisation.active_with_name(fields["Name"])
        if status == ACTIVE and clash is not None and clash.contact_id != row.get("id"):
            raise SeedError(f"There is an active contact {clash.name!r} already")
        contact = Contact(
            str(row.get("id") or new_id()).lower(), status, fields, now_ms,
            [{"AddressType": kind} for kind in ("POBOX", "STREET")], [{"PhoneType": kind} for kind in ("DEFAULT", "DDI", "FAX", "MOBILE")],
            merged_to=row.get("merged_to"),
        )
        organisation.put(contact)
        ids.append(contact.contact_id)
    return ids


def add_projects(organisation: Organisation, rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Add projects; return their ids.

    A row has ``name`` and ``contact_id`` (or ``contact``, the name of an active one) and may have ``id``, ``status``, ``deadline`` and ``estimate``.
    """
    ids: list[str] = []
    for row in rows:
        contact_id = str(row.get("contact_id") or "").lower()
        if not contact_id and row.get("contact"):
            found = organisation.active_with_name(str(row["contact"]))
            contact_id = found.contact_id if found else ""
        if contact_id not in organisation.contacts:
            raise SeedError(f"The project {row.get('name')!r} needs a contact that exists")
        project = Project(str(row.get("id") or new_id()).lower(), contact_id, str(row["name"]), str(row.get("status", INPROGRESS)), row.get("deadline"),
                          row.get("estimate"))
        organisation.projects[project.project_id] = project
        ids.append(project.project_id)
    return ids
