"""Write each host's report at the end of a refresh, and show its summary."""

from __future__ import annotations

DOCUMENTATION = """
name: refresh_report
type: aggregate
short_description: Write each host's report at the end of a refresh
description:
  - Collects what the phases of a refresh leave with each host and writes it on the controller as JSON and Markdown.
  - It also writes a report for a host that failed or could not be reached, and for all hosts of a run that was interrupted, or that Ansible gave
    up because one of its own processes was killed. It never changes anything else.
  - A playbook that only asks or connects gets a summary and no report.
  - Beside an output for programs (JSON, XML) the summaries go to the standard error.
  - Plays without a C(refresh_phase) are left alone.
"""

import atexit
import os
import shlex
import signal
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType
from typing import Any

from ansible import constants, context
from ansible.plugins.callback import CallbackBase
from ansible.template import Templar

# a plugin of the controller is not given the module utilities; the report's pure code lives there
sys.path.append(str(Path(__file__).resolve().parents[2] / "module_utils"))

from dev_refresh.report import files, summary
from dev_refresh.report.answers import is_answer
from dev_refresh.report.collect import HostRun
from dev_refresh.report.wrapping import terminal_width

ROOT = Path(__file__).resolve().parents[2]
FOR_PROGRAMS = ("json", "xml", "junit")
"""Parts of the names of outputs that are not for people."""


