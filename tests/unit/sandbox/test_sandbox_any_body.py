"""Whatever a client sends, the sandbox answers as Xero would: it accepts or refuses."""
from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from xero_sandbox import projects
from xero_sandbox.contact_shape import PLAIN_FIELDS
from xero_sandbox.contacts import Context, create, list_contacts, update_or_create
from xero_sandbox.organisation import Organisation
from xero_sandbox.seeding import add_contacts, add_projects
from xero_sandbox.settings import Settings
from xero_sandbox.testing import busiest

SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=12)
ANYTHING = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3), max_leaves=6)
INNER = st.sampled_from(["PhoneType", "PhoneNumber", "AddressType", "City", "EmailAddress"])
ROWS = st.lists(st.dictionaries(INNER, ANYTHING, max_size=3) | SCALARS, max_size=3)
CONTACT = st.dictionaries(st.sampled_from([*PLAIN_FIELDS, "ContactID", "ContactStatus", "name"]), ANYTHING, max_size=5)
ELEMENT = st.builds(
    lambda plain, name, phones, addresses, persons: {**plain, **name, "Phones": phones, "Addresses": addresses, "ContactPersons": persons},
    CONTACT, st.fixed_dictionaries({}, optional={"Name": st.sampled_from(["A", "a", "B", "É"])}), ROWS | ANYTHING, ROWS | ANYTHING, ROWS | ANYTHING,
)
MEMBERS = ["contactId", "name", "estimateAmount", "deadlineUtc", "status", "rate", "chargeType", "estimateMinutes", "NAME"]
PROJECT = st.dictionaries(st.sampled_from(MEMBERS), ANYTHING, max_size=6) | ANYTHING


@settings(max_examples=300, deadline=None)
@given(data=st.fixed_dictionaries({"Contacts": st.lists(ELEMENT, max_size=3)}) | ANYTHING, summarise=st.booleans(), updating=st.booleans())
def test_any_contacts(data: Any, summarise: bool, updating: bool):
    context = Context(Organisation("Demo"), Settings(), 1)
    add_contacts(context.organisation, [{"name": "A", "number": "1"}, {"name": "Old", "number": "2", "status": "ARCHIVED"}], 0)
    reply = (update_or_create if updating else create)(context, data, summarise=summarise)
    assert reply.status in (200, 400, 404)
    reply.body()
    if reply.status == 400:
        assert len(context.organisation.contacts) == 2
    shown = list_contacts(context, {"page": "1", "includeArchived": "true"})
    names = [row["Name"] for row in shown.data["Contacts"] if row["ContactStatus"] == "ACTIVE"]
    assert len({context.organisation.active_with_name(name).contact_id for name in names}) == len(names), "each active name is one contact's"


@settings(max_examples=300, deadline=None)
@given(data=PROJECT)
def test_any_project_and_task(data: Any):
    organisation = Organisation("Demo")
    add_contacts(organisation, [{"name": "A"}], 0)
    (project,) = add_projects(organisation, [{"name": "P", "contact": "A"}])
    for reply in (
        projects.create(organisation, data, Settings()), projects.update(organisation, project, data, Settings()), projects.patch(organisation, project, data),
        projects.create_task(organisation, project, data),
    ):
        assert reply.status in (201, 204, 400)
        reply.body()


@given(text=st.text(max_size=30), where=st.text(max_size=30))
def test_any_query(text: str, where: str):
    context = Context(Organisation("Demo"), Settings(), 1)
    query = {"page": text, "pageSize": text, "IDs": text, "order": text, "searchTerm": text, "where": where}
    assert list_contacts(context, query).status in (200, 400)
    found = projects.list_projects(context.organisation, {name: [text] for name in ("page", "pageSize", "states", "projectIds", "contactID")}, Settings())
    assert found.status in (200, 400)


def test_odd_numbers_and_letters():
    organisation = Organisation("Demo")
    (contact,) = add_contacts(organisation, [{"name": "A"}], 0)
    (project,) = add_projects(organisation, [{"name": "P", "contact": "A"}])
    for number in (float("nan"), float("inf"), 10**400):
        assert projects.create(organisation, {"contactId": contact, "name": "P", "estimateAmount": number}, Settings()).status == 400
        assert projects.create_task(organisation, project, {"name": "T", "chargeType": "TIME", "rate": {"value": number}}).status == 400
    assert projects.list_projects(organisation, {"page": ["9" * 5000]}, Settings()).status == 400
    assert b"ud800" in create(Context(organisation, Settings(), 1), {"Name": "half \ud800"}, summarise=True).body()


def test_the_busiest_minute():
    rows = [{"counted": at} for at in (0.0, 1.0, 59.9, 60.0, 61.0, None)]
    assert busiest(rows) == 3
    assert busiest([]) == 0
