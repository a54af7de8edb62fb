"""Child processes: each in a process group of its own, with a deadline, its output without secrets, and none left behind.

Whoever dies first, the group ends: on a deadline, an exception or a signal we kill it; when our parents die, ``parents`` does; and when we
are killed outright, a guardian does: a small shell that reads from a pipe which only we hold open, and kills the groups at its end. (The
kernel's parent-death signal would reach the child alone, not the workers of ``pg_restore --jobs``. A child is noted right after its start:
only a SIGKILL in that moment would leave it; what it does on staging is dropped by the next run.)
"""
from __future__ import annotations

import contextlib
import errno
import fcntl
import math
import os
import selectors
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO

from ..errors import RefreshError
from .secrets import scrub

TERM_SECONDS = 2.0
"""How long a group may take to end after SIGTERM before it is killed."""
_CHUNK = 1 << 20
_F_SETPIPE_SZ = 1031
_WAIT = 0.05
_STREAMING = 4096
_FILL_SECONDS = 0.0003

_GUARDIAN = """
groups=' '
while read -r act group; do
  case $act in
    +) groups="$groups$group " ;;
    -) groups="${groups%% $group *} ${groups#* $group }" ;;
  esac
done
for group in $groups; do kill -s TERM -- "-$group"; done 2>/dev/null
[ "$groups" = ' ' ] || sleep 0.5
for group in $groups; do kill -s KILL -- "-$group"; done 2>/dev/null
"""


@dataclass(frozen=True, slots=True)
class ChildResult:
    """How a child ended; its output is scrubbed, and only the last part of it is kept. A signal's return code is negative."""

    returncode: int
    stdout: str
    stderr: str
    seconds: float
    timed_out: bool
    stalled: bool = False
    """It was ended since it neither wrote nor read anything for a while."""

    def last_lines(self, count: int = 20) -> str:
        """Return the last lines of what it wrote, of stderr if there are any."""
        return "\n".join((self.stderr.strip() or self.stdout.strip()).splitlines()[-count:])


