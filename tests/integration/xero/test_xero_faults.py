"""Every fault on every endpoint: what the caller sees, what was written, how often it was tried."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any

import pytest
from ansible.module_utils.dev_refresh.seeding.records import NewContact, NewProject
from ansible.module_utils.dev_refresh.xero.connection import Xero
from ansible.module_utils.dev_refresh.xero.errors import (
    DayLimitReached,
    ListIncomplete,
    MissingScope,
    NotConnected,
    OutcomeUnknown,
    ProjectsNotAvailable,
    RateLimited,
    XeroError,
)
from xero_sandbox.testing import SandboxServer

MakeXero = Callable[..., Xero]
READ_TWICE = ["drop_before", "drop_after", "http_500", "http_502", "http_503", "truncated", "cut_short", "empty_body", "html_body", "expired_token"]
NOT_DONE = ["limit_minute", "limit_concurrent", "limit_appminute", "expired_token"]


def people(count: int) -> list[NewContact]:
    return [NewContact(f"key-{number}", f"Person {number}", f"number-{number}", email=f"p{number}@example.com", phone="123") for number in range(count)]


def names(sandbox: SandboxServer) -> list[str]:
    return sorted(contact["Name"] for contact in sandbox.contacts())


def test_contacts_are_created_with_all_their_fields(sandbox: SandboxServer, make_xero: MakeXero) -> None:
    """Keys in another case would be dropped by Xero without a word."""
    xero = make_xero()
    new = NewContact("k", "Ann & Söhne", "n-1", email="ann@example.com", phone="+64 1 234", address="1 High Street\n\nTown")
    (reply,) = xero.create_contacts([new], key_attempt=0)
    assert (reply.key, reply.kind) == ("k", "created")
    (contact,) = sandbox.contacts()
    assert contact["ContactID"] == reply.id
    assert (contact["Name"], contact["ContactNumber"], contact["EmailAddress"]) == ("Ann & Söhne", "n-1", "ann@example.com")
    assert any(phone.get("PhoneNumber") == "+64 1 234" for phone in contact["Phones"])
    assert any((address.get("AddressLine1"), address.get("AddressLine2")) == ("1 High Street", "Town") for address in contact["Addresses"])


def test_a_batch_with_bad_rows_creates_the_good_ones(sandbox: SandboxServer, make_xero: MakeXero) -> None:
    """Each row gets its own answer, with Xero's words."""
    xero = make_xero()
    sandbox.seed([{"name": "Taken"}])
    batch = [NewContact("a", "Fine", "1"), NewContact("b", "taken", "2"), NewContact("c", "<x>", "3"), NewContact("d", "Bad mail", "4", email="no mail")]
    replies = xero.create_contacts(batch, key_attempt=0)
    assert [(reply.key, reply.kind, reply.id is None) for reply in replies] == [
        ("a", "created", False),
        ("b", "duplicate", True),
        ("c", "refused", True),
        ("d", "refused", True),
    ]
    assert "already assigned" in str(replies[1].reason)
    assert "mail" in str(replies[3].reason)
    assert names(sandbox) == ["Fine", "Taken"]


def test_a_project_keeps_its_estimate_and_date(sandbox: SandboxServer, make_xero: MakeXero) -> None:
    """An estimate of 0 is left out, since Xero refuses it."""
    from datetime import UTC, datetime

    xero = make_xero()
    contact = sandbox.seed([{"name": "Ann"}])["contacts"][0]
    first = xero.create_project(NewProject("j1", contact, "Job 1: x", datetime(2027, 3, 1, tzinfo=UTC), Decimal("1234.50")), key_attempt=0)
    second = xero.create_project(NewProject("j2", contact, "Job 2: y", None, Decimal(0)), key_attempt=0)
    assert first.kind == second.kind == "created"
    found = {project["projectId"]: project for project in sandbox.projects()}
    assert found[str(first.id)]["estimate"]["value"] == 1234.5
    assert found[str(first.id)]["deadlineUtc"].startswith("2027-03-01T00:00:00")
    assert "estimate" not in found[str(second.id)] or not found[str(second.id)]["estimate"].get("value")


def test_a_refused_project_says_why(sandbox: SandboxServer, make_xero: MakeXero) -> None:
    """Projects has an error shape of its own."""
    xero = make_xero()
    contact = sandbox.seed([{"name": "Ann"}])["contacts"][0]
    reply = xero.create_project(NewProject("j", contact, ""), key_attempt=0)
    assert reply.kind == "refused"
    assert "name" in str(reply.reason).lower()


