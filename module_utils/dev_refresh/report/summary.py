"""The end of a run, for the terminal (pure text): source and target, steps with counts, total, verdict, what to do next."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from .figures import counted, dump_words, duration, organisation_words, remarks, target_words, verdict
from .forecast import forecast
from .steps import steps


def render(record: Mapping[str, Any], report: str | None) -> list[str]:
    """Return the lines for one host."""
    check = record["mode"] == "check"
    lines = []
    if record["demo"]:
        lines.append("  DEMO: the sandbox and the demo app, no real organisation")
    if check:
        lines.append("  Check mode: nothing was changed")
    if record["dump"]:
        lines.append(f"  Source  {dump_words(record)}")
    if record["database"]:
        lines.append(f"  Target  {target_words(record)}")
    if (record["xero"].get("organisation") or {}).get("name"):
        lines.append(f"  Xero    {organisation_words(record)}")
    ran = steps(record)
    if ran:
        rows = [(str(step["number"]), step["name"], step["status"], step["did"], duration(step["seconds"])) for step in ran]
        lines += ["", *_table(("", "step", "", "", "time"), rows, record)]
    entities = list(counted(record["xero"]))
    if entities and not check:
        heads = ("total", "already linked", "linked", "created", "skipped", "failed", "remaining")
        lines += ["", *_aligned([("", *heads), *((name, *(f"{counts.get(head.replace(' ', '_'), 0):,}" for head in heads)) for name, counts in entities)])]
        lines += ["", *(f"  {line}" for line in remarks(record["xero"]))]
    told = forecast(record)
    if told:
        width = max(len(title) for title, _ in told)
        lines += ["", "  What a run would do", *(f"  {title:<{width}}  {text}".rstrip() for title, text in told)]
    lines += ["", f"  {verdict(record)}"]
    if record["failure"]:
        first, *more = str(record["failure"]["message"]).splitlines() or [""]
        where = f'"{record["failure"]["task"]}": ' if record["failure"]["task"] else ""
        lines.append(f"  {where}{first}" + (" (they are listed above and in the report)" if more else ""))
    if report:
        lines.append(f"  Report: {report}")
    if record["next_step"]:
        lines.append(f"  Next: {record['next_step']}")
    return lines


def render_fleet(records: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the lines for all hosts of a run together: one each, those that need somebody first, and how many there are of each kind."""
    order = ("unreachable", "failed", "incomplete", "ok")
    rows = [
        (
            str(record["host"]),
            str(record["status"]),
            str(record["database"].get("action") or ""),
            *(f"{counts.get('created', 0):,}" for counts in (record["xero"].get("contacts") or {}, record["xero"].get("projects") or {})),
            duration(record["seconds"]),
        )
        for record in sorted(records, key=lambda record: (order.index(record["status"]), record["host"]))
    ]
    kinds = [(kind, sum(record["status"] == kind for record in records)) for kind in reversed(order)]
    counts = ", ".join(f"{count} {kind}" for kind, count in kinds if count)
    return [*_aligned([("host", "", "database", "contacts made", "projects made", "time"), *rows]), "", f"  {len(records)} hosts: {counts}"]


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]], record: Mapping[str, Any]) -> list[str]:
    """Return the steps with a line for the whole."""
    whole = ("", "total", "", "", duration(record["seconds"]))
    widths = [max(len(row[column]) for row in (heads, *rows, whole)) for column in range(len(heads))]
    rule = "  " + "-" * (sum(widths) + 2 * (len(widths) - 1))

    def line(row: Sequence[str]) -> str:
        cells = [value.rjust(width) if column in (0, 4) else value.ljust(width) for column, (value, width) in enumerate(zip(row, widths, strict=True))]
        return "  " + "  ".join(cells).rstrip()

    return [line(heads), rule, *(line(row) for row in rows), rule, line(whole)]


def _aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Return the rows with the first column left and the others right aligned."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return [
        "  "
        + "  ".join(value.ljust(width) if column == 0 else value.rjust(width) for column, (value, width) in enumerate(zip(row, widths, strict=True))).rstrip()
        for row in rows
    ]
