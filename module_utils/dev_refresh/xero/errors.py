"""What can go wrong with Xero, each with what is wrong and what to do."""

# ruff: noqa: N818 - the names say what happened, all are XeroErrors
from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..errors import Finding, RefreshError
from ..seeding import ports


class XeroError(RefreshError):
    """A failure of a call to Xero; ``what`` and ``remedy`` are plain sentences without a full stop."""

    def __init__(self, what: str, remedy: str, *, details: Mapping[str, Any] | None = None) -> None:
        self.finding = Finding(what, remedy)
        super().__init__(str(self.finding), details=details)


class BadCredentials(XeroError):
    """Xero does not know the app or refused its secret."""


class NotConnected(XeroError):
    """The app is not connected to the organisation, or no longer."""


class TokenRefused(XeroError):
    """Xero takes no token, not even a new one."""


class MissingScope(XeroError):
    """The token does not allow the call."""


class ProjectsNotAvailable(XeroError):
    """The organisation has no Xero Projects, or the connecting user may not use it."""


class ListIncomplete(XeroError):
    """A list kept changing or lacked entries, so nothing may be decided from it."""


class RateLimited(XeroError):
    """Others used the limits up for longer than this run is willing to wait."""


class Stopped(XeroError):
    """The run is ending; no further call is made."""


class OutcomeUnknown(XeroError, ports.OutcomeUnknown):
    """A write may or may not have been carried out: look before sending it again.

    ``raise_attempt`` says that Xero would replay its answer to the same idempotency key (a 5xx is stored too), so the next
    try needs another attempt number.
    """

    def __init__(self, what: str, remedy: str, *, raise_attempt: bool, details: Mapping[str, Any] | None = None) -> None:
        super().__init__(what, remedy, details=details)
        self.raise_attempt = raise_attempt


class DayLimitReached(XeroError, ports.DayLimitReached):
    """The day's quota is used up, or down to the reserve; ``resume_after`` is ISO 8601 in UTC."""

    def __init__(self, what: str, *, resume_after: str) -> None:
        super().__init__(what, f"Run the same command again after {resume_after}; it goes on where this run stopped", details={"resume_after": resume_after})
        self.resume_after = resume_after
