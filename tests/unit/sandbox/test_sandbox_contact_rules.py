"""Xero's rules for a contact by itself and beside the others."""
from __future__ import annotations

import pytest
from xero_sandbox.contact_rules import ARCHIVED_MESSAGE, name_taken, number_taken, refusals
from xero_sandbox.contacts import Context, create, elements_of, list_contacts, update_or_create
from xero_sandbox.names import name_key
from xero_sandbox.organisation import Organisation
from xero_sandbox.reply import ZERO_ID
from xero_sandbox.seeding import add_contacts
from xero_sandbox.settings import Settings


@pytest.fixture
def context() -> Context:
    return Context(Organisation("Demo"), Settings(), 1_700_000_000_000)


def put(context, *rows, summarise=False):
    return create(context, {"Contacts": list(rows)}, summarise=summarise)


@pytest.mark.parametrize(("left", "right"), [("Société Générale", "SOCIETE  generale "), ("A\tB", "a b"), ("Straße", "STRASSE"), ("Å", "A\u030a")])
def test_names_that_differ_in_case_accents_or_space_are_the_same(left, right):
    assert name_key(left) == name_key(right)


@pytest.mark.parametrize("element", [
    {"Name": "x" * 255},
    {"Name": "Müller & Söhne (2)", "EmailAddress": "a.b+c@mail.example.com", "ContactNumber": "n" * 50},
    {"Name": "A", "Phones": [{"PhoneType": "MOBILE", "PhoneNumber": "1" * 50, "PhoneAreaCode": "1" * 10, "PhoneCountryCode": "1" * 20}]},
    {"Name": "A", "Addresses": [{"AddressType": "STREET", "AddressLine1": "x" * 500, "Country": "y" * 50}]},
    {"Name": "A", "ContactPersons": [{"FirstName": "x"}] * 5},
])
def test_a_good_contact_is_accepted(element):
    assert refusals(element, creating=True) == []


@pytest.mark.parametrize("element", [
    {}, {"Name": ""}, {"Name": " "}, {"Name": None}, {"Name": 5}, {"Name": "x" * 256}, {"Name": "a<b"}, {"Name": "a>b"}, {"Name": " a"}, {"Name": "a "},
    {"Name": "a  b"}, {"Name": "a\nb"}, {"Name": "a\x00b"},
    {"Name": "A", "EmailAddress": "nobody"}, {"Name": "A", "EmailAddress": "müller@example.com"}, {"Name": "A", "EmailAddress": "a b@example.com"},
    {"Name": "A", "EmailAddress": "a@localhost"}, {"Name": "A", "EmailAddress": "a@b..com"}, {"Name": "A", "EmailAddress": "x" * 250 + "@example.com"},
    {"Name": "A", "ContactNumber": "n" * 51}, {"Name": "A", "ContactNumber": ["n"]}, {"Name": "A", "AccountNumber": "n" * 51},
    {"Name": "A", "Phones": [{"PhoneType": "DEFAULT", "PhoneNumber": "1" * 51}]}, {"Name": "A", "Phones": [{"PhoneType": "HOME"}]},
    {"Name": "A", "Addresses": [{"AddressType": "POBOX", "City": "x" * 256}]}, {"Name": "A", "ContactPersons": [{"FirstName": "x"}] * 6},
    {"Name": "A", "ContactStatus": "GONE"},
])
def test_a_bad_contact_is_refused(element):
    assert refusals(element, creating=True)


def test_members_in_snake_case_are_dropped_but_the_name():
    assert elements_of({"contacts": [{"name": "A", "email_address": "a@example.com"}]}) == [{"Name": "A"}]


@pytest.mark.parametrize("body", [None, [], {"Contacts": []}, {"Contacts": 5}, "text", {"Contacts": ["a"]}])
def test_a_body_without_contacts_is_refused(context, body):
    reply = create(context, body, summarise=False)
    assert (reply.status, reply.data["Type"]) == (400, "NoDataProcessedException")


def test_summarised_errors_refuse_the_whole_batch(context):
    reply = put(context, {"Name": "A"}, {"Name": "a"}, {"Name": "B"}, summarise=True)
    assert reply.status == 400
    assert reply.data["ErrorNumber"] == 10
    assert [row["ValidationErrors"][0]["Message"] for row in reply.data["Elements"]] == [name_taken("a")]
    assert context.organisation.contacts == {}


def test_partial_success_can_be_set(context):
    context.settings.change({"partial_success": True})
    assert put(context, {"Name": "A"}, {"Name": "a"}, summarise=True).status == 400
    assert [c.name for c in context.organisation.contacts.values()] == ["A"]


def test_unsummarised_errors_refuse_single_elements_with_the_zero_id(context):
    reply = put(context, {"Name": "A", "ContactNumber": "1"}, {"Name": "B", "ContactNumber": "1"}, {"Name": "C"})
    assert reply.status == 200
    first, second, third = reply.data["Contacts"]
    assert (first["StatusAttributeString"], second["StatusAttributeString"], third["StatusAttributeString"]) == ("OK", "ERROR", "OK")
    assert second["ContactID"] == ZERO_ID
    assert second["ContactNumber"] == "1"
    assert second["ValidationErrors"] == [{"Message": number_taken("1")}]
    assert len(context.organisation.contacts) == 2


