"""The table at the end of a run, for the terminal (pure text)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from .figures import counted, duration, verdict


def render(record: Mapping[str, Any], report: str | None) -> list[str]:
    """Return the lines for one host: phases, counts, verdict, where the report is, and what to do next."""
    lines = [f"{'DEMO  ' if record['demo'] else ''}{record['host']}{'  (check mode: nothing was changed)' if record['mode'] == 'check' else ''}"]
    ran = [phase for phase in record["phases"] if phase["status"] != "skipped"]
    lines += [f"  {phase['name']:<9} {phase['status']:<8} {duration(phase['seconds']):>12}" for phase in ran]
    entities = list(counted(record["xero"]))
    if entities:
        heads = ("total", "already linked", "linked", "created", "skipped", "failed", "remaining")
        rows = [(name, *(str(counts.get(head.replace(" ", "_"), 0)) for head in heads)) for name, counts in entities]
        lines += ["", *_aligned([("", *heads), *rows])]
    api = record["xero"].get("api") or {}
    if api:
        waited = duration(float(api.get("seconds_waited") or 0))
        lines.append(f"  {api.get('calls', 0)} calls to Xero, {api.get('writes', 0)} of them writes; {waited} waited for the limit")
    if record["xero"].get("forecast"):
        reasons = record["xero"].get("forecast_reasons") or []
        lines.append(f"  forecast: {record['xero']['forecast']}" + (f" ({'; '.join(reasons)})" if reasons else ""))
    lines += ["", f"  {verdict(record)} {duration(record['seconds'])} in all."]
    if report:
        lines.append(f"  Report: {report}")
    if record["next_step"]:
        lines.append(f"  Next: {record['next_step']}")
    return lines


def _aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Return the rows with the first column left and the others right aligned."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return [
        "  "
        + "  ".join(value.ljust(width) if column == 0 else value.rjust(width) for column, (value, width) in enumerate(zip(row, widths, strict=True))).rstrip()
        for row in rows
    ]
