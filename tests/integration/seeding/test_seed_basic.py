"""A first run, a second one that changes nothing, and a forecast that is the next run."""
from __future__ import annotations

from seeding_app import counts, key


def test_a_first_run_creates_everything(small_world):
    app = small_world
    result = app.seed()
    assert result["changed"]
    assert result["complete"]
    assert counts(result, "contacts") == {"total": 4, "created": 4}
    assert counts(result, "projects") == {"total": 6, "created": 6}
    assert result["api"]["writes"] == 7
    contacts = {contact["ContactNumber"]: contact for contact in app.sandbox.contacts()}
    assert {number: contact["ContactID"] for number, contact in contacts.items()} == app.contact_ids()
    assert sorted(contact["Name"] for contact in contacts.values()) == ["Acme", "Béta & Co", "Delta Ltd", "Gamma (NZ)"]
    projects = {project["name"]: project for project in app.sandbox.projects()}
    assert projects["Job 1: Job of 1"]["contactId"] == app.contact_ids()[key(2)]
    assert projects["Job 1: Job of 1"]["deadlineUtc"].startswith("2026-05-01T00:00:00")
    assert set(app.project_ids().values()) == {project["projectId"] for project in projects.values()}


def test_a_second_run_changes_nothing_and_only_reads(small_world):
    app = small_world
    app.make_marker()
    assert app.seed()["changed"]
    before = app.everything()
    app.sandbox.clear_journal()
    again = app.seed()
    assert not again["changed"]
    assert again["complete"]
    assert counts(again, "contacts") == {"total": 4, "already_linked": 4}
    assert counts(again, "projects") == {"total": 6, "already_linked": 6}
    assert {request["method"] for request in app.sandbox.journal() if "token" not in request["path"]} == {"GET"}
    assert again["api"]["writes"] == 0
    assert app.everything() == before


def test_a_forecast_writes_nothing_and_is_the_next_run(small_world):
    app = small_world
    app.make_marker()
    app.sandbox.seed(contacts=[{"name": "acme"}, {"name": "Somebody else"}])
    app.job(7, None, "No client")
    app.client(5, "  ")
    app.client(6, "Wrong address", email="not an address")
    app.sql("UPDATE client_client SET xero_contact_id = gen_random_uuid() WHERE name = 'Wrong address'")
    mapping = {"contacts": {"email_policy": "keep"}}
    before = app.everything()
    forecast = app.seed(check=True, mapping=mapping)
    assert app.everything() == before
    assert forecast["forecast"] == "exact"
    result = app.seed(mapping=mapping)
    assert result["forecast"] is None
    for name in ("changed", "complete", "contacts", "projects", "unclaimed", "left_out", "skips", "failures", "diff"):
        assert forecast[name] == result[name], name
    assert forecast["api"]["writes"] == result["api"]["writes"]
    assert counts(result, "contacts") == {"total": 6, "linked": 1, "created": 4, "stale": 1, "skipped": 1}
    assert result["left_out"] == {"email": 1}
    after = app.seed(check=True, mapping=mapping)
    assert not after["changed"]
    assert after["diff"] == []


def test_the_marker_says_where_and_when(small_world):
    app = small_world
    app.make_marker()
    result = app.seed(run_id="20260102T000000Z-abcd")
    state = app.sql("SELECT state FROM dev_refresh.marker")[0][0]
    assert state["tenant_id"] == result["organisation"]["tenant_id"]
    assert state["tenant_name"] == result["organisation"]["name"]
    assert state["seeded_at"]
    assert state["run_id"] == "20260102T000000Z-abcd"


def test_a_newer_run_stops_an_older_one(small_world):
    app = small_world
    app.make_marker(run_id="20260301T000000Z-abcd")
    error = app.fail(run_id="20260102T000000Z-abcd")
    assert "20260301T000000Z-abcd has taken over" in str(error)
    assert app.sandbox.contacts() == []


def test_the_lock_keeps_a_second_run_out(small_world):
    from ansible.module_utils.dev_refresh.postgres.connection import Login
    from ansible.module_utils.dev_refresh.postgres.lock import DatabaseLock

    app = small_world
    server = app.cluster.server
    login = Login(server.superuser, server.password, "127.0.0.1", server.port)
    with DatabaseLock(login, app.database, holder="another run"):
        assert "another run" in str(app.fail())
        assert app.seed(check=True)["changed"]


def test_a_row_that_xero_refuses_does_not_stop_the_others(small_world):
    app = small_world
    app.sql("UPDATE job_job SET name = repeat('x', 30) WHERE job_number = '1'")
    app.sandbox.set(project_name_max=20)
    error = app.fail()
    app.sandbox.set(project_name_max=100)
    result = error.details
    assert counts(result, "projects") == {"total": 6, "created": 5, "failed": 1}
    assert result["failures"] == [
        {"entity": "projects", "key": key(10**6 + 1), "name": f"Job 1: {'x' * 30}", "reason": "The Project Name cannot be longer than 20 characters"}
    ]
    assert result["changed"]
    assert "1 rows failed" in str(error)
    app.sql("UPDATE job_job SET name = 'short' WHERE job_number = '1'")
    again = app.seed()
    assert counts(again, "projects") == {"total": 6, "already_linked": 5, "created": 1}


def test_the_log_tells_each_row(small_world):
    app = small_world
    app.seed(run_id="20260102T000000Z-abcd")
    text = (app.folder / "logs" / "20260102T000000Z-abcd.xero_seed.jsonl").read_text()
    assert text.count('"action": "created"') == 10
    assert "Acme" not in text


def test_progress_counts_up(small_world):
    app = small_world
    path = app.folder / "progress"
    app.seed(progress_file=str(path))
    import json

    events = [json.loads(line) for line in path.read_text().splitlines()]
    assert [event["phase"] for event in events][:2] == ["read", "plan"]
    last = {event["phase"]: (event["done"], event["total"], event["failed"]) for event in events if event["phase"] in ("contacts", "projects")}
    assert last == {"contacts": (4, 4, 0), "projects": (6, 6, 0)}
