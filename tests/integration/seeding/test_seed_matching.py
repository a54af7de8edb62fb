"""What is in the organisation already, and what rows say of it."""
from __future__ import annotations

import uuid

import pytest
from seeding_app import counts, key

NFC, NFD = "Caf\u00e9 Z\u00fcrich", "Cafe\u0301 Zu\u0308rich"


def names(app) -> list[str]:
    """Return the names of the active contacts."""
    return sorted(contact["Name"] for contact in app.sandbox.contacts() if contact["ContactStatus"] == "ACTIVE")


def test_what_is_there_is_linked(small_world):
    app = small_world
    ids = app.sandbox.seed(contacts=[{"name": "ACME"}, {"name": "Other name", "number": key(2)}, {"name": "Beta & Co"}])["contacts"]
    app.sandbox.seed(projects=[{"contact_id": ids[0], "name": "Job 4: edited since"}, {"contact_id": ids[0], "name": "Job 44: another"}])
    result = app.seed()
    assert counts(result, "contacts") == {"total": 4, "linked": 2, "created": 2}
    assert app.contact_ids()[key(1)] == ids[0]
    assert app.contact_ids()[key(2)] == ids[1]
    assert counts(result, "projects") == {"total": 6, "linked": 1, "created": 5}
    assert result["unclaimed"] == {"contacts": 1, "projects": 1}
    assert not app.seed()["changed"]


def test_stale_ids_are_cleared_and_replaced(small_world):
    app = small_world
    app.sql("UPDATE client_client SET xero_contact_id = gen_random_uuid()")
    app.sql("UPDATE job_job SET xero_project_id = gen_random_uuid()")
    result = app.seed()
    assert counts(result, "contacts") == {"total": 4, "created": 4, "stale": 4}
    assert counts(result, "projects") == {"total": 6, "created": 6, "stale": 6}
    assert set(app.contact_ids().values()) == {contact["ContactID"] for contact in app.sandbox.contacts()}


def test_archived_contacts_are_never_linked(app):
    app.client(1, "Acme")
    archived = app.sandbox.seed(contacts=[{"name": "Acme", "number": key(1)}])["contacts"][0]
    app.sandbox.archive_contact(archived)
    app.sql("UPDATE client_client SET xero_contact_id = %s", (archived,))
    result = app.seed()
    assert counts(result, "contacts") == {"total": 1, "created": 1}
    new = next(contact for contact in app.sandbox.contacts() if contact["ContactStatus"] == "ACTIVE")
    assert new["ContactNumber"] == f"{key(1)}~1"
    assert app.contact_ids() == {key(1): new["ContactID"]}
    # after a restore only the number is left to find it by
    app.sql("UPDATE client_client SET xero_contact_id = NULL")
    assert counts(app.seed(), "contacts") == {"total": 1, "linked": 1}
    assert app.contact_ids() == {key(1): new["ContactID"]}


def test_merges_are_followed(app):
    for number in (1, 2, 3):
        app.client(number, f"Client {number}")
    first, second, third, end = app.sandbox.seed(contacts=[{"name": f"C{number}", "number": f"old-{number}"} for number in range(4)])["contacts"]
    app.sandbox.merge_contacts(first, second)
    app.sandbox.merge_contacts(second, third)
    app.sandbox.merge_contacts(third, end)
    app.sql("UPDATE client_client SET xero_contact_id = %s WHERE id = %s", (first, key(1)))
    result = app.seed()
    assert counts(result, "contacts") == {"total": 3, "linked": 1, "created": 2}
    assert app.contact_ids()[key(1)] == end
    assert not app.seed()["changed"]


def test_merges_that_lead_in_a_circle_or_nowhere_lead_to_a_new_contact(app):
    for number in (1, 2, 3, 4):
        app.client(number, f"Client {number}")
    circle = app.sandbox.seed(contacts=[{"name": f"C{number}", "number": key(number) if number < 2 else None} for number in range(5)])["contacts"]
    first, second, third, itself, lost = circle
    # Xero allows no circle, but nothing must run for ever if it tells of one
    for contact, into in ((first, second), (second, third), (third, second), (itself, itself), (lost, str(uuid.uuid4()))):
        app.sandbox.change_contact(contact, ContactStatus="ARCHIVED", MergedToContactID=into)
    for number, contact in enumerate((first, itself, lost), 1):
        app.sql("UPDATE client_client SET xero_contact_id = %s WHERE id = %s", (contact, key(number)))
    result = app.seed()
    assert counts(result, "contacts") == {"total": 4, "created": 4}
    assert not set(app.contact_ids().values()) & set(circle)
    assert not app.seed()["changed"]


