"""The report for a person, as one self-contained HTML page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jinja2
import markupsafe

from .figures import COUNTS, FAILED, SKIPPED, bare, counted, duration, facts, kinds, moment, number, remarks, verdict
from .forecast import forecast
from .steps import steps

WIDTH, HEIGHT, GAP = 640, 140, 3


def render(record: Mapping[str, Any]) -> str:
    """Return the page of one host; every value is escaped by the template engine."""
    xero = record["xero"]
    return _template("page.html.j2").render(
        style=_style(),
        record=record,
        verdict=verdict(record),
        facts=facts(record),
        steps=steps(record),
        # a name that does not fit its piece of the line is not shown there
        label_from=0.13 * max(float(record["seconds"]), 0.1),
        skipped=[phase["name"] for phase in record["phases"] if phase["status"] == "skipped"],
        forecast=forecast(record),
        counts=COUNTS,
        entities=list(counted(xero)),
        lines=remarks(xero),
        chart=chart((xero.get("api") or {}).get("per_minute") or [], (xero.get("api") or {}).get("minute_limit")) if record["mode"] == "run" else None,
        tables=[
            ("Failed", FAILED, xero.get("failures") or []),
            ("Skipped", SKIPPED, xero.get("skips") or []),
        ],
        lists=[
            ("Findings of the verification", record["verify"].get("findings")),
            ("Notes of the verification", record["verify"].get("notes")),
            ("Warnings", record["warnings"]),
        ],
    )


def render_fleet(records: Sequence[tuple[Mapping[str, Any], str | None]]) -> str:
    """Return the page of all hosts of a run; each record comes with the link to its own page, if it has one."""
    found = [record for record, _ in records]
    check = found[0]["mode"] == "check"
    return _template("hosts.html.j2").render(
        style=_style(),
        title=f"{len(found)} hosts: {kinds(found)}",
        demo=any(record["demo"] for record in found),
        check=check,
        made="to make" if check else "made",
        counts=kinds(found),
        records=records,
        started=min(str(record["started"]) for record in found),
        finished=max(str(record["finished"]) for record in found),
    )


def _template(name: str) -> jinja2.Template:
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=False)
    environment.filters.update(duration=duration, number=number, moment=moment, commands=commands, bare=bare, verdict=verdict)
    return environment.from_string((Path(__file__).parent / name).read_text(encoding="utf-8"))


def _style() -> markupsafe.Markup:
    # our own file, with nothing of a record in it
    return markupsafe.Markup((Path(__file__).parent / "page.css").read_text(encoding="utf-8"))  # noqa: S704


def commands(text: str) -> markupsafe.Markup:
    """Return a sentence, escaped, whose commands between backticks look like commands."""
    pieces = text.split("`")
    return markupsafe.Markup("").join(markupsafe.Markup("<code>{}</code>").format(piece) if index % 2 else piece for index, piece in enumerate(pieces))


def chart(per_minute: Sequence[int], limit: int | None) -> dict[str, Any] | None:
    """Return the bars of the calls in each minute, in the coordinates of the drawing, or None without calls."""
    if not per_minute:
        return None
    most = max(per_minute)
    # a limit far above the calls would flatten the bars to nothing
    shown = limit if limit and limit <= 3 * most else None
    top = max(most, shown or 0, 1)
    width = min(60.0, (WIDTH - GAP) / len(per_minute) - GAP)
    bars = []
    for index, calls in enumerate(per_minute):
        height = round(calls / top * (HEIGHT - 20), 1)
        bars.append({"x": round(GAP + index * (width + GAP), 1), "y": round(HEIGHT - height, 1), "width": round(width, 1), "height": height, "calls": calls})
    return {
        "width": WIDTH,
        "height": HEIGHT,
        "bars": bars,
        "most": most,
        "limit": limit,
        "limit_y": round(HEIGHT - shown / top * (HEIGHT - 20), 1) if shown else None,
    }
