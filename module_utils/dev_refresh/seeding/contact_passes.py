"""Which contact is which client's: the passes, each applied to all clients before the next one."""
from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from .keys import key_order
from .names import clean, compared, distinct_names
from .numbers import NumberOwners
from .records import ACTIVE, ClientRow, Contact


@dataclass(slots=True)
class Claims:
    """Who has what: the Xero id that each row (by key) claims, and by which pass."""

    ids: dict[str, str] = field(default_factory=dict)
    passes: dict[str, str] = field(default_factory=dict)
    taken: set[str] = field(default_factory=set)

    def claim(self, key: str, xero_id: str, by: str) -> None:
        """Let the row have it; nobody else can claim it then."""
        self.ids[key] = xero_id
        self.passes[key] = by
        self.taken.add(xero_id)


def accepted_names(row: ClientRow) -> frozenset[str]:
    """Return the compared names under which this client may have been created."""
    name = clean(row.name)
    return frozenset(compared(given) for given in distinct_names(name, row.key)) if name else frozenset()


def claim_contacts(rows: Sequence[ClientRow], contacts: Iterable[Contact], owners: NumberOwners) -> Claims:
    """Return which contact each client has; a client without one is left out and must be created."""
    ordered = sorted(rows, key=lambda row: key_order(row.key))
    every = {contact.id: contact for contact in sorted(contacts, key=lambda contact: contact.id)}
    return _Passes(ordered, every, owners).run()


class _Passes:
    """The state that the passes share."""

    def __init__(self, rows: Sequence[ClientRow], contacts: Mapping[str, Contact], owners: NumberOwners) -> None:
        self.rows = rows
        self.by_key = {row.key: row for row in rows}
        self.contacts = contacts
        self.owners = owners
        self.claims = Claims()
        self.numbered: dict[str, list[tuple[int, Contact]]] = defaultdict(list)
        for contact in contacts.values():
            owner = owners.owner(contact.number)
            if owner is not None:
                self.numbered[owner[0]].append((owner[1], contact))
        for held in self.numbered.values():
            held.sort(key=lambda one: (one[0], one[1].id))

    def run(self) -> Claims:
        """Apply all passes."""
        self._stored_id()
        self._number()
        self._merged()
        self._name("same name", clean)
        self._name("similar name", compared)
        return self.claims

    def _unclaimed(self) -> list[ClientRow]:
        """Return the rows that have nothing yet, by key."""
        return [row for row in self.rows if row.key not in self.claims.ids]

    def _stored_id(self) -> None:
        """Pass 1: the stored id is ACTIVE, and its number is not another client's."""
        wanted: dict[str, list[ClientRow]] = defaultdict(list)
        for row in self.rows:
            contact = self.contacts.get((row.xero_id or "").lower())
            if contact is not None and contact.status == ACTIVE and not self._proves_another(row, contact):
                wanted[contact.id].append(row)
        for contact_id, sharing in wanted.items():
            owner = self.owners.owner(self.contacts[contact_id].number)
            keeper = next((row for row in sharing if owner is not None and owner[0] == row.key), sharing[0])
            self.claims.claim(keeper.key, contact_id, "stored id")

    def _number(self) -> None:
        """Pass 2: the ContactNumber; where it proves too little, the name must be the same too."""
        for row in self._unclaimed():
            for _index, contact in self.numbered.get(row.key, ()):
                if contact.status == ACTIVE and contact.id not in self.claims.taken and self._is_proven(row, contact):
                    self.claims.claim(row.key, contact.id, "number")
                    break

    def _merged(self) -> None:
        """Pass 3: the stored id or the number leads through merges to an ACTIVE contact."""
        for row in self._unclaimed():
            stored = self.contacts.get((row.xero_id or "").lower())
            sources = [stored] if stored is not None and not self._carries_anothers_number(row, stored) else []
            sources += [contact for _index, contact in self.numbered.get(row.key, ()) if self._is_proven(row, contact)]
            for source in sources:
                end = self._end_of_merges(source)
                if end is not None and end.id not in self.claims.taken and not self._carries_anothers_number(row, end):
                    self.claims.claim(row.key, end.id, "merged")
                    break

    def _name(self, by: str, form: Callable[[str | None], str]) -> None:
        """Pass 4, with clean names, and pass 5, with compared ones: the same name."""
        named: dict[str, list[Contact]] = defaultdict(list)
        for contact in self.contacts.values():
            if contact.status == ACTIVE and contact.id not in self.claims.taken:
                named[form(contact.name)].append(contact)
        for row in self._unclaimed():
            name = form(row.name)
            for contact in named.get(name, ()) if name else ():
                if contact.id not in self.claims.taken and not self._carries_anothers_number(row, contact):
                    self.claims.claim(row.key, contact.id, by)
                    break

    def _is_proven(self, row: ClientRow, contact: Contact) -> bool:
        """Tell whether a contact that carries this client's number is its own."""
        return not self.owners.weak(row.key) or compared(contact.name) in accepted_names(row)

    def _proves_another(self, row: ClientRow, contact: Contact) -> bool:
        """Tell whether the contact's number makes it another client's."""
        owner = self.owners.owner(contact.number)
        return owner is not None and owner[0] != row.key and self._is_proven(self.by_key[owner[0]], contact)

    def _carries_anothers_number(self, row: ClientRow, contact: Contact) -> bool:
        """Tell whether the contact carries another client's number, proven or not."""
        owner = self.owners.owner(contact.number)
        return owner is not None and owner[0] != row.key

    def _end_of_merges(self, contact: Contact) -> Contact | None:
        """Return the ACTIVE contact at the end of a chain of merges, or None if it ends elsewhere or in a circle."""
        seen = {contact.id}
        current: Contact | None = contact
        while current is not None and current.status != ACTIVE:
            current = self.contacts.get(current.merged_to or "")
            if current is not None and current.id in seen:
                return None
            if current is not None:
                seen.add(current.id)
        return current if current is not contact else None
