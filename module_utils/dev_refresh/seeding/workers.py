"""A few threads that make calls while the main thread alone talks to the database."""
from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Done:
    """A task that ended: what it was given, and its result or the error that ended it."""

    tag: Any
    value: Any
    error: BaseException | None


class Workers:
    """Run tasks in threads; the threads never keep the process alive."""

    def __init__(self, count: int) -> None:
        self._tasks: queue.SimpleQueue[tuple[Any, Callable[[], Any]] | None] = queue.SimpleQueue()
        self._done: queue.SimpleQueue[Done] = queue.SimpleQueue()
        self._count = count
        self.busy = 0
        for number in range(count):
            threading.Thread(target=self._work, name=f"xero-{number}", daemon=True).start()

    @property
    def free(self) -> int:
        """Return how many more tasks can begin at once."""
        return self._count - self.busy

    def start(self, tag: Any, task: Callable[[], Any]) -> None:
        """Begin a task as soon as a thread is free."""
        self.busy += 1
        self._tasks.put((tag, task))

    def wait(self) -> list[Done]:
        """Wait for a task to end; return it with all others that have ended by then."""
        ended = [self._done.get()]
        while not self._done.empty():
            ended.append(self._done.get())
        self.busy -= len(ended)
        return ended

    def close(self) -> None:
        """Let the threads end after their present tasks."""
        for _ in range(self._count):
            self._tasks.put(None)

    def _work(self) -> None:
        """Work until told to end."""
        while (order := self._tasks.get()) is not None:
            tag, task = order
            try:
                self._done.put(Done(tag, task(), None))
            except BaseException as error:  # raised again in the main thread
                self._done.put(Done(tag, None, error))
