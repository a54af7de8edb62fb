"""In which order several workers load tables and build their indexes."""
from __future__ import annotations

import threading
from collections import Counter, deque
from collections.abc import Iterable
from dataclasses import dataclass

from ..dump.shares import TableShare
from ..dump.toc import TocEntry

WORTH_BYTES = 1 << 20
"""Stored rows whose index is worth a start of pg_restore; those of smaller tables are left to the one that does the rest."""
_WAIT = 0.5


@dataclass(frozen=True, slots=True)
class Index:
    """An index that can be built now."""

    entry: TocEntry
    table: tuple[str, str]
    size: int

    @property
    def alone(self) -> bool:
        """Tell whether nobody else may build an index of the table meanwhile: a constraint locks it."""
        return self.entry.kind == "CONSTRAINT"


Item = TableShare | Index


class Schedule:
    """Hands out tables, the biggest first, and then indexes of big tables that are loaded, for as long as another worker is busy.

    The last worker gets no index: what is left is done by one pg_restore with all jobs, which does several indexes of a table better.
    """

    def __init__(self, tables: Iterable[TableShare]) -> None:
        self._changed = threading.Condition()
        self._tables = deque(sorted(tables, key=lambda table: -table.size))
        self._indexes: list[Index] = []
        self._building: Counter[tuple[str, str]] = Counter()
        self._alone: set[tuple[str, str]] = set()
        self._busy = 0
        self._stopped = False
        self.built: set[int] = set()
        """Dump ids of the indexes that were built."""

    def take(self) -> Item | None:
        """Return what to do next, None at the end; waits where it depends on what others do. Tables are handed out before anything else."""
        with self._changed:
            while not self._stopped:
                if self._tables:
                    self._busy += 1
                    return self._tables.popleft()
                if not self._busy:
                    return None
                if (index := self._next_index()) is not None:
                    self._busy += 1
                    self._indexes.remove(index)
                    self._building[index.table] += 1
                    if index.alone:
                        self._alone.add(index.table)
                    return index
                self._changed.wait(_WAIT)
            return None

    def done(self, item: Item) -> None:
        """Note that it is loaded or built."""
        with self._changed:
            if isinstance(item, Index):
                self.built.add(item.entry.dump_id)
                self._building[item.table] -= 1
                if item.alone:
                    self._alone.discard(item.table)
            elif item.size >= WORTH_BYTES:
                name = (item.target.schema, item.target.table)
                self._indexes += [Index(entry, name, item.size) for entry in item.indexes]
                self._indexes.sort(key=lambda index: -index.size)
            self._busy -= 1
            self._changed.notify_all()

    def stop(self) -> None:
        """Hand nothing out any more."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()

    @property
    def stopped(self) -> bool:
        """Tell whether it was stopped."""
        return self._stopped

    def _next_index(self) -> Index | None:
        """Return an index that nobody's lock keeps from being built."""
        return next((each for each in self._indexes if each.table not in self._alone and not (each.alone and self._building[each.table])), None)
