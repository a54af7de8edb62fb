"""Which organisations are refused, and that nothing is written then; and those that must pass."""
from __future__ import annotations

import pytest
from seeding_app import App, counts, key

NAME = "Real Business Ltd"


@pytest.fixture
def real(small_world: App) -> App:
    """Return a small world before an organisation that is not a demo company; the test organisation is put back afterwards."""
    app = small_world
    app.make_marker()
    before = app.sandbox.get_state()["name"]
    app.sandbox.change_organisation(is_demo_company=False, name=NAME)
    app.options = {"organisation": NAME, "allow_non_demo": True}
    yield app
    app.sandbox.change_organisation(is_demo_company=True, name=before)


def refused(app: App, **options: object) -> str:
    """Run and check mode are both refused and write nothing; return why."""
    before = app.everything()
    error = app.fail(**options)
    assert str(app.fail(check=True, **options)) == str(error)
    assert app.everything() == before
    assert not [request for request in app.sandbox.journal() if request["method"] != "GET" and "token" not in request["path"]]
    return str(error)


def test_an_organisation_that_is_not_a_demo_company_is_refused(real):
    assert "is not a demo company. Connect the app to a demo company" in refused(real, organisation=None, allow_non_demo=False)
    assert "is allowed without being named" in refused(real, organisation=None)
    assert f'is "{NAME}"' in refused(real, organisation="Another Ltd")
    assert "xero_seed_forbidden_tenant_ids" in refused(real, forbidden_tenant_ids=[real.sandbox.tenant_id.upper()])


def test_a_demo_company_may_be_forbidden_too(small_world):
    assert "xero_seed_forbidden_tenant_ids" in refused(small_world, forbidden_tenant_ids=[small_world.sandbox.tenant_id])


def test_an_organisation_that_has_the_ids_of_the_dump_is_production(real):
    contact = real.sandbox.seed(contacts=[{"name": "Acme"}])["contacts"][0]
    real.sql("INSERT INTO dev_refresh.original_ids VALUES ('contacts', %s, %s, NULL)", (key(1), contact.upper()))
    message = refused(real)
    assert "1 Xero ids that came with the dump exist" in message
    assert "it is production" in message


def test_a_project_is_proof_enough(real):
    contact = real.sandbox.seed(contacts=[{"name": "Other"}])["contacts"][0]
    project = real.sandbox.seed(projects=[{"name": "Job 1: x", "contact_id": contact}])["projects"][0]
    real.sql("INSERT INTO dev_refresh.original_ids VALUES ('projects', %s, %s, NULL)", (key(10**6 + 1), project))
    assert "it is production" in refused(real)


def test_ids_that_still_stand_in_the_rows_count_too(real):
    contact = real.sandbox.seed(contacts=[{"name": "Acme"}])["contacts"][0]
    real.sql("UPDATE client_client SET xero_contact_id = %s WHERE id = %s", (contact, key(1)))
    assert "it is production" in refused(real)


def test_having_been_seeded_elsewhere_is_no_excuse(real):
    contact = real.sandbox.seed(contacts=[{"name": "Acme"}])["contacts"][0]
    real.sql("INSERT INTO dev_refresh.original_ids VALUES ('contacts', %s, %s, NULL)", (key(1), contact))
    real.sql("UPDATE dev_refresh.marker SET state = state || '{\"tenant_id\": \"00000000-0000-0000-0000-00000000000a\"}'")
    assert "it is production" in refused(real)


def test_without_a_marker_the_tenant_must_be_named(real):
    real.sql("DROP SCHEMA dev_refresh CASCADE")
    assert "Set xero_seed_tenant_id" in refused(real)
    assert counts(real.seed(tenant_id=real.sandbox.tenant_id), "contacts") == {"total": 4, "created": 4}


def test_a_marker_that_was_copied_from_another_database_does_not_count(real):
    real.sql("UPDATE dev_refresh.marker SET state = state || '{\"db_oid\": 1}'")
    assert "Set xero_seed_tenant_id" in refused(real)


def test_a_named_organisation_passes_again_and_again(real):
    real.sandbox.add_fault("forbidden", method="POST", path="/Projects$", skip=2)
    assert real.fail().details["contacts"]["created"] == 4
    assert counts(real.seed(), "contacts") == {"total": 4, "already_linked": 4}
    assert not real.seed()["changed"]


def test_a_dump_of_a_development_database_passes(real):
    contact = real.sandbox.seed(contacts=[{"name": "Acme"}])["contacts"][0]
    real.sql("INSERT INTO dev_refresh.original_ids VALUES ('contacts', %s, %s, NULL)", (key(1), contact))
    real.sql("UPDATE dev_refresh.marker SET state = jsonb_set(state, '{extra}', %s)", (f'{{"dump_marker": {{"tenant_id": "{real.sandbox.tenant_id}"}}}}',))
    assert counts(real.seed(), "contacts") == {"total": 4, "linked": 1, "created": 3}


def test_a_demo_company_passes_whatever_it_has(small_world):
    app = small_world
    app.make_marker()
    contact = app.sandbox.seed(contacts=[{"name": "Acme"}])["contacts"][0]
    app.sql("INSERT INTO dev_refresh.original_ids VALUES ('contacts', %s, %s, NULL)", (key(1), contact))
    assert app.seed()["complete"]