@pytest.mark.parametrize("path", ["/connections$", "/Organisation$", "/Contacts$", "/Projects$"])
@pytest.mark.parametrize("kind", READ_TWICE)
def test_reading_goes_on_after_a_fault(sandbox: SandboxServer, make_xero: MakeXero, kind: str, path: str) -> None:
    """Broken connections, 5xx, unreadable replies and expired tokens cost another call, no more."""
    sandbox.seed([{"name": f"Person {number}"} for number in range(3)])
    sandbox.add_fault(kind, method="GET", path=path)
    xero = make_xero()
    assert (len(xero.list_contacts()), len(xero.list_projects())) == (3, 0)
    assert xero.stats.retries == 1
    assert sum(fault["done"] for fault in sandbox.faults()) == 1


@pytest.mark.parametrize("path", ["/Organisation$", "/Contacts$", "/Projects$"])
@pytest.mark.parametrize("kind", ["limit_minute", "limit_concurrent", "limit_appminute"])
def test_reading_waits_out_the_limits(sandbox: SandboxServer, make_xero: MakeXero, kind: str, path: str) -> None:
    """Someone else used the minute up."""
    sandbox.add_fault(kind, method="GET", path=path, **({"retry_after": 26} if kind == "limit_minute" else {}))
    xero = make_xero()
    xero.list_contacts()
    xero.list_projects()
    assert xero.stats.rate_limited == 1
    assert xero.stats.seconds_waited >= (26 if kind == "limit_minute" else 1)


@pytest.mark.parametrize("path", ["/Organisation$", "/Contacts$", "/Projects$"])
def test_the_day_limit_ends_the_run_at_once(sandbox: SandboxServer, make_xero: MakeXero, path: str, clock: Any) -> None:
    """A Retry-After of hours is never slept on."""
    sandbox.add_fault("limit_day", method="GET", path=path, retry_after=66975)
    with pytest.raises(DayLimitReached, match="again after 20") as caught:
        _use_all(make_xero)
    assert caught.value.resume_after.endswith("Z")
    assert clock.skipped < 30


def _use_all(make_xero: MakeXero) -> None:
    xero = make_xero()
    xero.list_contacts()
    xero.list_projects()


@pytest.mark.parametrize("kind", ["drop_before", "http_503", "html_body", "limit_concurrent"])
def test_reading_gives_up_in_the_end(sandbox: SandboxServer, make_xero: MakeXero, kind: str) -> None:
    """All retries are bounded, and the message says what was tried."""
    xero = make_xero()
    sandbox.add_fault(kind, method="GET", path="/Contacts$", times=None)
    with pytest.raises((XeroError, RateLimited), match=r"tried 5 times|put off 30 times"):
        xero.list_contacts()


@pytest.mark.parametrize("kind", NOT_DONE)
@pytest.mark.parametrize("entity", ["contacts", "projects"])
def test_a_write_that_was_not_carried_out_goes_again(sandbox: SandboxServer, make_xero: MakeXero, kind: str, entity: str) -> None:
    """429s and expired tokens: Xero says itself that nothing was done."""
    xero = make_xero()
    contact = sandbox.seed([{"name": "Ann"}])["contacts"][0]
    sandbox.add_fault(kind, path=f"/{entity}$", **({"retry_after": 3} if kind == "limit_minute" else {}))
    reply = _write(xero, entity, contact)
    assert reply.kind == "created"
    assert _written(sandbox, entity) == 1


@pytest.mark.parametrize(
    ("kind", "written", "raise_attempt"),
    [
        ("drop_before", 0, False),
        ("drop_after", 1, False),
        ("http_500", 0, True),
        ("http_502", 0, True),
        ("http_503", 0, True),
        ("truncated", 1, False),
        ("cut_short", 1, False),
        ("empty_body", 1, False),
        ("html_body", 1, False),
        ("null_id", 1, False),
        ("zero_id", 1, False),
    ],
)
@pytest.mark.parametrize("entity", ["contacts", "projects"])
def test_a_write_of_unknown_outcome_is_never_sent_again_blindly(
    sandbox: SandboxServer, make_xero: MakeXero, kind: str, written: int, raise_attempt: bool, entity: str
) -> None:
    """The caller has to look first; a 5xx is stored by Xero and would be replayed."""
    xero = make_xero()
    contact = sandbox.seed([{"name": "Ann"}])["contacts"][0]
    sandbox.add_fault(kind, method="PUT" if entity == "contacts" else "POST", path=f"/{entity}$")
    with pytest.raises(OutcomeUnknown) as caught:
        _write(xero, entity, contact)
    assert caught.value.raise_attempt is raise_attempt
    assert _written(sandbox, entity) == written
    assert sum(entry["method"] != "GET" and "token" not in entry["path"] for entry in sandbox.journal()) == 1
    # the same key again: Xero carries it out now or gives the reply that was lost, so there is one of it at the end
    assert _write(xero, entity, contact, attempt=int(raise_attempt)).kind == "created"
    assert _written(sandbox, entity) == 1


