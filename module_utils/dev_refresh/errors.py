"""The errors that reach a user, each with what is wrong and what to do."""
from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that keeps a run from being safe.

    ``what`` says what is wrong and where, ``remedy`` what to do; both are plain sentences without a full stop.
    """

    what: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.what}. {self.remedy}."


class RefreshError(Exception):
    """A failure that the user can act on: its text says what is wrong, where, and what to do.

    ``details`` are extra keys for the module's result, for example the counts up to the failure.
    """

    def __init__(self, message: str, *, details: Mapping[str, Any] | None = None) -> None:
        super().__init__(message)
        self.details: dict[str, Any] = dict(details or {})


def as_finding(error: RefreshError) -> Finding:
    """Return the error as a finding: its first sentence is what is wrong, the rest what to do."""
    what, _, remedy = str(error).rstrip(".").partition(". ")
    return Finding(what, remedy or "Mend it and run again")


class GuardError(RefreshError):
    """A guard refused before anything was written; carries all its findings."""

    def __init__(self, findings: Iterable[Finding], *, details: Mapping[str, Any] | None = None) -> None:
        self.findings = list(findings)
        listed = " ".join(str(finding) for finding in self.findings)
        super().__init__(listed, details={**(details or {}), "findings": [str(f) for f in self.findings]})
