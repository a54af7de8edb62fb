"""What all our action plugins have in common: check mode, an error that becomes a failed result, and nothing left in the host's temporary folder."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from ansible.plugins.action import ActionBase

# a plugin of the controller is not given the module utilities
sys.path.append(str(Path(__file__).resolve().parents[2] / "module_utils"))

from dev_refresh.errors import RefreshError


class ModuleAction(ActionBase):
    """An action that ends in a module's result: ``work`` returns it, or raises RefreshError."""

    TRANSFERS_FILES = False
    _supports_check_mode = True
    _supports_async = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Return the module's result."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        del tmp
        try:
            result.update(self.work(task_vars or {}))
        except RefreshError as error:
            result.update(error.details, failed=True, changed=False, msg=str(error))
        finally:
            self._remove_tmp_path(self._connection._shell.tmpdir)
        return result

    def work(self, task_vars: dict[str, Any]) -> dict[str, Any]:
        """Return the module's result."""
        raise NotImplementedError
