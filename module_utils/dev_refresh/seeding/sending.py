"""Sending rows to Xero until each is settled: lost replies, duplicates and refusals. HTTP only, for the worker threads."""
from __future__ import annotations

import itertools
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from ..errors import RefreshError
from .keys import valid_xero_id
from .names import compared
from .numbers import NumberOwners
from .plan import ContactCreate, ProjectCreate
from .ports import OutcomeUnknown, XeroPort
from .records import ACTIVE, Contact, CreateReply, NewContact, Project

MAX_SENDS = 4
"""Times that a write whose outcome is unknown is sent before its rows fail."""

NO_ID = "Xero accepted it but gave no usable id"

Kind = Literal["created", "linked", "failed"]

Pause = Callable[[int], None]
"""Waits before a try; gets the number of tries so far."""


@dataclass(frozen=True, slots=True)
class Settled:
    """A row that needs no further call."""

    key: str
    kind: Kind
    id: str | None = None
    name: str = ""
    reason: str = ""
    left_out: tuple[str, ...] = ()
    """Optional fields that were dropped because Xero refused the row with them."""
    silent: bool = False
    """It failed because Xero never told the outcome."""


@dataclass(slots=True)
class Sent:
    """What came of one task; the rows that are not settled are still to be done, for the reason in ``error``."""

    settled: list[Settled] = field(default_factory=list)
    error: RefreshError | None = None


def send_contacts(xero: XeroPort, batch: Sequence[ContactCreate], owners: NumberOwners, pause: Pause, attempt: int) -> Sent:
    """Create a batch of contacts; ``attempt`` is the first number that goes into the idempotency keys."""
    sent = Sent()
    sender = _ContactSender(xero, owners, pause, sent.settled, attempt)
    try:
        sender.run([_Contact(create, create.new, list(create.further_names)) for create in batch])
    except RefreshError as error:
        sent.error = error
    return sent


def send_project(xero: XeroPort, create: ProjectCreate, contact_id: str, known: Collection[str], pause: Pause, attempt: int) -> Sent:
    """Create one project; ``known`` are the ids of projects that are there already or belong to other jobs."""
    sent = Sent()
    try:
        sent.settled.append(_send_project(xero, create, contact_id, known, pause, attempt))
    except RefreshError as error:
        sent.error = error
    return sent


@dataclass(slots=True)
class _Contact:
    """A contact on its way: as it is sent now, and the names that it may still be given."""

    create: ContactCreate
    new: NewContact
    names: list[str]
    left_out: tuple[str, ...] = ()

    def is_mine(self, contact: Contact | None) -> bool:
        """Tell whether a contact with this number is this client's and may be linked."""
        if contact is None or contact.status != ACTIVE:
            return False
        return self.create.proven_by is None or compared(contact.name) in self.create.proven_by

    def without_options(self) -> bool:
        """Drop the optional fields; False if there are none left to drop."""
        dropped = tuple(name for name in ("email", "phone", "address") if getattr(self.new, name) is not None)
        self.new = replace(self.new, email=None, phone=None, address=None)
        self.left_out += dropped
        return bool(dropped)


