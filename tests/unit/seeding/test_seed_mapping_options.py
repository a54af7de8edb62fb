"""What an operator may write in the mapping, and every mistake at once."""
from __future__ import annotations

import pytest
from ansible.module_utils.dev_refresh.errors import GuardError
from ansible.module_utils.dev_refresh.mapping import Field, parse_mapping


def test_the_defaults():
    mapping = parse_mapping(None)
    assert (mapping.contacts.table, mapping.contacts.key, mapping.contacts.xero_id) == ("client_client", "id", "xero_contact_id")
    assert mapping.contacts.fields["email"] == Field("email", None, required=False)
    assert (mapping.projects.client, mapping.projects.name_template) == ("client_id", "Job {number}: {name}")
    assert set(mapping.projects.fields) == {"number", "name", "deadline"}


def test_another_revision_needs_two_words():
    mapping = parse_mapping({"contacts": {"table": "company_company"}, "projects": {"client": "company_id"}})
    assert mapping.contacts.xero_id == "xero_contact_id"
    assert mapping.projects.client == "company_id"
    assert mapping.projects.fields["deadline"].column == "delivery_date"


def test_fields_are_replaced_as_a_whole():
    fields = parse_mapping({"contacts": {"fields": {"name": {"sql": "upper(name)"}, "email": None}}}).contacts.fields
    assert fields == {"name": Field(None, "upper(name)", required=True)}


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        ({"invoices": {}}, 'has no entity "invoices"'),
        ({"contacts": {"tabel": "x"}}, 'has no option "tabel"'),
        ({"contacts": {"fields": {"email": "email"}}}, "contacts.fields has no name"),
        ({"contacts": {"fields": {"name": "name", "fax": "fax"}}}, "fields.fax is not a field of contacts"),
        ({"contacts": {"fields": {"name": {"sql": " "}}}}, "neither a column name nor a dictionary"),
        ({"contacts": {"number": "client"}}, "does not contain {key}"),
        ({"contacts": {"email_policy": "rewrite"}}, "email_domain is not set"),
        ({"contacts": {"email_policy": "rewrite", "email_domain": "dev@example"}}, "which is no domain"),
        ({"projects": {"name_template": "{name}"}}, "does not contain {number}"),
        ({"projects": {"table": ""}}, "projects.table is empty"),
    ],
)
def test_mistakes(raw, said):
    with pytest.raises(GuardError) as caught:
        parse_mapping({"contacts": {"where": "true"}, **raw})
    assert said in str(caught.value)


def test_all_mistakes_at_once():
    with pytest.raises(GuardError) as caught:
        parse_mapping({"contacts": {"number": "x", "email_policy": "rewrite"}, "projects": {"name_template": "x"}})
    assert len(caught.value.findings) == 4
