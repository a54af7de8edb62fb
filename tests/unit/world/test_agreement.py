"""The comparison of the live database with the organisation: it must be able to fail, in each of its parts."""
from __future__ import annotations

from typing import Any

import pytest
from world.agreement import LiveRows, compare

CONTACT = "11111111-1111-4111-8111-111111111111"
OTHER = "22222222-2222-4222-8222-222222222222"
PROJECT = "33333333-3333-4333-8333-333333333333"


def organisation(**changes: Any) -> dict[str, Any]:
    contacts = [
        {"ContactID": CONTACT, "Name": "Acme", "ContactStatus": "ACTIVE"},
        {"ContactID": OTHER, "Name": "Other", "ContactStatus": "ACTIVE"},
    ]
    return {"contacts": contacts, "projects": [{"projectId": PROJECT, "contactId": CONTACT, "name": "Job 1: Gate"}], **changes}


def live(*, contact: str | None = CONTACT, project: str | None = PROJECT, client: str | None = "a", name: str = "Acme", more: Any = ()) -> LiveRows:
    return LiveRows([("a", name, contact), *more], [(1, client, project)], {CONTACT, PROJECT})


def test_agreement_is_told():
    assert compare(live(), organisation(), {"unknown"}) == []


def test_a_skipped_row_needs_no_id():
    assert compare(live(name="  ", contact=None, project=None), organisation(), ()) == []
    assert compare(live(client=None, project=None), organisation(), ()) == []


@pytest.mark.parametrize(
    ("rows", "state", "production", "words"),
    [
        (live(contact=None, project=None), organisation(), (), "has no contact"),
        (live(contact="44444444-4444-4444-8444-444444444444", project=None), organisation(), (), "not an active one"),
        (live(), organisation(contacts=[{"ContactID": CONTACT, "Name": "Acme", "ContactStatus": "ARCHIVED"}]), (), "not an active one"),
        (live(project=None), organisation(), (), "has no project"),
        (live(), organisation(projects=[]), (), "not in the organisation"),
        (live(), organisation(projects=[{"projectId": PROJECT, "contactId": OTHER, "name": "x"}]), (), "another contact"),
        (live(more=[("b", "Acme two", CONTACT)]), organisation(), (), "2 rows share contact"),
        (live(name=""), organisation(), (), "has no name and yet"),
        (live(client=None), organisation(), (), "no client in Xero and yet"),
        (live(), organisation(), {PROJECT}, "Production's Xero id"),
    ],
)
def test_each_disagreement_is_told(rows, state, production, words):
    assert any(words in sentence for sentence in compare(rows, state, production))


def test_contacts_of_one_name_are_told():
    state = organisation()
    state["contacts"].append({"ContactID": "x", "Name": "ACME ", "ContactStatus": "ACTIVE"})
    assert compare(live(), state, ()) == ["2 active contacts are called acme"]
