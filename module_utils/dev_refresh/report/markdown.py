"""The report for a person, as Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from .figures import COUNTS, FAILED, SKIPPED, counted, duration, facts, kinds, ranked, remarks, verdict
from .forecast import forecast
from .steps import steps

LISTED = 50
"""Failures and skips shown in full; all of them are in the log on the host."""


def cell(text: object) -> str:
    """Return ``text`` so that it stays in its table cell."""
    return " ".join(str(text).split()).replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;").replace("`", "\\`")


def table(heads: Sequence[str], rows: Iterable[Sequence[object]]) -> list[str]:
    """Return a Markdown table's lines."""
    lines = ["| " + " | ".join(heads) + " |", "| " + " | ".join("---" for _ in heads) + " |"]
    lines.extend("| " + " | ".join(cell(value) for value in row) + " |" for row in rows)
    return [*lines, ""]


def render(record: Mapping[str, Any]) -> str:
    """Return the report of one host."""
    kind = "Check" if record["mode"] == "check" else "Refresh"
    lines = ["> **DEMO**: the sandbox and the demo app, no real organisation.", ""] if record["demo"] else []
    lines += [f"# {kind} of {record['host']}: {record['status']}", "", f"**{verdict(record)}**", ""]
    if record["failure"] and record["status"] != "incomplete":
        lines += ["```text", *str(record["failure"]["message"]).replace("```", "'''").splitlines(), "```", ""]
    if record["next_step"]:
        lines += [f"**Next:** {record['next_step']}", ""]
    told = forecast(record)
    if told:
        lines += ["## What a run would do", "", *table(("", ""), told)]
    lines += ["## Source and target", "", *table(("", ""), facts(record))]
    ran = [(s["number"], s["name"], s["state"], s["did"], duration(s["seconds"])) for s in steps(record)]
    if ran:
        lines += ["## Steps", "", *table(("", "step", "", "", "time"), [*ran, ("", "total", "", "", duration(record["seconds"]))])]
    xero = record["xero"]
    entities = list(counted(xero))
    if entities:
        lines += [
            "## Xero",
            "",
            *table(("", *(name.replace("_", " ") for name in COUNTS)), [(name, *(counts.get(c, 0) for c in COUNTS)) for name, counts in entities]),
        ]
        lines += [part for line in remarks(xero) for part in (line, "")]
    for title, name, help_text in (
        ("Failed", "failures", FAILED),
        ("Skipped", "skips", SKIPPED),
    ):
        found = list(xero.get(name) or [])
        if found:
            lines += [
                f"## {title}",
                "",
                help_text,
                "",
                *table(("entity", "key", "name", "reason"), [(f.get("entity"), f.get("key"), f.get("name", ""), f.get("reason")) for f in found[:LISTED]]),
            ]
    for title, name in (("Findings of the verification", "findings"), ("Notes of the verification", "notes")):
        if record["verify"].get(name):
            lines += [f"## {title}", "", *(f"- {cell(line)}" for line in record["verify"][name]), ""]
    for title, name in (("Warnings", "warnings"),):
        if record[name]:
            lines += [f"## {title}", "", *(f"- {cell(line)}" for line in record[name]), ""]
    return "\n".join(lines).rstrip("\n") + "\n"


def render_fleet(records: Sequence[Mapping[str, Any]]) -> str:
    """Return the report of all hosts of a run."""
    check = records[0]["mode"] == "check"
    rows = [
        (
            record["host"],
            record["status"],
            verdict(record),
            *((record["xero"].get(name) or {}).get("created", 0) for name in ("contacts", "projects")),
            duration(record["seconds"]),
        )
        for record in ranked(records)
    ]
    made = "to make" if check else "made"
    heads = ("host", "status", "", f"contacts {made}", f"projects {made}", "time")
    return "\n".join([f"# {'Check' if check else 'Refresh'} of {len(records)} hosts: {kinds(records)}", "", *table(heads, rows)]).rstrip("\n") + "\n"
