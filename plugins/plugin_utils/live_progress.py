"""Show a module's progress while it works: the action plugin of every module with the option ``progress_file``."""

from __future__ import annotations

import codecs
import contextlib
import os
import select
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ansible import constants
from ansible.utils.display import Display

# a plugin of the controller is given neither our own utilities nor those of the modules; the pure code that words the lines lives there
sys.path += [str(Path(__file__).resolve().parent), str(Path(__file__).resolve().parents[2] / "module_utils")]

from dev_refresh.report.progress_lines import ProgressReader
from module_action import ModuleAction

POLL = 0.2
"""Seconds between two looks at the file."""
SWITCH = "DEV_REFRESH_PROGRESS"
"""Environment variable; ``0`` switches the lines off."""
EVENTS = "/events"
OPEN_SECONDS = 10.0
CLOSE_SECONDS = 5.0
REMOTE = (
    # a folder of our own, so that another user (become) may append to the file, which it may not in a folder with the sticky bit
    'umask 022; d=$(mktemp -d "${TMPDIR:-/tmp}/dev_refresh_progress.XXXXXXXXXX") || exit 1; '
    f'chmod 711 "$d"; : > "$d{EVENTS}"; chmod 666 "$d{EVENTS}"; echo "$d{EVENTS}"; '
    # the end of our input is the end of the task, of the controller or of the connection: nothing is left behind after any of them
    f'tail -n +1 -f "$d{EVENTS}" & t=$!; cat >/dev/null; '
    # what was written in the last moment: tail looks once a second where it cannot be told
    # (after a cut connection nobody reads what a command says, and saying it would end the shell)
    'exec 2>/dev/null; sleep 0.3; rm -rf "$d"; kill $t; wait $t'
)
"""What the second channel runs on the host."""

display = Display()


class ActionModule(ModuleAction):
    """Run the module as usual and follow its progress file; silent with ``no_log``, or when switched off."""

    def work(self, task_vars: dict[str, Any]) -> dict[str, Any]:
        """Return the module's result."""
        return self._run_watched(task_vars) if self._watched() else self._run_module(task_vars, {})

    def _watched(self) -> bool:
        """Tell whether there is somebody to show lines to, and a file that both sides see."""
        return (
            (self._here() or self._connection.transport == "ssh")
            and not self._task.no_log
            and not self._task.args.get("progress_file")
            and os.environ.get(SWITCH, "1") != "0"
        )

    def _here(self) -> bool:
        """Tell whether the module runs on this machine as the same user, so that it can write to a file of ours."""
        return self._connection.transport == "local" and not self._play_context.become

    def _run_watched(self, task_vars: dict[str, Any]) -> dict[str, Any]:
        """Run the module with a progress file of our own and show what it says."""
        reader = ProgressReader(str(self._task.action), str(task_vars.get("inventory_hostname", "")))
        follower: Follower | Channel = Follower(reader, show) if self._here() else Channel(self._channel_command(), reader, show)
        path = follower.begin()
        if path is None:
            return self._run_module(task_vars, {})
        try:
            result = self._run_module(task_vars, {"progress_file": path})
        finally:
            follower.stop()
        result.get("invocation", {}).get("module_args", {}).pop("progress_file", None)
        return result

    def _run_module(self, task_vars: dict[str, Any], more: dict[str, Any]) -> dict[str, Any]:
        """Run the module with ``more`` options and return its result."""
        result: dict[str, Any] = self._execute_module(module_args={**self._task.args, **more}, task_vars=task_vars)
        return result

    def _channel_command(self) -> list[str] | None:
        """Return the command that follows the file through the task's own connection, or None where that would ask for a password."""
        connection = self._connection
        try:
            if connection.get_option("password") or connection.get_option("private_key_passphrase"):
                return None
            # the connection plugin has no public name for this; without it there are no lines, and nothing else is lost
            built = connection._build_command(connection.get_option("ssh_executable"), "ssh", "-T", connection.host, REMOTE)
        except Exception as error:
            display.debug(f"no live progress: {error}")
            return None
        return [os.fsdecode(word) for word in built]


def show(text: str) -> None:
    """Show one line."""
    display.display(text, color=constants.COLOR_VERBOSE)


class Channel:
    """Follow a file on a host through a second channel of its connection; whatever goes wrong, the task does not notice."""

    def __init__(self, command: list[str] | None, reader: ProgressReader, show: Callable[[str], None]) -> None:
        self._command = command
        self._reader = reader
        self._show = show
        self._process: subprocess.Popen[bytes] | None = None
        self._thread: threading.Thread | None = None

    def begin(self) -> str | None:
        """Open the channel and return the file's path on the host, or None."""
        if self._command is None:
            return None
        try:
            self._process = subprocess.Popen(self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, bufsize=0)
            path = self._first_line()
        except OSError:
            path = ""
        if not path.startswith("/") or not path.endswith(EVENTS):
            self._close()
            return None
        self._thread = threading.Thread(target=self._follow, name="progress", daemon=True)
        self._thread.start()
        return path

    def stop(self) -> None:
        """Show the rest and close the channel, which removes the file."""
        self._close()
        for text in self._reader.finish():
            self._show(text)

    def _first_line(self) -> str:
        """Return what the host says first, or nothing if it takes too long."""
        stream = self._stdout()
        until, line = time.monotonic() + OPEN_SECONDS, b""
        while not line.endswith(b"\n") and select.select([stream], [], [], max(0.0, until - time.monotonic()))[0]:
            # by bytes: what comes after the line is the thread's
            byte = os.read(stream, 1)
            if not byte:
                break
            line += byte
        return line.decode("utf-8", "replace").strip()

    def _follow(self) -> None:
        """Show the lines until the channel ends."""
        decoder = codecs.getincrementaldecoder("utf-8")("replace")
        while data := os.read(self._stdout(), 65536):
            for text in self._reader.feed(decoder.decode(data), time.monotonic()):
                self._show(text)

    def _stdout(self) -> int:
        assert self._process is not None and self._process.stdout is not None
        return self._process.stdout.fileno()

    def _close(self) -> None:
        """End the host's side by the end of its input; then ours."""
        process = self._process
        if process is None:
            return
        with contextlib.suppress(OSError):
            process.stdin.close()  # type: ignore[union-attr]
        try:
            process.wait(CLOSE_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if self._thread is not None:
            self._thread.join(CLOSE_SECONDS)
        if self._thread is None or not self._thread.is_alive():
            process.stdout.close()  # type: ignore[union-attr]


class Follower(threading.Thread):
    """Follow a growing file in a thread of its own and show the lines that ``reader`` makes of it."""

    def __init__(self, reader: ProgressReader, show: Callable[[str], None]) -> None:
        super().__init__(daemon=True, name="progress")
        self._reader = reader
        self._show = show
        self._ended = threading.Event()
        handle, path = tempfile.mkstemp(prefix="progress_", dir=constants.DEFAULT_LOCAL_TMP)
        os.close(handle)
        self._path = Path(path)

    def begin(self) -> str:
        """Start, and return the file's path."""
        self.start()
        return str(self._path)

    def run(self) -> None:
        """Look at the file until told to stop, then once more, so that nothing is lost."""
        with self._path.open(encoding="utf-8", errors="replace") as file:
            while True:
                last = self._ended.wait(POLL)
                for text in self._reader.feed(file.read(), time.monotonic()):
                    self._show(text)
                if last:
                    break
        for text in self._reader.finish():
            self._show(text)

    def stop(self) -> None:
        """Show the rest and end the thread."""
        self._ended.set()
        self.join(timeout=5)
        self._path.unlink(missing_ok=True)