class _ContactSender:
    """Sends one batch, again and again with fewer rows, until every row is settled."""

    def __init__(self, xero: XeroPort, owners: NumberOwners, pause: Pause, settled: list[Settled], attempt: int) -> None:
        self._xero = xero
        self._owners = owners
        self._pause = pause
        self._settled = settled
        self._attempt = attempt
        self._tries = 0

    def run(self, pending: list[_Contact]) -> None:
        """Settle all rows, or raise with the rest of them unsettled."""
        while pending:
            try:
                replies = {reply.key: reply for reply in self._xero.create_contacts([row.new for row in pending], key_attempt=self._attempt)}
            except OutcomeUnknown as unknown:
                pending = self._look(pending, unknown)
                continue
            self._tries = 0
            again = [row for row in pending if row.new.key not in replies or self._take(row, replies[row.new.key])]
            duplicates = [row for row in again if row.new.key in replies and replies[row.new.key].kind == "duplicate"]
            if duplicates:
                lost = self._resolve(duplicates, replies)
                again = [row for row in again if row.new.key not in lost]
            pending = again

    def _look(self, pending: list[_Contact], unknown: OutcomeUnknown) -> list[_Contact]:
        """Settle the rows that were created although the reply was lost; return the others."""
        self._tries += 1
        self._attempt += unknown.raise_attempt
        there = self._xero.contacts_by_number([row.new.number for row in pending])
        left = []
        for row in pending:
            contact = there.get(row.new.number)
            if contact is not None and row.is_mine(contact):
                self._settle(row, "created", xero_id=contact.id)
            else:
                left.append(row)
        if left and self._tries >= MAX_SENDS:
            for row in left:
                self._settle(row, "failed", reason=str(unknown.finding.what), silent=True)
            return []
        if left:
            self._pause(self._tries)
        return left

    def _take(self, row: _Contact, reply: CreateReply) -> bool:
        """Settle a row by its reply; return True if it must go again."""
        if reply.kind == "created":
            xero_id = valid_xero_id(reply.id)
            self._settle(row, "created", xero_id=xero_id) if xero_id else self._settle(row, "failed", reason=NO_ID)
            return False
        if reply.kind == "duplicate" or row.without_options():
            return True
        self._settle(row, "failed", reason=reply.reason or "Xero refused it")
        return False

    def _resolve(self, rows: Sequence[_Contact], replies: dict[str, CreateReply]) -> set[str]:
        """Look by number for what is "already assigned": link it, or take another number or name; return the keys that are settled."""
        choices = {row.new.key: list(itertools.islice(self._owners.candidates(row.new.key), 10)) for row in rows}
        there = self._xero.contacts_by_number([number for numbers in choices.values() for number in numbers])
        done = set()
        for row in rows:
            numbers = choices[row.new.key]
            mine = next((there[number] for number in numbers if number in there and row.is_mine(there[number])), None)
            free = next((number for number in numbers if number not in there), None)
            if mine is not None:
                self._settle(row, "linked", xero_id=mine.id)
            elif row.new.number in there and free is not None:
                row.new = replace(row.new, number=free)
                continue
            elif row.names:
                row.new = replace(row.new, name=row.names.pop(0))
                continue
            else:
                self._settle(row, "failed", reason=replies[row.new.key].reason or "Xero refused it")
            done.add(row.new.key)
        return done

    def _settle(self, row: _Contact, kind: Kind, *, xero_id: str | None = None, reason: str = "", silent: bool = False) -> None:
        """Note that a row needs no further call."""
        self._settled.append(Settled(row.new.key, kind, xero_id, row.new.name, reason, row.left_out if kind == "created" else (), silent))


def _send_project(xero: XeroPort, create: ProjectCreate, contact_id: str, known: Collection[str], pause: Pause, attempt: int) -> Settled:
    """Send one project until it is settled."""
    names = list(create.names[1:])
    new = create.under(contact_id)
    tries = 0
    left_out: tuple[str, ...] = ()
    while True:
        try:
            reply = xero.create_project(new, key_attempt=attempt)
        except OutcomeUnknown as unknown:
            tries += 1
            attempt += unknown.raise_attempt
            made = _find(xero.projects_of(contact_id), new.name, known)
            if made is not None:
                return Settled(create.key, "created", made.id, new.name, left_out=left_out)
            if tries >= MAX_SENDS:
                return Settled(create.key, "failed", name=new.name, reason=str(unknown.finding.what), silent=True)
            pause(tries)
            continue
        reason = reply.reason or "Xero refused it"
        if reply.kind == "created":
            xero_id = valid_xero_id(reply.id)
            if xero_id is None:
                return Settled(create.key, "failed", name=new.name, reason=NO_ID)
            return Settled(create.key, "created", xero_id, new.name, left_out=left_out)
        if reply.kind == "duplicate":
            there = _find(xero.projects_of(contact_id), new.name, known)
            if there is not None:
                return Settled(create.key, "linked", there.id, new.name)
            if not names:
                return Settled(create.key, "failed", name=new.name, reason=reason)
            new = replace(new, name=names.pop(0))
        elif new.deadline is not None or new.estimate is not None:
            left_out = tuple(name for name in ("deadline", "estimate") if getattr(new, name) is not None)
            new = replace(new, deadline=None, estimate=None)
        else:
            return Settled(create.key, "failed", name=new.name, reason=reason)


def _find(projects: Sequence[Project], name: str, known: Collection[str]) -> Project | None:
    """Return the project of this name that belongs to nobody yet."""
    return next((project for project in sorted(projects, key=lambda one: one.id) if project.id not in known and compared(project.name) == compared(name)), None)
