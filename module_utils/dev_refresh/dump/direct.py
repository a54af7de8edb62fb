"""Read all data of a dump without pg_restore, by several threads: uncompressing and counting, with the checks of every stream."""
from __future__ import annotations

import os
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence

from .blocks import Block, block_data
from .data import CopyBlock, CopyCounter
from .header import DamagedArchiveError, Header
from .parts import MOST_READERS, WORTH_BYTES


class _StoppedError(Exception):
    """Another reader found something, so the rest need not be read."""


def read_blocks(blocks: Sequence[Block], header: Header, counted: Mapping[int, CopyBlock], *, seconds: float, readers: int | None = None) -> None:
    """Read every block to its end, and count the rows of those in ``counted`` (by dump id).

    Raises DamagedArchiveError with the first thing that is wrong, TimeoutError after ``seconds``, and OSError.
    """
    until = time.monotonic() + seconds
    stopped = threading.Event()
    errors: list[BaseException] = []
    # the biggest first, so that all end at about the same time
    waiting = deque(sorted(blocks, key=lambda block: -block.size))

    def check() -> None:
        if stopped.is_set():
            raise _StoppedError
        if time.monotonic() > until:
            raise TimeoutError

    def work() -> None:
        try:
            while True:
                try:
                    block = waiting.popleft()
                except IndexError:
                    return
                check()
                _read(block, header, counted.get(block.entry.dump_id), check)
        except _StoppedError:
            pass
        except BaseException as error:
            errors.append(error)
            stopped.set()

    small = sum(block.size for block in blocks) < WORTH_BYTES
    count = 1 if small else min(readers or os.cpu_count() or 1, MOST_READERS, len(blocks))
    threads = [threading.Thread(target=work, name=f"reader {number}", daemon=True) for number in range(1, count)]
    for thread in threads:
        thread.start()
    try:
        work()
        for thread in threads:
            thread.join()
    finally:
        stopped.set()
        for thread in threads:
            thread.join()
    if errors:
        raise errors[0]


def _read(block: Block, header: Header, counted: CopyBlock | None, check: Callable[[], None]) -> None:
    """Read one block; whatever is wrong with it is said with the name of its entry."""
    counter = CopyCounter(counted) if counted is not None else None
    try:
        for data in block_data(block, header):
            check()
            if counter is not None:
                counter.feed(data)
    except DamagedArchiveError as error:
        file = f" in {os.path.basename(block.path)}" if block.entry.file_name else ""
        library = f": {error.__cause__}" if error.__cause__ else ""
        raise DamagedArchiveError(f"{error} ({block.entry.kind.lower()} of {block.entry.full_name}{file}{library})") from None
    if counter is not None and not counter.end():
        raise MissingEndError(block.entry.full_name)


class MissingEndError(DamagedArchiveError):
    """The rows of the named table do not end as pg_dump ends them."""

