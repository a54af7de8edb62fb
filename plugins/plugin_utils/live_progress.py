"""Show a module's progress while it works: the action plugin of every module with the option ``progress_file``."""

from __future__ import annotations

import os
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ansible import constants
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display

# a plugin of the controller is not given the module utilities; the pure code that words the lines lives there
sys.path.append(str(Path(__file__).resolve().parents[2] / "module_utils"))

from dev_refresh.report.progress_lines import ProgressReader

POLL = 0.2
"""Seconds between two looks at the file."""
SWITCH = "DEV_REFRESH_PROGRESS"
"""Environment variable; ``0`` switches the lines off."""

display = Display()


class ActionModule(ActionBase):
    """Run the module as usual and follow its progress file; silent with ``no_log``, or when switched off."""

    TRANSFERS_FILES = False
    _supports_check_mode = True
    _supports_async = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Return the module's result."""
        task_vars = task_vars or {}
        result: dict[str, Any] = super().run(tmp, task_vars)
        del tmp
        try:
            if self._watched():
                result.update(self._run_watched(task_vars))
            else:
                result.update(self._execute_module(task_vars=task_vars))
        finally:
            self._remove_tmp_path(self._connection._shell.tmpdir)
        return result

    def _watched(self) -> bool:
        """Tell whether there is somebody to show lines to, and a file that both sides see."""
        return (
            self._connection.transport == "local"
            and not self._play_context.become
            and not self._task.no_log
            and not self._task.args.get("progress_file")
            and os.environ.get(SWITCH, "1") != "0"
        )

    def _run_watched(self, task_vars: dict[str, Any]) -> dict[str, Any]:
        """Run the module with a progress file of our own and show what it says."""
        handle, path = tempfile.mkstemp(prefix="progress_", dir=constants.DEFAULT_LOCAL_TMP)
        os.close(handle)
        reader = ProgressReader(str(self._task.action), str(task_vars.get("inventory_hostname", "")))
        follower = Follower(Path(path), reader, lambda text: display.display(text, color=constants.COLOR_VERBOSE))
        follower.start()
        try:
            result: dict[str, Any] = self._execute_module(module_args={**self._task.args, "progress_file": path}, task_vars=task_vars)
        finally:
            follower.stop()
            Path(path).unlink(missing_ok=True)
        result.get("invocation", {}).get("module_args", {}).pop("progress_file", None)
        return result


class Follower(threading.Thread):
    """Follow a growing file in a thread of its own and show the lines that ``reader`` makes of it."""

    def __init__(self, path: Path, reader: ProgressReader, show: Callable[[str], None]) -> None:
        super().__init__(daemon=True, name="progress")
        self._path = path
        self._reader = reader
        self._show = show
        self._ended = threading.Event()

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
