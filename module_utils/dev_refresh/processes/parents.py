"""End ourselves when the run that started us ends.

A killed controller leaves its modules running (ansible-core 2.19 starts each worker in a session of its own): without this, a seed would go
on unseen and a restore would hold its lock.
"""
from __future__ import annotations

import contextlib
import os
import re
import select
import shutil
import stat
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from .children import kill_groups_unless_guarded

EXIT_CODE = 70
POLL_SECONDS = 0.2
_MAX_DEPTH = 64
_PAYLOAD_SECONDS = 86_400
_PAYLOAD = re.compile(r"ansible_(?:app_command|dump_incoming|pg_\w+|python_environment|refresh_verify|xero_\w+)_payload_\w+")
"""How Ansible names the folders into which it unpacks modules of ours."""


@dataclass(frozen=True, slots=True)
class Process:
    """A process as /proc shows it; ``started`` tells it from a later one with the same id."""

    pid: int
    parent: int
    session: int
    started: int
    command: tuple[str, ...]

    @property
    def is_ansible(self) -> bool:
        """Tell whether it is ansible-playbook, ansible, ansible-runner ... or one of their workers."""
        return _program(self.command).startswith("ansible")

    @property
    def is_sshd(self) -> bool:
        """Tell whether it is sshd, for example ``sshd: deploy@notty``."""
        return bool(self.command) and os.path.basename(self.command[0].split(":", 1)[0].split(" ", 1)[0]).startswith("sshd")


class ParentWatch:
    """The watch over ``chain``; ``stop`` ends it."""

    def __init__(self, chain: list[Process], on_death: Callable[[], None] | None) -> None:
        self._chain = chain
        self._on_death = on_death
        self._stop = threading.Event()
        self._parent = os.getppid()
        self._output = _result_pipe()
        self._thread = threading.Thread(target=self._watch, name="parents", daemon=True)
        self._thread.start()

    @property
    def watched(self) -> list[int]:
        """The ids of the processes that are watched, our parent first."""
        return [process.pid for process in self._chain]

    def stop(self) -> None:
        """End the watch."""
        self._stop.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._stop.wait(POLL_SECONDS):
            if os.getppid() != self._parent or any(_ended(process) for process in self._chain) or self._nobody_reads():
                self._die()

    def _nobody_reads(self) -> bool:
        """Tell whether the reader of our result is gone, as when an SSH channel is closed under a connection that stays."""
        if self._output is None:
            return False
        poll = select.poll()
        poll.register(self._output, 0)
        return any(event & (select.POLLERR | select.POLLHUP) for _, event in poll.poll(0))

    def _die(self) -> None:
        # nobody is left to tell; what matters is that nothing of ours goes on
        with contextlib.suppress(BaseException):
            if self._on_death is not None:
                self._on_death()
        with contextlib.suppress(BaseException):
            kill_groups_unless_guarded()
        with contextlib.suppress(BaseException):
            _remove_payload()
        # at once: the main thread must not take the end of a child for a failure, and begin to clean up
        os._exit(EXIT_CODE)


def watch_parents(on_death: Callable[[], None] | None = None) -> ParentWatch:
    """Watch the processes that we work for; within a second of the end of one of them our children and we ourselves are ended.

    ``on_death`` is called before that, in another thread, and must be quick.
    """
    chain, orphan = find_chain(_ancestors())
    watch = ParentWatch(chain, on_death)
    if orphan:
        watch._die()
    return watch


def find_chain(ancestors: list[Process]) -> tuple[list[Process], bool]:
    """Return those of ``ancestors`` (our parent first) that must live, and whether the run is over already.

    They are all up to the topmost of the ansible processes nearest to us; without any, up to the SSH server's process of our connection;
    else our parent alone.
    """
    tops = [index for index, process in enumerate(ancestors) if process.is_ansible]
    if tops:
        top = tops[0]
        while top + 1 < len(ancestors) and ancestors[top + 1].is_ansible:
            top += 1
        # a worker (leader of a session of its own) whose controller was killed before we could look
        lone = top == tops[0] and ancestors[top].parent == 1 and ancestors[top].session == ancestors[top].pid
        return ancestors[: top + 1], lone
    for index, process in enumerate(ancestors):
        if process.is_sshd:
            return ancestors[: index + 1], False
    return ancestors[:1], False


def read_process(pid: int) -> Process | None:
    """Return the process with this id, or None if it has ended or /proc does not show it."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_bytes()
        command = Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return None
    # the name in parentheses may contain anything, parentheses too
    fields = stat[stat.rindex(b")") + 2 :].split()
    if fields[0] in (b"Z", b"X"):
        return None
    words = tuple(word.decode("utf-8", "replace") for word in command.split(b"\0") if word)
    return Process(pid, int(fields[1]), int(fields[3]), int(fields[19]), words)


def _ancestors() -> list[Process]:
    """Return our parent, its parent and so on; pid 1 is left out, since it cannot end before us."""
    found: list[Process] = []
    pid = os.getppid()
    while pid > 1 and len(found) < _MAX_DEPTH:
        process = read_process(pid)
        if process is None:
            break
        found.append(process)
        pid = process.parent
    return found


def remove_old_payloads(*, now: float | None = None) -> None:
    """Remove the folders of modules of ours that were ended while Ansible was still loading them, when nothing of ours has begun yet.

    Only those a day old: no module works that long.
    """
    oldest = (time.time() if now is None else now) - _PAYLOAD_SECONDS
    with contextlib.suppress(OSError):
        for folder in Path(tempfile.gettempdir()).iterdir():
            if _PAYLOAD.fullmatch(folder.name):
                with contextlib.suppress(OSError):
                    found = folder.lstat()
                    if stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid() and found.st_mtime < oldest:
                        shutil.rmtree(folder, ignore_errors=True)


def _remove_payload() -> None:
    """Remove the folder in which Ansible has unpacked this module: nobody else will, after an end like ours."""
    for entry in sys.path:
        folder, name = os.path.split(entry)
        if name.startswith("ansible_") and name.endswith("_payload.zip") and os.path.basename(folder).startswith("ansible_"):
            shutil.rmtree(folder, ignore_errors=True)


def _ended(process: Process) -> bool:
    current = read_process(process.pid)
    return current is None or current.started != process.started


def _program(command: tuple[str, ...]) -> str:
    """Return the name of the program: of ``python [options] <script>`` and ``python -m <module>`` the script's or module's."""
    if not command:
        return ""
    name = os.path.basename(command[0])
    if not name.startswith("python"):
        return name
    for position, word in enumerate(command[1:], start=1):
        if word == "-m":
            return command[position + 1].split(".")[0] if position + 1 < len(command) else name
        if not word.startswith("-"):
            return os.path.basename(word)
    return name


def _result_pipe() -> int | None:
    """Return the descriptor of our stdout if it is a pipe, socket or terminal that can lose its reader."""
    try:
        fd = sys.__stdout__.fileno() if sys.__stdout__ is not None else -1
        return None if fd < 0 or Path(f"/proc/self/fd/{fd}").is_file() else fd
    except (OSError, ValueError):
        return None