class Child:
    """A running child. Iterate over ``chunks()`` until the end, then ask for ``result()``."""

    def __init__(
        self, process: subprocess.Popen[bytes], *, deadline: float, stall: float, stdin_bytes: bytes | None, secrets: Collection[str], max_output: int
    ) -> None:
        self._process = process
        self._started = time.monotonic()
        self._deadline = self._started + deadline
        self._stall = _StallWatch(process.pid, stall)
        self._pending_input = memoryview(stdin_bytes or b"")
        self._secrets = tuple(secrets)
        self._kept = {"stdout": _Tail(max_output, self._secrets), "stderr": _Tail(max_output, self._secrets)}
        self._timed_out = False
        self._seconds: float | None = None

    @property
    def pid(self) -> int:
        """The child's process id, which is also that of its group."""
        return self._process.pid

    def chunks(self) -> Iterator[bytes]:
        """Yield what the child writes to stdout, as it comes, until it ends or its deadline passes (then its group is killed)."""
        with selectors.DefaultSelector() as selector:
            for stream, name in ((self._process.stdout, "stdout"), (self._process.stderr, "stderr")):
                if stream is not None:
                    os.set_blocking(stream.fileno(), False)
                    selector.register(stream, selectors.EVENT_READ, name)
            if self._process.stdin is not None:
                os.set_blocking(self._process.stdin.fileno(), False)
                selector.register(self._process.stdin, selectors.EVENT_WRITE, "stdin")
            while True:
                ended = self._process.poll() is not None
                # a grandchild may keep the pipes open for good: read what is there, no more
                events = selector.select(0 if ended else min(_WAIT, max(0.0, self._deadline - time.monotonic())))
                read = False
                for key, _ in events:
                    if key.data == "stdin":
                        self._feed(selector)
                        continue
                    data = _read(key.fd)
                    if data is None:
                        continue
                    if not data:
                        selector.unregister(key.fileobj)
                    elif key.data == "stdout":
                        read = True
                        yield data
                        self._stall.note()
                        if _STREAMING <= len(data) < _CHUNK // 4 and not ended:
                            # let the pipe fill: waking up for each small write slows a fast writer down by half (measured with pg_restore)
                            time.sleep(_FILL_SECONDS)
                    else:
                        read = True
                        self._kept["stderr"].add(data)
                if (ended and not read) or (ended and not selector.get_map()):
                    break
                if not selector.get_map():
                    self._wait_for_end()
                if not ended and time.monotonic() >= self._deadline and self._process.poll() is None:
                    self._timed_out = True
                    kill_group(self._process)
                elif not ended and self._stall.seen() and self._process.poll() is None:
                    kill_group(self._process)
        self._seconds = time.monotonic() - self._started

    def end(self) -> None:
        """End the child and its group, from any thread."""
        kill_group(self._process)

    def keep(self, data: bytes) -> None:
        """Keep a chunk of stdout for the result."""
        self._kept["stdout"].add(data)

    def result(self) -> ChildResult:
        """Return how it ended, reading what is left of its output first."""
        if self._seconds is None:
            for _ in self.chunks():
                pass
        seconds = self._seconds if self._seconds is not None else 0.0
        code = self._process.wait()
        return ChildResult(code, self._kept["stdout"].text(), self._kept["stderr"].text(), seconds, self._timed_out, self._stall.found)

    def _wait_for_end(self) -> None:
        """Wait until the child, which has closed its output, ends or its deadline passes."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(max(0.0, self._deadline - time.monotonic()))

    def _feed(self, selector: selectors.BaseSelector) -> None:
        """Give the child more of its input, and close it at the end."""
        stdin = self._process.stdin
        assert stdin is not None
        try:
            written = os.write(stdin.fileno(), self._pending_input[:_CHUNK]) if self._pending_input else 0
        except BlockingIOError:
            return
        except OSError as exc:
            if exc.errno not in (errno.EPIPE, errno.ESHUTDOWN):
                raise
            written = len(self._pending_input)
        self._pending_input = self._pending_input[written:]
        if not self._pending_input:
            selector.unregister(stdin)
            _close(stdin)


class _StallWatch:
    """Tells a child that makes no progress: it writes nothing, and by the kernel's count it reads nothing either."""

    def __init__(self, pid: int, seconds: float) -> None:
        self._pid = pid
        self._seconds = seconds
        self._since = time.monotonic()
        self._read = _bytes_read(pid) if seconds < math.inf else None
        self.found = False

    def note(self) -> None:
        """Take note of something that the child has written."""
        self._since = time.monotonic()

    def seen(self) -> bool:
        """Tell whether the child has made no progress for too long."""
        if time.monotonic() - self._since < self._seconds:
            return False
        before, self._read = self._read, _bytes_read(self._pid)
        self.found = before is not None and before == self._read
        self.note()
        return self.found


class _Tail:
    """The last ``size`` bytes of a stream, and as much before them as a secret is long."""

    def __init__(self, size: int, secrets: Collection[str]) -> None:
        self._size = size
        self._secrets = secrets
        # the longest form: each byte of it percent-encoded
        self._margin = max((3 * len(secret.encode()) for secret in secrets), default=0)
        self._data = bytearray()
        self._cut = False

    def add(self, data: bytes) -> None:
        self._data += data
        if len(self._data) > 2 * (self._size + self._margin):
            del self._data[: -(self._size + self._margin)]
            self._cut = True

    def text(self) -> str:
        """Return it as text without secrets, not even half a one at its start."""
        limit = self._size + self._margin
        cut = self._cut or len(self._data) > limit
        text = scrub(bytes(self._data[-limit:]).decode("utf-8", "replace"), self._secrets)
        return text[self._margin :] if cut else text