def test_a_merge_into_an_erased_contact_leads_nowhere(app):
    app.client(1, "Acme")
    merged, erased = app.sandbox.seed(contacts=[{"name": "Acme", "number": key(1)}, {"name": "Erased"}])["contacts"]
    app.sandbox.merge_contacts(merged, erased)
    app.sandbox.change_contact(erased, ContactStatus="GDPRREQUEST")
    assert counts(app.seed(), "contacts") == {"total": 1, "created": 1}
    assert not {merged, erased} & set(app.contact_ids().values())


def test_a_contact_under_erasure_is_never_linked_whatever_it_holds(app):
    """Its status is GDPRREQUEST: it holds the stored id, the number and the name of a client."""
    app.client(1, "Acme")
    app.client(2, "Beta")
    app.client(3, "Gamma")
    by_id, by_number, by_name = app.sandbox.seed(contacts=[{"name": "Other"}, {"name": "Another", "number": key(2)}, {"name": "Gamma"}])["contacts"]
    for contact in (by_id, by_number, by_name):
        app.sandbox.change_contact(contact, ContactStatus="GDPRREQUEST")
    app.sql("UPDATE client_client SET xero_contact_id = %s WHERE id = %s", (by_id, key(1)))
    result = app.seed()
    assert counts(result, "contacts") == {"total": 3, "created": 3}
    assert not {by_id, by_number, by_name} & set(app.contact_ids().values())
    numbers = {contact["Name"]: contact.get("ContactNumber") for contact in app.sandbox.contacts() if contact["ContactStatus"] == "ACTIVE"}
    assert numbers == {"Acme": key(1), "Beta": f"{key(2)}~1", "Gamma": key(3)}
    assert not app.seed()["changed"]


@pytest.mark.parametrize(("there", "ours"), [(NFD, NFC), (NFC, NFD), ("CAFE ZURICH", NFC)])
def test_names_that_only_xero_takes_for_the_same_are_linked(app, there, ours):
    """Composed, decomposed, and without accents."""
    contact = app.sandbox.seed(contacts=[{"name": there}])["contacts"][0]
    project = app.sandbox.seed(projects=[{"contact_id": contact, "name": f"Job 1: {there}"}])["projects"][0]
    app.client(1, ours)
    app.job(1, 1, ours)
    result = app.seed()
    assert counts(result, "contacts") == counts(result, "projects") == {"total": 1, "linked": 1}
    assert (app.contact_ids(), app.project_ids()) == ({key(1): contact}, {key(10**6 + 1): project})
    assert not app.seed()["changed"]


def test_clients_that_only_xero_takes_for_the_same_get_a_contact_each(app):
    for number, name in enumerate(("Caf\u00e9", "Cafe\u0301", "cafe", "CAF\u00c9 "), 1):
        app.client(number, name)
    result = app.seed()
    assert counts(result, "contacts") == {"total": 4, "created": 4}
    assert result["api"]["writes"] == 1, "known before it was sent"
    assert len(set(app.contact_ids().values())) == 4
    app.sql("UPDATE client_client SET xero_contact_id = NULL")
    assert counts(app.seed(), "contacts") == {"total": 4, "linked": 4}


def test_swapped_ids_are_put_right_under_a_unique_constraint(app):
    app.client(1, "One")
    app.client(2, "Two")
    app.sql("ALTER TABLE client_client ADD UNIQUE (xero_contact_id)")
    app.seed()
    right = app.contact_ids()
    app.sql("UPDATE client_client SET xero_contact_id = NULL")
    app.sql("UPDATE client_client SET xero_contact_id = %s WHERE id = %s", (right[key(2)], key(1)))
    app.sql("UPDATE client_client SET xero_contact_id = %s WHERE id = %s", (right[key(1)], key(2)))
    result = app.seed()
    assert counts(result, "contacts") == {"total": 2, "linked": 2}
    assert app.contact_ids() == right
    assert not app.seed()["changed"]


