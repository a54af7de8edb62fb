"""How figures are written for a person."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

COUNTS = ("total", "already_linked", "linked", "created", "stale", "skipped", "failed", "remaining")
"""The counts of one entity, in the order in which they are shown."""


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


def counted(xero: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield each seeded entity with its counts."""
    for name, value in xero.items():
        if isinstance(value, Mapping) and "already_linked" in value:
            yield name, value


def verdict(record: Mapping[str, Any]) -> str:
    """Return the run's outcome in one sentence."""
    status, check = record["status"], record["mode"] == "check"
    if status == "unreachable":
        return "The host could not be reached."
    if status == "incomplete":
        return "Not complete: Xero's day limit ended the run."
    if status == "failed":
        return "Failed."
    if check:
        return "A run would change this." if record["changed"] else "A run would change nothing."
    return "Refreshed." if record["changed"] else "Nothing to do: everything is current."


def facts(record: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return source, target and times, as pairs of a title and a text."""
    dump, database, organisation = record["dump"], record["database"], record["xero"].get("organisation") or {}
    pairs = [("Started", str(record["started"])), ("Took", duration(record["seconds"]))]
    if dump:
        pairs.append(("Dump", f"{dump.get('path')} ({size(dump.get('bytes') or 0)}, made {dump.get('created') or 'at an unknown time'})"))
        pairs.append(("SHA-256", str(dump.get("sha256") or "")))
    if database:
        pairs.append(("Database", f"{database.get('name')}: {database.get('action', '')}"))
    if database.get("previous"):
        pairs.append(("Kept for rollback", str(database["previous"])))
    if organisation:
        pairs.append(
            (
                "Organisation",
                f"{organisation.get('name')} ({'demo company, ' if organisation.get('is_demo_company') else ''}tenant {organisation.get('tenant_id')})",
            )
        )
    return pairs


def remarks(xero: Mapping[str, Any]) -> list[str]:
    """Return sentences about calls, the forecast, and what was left out or left alone."""
    api = xero.get("api") or {}
    lines = []
    if api:
        lines.append(
            f"{api.get('calls', 0)} calls ({api.get('writes', 0)} writes, {api.get('retries', 0)} retries, {api.get('rate_limited', 0)} refused by limits), "
            f"{duration(float(api.get('seconds_waited') or 0))} waited for the limit; left today: {api.get('day_remaining', 'unknown')}."
        )
    if xero.get("forecast"):
        lines.append(f"The forecast is {xero['forecast']}" + (": " + "; ".join(xero["forecast_reasons"]) if xero.get("forecast_reasons") else "") + ".")
    left_out = {name: count for name, count in (xero.get("left_out") or {}).items() if count}
    if left_out:
        lines.append("Left out because Xero would refuse it: " + ", ".join(f"{count} × {name}" for name, count in left_out.items()) + ".")
    unclaimed = {name: count for name, count in (xero.get("unclaimed") or {}).items() if count}
    if unclaimed:
        lines.append("In the organisation, belonging to no row, left alone: " + ", ".join(f"{count} {name}" for name, count in unclaimed.items()) + ".")
    return lines