def run_child(
    argv: Sequence[str],
    *,
    deadline: float,
    stall: float = math.inf,
    cwd: str | None = None,
    env: Mapping[str, str] | None = None,
    stdin_bytes: bytes | None = None,
    secrets: Collection[str] = (),
    on_stdout: Callable[[bytes], None] | None = None,
    max_output: int = 200_000,
) -> ChildResult:
    """Run a program to its end, at most ``deadline`` seconds, and return how it ended; after ``stall`` seconds without any progress it is ended too.

    ``env`` is its whole environment (None: ours). ``on_stdout`` gets stdout as it comes, else the last ``max_output`` bytes of it are kept.
    Raises RefreshError if the program cannot be started; a failure of its own and the deadline are in the result.
    """
    with popen_child(argv, deadline=deadline, stall=stall, cwd=cwd, env=env, stdin_bytes=stdin_bytes, secrets=secrets, max_output=max_output) as child:
        for chunk in child.chunks():
            (on_stdout or child.keep)(chunk)
        return child.result()


@contextmanager
def popen_child(
    argv: Sequence[str],
    *,
    deadline: float,
    stall: float = math.inf,
    cwd: str | None = None,
    env: Mapping[str, str] | None = None,
    stdin_bytes: bytes | None = None,
    secrets: Collection[str] = (),
    max_output: int = 200_000,
) -> Iterator[Child]:
    """Start a program and yield it; if it still runs when the block ends, its group is killed.

    The parameters are those of ``run_child``.
    """
    process: subprocess.Popen[bytes] | None = None
    try:
        with _signals_held():
            process = _start(argv, cwd=cwd, env=env, with_input=stdin_bytes is not None, secrets=secrets)
            _groups.add(process)
        if process.stdout is not None:
            with contextlib.suppress(OSError):
                fcntl.fcntl(process.stdout.fileno(), _F_SETPIPE_SZ, _CHUNK)
        yield Child(process, deadline=deadline, stall=stall, stdin_bytes=stdin_bytes, secrets=secrets, max_output=max_output)
    finally:
        if process is not None:
            try:
                if process.poll() is None:
                    kill_group(process)
            finally:
                _groups.remove(process)
                for stream in (process.stdin, process.stdout, process.stderr):
                    _close(stream)


def _start(argv: Sequence[str], *, cwd: str | None, env: Mapping[str, str] | None, with_input: bool, secrets: Collection[str]) -> subprocess.Popen[bytes]:
    """Start the program in a session and group of its own; raise RefreshError if it cannot be started."""
    try:
        return subprocess.Popen(
            list(argv),
            cwd=cwd,
            env=None if env is None else dict(env),
            stdin=subprocess.PIPE if with_input else subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
            bufsize=0,
        )
    except OSError as exc:
        raise RefreshError(scrub(_cannot_start(argv, cwd, exc), secrets)) from None
    except ValueError as exc:
        raise RefreshError(f"Cannot start {argv[0]}: {exc}. An argument or variable contains a zero byte; correct it.") from None


@contextmanager
def _signals_held() -> Iterator[None]:
    """Put off signals that would raise between the start of a child and the moment from which we end it."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    came: list[int] = []
    handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT)}
    ours = {number: handler for number, handler in handlers.items() if callable(handler)}
    for number in ours:
        signal.signal(number, lambda number, _frame: came.append(number))
    try:
        yield
    finally:
        for number, handler in ours.items():
            signal.signal(number, handler)
    for late in came:
        signal.raise_signal(late)


def kill_group(process: subprocess.Popen[bytes], seconds: float = TERM_SECONDS) -> None:
    """End the child and everything in its group: SIGTERM, and SIGKILL for what is left after ``seconds``."""
    _signal(process.pid, signal.SIGTERM)
    until = time.monotonic() + seconds
    while time.monotonic() < until and (process.poll() is None or _alive(process.pid)):
        time.sleep(0.01)
    _signal(process.pid, signal.SIGKILL)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(TERM_SECONDS)


def kill_groups_unless_guarded() -> None:
    """End all children and their groups at once, for a process that is about to end itself; nothing to do if the guardian will do it gently."""
    if not _groups.guarded:
        for group in _groups.pids():
            _signal(group, signal.SIGKILL)


def clean_environment(environment: Mapping[str, str], **more: str) -> dict[str, str]:
    """Return ``environment`` without libpq's variables, with messages in English, and with ``more``."""
    kept = {name: value for name, value in environment.items() if not name.startswith("PG")}
    return {**kept, "LC_ALL": "C", "LANGUAGE": "C", **more}


