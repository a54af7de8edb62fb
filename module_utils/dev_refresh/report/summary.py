"""The end of a run, for the terminal (pure text): source and target, steps with counts, total, verdict, what to do next."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

from .answers import answers
from .figures import bare, counted, dump_words, duration, kinds, moment, organisation_words, ranked, remarks, target_words, verdict
from .forecast import forecast
from .steps import steps
from .wrapping import NARROWEST, hang

NOTES = 3
"""Notes of the verification that are shown; all of them are in the report."""


def render(record: Mapping[str, Any], report: str | None, width: int | None = None) -> list[str]:
    """Return the lines for one host, none longer than ``width`` but for what cannot be broken; without a width, lines are as long as they are."""
    width = width and max(width, NARROWEST)
    check, asked = record["mode"] == "check", answers(record)
    lines: list[str] = []

    def add(title: str, text: object) -> None:
        lines.extend(hang(f"  {title}", str(text), width))

    if record["demo"]:
        add("", "DEMO: the sandbox and the demo app, no real organisation")
    if check:
        add("", "Check mode: nothing was changed")
    if not asked:
        if record["dump"]:
            add("Source  ", dump_words(record))
        if record["database"]:
            add("Target  ", target_words(record))
        if (record["xero"].get("organisation") or {}).get("name"):
            add("Xero    ", organisation_words(record))
    ran = [] if asked else steps(record)
    if ran:
        rows = [(str(step["number"]), step["name"], step["state"], step["did"], duration(step["seconds"])) for step in ran]
        lines += ["", *_table(("", "step", "", "", "time"), rows, duration(record["seconds"]), width)]
    entities = list(counted(record["xero"]))
    if entities and not check:
        heads = ("total", "already linked", "linked", "created", "skipped", "failed", "remaining")
        lines += ["", *_aligned([("", *heads), *((name, *(f"{counts.get(head.replace(' ', '_'), 0):,}" for head in heads)) for name, counts in entities)])]
        lines += [""]
        for line in remarks(record["xero"]):
            add("", line)
    told = asked or forecast(record)
    if told:
        lines += ["", *([] if asked else ["  What a run would do"])]
        titles = max(len(title) for title, _ in told)
        for title, text in told:
            add(f"{title:<{titles}}  ", text)
    notes = record["verify"].get("notes") or []
    if notes:
        lines += [""]
        for note in notes[:NOTES]:
            add("Note: ", note)
        if len(notes) > NOTES:
            add("", f"{len(notes) - NOTES} more notes are in the report.")
    lines += [""]
    add("", verdict(record))
    # the verdict and the counts have said already what the day limit did
    if record["failure"] and record["status"] != "incomplete":
        first, *more = str(record["failure"]["message"]).splitlines() or [""]
        where = f'"{bare(record["failure"]["task"])}": ' if record["failure"]["task"] else ""
        add("", f"{where}{first}" + (" (listed above and in the report)" if more else ""))
    if report:
        add("Report: ", report)
    if record["next_step"]:
        add("Next: ", record["next_step"])
    return lines


def render_fleet(records: Sequence[Mapping[str, Any]], width: int | None = None) -> list[str]:
    """Return the lines for all hosts of a run together: one each, those that need somebody first, and how many there are of each kind."""
    found = ranked(records)
    rows = _fleet_states(found, width) if any(record["state"] for record in records) else _fleet_runs(found)
    return [*rows, "", f"  {len(records)} hosts: {kinds(records)}"]


def _fleet_runs(records: Sequence[Mapping[str, Any]]) -> list[str]:
    heads = ("host", "", "database", "contacts to make", "projects to make", "time")
    if any(record["mode"] == "run" for record in records):
        heads = ("host", "", "database", "contacts made", "projects made", "time")
    rows = [
        (
            str(record["host"]),
            str(record["status"]),
            str(record["database"].get("action") or ""),
            *(f"{counts.get('created', 0):,}" for counts in (record["xero"].get("contacts") or {}, record["xero"].get("projects") or {})),
            duration(record["seconds"]),
        )
        for record in records
    ]
    return _aligned([heads, *rows], right=(3, 4, 5))


def _fleet_states(records: Sequence[Mapping[str, Any]], width: int | None) -> list[str]:
    rows = []
    for record in records:
        marker = record["state"].get("marker") or {}
        rows.append((str(record["host"]), moment(str(marker.get("dump_created") or "")), str(marker.get("tenant_name") or "")))
    head, *found = _aligned([("host", "dump made", "seeded in"), *rows], right=(), pad=True)
    return [head.rstrip(), *(line for start, record in zip(found, records, strict=True) for line in hang(f"{start}  ", verdict(record), width))]


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]], total: str, width: int | None) -> list[str]:
    """Return the steps with a line for the whole; what was done is wrapped in its column."""
    whole = ("", "total", "", "", total)
    widths = [max(len(row[column]) for row in (heads, *rows, whole)) for column in range(len(heads))]
    rest = 2 + sum(widths) - widths[3] + 2 * (len(widths) - 1)
    if width is not None:
        widths[3] = min(widths[3], width - rest)
    rule = "  " + "-" * (rest - 2 + widths[3])

    def line(row: Sequence[str]) -> str:
        cells = [value.rjust(wide) if column in (0, 4) else value.ljust(wide) for column, (value, wide) in enumerate(zip(row, widths, strict=True))]
        return "  " + "  ".join(cells).rstrip()

    def lines(row: Sequence[str]) -> list[str]:
        first, *more = textwrap.wrap(row[3], max(widths[3], 1), break_long_words=False, break_on_hyphens=False) or [""]
        return [line((*row[:3], first, row[4])), *(line(("", "", "", text, "")) for text in more)]

    return [line(heads), rule, *(text for row in rows for text in lines(row)), rule, line(whole)]


def _aligned(rows: Sequence[Sequence[str]], right: Sequence[int] | None = None, *, pad: bool = False) -> list[str]:
    """Return the rows with the columns ``right`` right aligned (left out: all but the first), all of one length if ``pad``."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    right = range(1, len(widths)) if right is None else right
    lines = []
    for row in rows:
        cells = [value.rjust(wide) if column in right else value.ljust(wide) for column, (value, wide) in enumerate(zip(row, widths, strict=True))]
        lines.append("  " + "  ".join(cells))
    return lines if pad else [line.rstrip() for line in lines]
