"""The records that seeding works on: rows of the database, what is in the organisation, what is to be made there."""
from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Literal

ACTIVE = "ACTIVE"
"""The only contact status that may be linked; others are ARCHIVED and GDPRREQUEST."""

INPROGRESS = "INPROGRESS"
"""The project status that is preferred to CLOSED."""

ReplyKind = Literal["created", "duplicate", "refused"]


@dataclass(frozen=True, slots=True)
class Contact:
    """A contact of the organisation; ``number`` is its ContactNumber, ``merged_to`` the contact that it was merged into."""

    id: str
    name: str
    number: str | None = None
    status: str = ACTIVE
    merged_to: str | None = None


@dataclass(frozen=True, slots=True)
class Project:
    """A project of the organisation."""

    id: str
    contact_id: str
    name: str
    status: str = INPROGRESS


@dataclass(frozen=True, slots=True)
class NewContact:
    """A contact to create; ``key`` is the client's key in the database and does not go to Xero."""

    key: str
    name: str
    number: str
    email: str | None = None
    phone: str | None = None
    address: str | None = None


@dataclass(frozen=True, slots=True)
class NewProject:
    """A project to create; ``key`` is the job's key in the database and does not go to Xero. ``deadline`` is in UTC."""

    key: str
    contact_id: str
    name: str
    deadline: datetime | None = None
    estimate: Decimal | None = None


@dataclass(frozen=True, slots=True)
class CreateReply:
    """What Xero said to one row: ``created`` with an ``id``, or ``duplicate`` ("already assigned") or ``refused`` with Xero's ``reason``."""

    key: str
    kind: ReplyKind
    id: str | None = None
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class ClientRow:
    """A client; ``key`` is the text of its key, ``in_scope`` what the mapping's ``where`` says."""

    key: str
    name: str | None
    email: str | None = None
    phone: str | None = None
    address: str | None = None
    xero_id: str | None = None
    tenant_id: str | None = None
    in_scope: bool = True


@dataclass(frozen=True, slots=True)
class JobRow:
    """A job; ``order`` is its rank by the mapping's ``order_by`` (0 first).

    ``unreadable`` names the optional fields whose value is not a date or an amount.
    """

    key: str
    client_key: str | None
    number: str | None
    name: str | None
    deadline: datetime | None = None
    estimate: Decimal | None = None
    xero_id: str | None = None
    tenant_id: str | None = None
    in_scope: bool = True
    order: int = 0
    unreadable: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Change:
    """A row's Xero id as it was read, and as it is to be."""

    key: str
    old: str | None
    new: str


@dataclass(slots=True)
class Stored:
    """Keys of the rows that now hold their new id, and why the others do not."""

    done: set[str] = field(default_factory=set)
    refused: dict[str, str] = field(default_factory=dict)
