"""Run the module xero_seed, one host after the other where hosts share an organisation, and show its progress while it works.

For a dry run with a dump that is on the controller, read there what the module needs of it.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

sys.path.append(str(Path(__file__).resolve().parents[1] / "plugin_utils"))

from live_progress import ActionModule as WatchedModule
from live_progress import show
from one_at_a_time import one_at_a_time


class ActionModule(WatchedModule):
    """The module as usual, in its turn; a dry run changes nothing and does not wait."""

    def _run_module(self, task_vars: dict[str, Any], more: dict[str, Any]) -> dict[str, Any]:
        """Return the module's result."""
        if self._task.check_mode:
            return self._dry_run(task_vars, more)
        host = str(task_vars.get("inventory_hostname", ""))
        key = "\n".join([str(self._task.args.get("api_url") or ""), self._organisation(task_vars)])

        def waiting(holder: str) -> None:
            show(f"xero_seed {host} waits · {holder} seeds the same organisation")

        try:
            with one_at_a_time(key, f"{host} (process {os.getpid()})", waiting) as turn:
                recent = [*(self._task.args.get("recent_calls") or []), *turn.recent]
                result = super()._run_module(task_vars, {**more, "recent_calls": recent})
                turn.leave([float(age) for age in (result.get("api") or {}).get("recent") or []])
                return result
        except OSError as error:
            return {"failed": True, "changed": False, "msg": f"The lock of the organisation cannot be used: {error}. Correct it, then run again."}

    def _dry_run(self, task_vars: dict[str, Any], more: dict[str, Any]) -> dict[str, Any]:
        """Return the module's result; the rows of a dump that is here go with its options."""
        if self._task.args.get("dump") and self._task.args.get("dump_source") == "controller":
            # imported where it is needed: a run's processes are started without it
            from dev_refresh.seed import excerpt_for

            more = {**more, "dump_excerpt": excerpt_for(str(self._task.args["dump"]), self._task.args.get("mapping"))}
        return super()._run_module(task_vars, more)

    def _organisation(self, task_vars: dict[str, Any]) -> str:
        """Return what tells one organisation from another: its tenant id, which the guard has asked for; else the app that is connected to it."""
        asked = task_vars.get("__xero_seed_organisation") or {}
        known = (asked.get("organisation") or {}).get("tenant_id") if isinstance(asked, dict) else None
        return str(self._task.args.get("tenant_id") or known or self._task.args.get("client_id") or "")
