"""What became of each row: counted, listed for the result, and written to the log."""
from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from .entities import REGISTERED
from .plan import Plan
from .ports import OutcomeLog
from .privacy import impersonal


@dataclass(slots=True)
class Tally:
    """The counts of one entity, as they stand in the result."""

    total: int = 0
    already_linked: int = 0
    linked: int = 0
    created: int = 0
    stale: int = 0
    skipped: int = 0
    failed: int = 0

    @property
    def remaining(self) -> int:
        """Return how many rows are still to be done."""
        return self.total - self.already_linked - self.linked - self.created - self.skipped - self.failed

    def as_dict(self) -> dict[str, int]:
        """Return the counts as they stand in the result."""
        names = ("total", "already_linked", "linked", "created", "stale", "skipped", "failed", "remaining")
        return {name: getattr(self, name) for name in names}


@dataclass(slots=True)
class Outcomes:
    """The outcome of all rows so far."""

    log: OutcomeLog | None = None
    tallies: dict[str, Tally] = field(default_factory=lambda: {entity.name: Tally() for entity in REGISTERED})
    failures: list[dict[str, str]] = field(default_factory=list)
    skips: list[dict[str, str]] = field(default_factory=list)
    left_out: Counter[str] = field(default_factory=Counter)
    names: dict[str, dict[str, list[str]]] = field(default_factory=lambda: {entity.name: {"created": [], "linked": [], "cleared": []} for entity in REGISTERED})

    @classmethod
    def of_plan(cls, plan: Plan, log: OutcomeLog | None) -> Outcomes:
        """Return the outcomes that are certain before anything is done."""
        outcomes = cls(log)
        for part in (plan.contacts, plan.projects):
            tally = outcomes.tallies[part.entity.name]
            tally.total, tally.already_linked = part.total, len(part.kept)
            for skip in part.skips:
                outcomes.skipped(part.entity.name, skip.key, skip.reason)
        return outcomes

    @property
    def changed(self) -> bool:
        """Tell whether a row was changed."""
        return any(tally.linked or tally.created or tally.stale for tally in self.tallies.values())

    @property
    def remaining(self) -> int:
        """Return how many rows of all entities are still to be done."""
        return sum(tally.remaining for tally in self.tallies.values())

    def linked(self, entity: str, key: str, name: str, xero_id: str, by: str = "") -> None:
        """Note a row that got the id of something that was there."""
        self.tallies[entity].linked += 1
        self.names[entity]["linked"].append(f"{name} -> {xero_id}" + (f" ({by})" if by else ""))
        self._note(entity, key, "linked", xero_id, by or None)

    def created(self, entity: str, key: str, name: str, xero_id: str | None, left_out: tuple[str, ...] = ()) -> None:
        """Note a row for which something was created."""
        self.tallies[entity].created += 1
        self.names[entity]["created"].append(name)
        self.left_out.update(left_out)
        self._note(entity, key, "created", xero_id, f"left out: {', '.join(left_out)}" if left_out else None)

    def cleared(self, entity: str, key: str, name: str) -> None:
        """Note a row that lost a stale id."""
        self.tallies[entity].stale += 1
        self.names[entity]["cleared"].append(name)
        self._note(entity, key, "cleared", None, "stale id")

    def skipped(self, entity: str, key: str, reason: str, *names: str) -> None:
        """Note a row that cannot be in Xero by rule; ``names`` may stand in the reason."""
        self.tallies[entity].skipped += 1
        self.skips.append({"entity": entity, "key": key, "reason": reason})
        self._note(entity, key, "skipped", None, impersonal(reason, *names))

    def failed(self, entity: str, key: str, name: str, reason: str) -> None:
        """Note a row that Xero or the database refused."""
        self.tallies[entity].failed += 1
        self.failures.append({"entity": entity, "key": key, "name": name, "reason": reason})
        self._note(entity, key, "failed", None, impersonal(reason, name))

    def _note(self, entity: str, key: str, outcome: str, xero_id: str | None, reason: str | None) -> None:
        """Write a line to the log."""
        if self.log is not None:
            self.log.outcome(entity, key, outcome, xero_id=xero_id, reason=reason)