def test_a_shared_id_stays_with_the_client_whose_number_it_is(app):
    for number in (1, 2, 3):
        app.client(number, f"Client {number}")
    shared = app.sandbox.seed(contacts=[{"name": "Shared", "number": key(2)}])["contacts"][0]
    app.sql("UPDATE client_client SET xero_contact_id = %s", (shared,))
    result = app.seed()
    assert counts(result, "contacts") == {"total": 3, "already_linked": 1, "created": 2}
    assert app.contact_ids()[key(2)] == shared
    assert len(set(app.contact_ids().values())) == 3


def test_clients_of_one_name_get_a_contact_each(app):
    app.client(1, "Acme")
    app.client(0xABCDEF12, "ACMÉ")
    app.client(3, "acme ")
    result = app.seed()
    assert counts(result, "contacts") == {"total": 3, "created": 3}
    assert names(app) == ["ACMÉ (abcdef12)", "Acme", "acme (00000003)"]
    assert result["api"]["writes"] == 1
    app.sql("UPDATE client_client SET xero_contact_id = NULL")
    again = app.seed()
    assert counts(again, "contacts") == {"total": 3, "linked": 3}


def test_a_name_taken_by_another_clients_contact_gets_a_suffix(app):
    app.client(1, "Old name")
    app.seed()
    app.sql("UPDATE client_client SET name = 'New name'")
    app.client(2, "Old name")
    result = app.seed()
    assert counts(result, "contacts") == {"total": 2, "already_linked": 1, "created": 1}
    assert names(app) == ["Old name", "Old name (00000002)"]


def test_jobs_that_look_alike(app):
    app.client(1, "Acme")
    contact = app.sandbox.seed(contacts=[{"name": "Acme"}])["contacts"][0]
    there = [("JOB 1: Café", "CLOSED"), ("Job 1: Cafe", "INPROGRESS"), ("Job 12: Something", "INPROGRESS"), ("Job 123: Else", "INPROGRESS")]
    rows = [{"contact_id": contact, "name": name, "status": status} for name, status in there]
    closed, open_, *far = app.sandbox.seed(projects=rows)["projects"]
    app.job(1, 1, "Café")
    app.job(12, 1, "Renamed")
    app.job(2, 1, "Same", job_number="1")
    app.job(99, 1, "Long " * 40)
    app.job(50, 1, None, job_number=None)
    result = app.seed()
    assert counts(result, "projects") == {"total": 5, "linked": 2, "created": 2, "skipped": 1}
    ids = app.project_ids()
    assert ids[key(10**6 + 1)] == open_
    assert ids[key(10**6 + 12)] == far[0]
    assert closed not in ids.values()
    assert far[1] not in ids.values()
    assert not app.seed()["changed"]
    longest = max((project["name"] for project in app.sandbox.projects()), key=len)
    assert len(longest) <= 100


def test_a_project_under_another_contact_is_kept_and_noted(small_world):
    app = small_world
    app.seed()
    app.sql("UPDATE job_job SET client_id = %s WHERE job_number = '1'", (key(1),))
    result = app.seed()
    assert not result["changed"]
    assert any("under another contact" in warning for warning in app.warnings)


