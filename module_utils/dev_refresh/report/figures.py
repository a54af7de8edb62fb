"""How figures are written for a person."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

COUNTS = ("total", "already_linked", "linked", "created", "stale", "skipped", "failed", "remaining")
"""The counts of one entity, in the order in which they are shown."""

FAILED = "Xero refused these rows. Mend the row or the rule in Xero and run again; the next run tries them again."
SKIPPED = "By rule these rows are not in Xero; nothing failed. Where one should be, mend what the reason names in the app."


def duration(seconds: float) -> str:
    """Return ``0.4 s``, ``48 s`` or ``9 min 43 s``."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds // 60:.0f} min {seconds % 60:.0f} s"


def size(count: float) -> str:
    """Return a number of bytes as ``9.3 MB`` (powers of 1000)."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"


def number(count: float) -> str:
    """Return ``12,345``."""
    return f"{count:,.0f}"


def several(count: int, word: str) -> str:
    """Return ``1 table`` or ``12 tables``."""
    return f"{number(count)} {word}{'' if count == 1 else 's'}"


def moment(text: str) -> str:
    """Return an ISO time as ``2026-11-21 02:00`` (with ``UTC`` if it says so)."""
    return text[:16].replace("T", " ") + (" UTC" if text.endswith("Z") else "")


def age(then: str, now: str) -> str:
    """Return how old something is, or nothing if that cannot be said; an archive's time has no zone, so it is no more exact than hours."""
    try:
        times = [datetime.fromisoformat(text) for text in (then, now)]
    except ValueError:
        return ""
    hours = (times[1].astimezone(UTC) - (times[0] if times[0].tzinfo else times[0].replace(tzinfo=UTC))).total_seconds() / 3600
    if hours < -14:
        return ""
    if hours < 2:
        return "less than 2 hours old"
    return f"{hours:.0f} hours old" if hours < 36 else f"{hours / 24:.0f} days old"


def ago(then: str, now: str) -> str:
    """Return how long ago a time with its zone was: ``14 min ago``, ``3 hours ago``, ``2 days ago``; nothing if that cannot be said."""
    try:
        seconds = (datetime.fromisoformat(now) - datetime.fromisoformat(then)).total_seconds()
    except (TypeError, ValueError):
        return ""
    if seconds < 90 * 60:
        return f"{max(0, seconds) / 60:.0f} min ago"
    return f"{seconds / 3600:.0f} hours ago" if seconds < 36 * 3600 else f"{seconds / 86400:.0f} days ago"