def test_an_applied_500_leaves_one_contact_after_looking(sandbox: SandboxServer, make_xero: MakeXero) -> None:
    """PUT refuses the number that exists; looking finds it."""
    xero = make_xero()
    sandbox.add_fault("http_500", method="PUT", path="/Contacts$", applied=True)
    with pytest.raises(OutcomeUnknown):
        xero.create_contacts(people(3), key_attempt=0)
    found = xero.contacts_by_number([new.number for new in people(3)])
    assert sorted(found) == ["number-0", "number-1", "number-2"]
    assert [reply.kind for reply in xero.create_contacts(people(3), key_attempt=1)] == ["duplicate"] * 3
    assert len(sandbox.contacts()) == 3


@pytest.mark.parametrize("kind", ["reversed", "unknown_enum"])
def test_odd_but_whole_replies_are_understood(sandbox: SandboxServer, make_xero: MakeXero, kind: str) -> None:
    """Rows are matched by number, not by order; an unknown status is no reason to stop."""
    xero = make_xero()
    sandbox.add_fault(kind, method="PUT", path="/Contacts$")
    replies = xero.create_contacts(people(5), key_attempt=0)
    stored = {contact["ContactNumber"]: contact["ContactID"] for contact in sandbox.contacts()}
    assert [(reply.key, reply.id) for reply in replies] == [(new.key, stored[new.number]) for new in people(5)]


def test_a_reply_with_a_row_too_few_is_unknown(sandbox: SandboxServer, make_xero: MakeXero) -> None:
    """The row that is not answered may have been created."""
    xero = make_xero()
    sandbox.add_fault("element_missing", method="PUT", path="/Contacts$")
    with pytest.raises(OutcomeUnknown, match="1 of them"):
        xero.create_contacts(people(5), key_attempt=0)


@pytest.mark.parametrize("kind", ["null_id", "zero_id", "rows_missing", "rows_repeated"])
@pytest.mark.parametrize("entity", ["contacts", "projects"])
def test_a_list_that_is_not_whole_is_read_again_and_then_fails(sandbox: SandboxServer, make_xero: MakeXero, kind: str, entity: str) -> None:
    """From a list with a gap nothing may be decided."""
    contact = sandbox.seed([{"name": f"Person {number}"} for number in range(4)])["contacts"][0]
    sandbox.seed(projects=[{"contact_id": contact, "name": f"Job {number}"} for number in range(4)])
    xero = make_xero()
    read: Callable[[], Sequence[Any]] = xero.list_contacts if entity == "contacts" else xero.list_projects
    sandbox.add_fault(kind, method="GET", path=f"/{entity}$", times=1)
    assert len(read()) == 4
    sandbox.add_fault(kind, method="GET", path=f"/{entity}$", times=None)
    with pytest.raises(ListIncomplete, match="read 3 times"):
        read()


def test_long_lists_are_read_to_the_end(sandbox: SandboxServer, make_xero: MakeXero) -> None:
    """Pages of 1000 and 500; what is archived is there too, and an entry that appears meanwhile does no harm."""
    ids = sandbox.seed([{"name": f"Person {number}"} for number in range(2001)])["contacts"]
    sandbox.seed(projects=[{"contact_id": ids[0], "name": f"Job {number}"} for number in range(1001)])
    sandbox.archive_contact(ids[3])
    sandbox.add_fault("row_appears", method="GET", path="/Contacts$", skip=1)
    xero = make_xero()
    contacts = xero.list_contacts()
    assert len({contact.id for contact in contacts} & set(ids)) == 2001
    assert {contact.status for contact in contacts} >= {"ACTIVE", "ARCHIVED"}
    assert len(xero.list_projects()) >= 1001
    assert len(xero.projects_of(ids[0])) >= 1001


