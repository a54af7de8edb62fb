"""The log on the host: it answers a question a week later, and holds nothing personal and no secret."""
from __future__ import annotations

import json
from typing import Any

import pytest
from ansible.module_utils.dev_refresh.seeding.names import distinct_names
from seeding_app import App, key

RUN = "20260102T000000Z-abcd"
PEOPLE = ("Acme", "Béta & Co", "Delta", "Gamma", "info1@example.com", "not.an@address", "021 555", "Main St")


def lines(app: App, run: str = RUN) -> list[dict[str, Any]]:
    """Return the log of a run."""
    return [json.loads(line) for line in (app.folder / "logs" / f"{run}.xero_seed.jsonl").read_text().splitlines()]


def why(app: App, entity: str, row: str) -> list[tuple[str, str | None]]:
    """Answer the question of a week later: what became of this row, and why."""
    return [(line["action"], line.get("reason")) for line in lines(app) if line["kind"] == "outcome" and (line["entity"], line["key"]) == (entity, row)]


@pytest.fixture
def troubled(small_world: App) -> App:
    """Return a world in which each row has a fate of its own."""
    app = small_world
    app.make_marker()
    app.client(5, "  ")
    app.job(7, 5, "Of nobody")
    app.job(8, None, "No client")
    app.sandbox.seed(contacts=[{"name": "acme"}])
    app.sql("UPDATE client_client SET xero_contact_id = gen_random_uuid() WHERE name LIKE 'Gamma%'")
    app.sql("UPDATE client_client SET email = 'not.an@address' WHERE id = %s", (key(2),))
    app.sandbox.set(project_name_max=14)
    app.sql("UPDATE job_job SET name = 'Long for Béta & Co, info1@example.com, 021 555 12' WHERE job_number = '3'")
    app.fail(run_id=RUN)
    app.sandbox.set(project_name_max=100)
    return app


def test_it_answers_why_a_row_is_not_in_xero(troubled):
    app = troubled
    assert why(app, "contacts", key(5)) == [("skipped", "it has no name")]
    assert why(app, "projects", key(10**6 + 7)) == [("skipped", f"its client {key(5)} is skipped: it has no name")]
    assert why(app, "projects", key(10**6 + 8)) == [("skipped", "it has no client")]
    assert why(app, "projects", key(10**6 + 3)) == [("failed", "The Project Name cannot be longer than 14 characters")]
    assert [action for action, _ in why(app, "contacts", key(3))] == ["cleared", "created"]
    ((action, by),) = why(app, "contacts", key(1))
    assert action == "linked"
    assert by
    outcomes = [line for line in lines(app) if line["kind"] == "outcome"]
    assert {line["key"] for line in outcomes} == {*app.contact_ids(), *app.project_ids()}, "every row that something became of, and each was one"
    stored = {**app.contact_ids(), **app.project_ids()}
    assert {line["key"]: line["xero_id"] for line in outcomes if "xero_id" in line} == {row: found for row, found in stored.items() if found}


def test_each_request_can_be_followed(troubled):
    requests = [line for line in lines(troubled) if line["kind"] == "request"]
    journal = troubled.sandbox.journal()
    assert sorted((line["method"], line["status"]) for line in requests) == sorted((entry["method"], entry["status"]) for entry in journal)
    for line in requests:
        assert {"time", "method", "path", "status", "ms"} <= set(line)
        assert "?" not in line["path"]
        assert ("key" in line) == (line["method"] in ("PUT", "POST") and "token" not in line["path"])


def test_there_is_nothing_personal_and_no_secret_in_it(troubled):
    app = troubled
    text = (app.folder / "logs" / f"{RUN}.xero_seed.jsonl").read_text()
    assert [word for word in PEOPLE if word.casefold() in text.casefold()] == []
    for secret in (app.sandbox.client_secret, app.cluster.owner_password, "Bearer", "eyJ"):
        assert secret not in text
    assert (app.folder / "logs" / f"{RUN}.xero_seed.jsonl").stat().st_mode & 0o777 == 0o600


def test_words_of_xero_that_quote_a_name_are_kept_without_it(small_world, monkeypatch):
    """All names that a client may have are taken while the run works."""
    app = small_world
    app.make_marker()
    from ansible.module_utils.dev_refresh.xero.connection import Xero

    read = Xero.list_contacts

    def read_and_let_others_write(self):
        found = read(self)
        if not any(contact["Name"] == "Acme" for contact in app.sandbox.contacts()):
            app.sandbox.seed(contacts=[{"name": name} for name in distinct_names("Acme", key(1))])
        return found

    monkeypatch.setattr(Xero, "list_contacts", read_and_let_others_write)
    error = app.fail(run_id=RUN)
    assert "Acme" in error.details["failures"][0]["reason"], "the user is told all of it"
    ((action, reason),) = why(app, "contacts", key(1))
    assert action == "failed"
    assert "already assigned" in str(reason)
    skipped = [line for line in lines(app) if line.get("action") == "skipped"]
    assert skipped
    assert all(f"its client {key(1)} failed" in line["reason"] for line in skipped)
    assert "acme" not in (app.folder / "logs" / f"{RUN}.xero_seed.jsonl").read_text().casefold()
