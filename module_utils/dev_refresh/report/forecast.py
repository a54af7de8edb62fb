"""What a run would do, as a short text that a person can decide by (pure: record of a check in, lines out)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..progress import time_words
from .figures import counted, dump_words, number, several, size


def forecast(record: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return pairs of a title and a text; none for a run, and none where the check failed before it could tell."""
    if record["mode"] != "check" or record["status"] in ("failed", "unreachable") or not (record["database"] or record["xero"] or record["not_predicted"]):
        return []
    pairs = [*_databases(record), *_migrations(record), *_xero(record)]
    return pairs + [("Not known" if index == 0 else "", str(line)) for index, line in enumerate(record["not_predicted"])]


def _databases(record: Mapping[str, Any]) -> list[tuple[str, str]]:
    database, effects = record["database"], record["effects"]
    if not database:
        return []
    if database.get("action") not in ("restore", "resume"):
        return [("Restore", database.get("situation") or "nothing: the dump is in already")]
    pairs = [("Restore", dump_words(record, short=True))]
    if database.get("situation"):
        pairs.append(("", str(database["situation"])))
    renamed = [f"{pair['from']} becomes {pair['to']}" for pair in effects.get("renamed") or []]
    dropped = [f"{entry['database']} ({size(entry['bytes'])}) is dropped" for entry in effects.get("dropped") or []]
    if renamed or dropped:
        pairs.append(("Databases", "; ".join([*renamed, *dropped])))
    sessions = effects.get("sessions_ended") or []
    if sessions:
        names = sorted({str(entry.get("application") or entry.get("role")) for entry in sessions})
        pairs.append(("Sessions", f"{several(len(sessions), 'session')} of {', '.join(names)} {'ends' if len(sessions) == 1 else 'end'}"))
    preserved = effects.get("preserved") or {}
    if preserved:
        pairs.append(("Kept rows", ", ".join(f"{several(count, 'row')} of {table}" for table, count in preserved.items())))
    space = effects.get("space") or {}
    if space:
        free = f"{size(space['free'])} free" if space.get("free") is not None else "free space not known from here"
        pairs.append(("Disk", f"about {size(space['needed'])} needed, {free}"))
    return pairs


def _migrations(record: Mapping[str, Any]) -> list[tuple[str, str]]:
    migrations, action = record["migrations"], record["database"].get("action")
    if migrations.get("foreseen") is not None:
        names = migrations["foreseen"]
        return [("Migrations", f"{number(len(names))}: {', '.join(names)}" if names else "none")]
    if action in ("restore", "resume"):
        return [("Migrations", "not known: app_migrate_expected_command is not set, or the dump has no such table")]
    if migrations.get("pending_before") is not None:
        return [("Migrations", "some are pending and would run on the live database" if migrations["pending_before"] else "none")]
    return []


def _xero(record: Mapping[str, Any]) -> list[tuple[str, str]]:
    xero = record["xero"]
    entities = list(counted(xero))
    if not entities:
        return []
    pairs = []
    for name, counts in entities:
        said = [f"{number(counts[count])} {words}" for count, words in _WOULD.items() if counts.get(count)]
        pairs.append((name.capitalize(), f"of {number(counts.get('total', 0))}: {', '.join(said)}" if said else f"none of {number(counts.get('total', 0))}"))
    pairs.append(("Calls", _calls(xero)))
    if (xero.get("api") or {}).get("day_remaining") is not None:
        pairs.append(("Quota", _quota(xero)))
    first, *more = xero.get("forecast_reasons") or [""]
    pairs.append(("Counts are", f"{'an estimate' if first else 'exact'}" + (f": {first}" if first else "")))
    pairs += [("", str(reason)) for reason in more]
    return pairs


def _calls(xero: Mapping[str, Any]) -> str:
    """Return the calls that a run needs, and how long they take."""
    api, foreseen = xero.get("api") or {}, xero["estimate"]
    writes, limit = int(api.get("writes") or 0), api.get("minute_limit")
    told = several(writes, "writing call")
    if writes:
        told += f", {time_words(foreseen['minutes_least'], foreseen['minutes'])}" + (f" at {number(limit)} a minute" if limit else "")
    return f"{told}; {several(_reading(xero), 'reading call')}"


def _reading(xero: Mapping[str, Any]) -> int:
    """Return the calls that read: the guard's, those that this check has made too, and the verification's; Xero does not count the list of connections."""
    seen = int((xero.get("api") or {}).get("calls") or 0)
    return int(xero.get("guard_calls") or 0) + max(0, seen - 1) + int(xero["estimate"]["verification"])


def _quota(xero: Mapping[str, Any]) -> str:
    """Return what is left of the day's calls, now and after a run."""
    api = xero["api"]
    left = int(api["day_remaining"])
    if any(counts.get("remaining") for _, counts in counted(xero)):
        return f"{number(left)} of the day's calls are left, too few: what fits is done, and the next day's run goes on"
    after = left - int(api.get("writes") or 0) - _reading(xero)
    if after < 0:
        return f"{number(left)} of the day's calls are left, too few for the verification too: the next day's run verifies"
    return f"{number(left)} of the day's calls are left, {number(after)} after it"


_WOULD = {
    "already_linked": "linked already",
    "linked": "to link",
    "created": "to create",
    "stale": "stale ids to clear",
    "skipped": "skipped by rule",
    "failed": "would be refused",
    "remaining": "beyond the day's calls",
}
