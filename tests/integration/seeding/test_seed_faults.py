"""Replies that are lost, late, refused or wrong: nothing twice, nothing lost."""
from __future__ import annotations

import pytest
from ansible.module_utils.dev_refresh import seed as module
from seeding_app import App, counts, key


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch):
    """Let no test wait before a call is tried again."""
    monkeypatch.setattr(module.SeedRun, "run", _without_sleep(module.SeedRun.run))


def _without_sleep(run):
    def quick(self):
        self.sleep = lambda seconds: None
        return run(self)

    return quick


def once_each(app: App) -> None:
    """Every row has its own contact or project, and there is nothing else."""
    contacts = {contact["ContactNumber"]: contact["ContactID"] for contact in app.sandbox.contacts()}
    assert len(contacts) == len(app.sandbox.contacts())
    assert app.contact_ids() == contacts
    projects = [project["projectId"] for project in app.sandbox.projects()]
    assert sorted(map(str, app.project_ids().values())) == sorted(projects)


LOST = ["drop_before", "drop_after", "http_500", "http_502", "http_503", "truncated", "cut_short", "empty_body", "html_body", "null_id", "zero_id"]


@pytest.mark.parametrize("kind", LOST)
@pytest.mark.parametrize(("method", "path"), [("PUT", "/Contacts$"), ("POST", "/Projects$")])
def test_one_run_gets_over_a_lost_reply(small_world, kind, method, path):
    app = small_world
    app.sandbox.add_fault(kind, method=method, path=path)
    result = app.seed()
    assert counts(result, "contacts") == {"total": 4, "created": 4}
    assert counts(result, "projects") == {"total": 6, "created": 6}
    once_each(app)
    assert not app.seed()["changed"]


@pytest.mark.parametrize("kind", ["http_500", "http_503"])
def test_a_failure_after_the_change_was_made(small_world, kind):
    app = small_world
    app.sandbox.add_fault(kind, method="PUT", path="/Contacts$", applied=True)
    app.sandbox.add_fault(kind, method="POST", path="/Projects$", applied=True, times=3)
    assert app.seed()["complete"]
    once_each(app)


@pytest.mark.parametrize("kind", ["reversed", "element_missing", "expired_token", "unknown_enum"])
def test_a_batch_answered_oddly(small_world, kind):
    app = small_world
    app.sandbox.add_fault(kind, method="PUT", path="/Contacts$")
    assert app.seed()["complete"]
    once_each(app)


def test_jobs_that_are_alike_are_not_mixed_up_by_lost_replies(app):
    app.client(1, "Acme")
    for number in range(6):
        app.job(number, 1, "Same", job_number="7")
    app.sandbox.add_fault("drop_after", method="POST", path="/Projects$", times=4, every=2)
    assert counts(app.seed(), "projects") == {"total": 6, "created": 6}
    once_each(app)
    assert not app.seed()["changed"]


@pytest.mark.parametrize("kind", ["forbidden", "not_found"])
def test_what_makes_no_sense_to_go_on_with_ends_the_run_with_all_counts(small_world, kind):
    app = small_world
    app.sandbox.add_fault(kind, method="POST", path="/Projects$", times=None)
    error = app.fail()
    if kind == "forbidden":
        assert counts(error.details, "contacts") == {"total": 4, "created": 4}
        assert error.details["projects"]["remaining"] == 6
    assert error.details["changed"]
    app.sandbox.clear_faults()
    app.seed()
    once_each(app)


def test_xero_that_does_not_answer_any_more_ends_the_run(small_world):
    app = small_world
    app.make_marker()
    for number in range(20, 40):
        app.job(number, 1, "x")
    app.sandbox.add_fault("http_500", method="POST", path="/Projects$", times=None, skip=2)
    error = app.fail()
    assert "Xero does not answer any more" in str(error)
    assert error.details["projects"]["failed"] <= 10
    app.sandbox.clear_faults()
    assert app.seed()["complete"]
    once_each(app)


def test_a_refusal_is_not_repeated_once_its_cause_was_mended_in_xero(small_world):
    """Nothing of the row changes, so the request is the same to the letter, and Xero repeats its answer to a key for six minutes."""
    app = small_world
    app.make_marker()
    app.sandbox.set(project_name_max=8)
    app.fail()
    app.sandbox.set(project_name_max=100)
    app.sandbox.clear_journal()
    assert counts(app.seed(), "projects") == {"total": 6, "created": 6}
    once_each(app)
    assert not [request for request in app.sandbox.journal() if request.get("replayed")]


