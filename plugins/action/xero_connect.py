"""Run the module xero_connect and, if it asks for a consent, get it: the browser is here on the controller, the token file on the host."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

from ansible import constants
from ansible.utils.display import Display

# a plugin of the controller is given neither our own utilities nor those of the modules
sys.path += [str(Path(__file__).resolve().parents[1] / "plugin_utils"), str(Path(__file__).resolve().parents[2] / "module_utils")]

from dev_refresh.xero.connect_options import CONNECT_OPTIONS
from dev_refresh.xero.consent_listener import ConsentRequest, Listener, new_request
from module_action import ModuleAction

display = Display()


class ActionModule(ModuleAction):
    """Look, ask the user, store; the code of the consent goes to the module as an option that is never logged."""

    def work(self, task_vars: dict[str, Any]) -> dict[str, Any]:
        """Run the module, and a second time with the code if a consent is needed."""
        _, options = self.validate_argument_spec(CONNECT_OPTIONS)
        found: dict[str, Any] = self._execute_module(task_vars=task_vars)
        if options["code"] or found.get("failed") or not found.get("consent_needed") or self._task.check_mode:
            return found
        request = new_request(
            client_id=options["client_id"], login_url=options["login_url"], port=options["redirect_port"], scopes=options["scopes"], pkce=options["pkce"]
        )
        code = self._ask(request, options, str(found["reason"]), str(task_vars.get("inventory_hostname", "")))
        stored: dict[str, Any] = self._execute_module(
            module_args={**self._task.args, "code": code, "code_verifier": request.verifier}, task_vars=task_vars
        )
        return stored

    def _ask(self, request: ConsentRequest, options: dict[str, Any], reason: str, host: str) -> str:
        """Show the address once somebody listens, and return the code that the browser brings."""
        parent = os.getppid()
        with Listener(request, port=options["redirect_port"], on_stray=lambda text: display.display(text, color=constants.COLOR_WARN)) as listener:
            display.banner(f"CONSENT NEEDED {host}".rstrip())
            display.display(f"{reason[:1].upper()}{reason[1:]}.")
            display.display(f"Open this address in a browser on this machine within {options['deadline']} seconds and choose the organisation:")
            display.display(f"\n  {request.url}\n ", color=constants.COLOR_HIGHLIGHT)
            # the controller's main process may be killed; this one must not go on listening then
            code = listener.wait(options["deadline"], still_wanted=lambda: os.getppid() == parent)
        display.display("The consent has arrived.")
        return code
