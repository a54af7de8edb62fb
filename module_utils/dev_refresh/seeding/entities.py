"""The entities that can be seeded, in the order in which they are; a further one is registered here."""
from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Entity:
    """What one kind of record costs: rows a reading call returns and rows a writing call takes."""

    name: str
    row: str
    """What a row of it is called in messages."""
    read_page: int
    write_batch: int

    def reading_calls(self, count: int) -> int:
        """Return the calls that read ``count`` records."""
        return max(1, -(-count // self.read_page))

    def writing_calls(self, count: int) -> int:
        """Return the calls that create ``count`` records."""
        return -(-count // self.write_batch)


CONTACTS = Entity("contacts", "client", read_page=1000, write_batch=50)
PROJECTS = Entity("projects", "job", read_page=500, write_batch=1)

REGISTERED = (CONTACTS, PROJECTS)
