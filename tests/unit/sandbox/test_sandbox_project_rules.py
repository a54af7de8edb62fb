"""Xero's rules for projects and tasks."""
from __future__ import annotations

import pytest
from xero_sandbox import projects
from xero_sandbox.organisation import Organisation
from xero_sandbox.projects import utc_text
from xero_sandbox.seeding import add_contacts, add_projects
from xero_sandbox.settings import Settings


@pytest.fixture
def organisation() -> Organisation:
    made = Organisation("Demo")
    add_contacts(made, [{"name": "Client"}, {"name": "Gone", "status": "ARCHIVED"}], 0)
    return made


def contact(organisation, name="Client"):
    return next(c.contact_id for c in organisation.contacts.values() if c.name == name)


def create(organisation, **members):
    return projects.create(organisation, members, Settings())


def test_a_project_is_created_and_shown(organisation):
    reply = create(organisation, contactId=contact(organisation), name="Job 1", estimateAmount="99.99", deadlineUtc="2026-03-01T00:00:00+13:00")
    assert reply.status == 201
    assert reply.data["estimate"] == {"currency": "NZD", "value": 99.99}
    assert reply.data["deadlineUtc"] == "2026-02-28T11:00:00Z"
    assert reply.data["status"] == "INPROGRESS"
    assert "estimateAmount" not in reply.data


@pytest.mark.parametrize(("members", "member"), [
    ({"name": ""}, "model.Name"), ({"name": " "}, "model.Name"), ({"name": None}, "model.Name"), ({"name": "x" * 101}, "model.Name"),
    ({"contactId": ""}, "model.ContactId"), ({"contactId": "11111111-1111-4111-8111-111111111111"}, "model.ContactId"),
    ({"estimateAmount": 0}, "model.EstimateAmount"), ({"estimateAmount": -1}, "model.EstimateAmount"), ({"estimateAmount": "much"}, "model.EstimateAmount"),
    ({"estimateAmount": True}, "model.EstimateAmount"), ({"estimateAmount": "nan"}, "model.EstimateAmount"),
    ({"deadlineUtc": "soon"}, "model.DeadlineUtc"), ({"deadlineUtc": 5}, "model.DeadlineUtc"),
])
def test_a_bad_project_is_refused(organisation, members, member):
    reply = create(organisation, **{"contactId": contact(organisation), "name": "Job", **members})
    assert reply.status == 400
    assert list(reply.data["modelState"]) == [member]
    assert organisation.projects == {}


def test_a_project_needs_an_active_contact(organisation):
    reply = create(organisation, contactId=contact(organisation, "Gone"), name="Job")
    assert reply.data["modelState"] == {"model.ContactId": ["The Contact is not active"]}


def test_all_errors_come_at_once(organisation):
    assert create(organisation).data == {
        "message": "The request is invalid.",
        "modelState": {"model.Name": ["The Project Name cannot be empty"], "model.ContactId": ["The ContactId cannot be null or empty"]},
    }


def test_lists_by_state_contact_and_id(organisation):
    rows = [{"name": f"P{i}", "contact": "Client", "status": "CLOSED" if i % 2 else "INPROGRESS"} for i in range(5)]
    ids = add_projects(organisation, rows)

    def names(**query):
        reply = projects.list_projects(organisation, {name: [value] for name, value in query.items()}, Settings())
        return [row["name"] for row in reply.data["items"]]

    assert names() == ["P0", "P2", "P4"]
    assert names(states="INPROGRESS,CLOSED") == ["P0", "P1", "P2", "P3", "P4"]
    assert names(states="CLOSED") == ["P1", "P3"]
    assert names(states="CLOSED,INPROGRESS", page="2", pageSize="2") == ["P2", "P3"]
    assert names(contactID=contact(organisation, "Gone")) == []
    assert names(projectIds=f"{ids[0]},{ids[2]}") == ["P0", "P2"]


@pytest.mark.parametrize("query", [{"pageSize": "0"}, {"pageSize": "501"}, {"page": "0"}, {"page": "x"}, {"states": "OPEN"}])
def test_a_list_out_of_range_is_refused(organisation, query):
    assert projects.list_projects(organisation, {name: [value] for name, value in query.items()}, Settings()).status == 400


def test_update_and_close(organisation):
    (project_id,) = add_projects(organisation, [{"name": "P", "contact": "Client"}])
    assert projects.update(organisation, project_id, {"name": "Q", "estimateAmount": 5}, Settings()).status == 204
    assert projects.patch(organisation, project_id, {"status": "CLOSED"}).status == 204
    assert projects.patch(organisation, project_id, {"status": "GONE"}).status == 400
    shown = projects.get_one(organisation, project_id).data
    assert (shown["name"], shown["estimate"]["value"], shown["status"]) == ("Q", 5.0, "CLOSED")
    assert projects.get_one(organisation, "x").status == 404


def test_tasks(organisation):
    (project_id,) = add_projects(organisation, [{"name": "P", "contact": "Client"}])
    good = {"name": "Labour", "rate": {"currency": "NZD", "value": 32}, "chargeType": "TIME"}
    task = projects.create_task(organisation, project_id, good)
    assert (task.status, task.data["rate"]) == (201, {"currency": "NZD", "value": 32.0})
    for wrong in ({"name": "x" * 101}, {"chargeType": "FREE"}, {"rate": None}, {"rate": {"currency": "USD", "value": 1}}, {"estimateMinutes": "many"}):
        assert projects.create_task(organisation, project_id, {**good, **wrong}).status == 400
    assert projects.update_task(organisation, project_id, task.data["taskId"], {**good, "name": "More"}).status == 204
    assert [row["name"] for row in projects.list_tasks(organisation, project_id, {}).data["items"]] == ["More"]
    assert projects.delete_task(organisation, project_id, task.data["taskId"]).status == 204
    assert projects.get_task(organisation, project_id, task.data["taskId"]).status == 404


@pytest.mark.parametrize(("sent", "kept"), [
    ("2019-12-10T12:59:59Z", "2019-12-10T12:59:59Z"), ("2026-01-01", "2026-01-01T00:00:00Z"), ("2026-01-01T00:00:00.1234567Z", "2026-01-01T00:00:00.123456Z"),
    (None, None),
])
def test_moments_are_kept_in_utc(sent, kept):
    assert utc_text(sent) == kept
