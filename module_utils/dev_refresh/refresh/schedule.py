"""In which order several workers load tables and build their indexes."""
from __future__ import annotations

import threading
from collections import Counter, deque
from collections.abc import Iterable
from dataclasses import dataclass

from ..dump.shares import TableShare
from ..dump.toc import TocEntry

WORTH_BYTES = 4 << 20
"""Stored rows whose index is worth a start of pg_restore; those of smaller tables share one."""
_WAIT = 0.5


@dataclass(frozen=True, slots=True)
class _Index:
    """An index that can be built now."""

    entry: TocEntry
    table: tuple[str, str]
    size: int

    @property
    def alone(self) -> bool:
        """Tell whether nobody else may build an index of the table meanwhile: a constraint locks it."""
        return self.entry.kind == "CONSTRAINT"


@dataclass(frozen=True, slots=True)
class IndexBatch:
    """Indexes to be built by one start of pg_restore."""

    indexes: tuple[_Index, ...]

    @property
    def entries(self) -> list[TocEntry]:
        """Return their entries."""
        return [index.entry for index in self.indexes]


Item = TableShare | IndexBatch


class Schedule:
    """Hands out tables, the biggest first, and then indexes of loaded tables, for as long as another worker is busy.

    The last worker gets no index: what is left is done by one pg_restore with all jobs, which does several indexes of a table better.
    """

    def __init__(self, tables: Iterable[TableShare]) -> None:
        self._changed = threading.Condition()
        self._tables = deque(sorted(tables, key=lambda table: -table.size))
        self._indexes: list[_Index] = []
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
                if taken := self._pick():
                    self._busy += 1
                    self._indexes = [index for index in self._indexes if index not in taken]
                    self._building.update(index.table for index in taken)
                    self._alone |= {index.table for index in taken if index.alone}
                    return IndexBatch(tuple(taken))
                self._changed.wait(_WAIT)
            return None

    def done(self, what: Item) -> None:
        """Note that it is loaded or built."""
        with self._changed:
            if isinstance(what, IndexBatch):
                self.built |= {index.entry.dump_id for index in what.indexes}
                self._building.subtract(index.table for index in what.indexes)
                self._alone -= {index.table for index in what.indexes if index.alone}
            else:
                name = (what.target.schema, what.target.table)
                self._indexes += [_Index(entry, name, what.size) for entry in what.indexes]
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

    def _pick(self) -> list[_Index]:
        """Return indexes that nobody's lock keeps from being built, for one start of pg_restore."""
        taken: list[_Index] = []
        size = 0
        for index in self._indexes:
            if index.table in self._alone or (index.alone and self._building[index.table]):
                continue
            taken.append(index)
            size += index.size
            if size >= WORTH_BYTES:
                break
        return taken

