"""What the playbooks answer that only ask or connect, as pairs of a title and a text (pure: record in, pairs out)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .figures import age, ago, moment, size, target_words

_READ_ONLY = ("status_dev", "connect_xero")


def is_answer(playbook: str) -> bool:
    """Tell whether a playbook answers a question or connects: it has no report of its own, and no steps."""
    return playbook in _READ_ONLY


def answers(record: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return what was found, none for a playbook that refreshes or where nothing was found."""
    if record["connected"]:
        return _connected(record["connected"])
    return _status(record) if record["state"] else []


def _status(record: Mapping[str, Any]) -> list[tuple[str, str]]:
    state = record["state"]
    databases, marker = state["databases"], state.get("marker") or {}
    live = databases.get("live")
    facts = f", {size(live['bytes'])}, {'open' if live['open'] else 'closed to connections'}" if live else ", not there"
    pairs = [("Database", target_words(record) + facts)]
    if marker and state["fits"]:
        made = _when(marker.get("dump_created"), record)
        pairs += [("Dump", f"{marker['dump_path']}, made {made}"), ("Restored", _when(marker.get("restored_at"), record))]
        pairs.append(("Seeded", _seeded(marker, record)))
        if marker.get("finished_at"):
            pairs.append(("Verified", _when(marker["finished_at"], record)))
    if "staging" in databases:
        pairs.append(("Staging", f"{databases['staging']['name']}, {size(databases['staging']['bytes'])}: a refresh is at work, or died"))
    if "previous" in databases:
        pairs.append(("Previous", f"{databases['previous']['name']}, {size(databases['previous']['bytes'])}; playbooks/rollback_dev.yml puts it back"))
    return pairs


def _seeded(marker: Mapping[str, Any], record: Mapping[str, Any]) -> str:
    if not marker.get("tenant_id"):
        return "not yet"
    where = f"{marker.get('tenant_name') or 'the organisation'} (tenant {marker['tenant_id']})"
    return f"{_when(marker['seeded_at'], record)} in {where}" if marker.get("seeded_at") else f"begun in {where}, not complete"


def _when(then: object, record: Mapping[str, Any]) -> str:
    """Return a time with its age."""
    if not then:
        return "at an unknown time"
    old = ago(str(then), str(record["finished"])) or age(str(then), str(record["finished"]))
    return moment(str(then)) + (f" ({old})" if old else "")


def _connected(result: Mapping[str, Any]) -> list[tuple[str, str]]:
    pairs = [("Token", str(result.get("token_file") or ""))]
    for organisation in result.get("connected") or []:
        kind = {True: ", a demo company", False: ", not a demo company"}.get(organisation.get("is_demo_company"), "")
        pairs.append(("Organisation", f"{organisation.get('name')}{kind}, tenant {organisation.get('tenant_id')}"))
    if result.get("scopes"):
        pairs.append(("Scopes", ", ".join(str(scope) for scope in result["scopes"])))
    return pairs
