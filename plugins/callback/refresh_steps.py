"""Show a refresh by its steps: Ansible's own output, less its bookkeeping."""

from __future__ import annotations

DOCUMENTATION = """
name: refresh_steps
type: stdout
short_description: Show a refresh by its steps
description:
  - Ansible's default output with a heading for each step of a refresh, without the tasks that only note something in a variable,
    and with a failure's message as it is, once, instead of the whole result and the line of the task's file.
  - With C(-v) it is Ansible's default output with the headings.
extends_documentation_fragment:
  - default_callback
  - result_format_callback
"""

import re
import sys
from pathlib import Path
from typing import Any

from ansible import constants
from ansible.plugins.callback.default import CallbackModule as Default

# a plugin of the controller is not given the module utilities; the report's pure code lives there
sys.path.append(str(Path(__file__).resolve().parents[2] / "module_utils"))

from dev_refresh.report.collect import GOES_ON, STOPPED
from dev_refresh.report.wrapping import hang, terminal_width

STEPS = {
    "guard": "STEP 1 guard: check everything before the first write",
    "stage": "STEPS 2-3 stage, sanitise: restore the dump beside the live database",
    "sanitise": "STEPS 2-3 stage, sanitise: restore the dump beside the live database",
    "migrate": "STEP 4 migrate: run the app's migrations",
    "swap": "STEP 5 swap: put the database in its place",
    "seed": "STEP 6 seed: link contacts and projects in Xero, create what is missing",
    "verify": "STEP 7 verify: compare the database with the organisation",
    "finish": "STEP 8 finish: closing SQL, services that talk to Xero",
}
LONG = ("stage", "seed")
"""Steps that tell how far they are, long before their first task ends."""
BOOKKEEPING = ("set_fact", "validate_argument_spec", "include_tasks", "include_role", "import_tasks", "meta")
OURS = ("pg_refresh", "pg_refresh_info", "pg_dump_info", "app_command", "xero_organisation_info", "xero_seed", "xero_connect", "refresh_verify",
        "dump_incoming", "python_environment", "fail", "assert")
"""What says by its message all that there is to say."""


def short_name(task: Any) -> str:
    """Return the name of a task's action without its collection."""
    return str(task.action).rsplit(".", 1)[-1]


class CallbackModule(Default):  # type: ignore[misc]
    """Ansible's default output with headings, less what only Ansible needs to know."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "stdout"
    CALLBACK_NAME = "refresh_steps"

    def __init__(self) -> None:
        super().__init__()
        self._step: str | None = None
        self._long = set(LONG)

    def v2_playbook_on_play_start(self, play: Any) -> None:
        """Begin the steps anew."""
        self._step, self._long = None, set(LONG)
        super().v2_playbook_on_play_start(play)

    def v2_playbook_on_task_start(self, task: Any, is_conditional: bool) -> None:
        """Show the heading of a long step before its first line of progress."""
        phase = task.get_vars().get("refresh_phase")
        if phase in self._long and short_name(task) in OURS and phase != self._step and not self._passed(phase):
            self._show_step(phase)
        super().v2_playbook_on_task_start(task, is_conditional)

    def v2_runner_on_ok(self, result: Any) -> None:
        """Show a task that went well, unless it only noted something."""
        if result.task.get_vars().get("refresh_phase") == "stage" and result.result.get("changed"):
            # only then the swap has something to do, and tells of it
            self._long.add("swap")
        if not self._is_bookkeeping(result):
            super().v2_runner_on_ok(result)

    def v2_runner_item_on_ok(self, result: Any) -> None:
        """Show an item of a loop, likewise."""
        if not self._is_bookkeeping(result):
            super().v2_runner_item_on_ok(result)

    def v2_playbook_on_include(self, included_file: Any) -> None:
        """Show which file is included only to those who ask for details."""
        if self._display.verbosity > 0:
            super().v2_playbook_on_include(included_file)

    def v2_runner_on_failed(self, result: Any, ignore_errors: bool = False) -> None:
        """Show why a task failed, once."""
        if result.result.get("censored"):
            # of a task with no_log Ansible itself hides the result, but not the exception
            result.result.pop("exception", None)
        said = " ".join(str(result.result.get("msg")).split())
        if self._speaks_for_itself(result) and said.startswith(STOPPED) and said.endswith(GOES_ON):
            return
        if not self._speaks_for_itself(result) or (result.task.loop and "results" in result.result):
            super().v2_runner_on_failed(result, ignore_errors)
            return
        self._show_failure(result, "failed: ")

    def v2_runner_item_on_failed(self, result: Any) -> None:
        """Show why an item of a loop failed."""
        if result.result.get("censored"):
            result.result.pop("exception", None)
        if not self._speaks_for_itself(result):
            super().v2_runner_item_on_failed(result)
            return
        self._show_failure(result, f"failed: (item={self._get_item_label(result.result)}) ")

    def v2_runner_on_unreachable(self, result: Any) -> None:
        """Show why a host cannot be reached."""
        if self._display.verbosity > 0 or not result.result.get("msg"):
            super().v2_runner_on_unreachable(result)
            return
        self._show_failure(result, "unreachable: ", constants.COLOR_UNREACHABLE)

    def _print_task_banner(self, task: Any) -> None:
        """Show the task's name, and before it the step that it is the first of."""
        phase = task.get_vars().get("refresh_phase")
        if phase in STEPS and STEPS[phase] != STEPS.get(str(self._step)):
            self._show_step(phase)
        super()._print_task_banner(task)

    def _show_step(self, phase: str) -> None:
        self._step = phase
        self._display.display("")
        self._display.display(STEPS[phase], color=constants.COLOR_HIGHLIGHT)

    def _passed(self, phase: str) -> bool:
        """Tell whether a later step was shown already, as it is in a rescue."""
        order = list(STEPS)
        return self._step in order and order.index(self._step) > order.index(phase)

    def _is_bookkeeping(self, result: Any) -> bool:
        """Tell whether a result is of no interest to a person."""
        noted = short_name(result.task) in BOOKKEEPING and not result.result.get("changed")
        return noted and self._display.verbosity == 0 and not result.result.get("warnings") and not result.result.get("deprecations")

    def _speaks_for_itself(self, result: Any) -> bool:
        """Tell whether a failure's message is all that a person needs; a module that could not even start has more to tell."""
        started = "module_stderr" not in result.result and "module_stdout" not in result.result
        return self._display.verbosity == 0 and short_name(result.task) in OURS and bool(result.result.get("msg")) and started

    def _show_failure(self, result: Any, title: str, color: str = constants.COLOR_ERROR) -> None:
        """Show the message, its further lines below each other, without the result that it comes from."""
        if self._last_task_banner != result.task._uuid:
            self._print_task_banner(result.task)
        self._handle_warnings(result.result)
        width = terminal_width()
        shown = [f"{title}[{self.host_label(result)}]"]
        for line in str(result.result["msg"]).strip().removeprefix("Task failed: ").splitlines():
            # a line keeps its own indent, a numbered one hangs beside its number
            lead = re.match(r"\s*(\d+\. )?", line)
            start = lead[0] if lead else ""
            shown += hang(f"  {start}", line[len(start) :], width)
        for line in shown:
            self._display.display(line, color=color, stderr=self.get_option("display_failed_stderr"))
