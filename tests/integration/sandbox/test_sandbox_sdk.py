"""The official SDK talks with the sandbox as with Xero."""
from __future__ import annotations

from datetime import UTC, datetime

import pytest
from xero_python.accounting import AccountingApi, Contact, Contacts, Phone
from xero_python.api_client import ApiClient
from xero_python.api_client.configuration import Configuration
from xero_python.api_client.oauth2 import OAuth2Token, TokenApi
from xero_python.exceptions import AccountingBadRequestException, HTTPStatusException, NotFoundException, RateLimitException
from xero_python.identity import IdentityApi
from xero_python.project import (
    Amount,
    ChargeType,
    CurrencyCode,
    ProjectApi,
    ProjectCreateOrUpdate,
    ProjectPatch,
    ProjectStatus,
    TaskCreateOrUpdate,
)


@pytest.fixture
def client(server, monkeypatch):
    """Return the SDK's client with a token that the SDK itself fetched from the sandbox."""
    for name in ("client_credentials_token_url", "refresh_token_url"):
        monkeypatch.setattr(TokenApi, name, server.identity_url + "/connect/token")
    configuration = Configuration()
    configuration.oauth2_token = OAuth2Token(client_id=server.client_id, client_secret=server.client_secret)
    made = ApiClient(configuration)
    kept: dict[str, object] = {}
    made.oauth2_token_getter(lambda: kept)
    made.oauth2_token_saver(kept.update)
    made.get_client_credentials_token()
    return made


def test_the_sdk_finds_its_tenant(server, client):
    identity = IdentityApi(client, base_url=server.url)
    (connection,) = identity.get_connections()
    assert (connection.tenant_id, connection.tenant_type) == (server.tenant_id, "ORGANISATION")
    organisation = AccountingApi(client, base_url=server.url + "/api.xro/2.0").get_organisations("").organisations[0]
    assert organisation.is_demo_company
    assert organisation.organisation_id == server.tenant_id


def test_contacts(server, client):
    accounting, tenant = AccountingApi(client, base_url=server.url + "/api.xro/2.0"), server.tenant_id
    sent = [Contact(name="A", contact_number="1", phones=[Phone(phone_type="DEFAULT", phone_number="555")]), Contact(name="a"), Contact(name="B")]
    first, second, third = accounting.create_contacts(tenant, Contacts(contacts=sent), summarize_errors=False, idempotency_key="contacts-1").contacts
    assert (first.status_attribute_string, second.status_attribute_string, third.status_attribute_string) == ("OK", "ERROR", "OK")
    assert second.contact_id == "00000000-0000-0000-0000-000000000000"
    with pytest.raises(AccountingBadRequestException) as refused:
        accounting.create_contacts(tenant, Contacts(contacts=[Contact(name="b")]))
    assert "already assigned" in refused.value.error_data["Elements"][0]["ValidationErrors"][0]["Message"]
    page = accounting.get_contacts(tenant, page=1, page_size=1000, include_archived=True, order="ContactID", summary_only=False)
    assert sorted(contact.name for contact in page.contacts) == ["A", "B"]
    assert page.pagination.item_count == 2
    assert accounting.get_contact_by_contact_number(tenant, "1").contacts[0].contact_id == first.contact_id
    assert accounting.get_contact(tenant, third.contact_id).contacts[0].name == "B"
    assert [c.name for c in accounting.get_contacts(tenant, where='Name=="b"').contacts] == ["B"]
    assert [c.name for c in accounting.get_contacts(tenant, i_ds=[first.contact_id, third.contact_id], order="Name DESC").contacts] == ["B", "A"]
    accounting.update_contact(tenant, third.contact_id, Contacts(contacts=[Contact(contact_status="ARCHIVED")]))
    assert [contact["ContactStatus"] for contact in server.contacts() if contact["Name"] == "B"] == ["ARCHIVED"]
    with pytest.raises(NotFoundException):
        accounting.get_contact(tenant, "11111111-1111-4111-8111-111111111111")


def test_projects_and_tasks(server, client):
    projects, tenant = ProjectApi(client, base_url=server.url + "/projects.xro/2.0"), server.tenant_id
    (contact,) = server.seed([{"name": "A"}])["contacts"]
    wanted = ProjectCreateOrUpdate(contact_id=contact, name="P", deadline_utc=datetime(2026, 1, 1, tzinfo=UTC), estimate_amount=99.99)
    made = projects.create_project(tenant, wanted, idempotency_key="project-1")
    assert (float(made.estimate.value), made.status, made.deadline_utc) == (99.99, ProjectStatus.INPROGRESS, datetime(2026, 1, 1, tzinfo=UTC))
    assert projects.create_project(tenant, wanted, idempotency_key="project-1").project_id == made.project_id
    projects.patch_project(tenant, made.project_id, ProjectPatch(status=ProjectStatus.CLOSED))
    found = projects.get_projects(tenant, states="INPROGRESS,CLOSED", page=1, page_size=500)
    assert [(project.project_id, project.status) for project in found.items] == [(made.project_id, ProjectStatus.CLOSED)]
    assert projects.get_projects(tenant, project_ids=[made.project_id], states="CLOSED").pagination.item_count == 1
    task = TaskCreateOrUpdate(name="T", rate=Amount(currency=CurrencyCode.NZD, value=32.5), charge_type=ChargeType.TIME, estimate_minutes=60)
    assert projects.create_task(tenant, made.project_id, task).rate.value == 32.5
    assert [row.name for row in projects.get_tasks(tenant, made.project_id).items] == ["T"]
    with pytest.raises(HTTPStatusException) as refused:
        projects.create_project(tenant, ProjectCreateOrUpdate(contact_id=contact, name=""))
    assert refused.value.status == 400


def test_the_limits_reach_the_sdk(server, client):
    server.add_fault("limit_concurrent", times=10)
    with pytest.raises(RateLimitException) as refused:
        AccountingApi(client, base_url=server.url + "/api.xro/2.0").get_organisations(server.tenant_id)
    assert refused.value.rate_limit == "concurrent"