class _Groups:
    """The groups of the children that run, known here and to the guardian."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._running: set[int] = set()
        self._guardian: IO[bytes] | None = None
        self._owner = 0

    def add(self, process: subprocess.Popen[bytes]) -> None:
        """Note a child that was started."""
        with self._lock:
            if self._owner != os.getpid():
                # first use, or we are a fork of a process that had children of its own
                self._running, self._guardian, self._owner = set(), _start_guardian(), os.getpid()
            self._running.add(process.pid)
            self._tell(f"+ {process.pid}\n")

    def remove(self, process: subprocess.Popen[bytes]) -> None:
        """Forget a child that ended."""
        with self._lock:
            self._running.discard(process.pid)
            self._tell(f"- {process.pid}\n")

    @property
    def guarded(self) -> bool:
        """Tell whether the guardian was there the last time we told it something."""
        return self._guardian is not None

    def pids(self) -> list[int]:
        """Return the groups that run; works without the lock, which a thread that was stopped may hold."""
        return list(self._running)

    def _tell(self, line: str) -> None:
        if self._guardian is not None:
            try:
                self._guardian.write(line.encode())
            except OSError:
                # someone killed the guardian; everything but our own SIGKILL is still handled here
                self._guardian = None


_groups = _Groups()


def _start_guardian() -> IO[bytes] | None:
    """Start the shell that kills the groups when we are gone."""
    try:
        guardian = subprocess.Popen(
            ["/bin/sh", "-c", _GUARDIAN],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            bufsize=0,
            cwd="/",
        )
    except OSError:
        return None
    # it ends with us and is never waited for: without this, Popen warns when it is collected
    guardian.returncode = 0
    return guardian.stdin


def _cannot_start(argv: Sequence[str], cwd: str | None, exc: OSError) -> str:
    """Return a message for a program that cannot be started."""
    if cwd is not None and not os.path.isdir(cwd):
        return f"Cannot run {argv[0]}: its working directory {cwd} does not exist on this host. Correct chdir."
    if isinstance(exc, FileNotFoundError):
        return f"Cannot run {argv[0]}: there is no such program on this host. Give its full path, or install it."
    if isinstance(exc, PermissionError):
        return f"Cannot run {argv[0]}: this user may not execute it. Correct its permissions, or run as another user."
    return f"Cannot run {argv[0]}: {exc.strerror}. Correct the command."


def _read(fd: int) -> bytes | None:
    """Return what can be read now, b"" at the end, None if there is nothing."""
    try:
        return os.read(fd, _CHUNK)
    except BlockingIOError:
        return None
    except OSError as exc:
        if exc.errno == errno.EIO:
            return b""
        raise


def _bytes_read(pid: int) -> int | None:
    """Return how many bytes a process has read so far; None if this system does not tell."""
    try:
        with open(f"/proc/{pid}/io", encoding="ascii") as file:
            return int(file.readline().split()[1])
    except (OSError, ValueError, IndexError):
        return None


def _close(stream: IO[bytes] | None) -> None:
    if stream is not None:
        with contextlib.suppress(OSError):
            stream.close()


def _signal(group: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)


def _alive(group: int) -> bool:
    """Tell whether a process of the group runs; one that has ended and that nobody has waited for does not."""
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    states = [_group_and_state(pid) for pid in os.listdir("/proc") if pid.isdigit()] if os.path.isdir("/proc/self") else []
    return not states or any(state not in "ZX" for its_group, state in states if its_group == group)


def _group_and_state(pid: str) -> tuple[int, str]:
    """Return the group of a process and the letter of its state."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            text = file.read()
    except OSError:
        return 0, "X"
    state, _parent, group = text[text.rindex(b")") + 2 :].split()[:3]
    return int(group), state.decode()
