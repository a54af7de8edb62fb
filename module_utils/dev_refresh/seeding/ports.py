"""What seeding needs from Xero and from the log, so that it can be tested without either."""
from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from .records import Contact, CreateReply, NewContact, NewProject, Project


class Organisation(Protocol):
    """The connected organisation."""

    @property
    def tenant_id(self) -> str:
        """Return the id that goes into the request header."""

    @property
    def name(self) -> str:
        """Return its name."""

    @property
    def is_demo_company(self) -> bool:
        """Tell whether it is one of Xero's demo companies."""


class ApiStats(Protocol):
    """What was called so far; the remaining quotas are None until a reply told them."""

    @property
    def calls(self) -> int:
        """Return the number of calls."""

    @property
    def writes(self) -> int:
        """Return how many of them wrote."""

    @property
    def retries(self) -> int:
        """Return how many were sent again."""

    @property
    def rate_limited(self) -> int:
        """Return how many were answered 429."""

    @property
    def seconds_waited(self) -> float:
        """Return the seconds that the budget held calls back."""

    @property
    def minute_remaining(self) -> int | None:
        """Return what the last reply said of the minute's quota."""

    @property
    def day_remaining(self) -> int | None:
        """Return what the last reply said of the day's quota."""

    @property
    def per_minute(self) -> Sequence[int]:
        """Return the calls of each minute of the run."""

    @property
    def recent(self) -> Sequence[float]:
        """Return the ages in seconds of the replies of the last minute."""


class XeroPort(Protocol):
    """Xero as seeding sees it; every method may be called from several threads and blocks until the limits allow the call.

    Raises OutcomeUnknown where it is not known whether a write took effect, DayLimitReached when the day's quota is used up,
    and other RefreshErrors where going on makes no sense.
    """

    @property
    def stats(self) -> ApiStats:
        """Return what was called so far."""

    def connect(self) -> Organisation:
        """Get a token, choose the organisation and read it."""

    def list_contacts(self) -> list[Contact]:
        """Return all contacts, archived included; the list is complete."""

    def list_projects(self) -> list[Project]:
        """Return all projects of both states; the list is complete."""

    def contacts_by_number(self, numbers: Sequence[str]) -> list[Contact]:
        """Return the contacts, archived included, that carry one of these ContactNumbers now."""

    def projects_of(self, contact_id: str) -> list[Project]:
        """Return the projects of one contact, both states, as they are now."""

    def create_contacts(self, batch: Sequence[NewContact], *, key_attempt: int) -> list[CreateReply]:
        """Create up to 50 contacts and return one reply for each; ``key_attempt`` goes into the idempotency key."""

    def create_project(self, new: NewProject, *, key_attempt: int) -> CreateReply:
        """Create one project; ``key_attempt`` goes into the idempotency key."""


class OutcomeLog(Protocol):
    """The log of a run on the host."""

    def outcome(self, entity: str, key: str, action: str, **more: Any) -> None:
        """Add one row's outcome: what was done with it, and where it matters the Xero id and the reason."""