def test_a_name_of_an_archived_contact_is_free_but_its_number_is_not(context):
    add_contacts(context.organisation, [{"name": "A", "number": "7", "status": "ARCHIVED"}], 0)
    assert put(context, {"Name": "A"}).data["Contacts"][0]["StatusAttributeString"] == "OK"
    assert put(context, {"Name": "B", "ContactNumber": "7"}).data["Contacts"][0]["ValidationErrors"] == [{"Message": number_taken("7")}]
    context.settings.change({"number_unique_over_archived": False})
    assert put(context, {"Name": "B", "ContactNumber": "7"}).data["Contacts"][0]["StatusAttributeString"] == "OK"


def test_post_updates_by_id_then_number_then_name(context):
    one, two = add_contacts(context.organisation, [{"name": "One", "number": "1"}, {"name": "Two"}], 0)

    def post(**element):
        return update_or_create(context, {"Contacts": [element]}, summarise=False).data["Contacts"][0]

    assert post(ContactID=one, EmailAddress="a@example.com")["Name"] == "One"
    assert post(ContactNumber="1", Name="First")["ContactID"] == one
    assert post(Name="TWO", ContactNumber="2")["ContactID"] == two
    assert post(Name="Three")["ContactID"] not in (one, two)
    assert post(ContactNumber="1", Name="Two")["ValidationErrors"] == [{"Message": name_taken("Two")}]
    assert context.organisation.contacts[one].fields["EmailAddress"] == "a@example.com"


def test_post_with_an_unknown_id_is_not_found_and_changes_nothing(context):
    reply = update_or_create(context, {"Contacts": [{"Name": "New"}, {"ContactID": "11111111-1111-4111-8111-111111111111", "Name": "X"}]}, summarise=False)
    assert reply.status == 404
    assert context.organisation.contacts == {}


def test_an_archived_contact_cannot_be_edited(context):
    (gone,) = add_contacts(context.organisation, [{"name": "Gone", "status": "ARCHIVED"}], 0)
    row = update_or_create(context, {"ContactID": gone, "ContactStatus": "ACTIVE"}, summarise=False).data["Contacts"][0]
    assert row["ContactID"] == gone
    assert row["ValidationErrors"] == [{"Message": ARCHIVED_MESSAGE}]


def test_archiving_frees_the_name(context):
    (one,) = add_contacts(context.organisation, [{"name": "One"}], 0)
    assert update_or_create(context, {"ContactID": one, "ContactStatus": "ARCHIVED"}, summarise=False).data["Contacts"][0]["ContactStatus"] == "ARCHIVED"
    assert put(context, {"Name": "one"}).data["Contacts"][0]["StatusAttributeString"] == "OK"


def listed(context, **query):
    reply = list_contacts(context, query)
    assert reply.status == 200
    return [row["Name"] for row in reply.data["Contacts"]], reply.data.get("pagination")


def test_lists_page_filter_and_order(context):
    ids = add_contacts(context.organisation, [{"name": f"N{i:03}", "number": f"c{i}"} for i in range(250)] + [{"name": "Old", "status": "ARCHIVED"}], 0)
    assert len(listed(context)[0]) == 250
    names, pagination = listed(context, page="3", order="Name")
    assert (names[0], len(names), pagination) == ("N200", 50, {"page": 3, "pageSize": 100, "pageCount": 3, "itemCount": 250})
    assert listed(context, page="1", pageSize="5000", includeArchived="True")[1] == {"page": 1, "pageSize": 1000, "pageCount": 1, "itemCount": 251}
    assert listed(context, page="1", pageSize="0")[1]["pageSize"] == 100
    assert listed(context, IDs=",".join(ids[:2]), order="Name DESC")[0] == ["N001", "N000"]
    assert listed(context, where='Name=="n007"')[0] == ["N007"]
    assert listed(context, where='ContactStatus=="ACTIVE" AND Name.StartsWith("N24")', order="Name")[0][0] == "N240"
    assert listed(context, searchTerm="C17", order="Name")[0][:2] == ["N017", "N170"]
    assert listed(context, summaryOnly="true")[1]["pageSize"] == 100
    assert list_contacts(context, {"where": 'Name=="a"b"'}).status == 400
    assert list_contacts(context, {"order": "Nonsense"}).status == 400


def test_merges_are_told_by_paged_lists_only(context):
    (target,) = add_contacts(context.organisation, [{"name": "T"}], 0)
    add_contacts(context.organisation, [{"name": "S", "status": "ARCHIVED", "merged_to": target}], 0)
    for query, told in (({"page": "1"}, True), ({}, False), ({"page": "1", "summaryOnly": "true"}, False)):
        rows = list_contacts(context, {**query, "includeArchived": "true"}).data["Contacts"]
        assert any(row.get("MergedToContactID") == target for row in rows) is told
