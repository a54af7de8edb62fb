"""Run the module dump_incoming and send it the controller's dump, in pieces, through the task's own connection and as its own user."""

from __future__ import annotations

import os
import shlex
import sys
from pathlib import Path
from typing import Any

from ansible.utils.display import Display

# a plugin of the controller is given neither our own utilities nor those of the modules
sys.path += [str(Path(__file__).resolve().parents[1] / "plugin_utils"), str(Path(__file__).resolve().parents[2] / "module_utils")]

from dev_refresh.dump.checksums import expected_checksum
from dev_refresh.dump.fetch import INCOMING_OPTIONS, is_url
from dev_refresh.dump.incoming import file_sha256
from dev_refresh.dump.resolve import is_pattern, resolve_dump
from dev_refresh.errors import Finding, GuardError, RefreshError
from module_action import ModuleAction

PIECE = 8 << 20

display = Display()


class ActionModule(ModuleAction):
    """Look on the host whether the dump is there; if not, send it and let the module check it and put it in its place."""

    def work(self, task_vars: dict[str, Any]) -> dict[str, Any]:
        """Return the module's result."""
        _, options = self.validate_argument_spec(INCOMING_OPTIONS)
        try:
            if is_url(options["source"] or ""):
                return dict(self._execute_module(task_vars=task_vars))
            return self._send(options, task_vars)
        except OSError as error:
            raise RefreshError(f"{error.filename or options['source']} cannot be read on the controller: {error.strerror}.") from None

    def _send(self, options: dict[str, Any], task_vars: dict[str, Any]) -> dict[str, Any]:
        """Send the dump if the host has not got it."""
        source = Path(_local_dump(options["source"] or ""))
        given = options["checksum"]
        expected = expected_checksum(str(source), given, is_glob=bool(given) and is_pattern(options["source"]), require=options["require_checksum"])
        if expected.finding is not None:
            raise GuardError([expected.finding])
        sha256 = file_sha256(source)
        if expected.sha256 not in (None, sha256):
            what = f"{source} on the controller has the checksum {sha256}, and should have {expected.sha256} ({expected.source})"
            raise GuardError([Finding(what, "Copy the dump again; it was changed or damaged since the checksum was taken")])
        step = {
            **{name: self._task.args[name] for name in ("folder", "label")},
            "source": str(source),
            "file_name": source.name,
            "checksum": f"sha256:{sha256}",
            "bytes": source.stat().st_size,
            "proven": expected.sha256 is not None,
        }
        found = self._module(step, "look", task_vars)
        if found.get("failed") or found["present"]:
            return found
        if self._task.check_mode:
            return {**found, "changed": True}
        prepared = self._module(step, "prepare", task_vars)
        if prepared.get("failed"):
            return prepared
        self._pour(source, prepared["part"], str(task_vars.get("inventory_hostname", "")))
        return self._module(step, "finish", task_vars)

    def _module(self, step: dict[str, Any], name: str, task_vars: dict[str, Any]) -> dict[str, Any]:
        result: dict[str, Any] = self._execute_module(module_args={**step, "step": name}, task_vars=task_vars)
        return result

    def _pour(self, source: Path, part: str, host: str) -> None:
        """Append the file's pieces to the host's, by a shell alone: a file sent otherwise would not belong to the user that the task becomes."""
        size, done = source.stat().st_size, 0
        command = f"umask 077; cat >> {shlex.quote(part)}"
        with source.open("rb") as file:
            while piece := file.read(PIECE):
                ran = self._low_level_execute_command(command, in_data=piece, sudoable=True)
                if ran["rc"] != 0:
                    said = str(ran["stderr"]).strip() or f"return code {ran['rc']}"
                    raise RefreshError(f"The dump could not be sent to {host}: {said}. Look at the host's disk, then run again.")
                done += len(piece)
                if done % (PIECE * 16) == 0:
                    display.display(f"dump_incoming {host} {done >> 20}/{size >> 20} MiB")


def _local_dump(source: str) -> str:
    """Return the dump on the controller that ``source`` names; raise GuardError if there is none."""
    found = resolve_dump(source)
    if isinstance(found, Finding):
        raise GuardError([found])
    if os.path.isdir(found):
        remedy = "Make one file of it (pg_dump -Fc), or put the directory on the host and set database_restore_dump_source to host"
        raise GuardError([Finding(f"{found} is a directory dump, which is not sent to a host", remedy)])
    if not os.path.exists(found):
        raise GuardError([Finding(f"There is no dump at {found} on the controller", "Correct database_restore_dump (and database_restore_dump_source)")])
    return found
