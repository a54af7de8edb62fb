"""Read the data of a dump through pg_restore, by one reader or by several at once."""
from __future__ import annotations

import os
import tempfile
import threading
from collections.abc import Callable, Sequence

from ..processes.children import ChildResult, clean_environment, run_child
from .parts import Part
from .programs import ClientPrograms

Feed = Callable[[bytes], None]
_STOP_SECONDS = 5.0
STALL_SECONDS = 120.0
"""After so long without reading or writing pg_restore turns in a circle: some damages of compressed data make it do so."""


class _StoppedError(Exception):
    """Another reader failed, so this one is not needed any more."""


def read_parts(programs: ClientPrograms, path: str, parts: Sequence[Part], feeds: Sequence[Feed], *, deadline: float) -> list[ChildResult]:
    """Read every part, all at once, and hand its text to its feed; return how the readers ended.

    The first one is read by the calling thread; whatever ends it ends the others too. Raises RefreshError if pg_restore cannot be started.
    """
    results: dict[int, ChildResult] = {}
    errors: list[BaseException] = []
    stopped = threading.Event()
    with tempfile.TemporaryDirectory(prefix="dev_refresh_") as folder:

        def read(number: int) -> None:
            # only the section that holds data: what is not in it was read with the list of contents, and function bodies could look like data
            argv = [programs.pg_restore, "--section=data", "--file=-", *_use_list(folder, number, parts[number]), path]
            feed = feeds[number]

            def take(chunk: bytes) -> None:
                if stopped.is_set():
                    raise _StoppedError
                feed(chunk)

            results[number] = run_child(argv, deadline=deadline, stall=STALL_SECONDS, env=clean_environment(os.environ), on_stdout=take)

        def read_aside(number: int) -> None:
            try:
                read(number)
            except BaseException as error:
                errors.append(error)
                stopped.set()

        threads = [threading.Thread(target=read_aside, args=(number,), name=f"reader {number}", daemon=True) for number in range(1, len(parts))]
        for thread in threads:
            thread.start()
        try:
            read(0)
            for thread in threads:
                thread.join()
        except _StoppedError:
            pass
        finally:
            # after an error or an interrupt each ends with its next piece of text; one that gets none is ended by its deadline or with us
            stopped.set()
            for thread in threads:
                thread.join(_STOP_SECONDS)
    if errors:
        raise errors[0]
    return [results[number] for number in range(len(parts))]


def _use_list(folder: str, number: int, part: Part) -> list[str]:
    """Return the option that limits a reader to its part."""
    if part.listing is None:
        return []
    name = os.path.join(folder, f"{number}.list")
    with open(name, "w", encoding="utf-8") as file:
        file.write(part.listing)
    return [f"--use-list={name}"]
