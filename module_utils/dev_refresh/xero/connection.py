"""The organisation as the rest of the product sees it: connect, list, create."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from types import TracebackType

from ..seeding.records import ACTIVE, Contact, CreateReply, NewContact, NewProject, Project
from . import contacts, projects
from .budget import ApiStats, Budget
from .clock import Clock, SystemClock
from .errors import NotConnected, XeroError
from .options import API_URL, IDENTITY_URL
from .organisation import Connection, OrganisationFacts, choose, read_connections, read_organisation
from .request_log import RequestLog
from .tokens import Credentials
from .transport import Transport

__all__ = ["Credentials", "OrganisationFacts", "Xero"]


class Xero:
    """One organisation; every method may be called from several threads.

    ``recent`` are the ages of replies that another module of the run got. Raises RefreshError from any method: XeroError and its children.
    """

    def __init__(
        self,
        *,
        credentials: Credentials,
        api_url: str = API_URL,
        identity_url: str = IDENTITY_URL,
        tenant_id: str | None = None,
        calls_per_minute: int = 60,
        daily_reserve: int = 0,
        recent: Sequence[float] = (),
        log: RequestLog | None = None,
        clock: Clock | None = None,
        on_wait: Callable[[str, float], None] | None = None,
    ) -> None:
        clock = clock or SystemClock()
        budget = Budget(calls_per_minute, daily_reserve=daily_reserve, recent=recent, clock=clock, on_wait=on_wait)
        self._transport = Transport(credentials=credentials, api_url=api_url, identity_url=identity_url, budget=budget, log=log, clock=clock)
        self._wanted = tenant_id
        self.connections: tuple[Connection, ...] = ()
        self._chosen: Connection | None = None

    def __enter__(self) -> Xero:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.stop()

    def choose(self) -> str:
        """Get a token and choose the organisation; return its tenant id. One call, with which all others but ``connect`` can begin."""
        self.connections = read_connections(self._transport)
        self._chosen = choose(self.connections, self._wanted)
        return self._chosen.tenant_id

    def connect(self) -> OrganisationFacts:
        """Read what the organisation is: one call, and the one of ``choose`` if that was not called before."""
        if self._chosen is None:
            self.choose()
        assert self._chosen is not None
        return read_organisation(self._transport, self._chosen, self.connections)

    def list_contacts(self) -> list[Contact]:
        """Return every contact, archived ones included."""
        return contacts.list_contacts(self._transport, self._tenant)

    def list_projects(self) -> list[Project]:
        """Return every project."""
        return self._projects(None)

    def contacts_by_number(self, numbers: Collection[str]) -> dict[str, Contact]:
        """Return those of ``numbers`` that are taken now, with the contact that has each, an active one before an archived one.

        Reads the whole list: a search would leave it open whether a number that is not found is free.
        """
        wanted = set(numbers)
        found = sorted((contact for contact in self.list_contacts() if contact.number in wanted), key=lambda contact: contact.status == ACTIVE)
        return {contact.number: contact for contact in found if contact.number is not None}

    def projects_of(self, contact_id: str) -> list[Project]:
        """Return every project of one contact."""
        return self._projects(contact_id)

    def create_contacts(self, batch: Sequence[NewContact], *, key_attempt: int) -> list[CreateReply]:
        """Create contacts; one reply for each, in the order sent. Raises OutcomeUnknown: look before sending again."""
        return contacts.create_contacts(self._transport, self._tenant, batch, key_attempt=key_attempt)

    def create_project(self, new: NewProject, *, key_attempt: int) -> CreateReply:
        """Create one project. Raises OutcomeUnknown: look before sending again."""
        try:
            return projects.create_project(self._transport, self._tenant, new, key_attempt=key_attempt)
        except XeroError as error:
            raise projects.explain_projects(error) from None

    def expect_calls(self, calls: int | None) -> None:
        """Say how many calls are still to come, from the plan: with it the calls are spread so that the last one ends soonest."""
        self._transport.budget.expect(calls)

    def seconds_for(self, calls: int) -> tuple[float, float]:
        """Return the least and the most seconds that ``calls`` take from now on; as good as equal once it is known when Xero's minute turns."""
        return self._transport.budget.seconds_for(calls)

    def stop(self) -> None:
        """Let no further call begin; threads that wait for one get Stopped."""
        self._transport.stop()

    @property
    def scopes(self) -> tuple[str, ...]:
        """The scopes of the token, empty if Xero did not tell them."""
        return self._transport.tokens.scopes

    @property
    def stats(self) -> ApiStats:
        """The figures so far."""
        return self._transport.budget.stats()

    @property
    def _tenant(self) -> str:
        """The tenant id of the chosen organisation."""
        if self._chosen is None:
            raise NotConnected("The organisation was used before it was chosen", "Report this as a defect of dev_refresh")
        return self._chosen.tenant_id

    def _projects(self, contact_id: str | None) -> list[Project]:
        """Read projects, and explain why that may not be possible."""
        try:
            return projects.list_projects(self._transport, self._tenant, contact_id=contact_id)
        except XeroError as error:
            raise projects.explain_projects(error) from None