def test_integer_keys_of_two_apps_do_not_mix(app):
    app.sql("DROP TABLE client_client, job_job")
    app.sql("CREATE TABLE client_client (id bigint PRIMARY KEY, name text, xero_contact_id uuid)")
    app.sql("CREATE TABLE job_job (id serial PRIMARY KEY, client_id bigint, job_number int, name text, xero_project_id text NOT NULL DEFAULT '')")
    app.sandbox.seed(contacts=[{"name": "Of the other app", "number": "1"}, {"name": "Two", "number": "2"}])
    app.sql("INSERT INTO client_client VALUES (1, 'Ours'), (2, 'TWO'), (10, 'Ten'), (9, 'Ten')")
    app.sql("INSERT INTO job_job (client_id, job_number, name) VALUES (1, 7, 'A'), (10, 8, 'B')")
    result = app.seed()
    assert any("not UUIDs" in warning for warning in app.warnings)
    assert counts(result, "contacts") == {"total": 4, "linked": 1, "created": 3}
    found = {contact["ContactNumber"]: contact["Name"] for contact in app.sandbox.contacts()}
    assert found == {"1": "Of the other app", "2": "Two", "1~1": "Ours", "9": "Ten", "10": "Ten (10)"}
    app.sql("UPDATE client_client SET xero_contact_id = NULL")
    app.sql("UPDATE job_job SET xero_project_id = ''")
    again = app.seed()
    assert counts(again, "contacts") == {"total": 4, "linked": 4}
    assert counts(again, "projects") == {"total": 2, "linked": 2}
    assert not app.seed()["changed"]


@pytest.mark.parametrize("keys", [["a" * 60, "a" * 61, "A~1", "A"], ["x", "X", "x~1"], [" lead", "<b>", "tab\there"]])
def test_text_keys(app, keys):
    app.sql("DROP TABLE client_client")
    app.sql("CREATE TABLE client_client (id text PRIMARY KEY, name text, xero_contact_id varchar(36))")
    for number, one in enumerate(keys):
        app.sql("INSERT INTO client_client VALUES (%s, %s)", (one, f"Client {number}"))
    result = app.seed(entities=["contacts"])
    assert counts(result, "contacts") == {"total": len(keys), "created": len(keys)}
    before = app.contact_ids()
    app.sql("UPDATE client_client SET xero_contact_id = NULL")
    assert counts(app.seed(entities=["contacts"]), "contacts") == {"total": len(keys), "linked": len(keys)}
    assert app.contact_ids() == before


def test_a_reset_of_the_demo_company_is_healed(small_world):
    app = small_world
    app.make_marker()
    app.seed()
    old = app.sql("SELECT state->>'tenant_id' FROM dev_refresh.marker")[0][0]
    app.sandbox.reset_demo_company()
    result = app.seed()
    assert counts(result, "contacts") == {"total": 4, "created": 4, "stale": 4}
    assert result["organisation"]["tenant_id"] != old
    assert old in result["msg"]
    assert any(old in part["before"] for part in result["diff"])
    assert not app.seed()["changed"]


def test_another_organisation_than_last_time_is_said(small_world):
    app = small_world
    app.make_marker()
    app.seed()
    before = app.sandbox.contacts()
    first = app.sql("SELECT state->>'tenant_id', state->>'tenant_name' FROM dev_refresh.marker")[0]
    other = app.sandbox.add_organisation("Second Demo", is_demo_company=True, connect=[app.sandbox.client_id])
    try:
        former = f'"{first[1]}" ({first[0]})'
        results = [app.seed(tenant_id=other, check=True), app.seed(tenant_id=other)]
        for result in results:
            assert f"The last seed was in another organisation, {former}" in result["msg"]
            assert result["diff"][0] == {
                "before_header": "organisation", "after_header": "organisation", "before": f"{former}\n", "after": f"Second Demo ({other})\n",
            }  # fmt: skip
            assert counts(result, "contacts") == {"total": 4, "created": 4, "stale": 4}
        assert not app.seed(tenant_id=other)["diff"], "once"
        assert before == app.sandbox.contacts(first[0]), "nothing is done to the organisation of last time"
    finally:
        app.sandbox.disconnect(other)


def test_the_tenant_column_is_kept(app):
    app.sql("ALTER TABLE client_client ADD COLUMN xero_tenant text")
    app.client(1, "Acme", xero_tenant="other")
    mapping = {"contacts": {"tenant_id": "xero_tenant"}}
    result = app.seed(mapping=mapping)
    assert app.sql("SELECT xero_tenant FROM client_client") == [(result["organisation"]["tenant_id"],)]
    app.sql("UPDATE client_client SET xero_tenant = %s", (str(uuid.uuid4()),))
    assert counts(app.seed(mapping=mapping), "contacts") == {"total": 1, "linked": 1}
    assert not app.seed(mapping=mapping)["changed"]