def counted(xero: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield each seeded entity with its counts."""
    for name, value in xero.items():
        if isinstance(value, Mapping) and "already_linked" in value:
            yield name, value


STATUSES = ("unreachable", "failed", "incomplete", "ok")
"""Those that need somebody come first."""


def ranked(records: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Return the hosts' records, those that need somebody first."""
    return sorted(records, key=lambda record: (STATUSES.index(record["status"]), _natural(str(record["host"]))))


def _natural(name: str) -> list[tuple[str, int]]:
    """Return what sorts ``dev2`` before ``dev10``."""
    return [(text, int(digits or 0)) for text, digits in re.findall(r"(\D*)(\d*)", name)]


def kinds(records: Sequence[Mapping[str, Any]]) -> str:
    """Return ``8 ok, 1 failed``."""
    counts = [(kind, sum(record["status"] == kind for record in records)) for kind in reversed(STATUSES)]
    return ", ".join(f"{count} {kind}" for kind, count in counts if count)


def bare(task: str) -> str:
    """Return a task's name without its role's, which says nothing to a person."""
    return task.rpartition(" : ")[2]


def dump_words(record: Mapping[str, Any], *, short: bool = False) -> str:
    """Return the dump with its size, age and origin; ``short`` leaves its folder and the exact time out, which the source has told."""
    dump = record["dump"]
    parts = [size(dump["bytes"])] if dump.get("bytes") else []
    if dump.get("rows"):
        parts.append(f"{several(dump['rows'], 'row')} in {several(dump.get('tables') or 0, 'table')}")
    if dump.get("created"):
        old = age(str(dump["created"]), str(record["finished"]))
        made = f"made {moment(str(dump['created']))}" + (f" ({old})" if old else "")
        parts.append((old or made) if short else made)
    if dump.get("source_database") and not short:
        server = f" on PostgreSQL {dump['server_version']}" if dump.get("server_version") else ""
        parts.append(f"of {dump['source_database']}{server}")
    path = str(dump.get("path"))
    path = path.rstrip("/").rsplit("/", 1)[-1] if short else path
    return f"{path}: {', '.join(parts)}" if parts else path


def target_words(record: Mapping[str, Any]) -> str:
    """Return the live database with its server."""
    database = record["database"]
    return f"{database.get('name')} on {database.get('server') or record['host']}"


def organisation_words(record: Mapping[str, Any]) -> str:
    """Return the organisation's name, kind and tenant."""
    organisation = record["xero"].get("organisation") or {}
    return f"{organisation.get('name')} ({'demo company, ' if organisation.get('is_demo_company') else ''}tenant {organisation.get('tenant_id')})"


def verdict(record: Mapping[str, Any]) -> str:
    """Return the run's outcome in one sentence."""
    status, check = record["status"], record["mode"] == "check"
    if status == "unreachable":
        return "The host could not be reached."
    if status == "incomplete":
        remaining = sum(counts.get("remaining", 0) for _, counts in counted(record["xero"]))
        left = f"; {several(remaining, 'row')} {'remains' if remaining == 1 else 'remain'}" if remaining else ""
        return f"Not complete: Xero's day limit ended the run{left}."
    if record["interrupted"]:
        return "Interrupted."
    if status == "failed":
        where = next((f" in step {index}, {phase['name']}" for index, phase in enumerate(record["phases"], 1) if phase["status"] == "failed"), "")
        return f"Failed{where}."
    if record["state"]:
        return str(record["state"].get("verdict") or "")
    if record["connected"]:
        return str(record["connected"].get("msg") or "")
    if check:
        return "A run would change this." if record["changed"] else "A run would change nothing."
    if record["database"].get("action") == "rollback":
        return f"Rolled back: {record['database'].get('situation') or 'the previous database is live again'}"
    if record["playbook"] == "verify_dev":
        return "Verified: every row that belongs in Xero is there."
    if record["playbook"] == "seed_xero":
        return "Seeded and verified." if record["changed"] else "Nothing to do: every row that belongs in Xero is there."
    return "Refreshed." if record["changed"] else "Nothing to do: everything is current."


def facts(record: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return source, target and times, as pairs of a title and a text."""
    pairs = []
    if record["dump"]:
        pairs.append(("Source", dump_words(record)))
        pairs.append(("SHA-256", str(record["dump"].get("sha256") or "")))
    if record["database"]:
        pairs.append(("Target", target_words(record)))
    if record["database"].get("previous") and record["mode"] == "run":
        pairs.append(("Kept for rollback", str(record["database"]["previous"])))
    if record["xero"].get("organisation"):
        pairs.append(("Organisation", organisation_words(record)))
    return [*pairs, ("Started", moment(str(record["started"]))), ("Took", duration(record["seconds"]))]


def remarks(xero: Mapping[str, Any]) -> list[str]:
    """Return sentences about calls, the forecast, and what was left out or left alone."""
    api = xero.get("api") or {}
    lines = []
    if api and not xero.get("forecast"):
        lines.append(
            f"{several(api.get('calls', 0), 'call')} ({several(api.get('writes', 0), 'write')}, {api.get('retries', 0)} sent again, "
            f"{api.get('rate_limited', 0)} refused by limits), {duration(float(api.get('seconds_waited') or 0))} waited for the limit"
            + (f"; {number(api['day_remaining'])} of the day's calls left" if api.get("day_remaining") is not None else "")
            + "."
        )
    left_out = {name: count for name, count in (xero.get("left_out") or {}).items() if count}
    if left_out:
        lines.append("Left out because Xero would refuse it: " + ", ".join(f"{count} × {name}" for name, count in left_out.items()) + ".")
    unclaimed = {name: count for name, count in (xero.get("unclaimed") or {}).items() if count}
    if unclaimed:
        lines.append("In the organisation, belonging to no row, left alone: " + ", ".join(f"{count} {name}" for name, count in unclaimed.items()) + ".")
    return lines