class CallbackModule(CallbackBase):
    """Follow the tasks of every host and write the reports when the playbook ends."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "refresh_report"
    CALLBACK_NEEDS_ENABLED = True

    def __init__(self) -> None:
        super().__init__()
        self._runs: dict[str, HostRun] = {}
        self._folders: dict[str, Path] = {}
        self._began: dict[tuple[str, str], tuple[float, Any]] = {}
        self._open = False
        self._controller = os.getpid()
        self._play: Any = None
        self._playbook = ""

    def v2_playbook_on_start(self, playbook: Any) -> None:
        """Note the playbook's name, for the command that continues a run, and see to it that no end of the run goes without a report."""
        self._playbook = os.path.relpath(playbook._file_name)
        self._open = True
        # an interrupt, and the death of one of Ansible's processes, end the run without any other word to a callback
        atexit.register(self._cut_off)
        self._write_before(signal.SIGTERM)

    def v2_playbook_on_play_start(self, play: Any) -> None:
        """Note the play, whose variables say where the reports go."""
        self._play = play

    def v2_runner_on_start(self, host: Any, task: Any) -> None:
        """Begin a host's record at its first task of a phase."""
        self._began[(host.get_name(), task._uuid)] = (time.monotonic(), task)
        if host.get_name() not in self._runs and self._phase(task) is not None:
            self._begin(host, task)

    def v2_runner_on_ok(self, result: Any) -> None:
        """Note a task that went well."""
        self._note(result, "changed" if result.result.get("changed") else "ok")

    def v2_runner_on_failed(self, result: Any, ignore_errors: bool = False) -> None:
        """Note a task that failed."""
        self._note(result, "ok" if ignore_errors else "failed")

    def v2_runner_on_skipped(self, result: Any) -> None:
        """Note a task that had nothing to do."""
        self._note(result, "skipped")

    def v2_runner_on_unreachable(self, result: Any) -> None:
        """Note that a host could not be reached."""
        self._note(result, "unreachable")

    def v2_playbook_on_stats(self, stats: Any) -> None:
        """Write the reports and show the summaries."""
        self._open = False
        self._write()

    def _write(self) -> None:
        """Write the reports and show the summaries."""
        reports: list[tuple[dict[str, Any], Path | None]] = []
        for name, run in self._runs.items():
            record = run.record(datetime.now(UTC))
            page = None
            if not run.refused and not is_answer(run.playbook):
                try:
                    page = files.write(record, self._folders[name])
                except OSError as exc:
                    self._display.warning(f"The report of {name} could not be written: {exc.strerror}: {exc.filename}. Correct refresh_report_dir.")
            reports.append((record, page))
            self._show_banner(f"SUMMARY {name}")
            for line in summary.render(record, page and _shortest(page), terminal_width()):
                self._show(line, color={"failed": "red", "unreachable": "red", "incomplete": "yellow"}.get(record["status"]))
        if len(reports) > 1:
            self._write_fleet(reports)
        for _, page in reports:
            if page:
                self._step_summary(page)

    def _write_fleet(self, reports: Sequence[tuple[dict[str, Any], Path | None]]) -> None:
        """Show all hosts in a table, and write it beside their reports."""
        self._show_banner("ALL HOSTS")
        for line in summary.render_fleet([record for record, _ in reports], terminal_width()):
            self._show(line)
        first = next((page for _, page in reports if page), None)
        if first:
            try:
                page = files.write_fleet(reports, first.parent)
            except OSError as exc:
                self._display.warning(f"The report of all hosts could not be written: {exc.strerror}: {exc.filename}. Correct refresh_report_dir.")
                return
            self._step_summary(page)
            self._show(f"  Report: {_shortest(page)}")

    def _cut_off(self, *, show: bool = True) -> None:
        """At the end of a run that had no end: note where each host was, and write the reports."""
        if not self._open or os.getpid() != self._controller:
            return
        self._open = False
        now = time.monotonic()
        under_way = {name: (now - began, task) for (name, _), (began, task) in self._began.items()}
        for name, run in self._runs.items():
            seconds, task = under_way.get(name, (0.0, None))
            run.cut_off(self._phase(task) if task else None, seconds=seconds, task=task.get_name() if task else "")
        if show:
            self._write()
            return
        for name, run in self._runs.items():
            if not run.refused and not is_answer(run.playbook):
                with suppress(OSError):
                    files.write(run.record(datetime.now(UTC)), self._folders[name])

    def _write_before(self, number: signal.Signals) -> None:
        """Write the reports before a signal ends the run as it would have."""
        former = signal.getsignal(number)
        if not callable(former):
            return

        def handle(received: int, frame: FrameType | None) -> None:
            # nothing is shown: the signal may have come in the middle of what is being shown
            self._cut_off(show=False)
            former(received, frame)

        signal.signal(number, handle)

    def _show(self, text: str, color: str | None = None) -> None:
        """Show a line, beside an output for programs on the standard error."""
        output = str(constants.config.get_config_value("DEFAULT_STDOUT_CALLBACK"))
        self._display.display(text, color=color, stderr=any(word in output for word in FOR_PROGRAMS))

    def _show_banner(self, text: str) -> None:
        self._show(f"\n{text} {'*' * max(3, min(terminal_width() or 79, 79) - len(text) - 1)}")

    def _step_summary(self, page: Path) -> None:
        """In GitHub Actions, show the report on the page of the workflow's run."""
        target = os.environ.get("GITHUB_STEP_SUMMARY")
        if target:
            with open(target, "a", encoding="utf-8") as file:
                file.write(page.read_text(encoding="utf-8") + "\n")

    def _phase(self, task: Any) -> str | None:
        """Return the phase that a task belongs to."""
        phase = task.get_vars().get("refresh_phase")
        return None if phase is None else str(phase)

    def _note(self, result: Any, status: str) -> None:
        """Add a task's outcome to its host's record."""
        task, host = result.task, result.host
        name = host.get_name()
        if name not in self._runs:
            return
        now = time.monotonic()
        seconds = now - self._began.pop((name, task._uuid), (now, task))[0]
        action = str(task.resolved_action or task.action).rsplit(".", 1)[-1]
        self._runs[name].task(self._phase(task), status=status, seconds=seconds, action=action, task=task.get_name(), result=result.result)

    def _command(self, playbook: str | None = None) -> str:
        """Return the command that was given, less what was given by ``-e``: that may be secret; or the one that runs ``playbook`` instead."""
        given = context.CLIARGS
        words = ["ansible-playbook", *_inventories()]
        words.append(playbook or self._playbook)
        if given.get("subset"):
            words += ["--limit", str(given["subset"])]
        words += [] if playbook else [option for name, option in (("check", "--check"), ("diff", "--diff")) if given.get(name)]
        return shlex.join(words) + (" -e …" if given.get("extra_vars") else "")

    def _begin(self, host: Any, task: Any) -> None:
        """Start a host's record and find out where its report goes."""
        variables = self._play.get_variable_manager().get_vars(play=self._play, host=host, task=task)
        templar = Templar(loader=self._play.get_loader(), variables=variables)
        name = host.get_name()
        demo = variables.get("refresh_demo", False)
        run = self._runs[name] = HostRun(
            host=name,
            started=datetime.now(UTC),
            command=self._command(),
            playbook=Path(self._playbook).stem,
            restore_command=self._command(_shortest(ROOT / "restore_dev.yml")),
            ping_command=shlex.join(["ansible", *_inventories(), "-m", "ping", name]),
            check=bool(context.CLIARGS.get("check")),
            demo=bool(templar.template(demo)),
        )
        self._folders[name] = Path(str(templar.template(variables.get("refresh_report_dir", "reports"))))
        if len(self._runs) == 1:
            if run.demo:
                self._show("DEMO: the sandbox and the demo app; no real organisation is touched.", color="cyan")
            if run.check and not is_answer(run.playbook):
                self._show('Check mode: nothing is changed; "changed" says what a run would change.', color="cyan")


def _inventories() -> list[str]:
    """Return the options that name the inventories, if others were given than the usual one."""
    given = list(context.CLIARGS.get("inventory") or [])
    if given == list(constants.DEFAULT_HOST_LIST):
        return []
    return [word for path in given for word in ("-i", path if path.endswith(",") else _shortest(Path(path)))]


def _shortest(path: Path) -> str:
    """Return a path as one would type it: from here, if that is not longer."""
    return min(os.path.relpath(path), str(path), key=len)