def test_a_contact_that_was_archived_for_a_moment(small_world):
    """Xero refuses a project of an archived contact; the user restores the contact and runs again at once."""
    app = small_world
    app.make_marker()
    app.seed(entities=["contacts"])
    acme = app.contact_ids()[key(1)]
    from ansible.module_utils.dev_refresh.xero.connection import Xero

    create = Xero.create_project

    def archive_and_create(self, new, *, key_attempt):
        if new.contact_id == acme:
            app.sandbox.archive_contact(acme)
        return create(self, new, key_attempt=key_attempt)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Xero, "create_project", archive_and_create)
        error = app.fail()
    assert error.details["projects"]["failed"] == 1
    app.sandbox.restore_contact(acme)
    assert counts(app.seed(), "projects") == {"total": 6, "already_linked": 5, "created": 1}
    once_each(app)


def test_without_a_marker_the_message_says_that_xero_repeats_its_answer(small_world):
    app = small_world
    app.sandbox.set(project_name_max=8)
    error = app.fail()
    app.sandbox.set(project_name_max=100)
    assert "six minutes later if it was corrected in Xero" in str(error)
    app.sandbox.advance_clock(361)
    assert app.seed()["complete"]
    once_each(app)


def test_a_list_that_is_not_whole_writes_nothing(small_world):
    app = small_world
    app.sandbox.seed(contacts=[{"name": "Somebody"}])
    app.sandbox.add_fault("rows_missing", method="GET", path="/Contacts$", times=None)
    app.sql("UPDATE client_client SET xero_contact_id = gen_random_uuid()")
    before = app.everything()
    app.fail()
    app.sandbox.clear_faults()
    assert app.everything() == before


def test_somebody_else_takes_name_and_number_in_between(small_world, monkeypatch):
    """The list was read before: Xero's refusal is the first sign."""
    app = small_world
    there: list[str] = []
    from ansible.module_utils.dev_refresh.xero.connection import Xero

    read = Xero.list_contacts

    def read_and_let_others_write(self):
        found = read(self)
        if not there:
            there.extend(app.sandbox.seed(contacts=[{"name": "Acme"}, {"name": "Other", "number": key(2)}, {"name": "Third", "number": key(3)}])["contacts"])
            app.sandbox.archive_contact(there[2])
            app.sandbox.seed(projects=[{"contact_id": there[1], "name": "Job 1: Job of 1"}])
        return found

    monkeypatch.setattr(Xero, "list_contacts", read_and_let_others_write)
    result = app.seed()
    assert counts(result, "contacts") == {"total": 4, "linked": 1, "created": 3}
    assert counts(result, "projects") == {"total": 6, "linked": 1, "created": 5}
    found = {contact["ContactNumber"]: contact["Name"] for contact in app.sandbox.contacts() if contact["ContactID"] in app.contact_ids().values()}
    assert found == {key(1): "Acme (00000001)", key(2): "Other", f"{key(3)}~1": "Gamma (NZ)", key(4): "Delta Ltd"}
    assert app.contact_ids()[key(2)] == there[1]
    assert not app.seed()["changed"]


def test_projects_whose_names_must_be_unique(app):
    app.client(1, "Acme")
    app.sandbox.set(project_name_unique=True)
    for number in (1, 2):
        app.job(number, 1, "Same", job_number="7")
    assert counts(app.seed(), "projects") == {"total": 2, "created": 2}
    app.sandbox.set(project_name_unique=False)
    assert sorted(project["name"] for project in app.sandbox.projects()) == ["Job 7: Same", "Job 7: Same (000f4242)"]
    before = app.project_ids()
    app.sql("UPDATE job_job SET xero_project_id = NULL")
    assert counts(app.seed(), "projects") == {"total": 2, "linked": 2}
    assert app.project_ids() == before


def test_a_row_that_changes_while_it_is_seeded_keeps_its_value(small_world):
    app = small_world
    other = "00000000-0000-0000-0000-00000000abcd"
    from ansible.module_utils.dev_refresh.xero.connection import Xero

    create = Xero.create_project

    def create_and_let_others_write(self, new, *, key_attempt):
        if new.name.startswith("Job 3:"):
            app.sql("UPDATE job_job SET xero_project_id = %s WHERE job_number = '3'", (other,))
        return create(self, new, key_attempt=key_attempt)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Xero, "create_project", create_and_let_others_write)
        result = app.fail().details
    assert counts(result, "projects") == {"total": 6, "created": 5, "failed": 1}
    assert "changed while it was being seeded" in result["failures"][0]["reason"]
    assert other in app.project_ids().values()
    again = app.seed()
    assert counts(again, "projects") == {"total": 6, "already_linked": 5, "linked": 1, "stale": 1}
    once_each(app)
