"""What seeding needs from Xero and from the log, so that it can be tested without either."""
from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from ..errors import Finding, RefreshError
from .records import Change, ClientRow, Contact, CreateReply, JobRow, NewContact, NewProject, Project, Stored

if TYPE_CHECKING:
    from ..postgres.marker import Marker


class OutcomeUnknown(RefreshError):  # noqa: N818 - the name says what happened
    """A write may or may not have been carried out: look before sending it again.

    ``raise_attempt`` says that the next try needs another attempt number, since Xero would answer the same key with the same failure.
    """

    finding: Finding
    raise_attempt: bool


class DayLimitReached(RefreshError):  # noqa: N818 - the name says what happened
    """The day's quota is used up, or down to the reserve; ``resume_after`` is ISO 8601 in UTC."""

    resume_after: str


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

    def choose(self) -> str:
        """Get a token and choose the organisation; return its tenant id. All other methods can be called from then on."""

    def connect(self) -> Organisation:
        """Read the chosen organisation."""

    def list_contacts(self) -> list[Contact]:
        """Return all contacts, archived included; the list is complete."""

    def list_projects(self) -> list[Project]:
        """Return all projects of both states; the list is complete."""

    def contacts_by_number(self, numbers: Collection[str]) -> dict[str, Contact]:
        """Return those of ``numbers`` that are taken now, with the contact that has each, archived included."""

    def projects_of(self, contact_id: str) -> list[Project]:
        """Return the projects of one contact, both states, as they are now."""

    def create_contacts(self, batch: Sequence[NewContact], *, key_attempt: int) -> list[CreateReply]:
        """Create up to 50 contacts and return one reply for each; ``key_attempt`` goes into the idempotency key."""

    def create_project(self, new: NewProject, *, key_attempt: int) -> CreateReply:
        """Create one project; ``key_attempt`` goes into the idempotency key."""

    def seconds_for(self, calls: int) -> tuple[float, float]:
        """Return the least and the most seconds that so many calls take from now on."""

    def expect_calls(self, calls: int | None) -> None:
        """Say how many calls are still to come, so that they can be spread best."""

    def stop(self) -> None:
        """Let no further call begin."""


class OutcomeLog(Protocol):
    """The log of a run on the host."""

    def outcome(self, entity: str, key: str, action: str, **more: Any) -> None:
        """Add what was done with one row, and where it matters the Xero id and the reason."""


class SeedStore(Protocol):
    """The database as seeding sees it. Used by one thread only."""

    def clients(self) -> list[ClientRow]:
        """Return all clients."""

    def jobs(self) -> list[JobRow]:
        """Return all jobs."""

    def marker(self) -> Marker | None:
        """Return the marker."""

    def original_ids(self, entity: str) -> dict[str, str]:
        """Return the Xero ids that came with the dump, by key of the row."""

    def begin(self, organisation: Organisation, stale: Mapping[str, Mapping[str, str]], *, working: bool) -> dict[str, set[str]]:
        """Clear stale ids (by entity and key) and note the organisation, in one transaction; return the keys of the rows that were cleared.

        ``working`` says that there is more to write.
        """

    def store(self, entity: str, changes: Sequence[Change], tenant_id: str) -> Stored:
        """Store Xero ids where the rows are still as they were read; durable when it returns."""

    def finish(self) -> None:
        """Note that everything is seeded."""

    def note_attempt(self, attempt: int) -> None:
        """Note the first number for the idempotency keys of the next run, if there is a place to."""
