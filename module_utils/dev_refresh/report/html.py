"""The report for a person, as one self-contained HTML page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jinja2
import markupsafe

from .figures import COUNTS, FAILED, SKIPPED, bare, counted, duration, facts, moment, number, remarks, verdict
from .forecast import forecast
from .steps import steps

WIDTH, HEIGHT, GAP = 640, 140, 3


def render(record: Mapping[str, Any]) -> str:
    """Return the page of one host; every value is escaped by the template engine."""
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=False)
    environment.filters.update(duration=duration, number=number, moment=moment, commands=commands, bare=bare)
    template = environment.from_string((Path(__file__).parent / "page.html.j2").read_text(encoding="utf-8"))
    xero = record["xero"]
    return template.render(
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
