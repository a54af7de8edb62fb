"""How every module of ours ends: one result or one sentence, never a traceback."""
from __future__ import annotations

import signal
from collections.abc import Callable, Mapping
from decimal import Decimal
from types import FrameType
from typing import TYPE_CHECKING, Any, NoReturn
from uuid import UUID

from .errors import RefreshError
from .processes.parents import remove_old_payloads, watch_parents

if TYPE_CHECKING:
    from ansible.module_utils.basic import AnsibleModule

EXPECTED_FAILURE_KEYS = ("msg", "failed")
_SIGNALS = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT)


class Interrupted(KeyboardInterrupt):
    """SIGTERM, SIGHUP or SIGINT came; raised in the main thread so that every ``finally`` runs."""


def run_module(module: AnsibleModule, work: Callable[[], dict[str, Any]]) -> NoReturn:
    """Call ``work`` and end the module with its result, or with its error in one sentence and the error's details.

    The module ends itself and its children when the ``ansible`` process that started it is gone.
    """
    for number in _SIGNALS:
        # nohup and background shells have them ignored, and mean it
        if signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, _interrupt)
    watch_parents()
    if not module.check_mode:
        remove_old_payloads()
    result: dict[str, Any] = {}
    message = ""
    try:
        result = work()
    except RefreshError as error:
        message, result = str(error), error.details
    except KeyboardInterrupt as error:
        message = f"The module was interrupted{_by(error)}. Run the same command again; it goes on from what was finished."
    except Exception as error:
        message = f"Unexpected {type(error).__name__}: {error}. This is a defect of dev_refresh; nothing is lost, run the same command again or report it."
    # outside of the handlers: within one, Ansible would join the error's own text, or its traceback, to the message
    plain = to_plain(result)
    if message:
        module.fail_json(msg=message, **{"changed": False, **{key: value for key, value in plain.items() if key not in EXPECTED_FAILURE_KEYS}})
    module.exit_json(**plain)
    raise SystemExit(0)


def to_plain(value: Any) -> Any:
    """Return ``value`` made of what JSON has: Ansible refuses Decimals and UUIDs."""
    if isinstance(value, Mapping):
        return {str(key): to_plain(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [to_plain(inner) for inner in value]
    return str(value) if isinstance(value, (Decimal, UUID)) else value


def _interrupt(number: int, _frame: FrameType | None) -> NoReturn:
    """End the module through its ``finally`` blocks; a second signal changes nothing, so that they can end."""
    for each in _SIGNALS:
        signal.signal(each, signal.SIG_IGN)
    raise Interrupted(signal.Signals(number).name)


def _by(error: KeyboardInterrupt) -> str:
    """Return which signal interrupted, for a sentence."""
    return f" by {error}" if isinstance(error, Interrupted) else ""
