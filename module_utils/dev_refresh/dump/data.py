r"""Count the rows of each table in its data, or in the stream of ``pg_restore --section=data``, exactly and without keeping it.

In PostgreSQL's COPY text format a row is one line, whatever it contains (line ends in values are written as ``\n``), and the line ``\.`` can only
be the end (a backslash in a value is doubled). So newlines are counted in big pieces, without looking at single rows.
"""
from __future__ import annotations

from collections.abc import Sequence

COPY_END = b"\n\\.\n"
BLOCK_END = b"\\.\n\n\n"
"""What pg_dump writes behind the last row of a table."""
_MOST_COLLECTED = 64 << 20

_ESCAPES = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}


class CopyBlock:
    """The data of one table: its COPY statement, which the stream must contain, and what was found."""

    __slots__ = ("collected", "rows", "size", "statement")

    def __init__(self, statement: bytes, *, collect: bool = False) -> None:
        self.statement = statement
        self.rows: int | None = None
        self.size = 0
        self.collected: bytearray | None = bytearray() if collect else None


class CopyCounter:
    """Feed it the data of one table as the archive holds it: rows, and the end behind the last one."""

    def __init__(self, block: CopyBlock) -> None:
        self._block = block
        self._lines = 0
        self._size = 0
        self._tail = b"\n"

    def feed(self, data: bytes) -> None:
        """Take the next piece."""
        self._lines += data.count(b"\n")
        self._size += len(data)
        wanted = len(BLOCK_END) + 1
        self._tail = data[-wanted:] if len(data) >= wanted else (self._tail + data)[-wanted:]
        collected = self._block.collected
        if collected is not None:
            if len(collected) > _MOST_COLLECTED:
                self._block.collected = None
            else:
                collected += data

    def end(self) -> bool:
        """Note the rows of the block; tell whether its end came."""
        if self._tail != b"\n" + BLOCK_END:
            return False
        self._block.rows = self._lines - BLOCK_END.count(b"\n")
        self._block.size = self._size - len(BLOCK_END)
        if self._block.collected is not None:
            del self._block.collected[-len(BLOCK_END) :]
        return True


class CopyScanner:
    """Feed it the stream in pieces of any size; ``blocks`` must be in the archive's order.

    Only the very statements that the archive's list of contents holds are taken for the start of data, so a text that looks like COPY is not.
    """

    def __init__(self, blocks: Sequence[CopyBlock]) -> None:
        self._blocks = blocks
        self._next = 0
        self._inside = False
        self._carry = b"\n"
        self._rows = 0
        self._overflow = False

    def feed(self, chunk: bytes) -> None:
        """Take the next piece of the stream."""
        data = self._carry + chunk if self._carry else chunk
        position = 0
        while True:
            if self._inside:
                # most pieces hold no end, which rfind finds out three times faster than find
                end = data.find(COPY_END, position) if data.rfind(COPY_END, position) >= 0 else -1
                if end < 0:
                    # what could be the beginning of the end stays for the next piece
                    keep = max(position, len(data) - len(COPY_END) + 1)
                    self._take(data, position, keep)
                    self._carry = data[keep:]
                    return
                self._take(data, position, end + 1)
                self._close()
                # the newline of the end may be the one before the next statement
                position = end + len(COPY_END) - 1
            else:
                if self._next >= len(self._blocks):
                    self._carry = b""
                    return
                statement = b"\n" + self._blocks[self._next].statement
                start = data.find(statement, position)
                if start < 0:
                    self._carry = data[max(position, len(data) - len(statement) + 1) :]
                    return
                self._inside = True
                # from the newline at the statement's end on: an empty table is that newline and the end's rest
                position = start + len(statement) - 1
                self._rows = -1
                self._blocks[self._next].size = -1

    def unfinished(self) -> int | None:
        """Return the index of the first block that was not found from its statement to its end, None if all were."""
        return self._next if self._next < len(self._blocks) else None

    @property
    def overflow(self) -> bool:
        """Tell whether a block that was to be collected was too big for that."""
        return self._overflow

    def _take(self, data: bytes, start: int, stop: int) -> None:
        block = self._blocks[self._next]
        self._rows += data.count(b"\n", start, stop)
        block.size += stop - start
        if block.collected is not None:
            if len(block.collected) > _MOST_COLLECTED:
                block.collected, self._overflow = None, True
            else:
                block.collected += data[start:stop]

    def _close(self) -> None:
        block = self._blocks[self._next]
        block.rows = self._rows
        if block.collected is not None:
            # the statement's own newline
            del block.collected[:1]
        self._inside = False
        self._next += 1


def parse_rows(data: bytes, encoding: str = "utf-8") -> list[list[str | None]]:
    """Return the rows of COPY text; NULL is None."""
    lines = data.decode(encoding, "replace").split("\n")
    return [[_value(field) for field in line.split("\t")] for line in lines[:-1]]


def _value(field: str) -> str | None:
    r"""Return the value of one field: ``\N`` is NULL, ``\t`` a tab and so on."""
    if "\\" not in field:
        return field
    if field == "\\N":
        return None
    parts: list[str] = []
    position = 0
    while (backslash := field.find("\\", position)) >= 0 and backslash + 1 < len(field):
        escaped = field[backslash + 1]
        parts += field[position:backslash], _ESCAPES.get(escaped, escaped)
        position = backslash + 2
    return "".join(parts) + field[position:]