@pytest.mark.parametrize("path", ["/Contacts$", "/Projects$"])
def test_a_tenant_that_is_no_longer_connected_is_explained(sandbox: SandboxServer, make_xero: MakeXero, path: str) -> None:
    """A demo company that is reset gets a new tenant id."""
    xero = make_xero()
    sandbox.add_fault("forbidden", path=path, times=None)
    with pytest.raises((NotConnected, ProjectsNotAvailable), match=r"reset|Projects is not available") as caught:
        xero.list_contacts() if "Contacts" in path else xero.list_projects()
    assert "connect_xero.yml" in str(caught.value) or "Projects" in str(caught.value)


def test_a_demo_reset_is_healed_by_the_next_connection(sandbox: SandboxServer, make_xero: MakeXero) -> None:
    """Where the connection lists the new tenant, connecting again finds it; the old one is refused with the way out."""
    xero = make_xero()
    old = sandbox.tenant_id
    new = sandbox.reset_demo_company()
    assert old != new
    with pytest.raises(NotConnected, match="reset"):
        xero.list_contacts()
    assert make_xero(connect=False).connect().tenant_id == new
    with pytest.raises(NotConnected, match=new):
        make_xero(tenant_id=old)


def test_an_organisation_without_projects_is_explained(sandbox: SandboxServer, make_xero: MakeXero) -> None:
    """Xero answers 401 as it does for a bad token."""
    xero = make_xero()
    sandbox.change_organisation(projects_enabled=False)
    with pytest.raises(ProjectsNotAvailable, match="Projects role"):
        xero.list_projects()


@pytest.mark.parametrize("status", [401, 403])
def test_a_missing_scope_is_named(sandbox: SandboxServer, make_xero: MakeXero, status: int, clock: Any) -> None:
    """The answer may be 401 or 403; the token is not renewed for it."""
    from ansible.module_utils.dev_refresh.xero.connection import Credentials

    sandbox.set(scope_refused_status=status)
    secret = "a-secret-of-its-own-1"
    sandbox.add_client(f"READER{status}", secret, scopes=["accounting.settings.read"], grants=["client_credentials"])
    sandbox.connect(sandbox.tenant_id, f"READER{status}")
    xero = Xero(credentials=Credentials(f"READER{status}", secret), api_url=sandbox.url, identity_url=sandbox.identity_url, clock=clock)
    xero.connect()
    with pytest.raises(MissingScope, match=r"accounting\.contacts"):
        xero.list_contacts()


def test_a_reply_that_hangs_is_cut_off(sandbox: SandboxServer, make_xero: MakeXero, monkeypatch: pytest.MonkeyPatch) -> None:
    """The deadline holds for reading and for writing."""
    xero = make_xero()
    monkeypatch.setattr(xero._transport, "_timeouts", (1.0, 0.3))
    sandbox.add_fault("hang", method="PUT", path="/Contacts$", seconds=1)
    with pytest.raises(OutcomeUnknown, match="no reply within the time"):
        xero.create_contacts(people(1), key_attempt=0)
    sandbox.add_fault("hang", method="GET", path="/Contacts$", seconds=1)
    assert len(xero.list_contacts()) <= 1


def test_nothing_answers_at_all(make_xero: MakeXero) -> None:
    """A server that is down: bounded, with the address's setting named."""
    with pytest.raises(XeroError, match="refused, tried 5 times"):
        make_xero(api_url="http://127.0.0.1:9")
    with pytest.raises(XeroError, match="xero_seed_identity_url"):
        make_xero(identity_url="http://127.0.0.1:9")


@pytest.mark.parametrize("url", ["", "api.xero.com", "ftp://api.xero.com", "http://", "https://user:pw@api.xero.com", "http://x:99999"])
def test_what_is_no_address_is_refused(make_xero: MakeXero, url: str) -> None:
    """Before anything is sent."""
    with pytest.raises(XeroError, match="not an http address"):
        make_xero(api_url=url)


def test_the_clocks_of_two_modules_share_the_minute(sandbox: SandboxServer, make_xero: MakeXero) -> None:
    """What one returns as ``recent`` keeps the next from calling too early."""
    first = make_xero(calls_per_minute=3)
    first.list_contacts()
    second = make_xero(calls_per_minute=3, recent=first.stats.recent)
    assert second.stats.seconds_waited > 50




def _write(xero: Xero, entity: str, contact: str, attempt: int = 0) -> Any:
    if entity == "contacts":
        return xero.create_contacts(people(1), key_attempt=attempt)[0]
    return xero.create_project(NewProject("job", contact, "Job 1: roof"), key_attempt=attempt)


def _written(sandbox: SandboxServer, entity: str) -> int:
    return len(sandbox.projects()) if entity == "projects" else sum(contact["Name"] == "Person 0" for contact in sandbox.contacts())
