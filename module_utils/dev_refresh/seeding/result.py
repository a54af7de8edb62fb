"""The result of a seed: the module's return value, its one sentence, and the diff."""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from ..progress import time_words
from .entities import REGISTERED
from .keys import key_order
from .outcomes import Outcomes, Tally
from .plan import Plan
from .ports import ApiStats, Organisation

LISTED = 50
"""Failures and skips in the result, and lines of a diff for each entity; the log has all."""


@dataclass(slots=True)
class Summary:
    """What is to be said of a seed at any moment of it."""

    organisation: Organisation | None
    """None where even that could not be read."""
    outcomes: Outcomes
    calls: int = 0
    """Writing calls of the plan."""
    verification: int = 0
    """Calls of the verification."""
    calls_left: int | None = None
    """Calls that the day's quota has for them; None: unknown."""
    minutes: tuple[float, float] = (0.0, 0.0)
    """The least and the most minutes that the writing calls take, as foreseen before the first of them."""
    vague: bool = False
    """Whether the two differ because nobody knows yet when the limit's minute turns."""
    ends_at: float = 0.0
    estimated_at: float = -60.0
    per_minute: int = 0
    attempt: int = 0
    """The first number that goes into idempotency keys."""
    marked: bool = False
    note_tenant: bool = False
    note_end: bool = False
    former: str | None = None
    """The organisation of the last seed, if it was another one."""
    writes: int | None = None
    """In check mode: the writing calls that a run would make."""
    resume_after: str | None = None
    told: dict[str, tuple[int, int]] = field(default_factory=dict)

    @property
    def calls_needed(self) -> int:
        """Return the calls that the day must still have."""
        return self.calls + self.verification

    @property
    def estimate(self) -> dict[str, Any]:
        """Return what was foreseen before the first write."""
        least, most = self.minutes
        return {"calls": self.calls, "verification": self.verification, "minutes_least": round(least, 2), "minutes": round(most, 2)}

    @property
    def title(self) -> str:
        """Return the organisation's name and tenant id."""
        return f"{self.organisation.name} ({self.organisation.tenant_id})" if self.organisation else "the organisation"

    @property
    def short(self) -> bool:
        """Tell whether the day's quota is too small."""
        return self.calls_left is not None and self.calls_left < self.calls_needed


def result_of(summary: Summary, plan: Plan, stats: ApiStats, check_mode: bool, reasons: Sequence[str], seconds: float) -> dict[str, Any]:
    """Return the module's result."""
    outcomes = summary.outcomes
    verifiable = summary.resume_after is None and not (check_mode and summary.short)
    complete = not outcomes.remaining and verifiable
    marks = summary.note_tenant or (summary.note_end and not outcomes.remaining and not outcomes.failures)
    # in the order of the rows, not of the replies
    failures = sorted(outcomes.failures, key=lambda row: (row["entity"], key_order(row["key"])))
    result: dict[str, Any] = {
        "changed": outcomes.changed or marks,
        "complete": complete,
        "forecast": None if not check_mode else "estimate" if reasons else "exact",
        "forecast_reasons": list(reasons),
        "organisation": {name: getattr(summary.organisation, name, None) for name in ("tenant_id", "name", "is_demo_company")},
        **{entity.name: outcomes.tallies[entity.name].as_dict() for entity in REGISTERED},
        "unclaimed": {"contacts": plan.contacts.unclaimed, "projects": plan.projects.unclaimed},
        "failures": failures[:LISTED],
        "skips": outcomes.skips[:LISTED],
        "left_out": dict(sorted(outcomes.left_out.items())),
        "estimate": summary.estimate,
        "api": api_of(stats, summary.writes),
        "seconds": round(seconds, 1),
        "resume_after": summary.resume_after,
    }
    result["msg"] = sentence(result, summary, check_mode)
    return result


def api_of(stats: ApiStats, writes: int | None) -> dict[str, Any]:
    """Return the figures of the calls; ``writes`` are the foreseen ones of check mode."""
    return {
        "calls": stats.calls,
        "writes": stats.writes if writes is None else writes,
        "retries": stats.retries,
        "rate_limited": stats.rate_limited,
        "seconds_waited": round(stats.seconds_waited, 1),
        "minute_remaining": stats.minute_remaining,
        "day_remaining": stats.day_remaining,
        "per_minute": list(stats.per_minute),
        "recent": list(stats.recent),
    }


def sentence(result: dict[str, Any], summary: Summary, check_mode: bool) -> str:
    """Return what happened in one sentence."""
    parts = [text for text in (_entity_words(entity.name, entity.row, summary.outcomes.tallies[entity.name]) for entity in REGISTERED) if text]
    where = f'in the organisation "{summary.organisation.name}"' if summary.organisation else "in the organisation"
    verb = "A run would seed" if check_mode else "Seeded"
    text = f"{verb} {where}: {'; '.join(parts)}" if parts else f"Every client and job is {where} already"
    if summary.former:
        text += f". The last seed was in another organisation, {summary.former}"
    if check_mode and summary.outcomes.changed:
        text += f". That takes {summary.calls} writing calls and {time_words(*summary.minutes)}"
    if result["failures"]:
        failed = sum(tally.failed for tally in summary.outcomes.tallies.values())
        first = result["failures"][0]
        row = next(entity.row for entity in REGISTERED if entity.name == first["entity"])
        what = f'{row} {first["key"]} "{first["name"]}"'
        text += f". {failed} rows failed, the first one is {what}: {first['reason'].rstrip('.')}. Correct them; the next run tries them again"
        if not summary.marked:
            # nowhere to note that the next run needs other keys
            text += ", or six minutes later if it was corrected in Xero, which repeats its answer to the same row for so long"
    if not result["complete"]:
        remaining = summary.outcomes.remaining
        why = f"{remaining} rows remain" if remaining else "nothing remains but the verification"
        text += f". The day's calls are used up: {why}"
        if summary.resume_after:
            text += f"; run the same command again after {summary.resume_after}"
    return text + "."


def diff_of(summary: Summary, most: int = LISTED) -> list[dict[str, str]]:
    """Return the names of what changed, sorted, at most ``most`` lines for each entity."""
    title = summary.title
    found = []
    if summary.former:
        found.append({"before_header": "organisation", "after_header": "organisation", "before": f"{summary.former}\n", "after": f"{title}\n"})
    for entity in REGISTERED:
        names = summary.outcomes.names[entity.name]
        before = [f"stale id: {name}" for name in sorted(names["cleared"])]
        # what a person would look at comes first, lest the page ends before it: what is new, then what a name decided
        after = [f"{what}: {name}" for what in ("created", "linked") for name in sorted(names[what], key=lambda name: (name.endswith("(number)"), name))]
        if before or after:
            header = f"{entity.name} in {title}"
            found.append({"before_header": header, "after_header": header, "before": _page(before, most), "after": _page(after, most)})
    return found


def _page(lines: Sequence[str], most: int) -> str:
    """Return the lines, cut to a page."""
    shown = [*lines[:most], f"and {len(lines) - most} more (all of them with -vv)"] if len(lines) > most else lines
    return "".join(f"{line}\n" for line in shown)


def _entity_words(name: str, row: str, tally: Tally) -> str:
    """Return the words for one entity, or nothing where nothing was done."""
    counts = {"created": tally.created, "linked": tally.linked, "stale ids cleared": tally.stale, "failed": tally.failed, "remaining": tally.remaining}
    done = ", ".join(f"{count} {what}" for what, count in counts.items() if count)
    return f"{name} of {tally.total} {row}s: {done}" if done else ""
