"""What each phase did, in words with counts (pure: record in, lines out)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .figures import counted, number, several, size

_TOLD = {"changed": "to do"}
"""How a status of a check is told: nothing was changed."""
_DONE = {"linked": "linked", "created": "created", "stale": "stale ids cleared", "failed": "failed", "remaining": "remaining"}
_TO_DO = {"linked": "to link", "created": "to create", "stale": "stale ids to clear", "failed": "to be refused", "remaining": "for another day"}


def steps(record: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the phases that ran, each with its number, status, state (the status in words), seconds and what was done or would be."""
    words = {
        "guard": _guard,
        "stage": _stage,
        "sanitise": _sanitise,
        "migrate": _migrate,
        "swap": _swap,
        "seed": _seed,
        "verify": _verify,
        "finish": _finish,
    }
    return [
        {
            **phase,
            "number": index,
            "state": _state(record, phase),
            "did": "" if _state(record, phase) in ("failed", "interrupted") else words[phase["name"]](record),
        }
        for index, phase in enumerate(record["phases"], 1)
        if phase["status"] != "skipped"
    ]


def _state(record: Mapping[str, Any], phase: Mapping[str, Any]) -> str:
    """Return a step's status as a person is told it."""
    if record["interrupted"] and phase["name"] == [each["name"] for each in record["phases"] if each["status"] != "skipped"][-1]:
        return "interrupted"
    if record["mode"] == "check":
        return _TOLD.get(phase["status"], str(phase["status"]))
    # the task fails, so that nobody overlooks it; the step did what could be done
    return "incomplete" if record["status"] == "incomplete" and phase["name"] == "seed" else str(phase["status"])


def _guard(record: Mapping[str, Any]) -> str:
    checked = {"rollback_dev": "variables, names and services", "seed_xero": "variables and organisation", "verify_dev": "variables and organisation"}
    return f"{checked.get(record['playbook'], 'variables, names, rights, dump and organisation')} are in order"


def _stage(record: Mapping[str, Any]) -> str:
    action, dump = record["database"].get("action"), record["dump"]
    verb = "to restore" if record["mode"] == "check" else "restored and compared"
    if action == "restore":
        what = [several(dump["tables"], "table"), several(dump["rows"], "row")] if dump.get("rows") is not None else []
        return ", ".join([*what, *([size(dump["bytes"])] if dump.get("bytes") else [])]) + f" {verb}"
    return {"resume": "the staging database of an earlier run is taken on", "migrate": "the dump is in; the checkout has new migrations"}.get(
        str(action), "the dump is in already"
    )


def _sanitise(record: Mapping[str, Any]) -> str:
    return "SQL statements run, production's Xero ids taken out"


def _migrate(record: Mapping[str, Any]) -> str:
    foreseen = record["migrations"].get("foreseen")
    if record["mode"] == "check":
        return "not known in advance" if foreseen is None else f"{several(len(foreseen), 'migration')} to run"
    commands = record["migrations"].get("commands")
    return f"{several(commands, 'command')} run" if commands else "nothing pending"


def _swap(record: Mapping[str, Any]) -> str:
    database = record["database"]
    if database.get("action") == "rollback":
        verb = "to change" if record["mode"] == "check" else "changed"
        return f"{database.get('name')} and {database.get('name')}_previous {verb} places"
    if database.get("action") not in ("restore", "resume"):
        return "nothing to swap"
    verb = "to become" if record["mode"] == "check" else "became"
    kept = f", the former one is {database['previous']}" if database.get("previous") and record["mode"] == "run" else ""
    return f"the new database {verb} {database.get('name')}{kept}"


def _seed(record: Mapping[str, Any]) -> str:
    said = []
    for name, counts in counted(record["xero"]):
        kinds = _TO_DO if record["mode"] == "check" else _DONE
        done = [f"{number(counts[count])} {words}" for count, words in kinds.items() if counts.get(count)]
        if done:
            said.append(f"{name}: {', '.join(done)}")
    return "; ".join(said) or "nothing to link or to create"


def _verify(record: Mapping[str, Any]) -> str:
    checked, verify = record["verify"].get("checked") or {}, record["verify"]
    if not verify:
        return "not compared"
    rows = [several(checked[name], name.removesuffix("s")) for name in ("clients", "jobs") if name in checked]
    said = [several(len(verify.get(name) or []), name.removesuffix("s")) for name in ("findings", "notes")]
    return f"{' and '.join(rows) or 'rows'} compared, {', '.join(said)}"


def _finish(record: Mapping[str, Any]) -> str:
    if record["database"].get("action") == "rollback":
        return "the services that talk to Xero run"
    return "closing SQL run" if record["changed"] else "done already"
