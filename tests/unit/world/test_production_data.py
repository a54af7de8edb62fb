"""The demo's production rows: always the same, growing from week to week, and as messy as real ones."""
from __future__ import annotations

from collections import Counter
from decimal import Decimal

import pytest
from world.organisation import UNCLAIMED, existing_records
from world.production_data import CLIENTS, JOBS, ProductionData, make_production_data


@pytest.fixture(scope="module")
def data() -> ProductionData:
    return make_production_data()


def test_equal_arguments_give_equal_rows(data):
    """Catches chances drawn from the hash seed or from the clock."""
    assert make_production_data() == data
    assert make_production_data(seed=2) != data


def test_there_are_as_many_rows_as_asked_for(data):
    assert (len(data.clients), len(data.jobs)) == (CLIENTS, JOBS) == (400, 620)
    assert len(make_production_data(clients=60, jobs=30).clients) == 60


def test_too_few_rows_are_refused():
    with pytest.raises(ValueError, match="at least"):
        make_production_data(clients=5)


def test_a_later_week_keeps_the_clients_and_adds_and_changes_jobs(data):
    """Catches a new dump that would be another company's: linked rows must be found again."""
    later = make_production_data(weeks=2)
    assert later.clients[:CLIENTS] == data.clients
    assert len(later.clients) > CLIENTS
    assert [job.id for job in later.jobs[:JOBS]] == [job.id for job in data.jobs]
    assert 0 < sum(before != after for before, after in zip(data.jobs, later.jobs, strict=False)) < JOBS / 4
    assert len(later.jobs) > JOBS


def test_keys_job_numbers_and_xero_ids_are_unique(data):
    later = make_production_data(weeks=1)
    for values in (
        [client.id for client in later.clients],
        [job.id for job in later.jobs],
        [job.job_number for job in later.jobs],
        [client.xero_contact_id for client in later.clients if client.xero_contact_id],
        [job.xero_project_id for job in later.jobs if job.xero_project_id],
    ):
        assert len(values) == len(set(values))
    assert len(data.xero_ids()) > 700


@pytest.mark.parametrize("mess", ["<", "&", '"', "'", "  ", "é", "ā", "株", "\t", "\n", "\u200b", "\u0301", "%s", "\\"])
def test_some_client_has_a_name_with(data, mess):
    assert any(mess in client.name for client in data.clients)


def test_clients_are_as_messy_as_real_ones(data):
    names = [client.name for client in data.clients]
    assert max(map(len, names)) == 255
    assert any(name != name.rstrip() for name in names if name.strip())
    assert any(name != name.lstrip() for name in names if name.strip())
    assert sum(not name.strip() for name in names) == 2
    assert sum(count > 1 for count in Counter(names).values()) == 5
    assert len({name.casefold() for name in names}) < len(set(names))
    emails = [client.email for client in data.clients]
    assert None in emails
    assert any(email and "@" not in email for email in emails)
    assert any(email and ";" in email for email in emails)
    assert any(client.phone and len(client.phone) > 50 for client in data.clients)
    assert any(client.xero_contact_id is None for client in data.clients)


def test_jobs_are_as_messy_as_real_ones(data):
    nameless = {client.id for client in data.clients if not client.name.strip()}
    assert sum(job.client_id is None for job in data.jobs) >= 5
    assert {client_id for client_id in nameless if any(job.client_id == client_id for job in data.jobs)} == nameless
    estimates = {job.estimate for job in data.jobs}
    assert {None, Decimal(0), Decimal("99999999.99"), Decimal("0.01")} <= estimates
    years = {job.delivery_date.year for job in data.jobs if job.delivery_date}
    assert {1999, 2099} <= years
    assert any(job.delivery_date is None for job in data.jobs)
    assert max(len(job.name) for job in data.jobs) > 100
    assert any("<" in job.name and "&" in job.name for job in data.jobs)


def test_the_organisation_holds_contacts_of_every_kind(data):
    """Catches a demo in which nothing is to be linked, or in which two active contacts could not be there at once."""
    existing = existing_records(data)
    by_name = {client.name for client in data.clients}
    by_key = {str(client.id): client for client in data.clients}
    active = [contact for contact in existing.contacts if not contact.is_archived]
    archived = [contact for contact in existing.contacts if contact.is_archived]
    assert len({" ".join(contact.name.split()).casefold() for contact in active}) == len(active)
    assert sum(contact.number in by_key for contact in active) == 4
    assert not {contact.name for contact in active} & by_name
    assert sum(contact.name in by_name for contact in archived) == 4
    assert sum(contact.number in by_key for contact in archived) == 4
    assert set(UNCLAIMED) <= {contact.name for contact in active}


def test_the_organisation_holds_projects_of_linked_and_of_strange_contacts(data):
    existing = existing_records(data)
    numbers = {str(job.job_number) for job in data.jobs}
    active = {contact.name for contact in existing.contacts if not contact.is_archived}
    assert {project.contact for project in existing.projects} <= active
    assert sum(any(number in project.name for number in numbers) for project in existing.projects) == 2
    assert sum(project.contact in UNCLAIMED for project in existing.projects) == 1
