"""The day's quota: what fits is done, the rest is said and done later."""
from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from seeding_app import App, counts

READS = 3
"""Organisation, contacts and projects."""


@pytest.fixture
def short(app: App) -> Iterator[App]:
    """Return an app of 60 clients and 60 jobs, whose sandbox's day has 40 calls."""
    for number in range(1, 61):
        app.client(number, f"Client {number:02}")
        app.job(number, number, "x")
    app.sandbox.set(calls_per_day=40)
    yield app
    app.sandbox.set(calls_per_day=1_000_000)


def test_a_seed_of_three_days_ends_well(short):
    app = short
    app.make_marker()
    app.options["mapping"] = {"projects": {"order_by": "job_number"}}
    forecast = app.seed(check=True)
    assert any("need 65 calls and the day's quota has" in warning for warning in app.warnings), app.warnings
    app.sandbox.advance_clock(86401)
    days = [app.seed()]
    assert not days[0]["complete"]
    assert counts(days[0], "contacts") == {"total": 60, "created": 60}
    assert counts(days[0], "projects") == {"total": 60, "created": 35, "remaining": 25}
    assert days[0]["resume_after"]
    assert f"25 rows remain; run the same command again after {days[0]['resume_after']}" in days[0]["msg"]
    assert app.sql("SELECT state->>'seeded_at' FROM dev_refresh.marker") == [(None,)]
    done = {number for number, found in app.sql("SELECT job_number, xero_project_id FROM job_job") if found}
    everyone = sorted((str(number) for number in range(1, 61)), reverse=True)
    # five are on their way at once, so at the end of the day the last of them may overtake each other
    assert set(everyone[:31]) <= done <= set(everyone[:39])
    # the forecast was made with the calls that it cost still to come, as the run's own
    assert forecast["projects"]["created"] == 35 - READS
    app.sandbox.advance_clock(86401)
    days.append(app.seed())
    assert counts(days[1], "projects") == {"total": 60, "already_linked": 35, "created": 25}
    app.sandbox.advance_clock(86401)
    days.append(app.seed())
    assert [day["complete"] for day in days] == [False, True, True]
    assert not days[2]["changed"]
    assert len(app.sandbox.projects()) == 60
    assert not [request for request in app.sandbox.journal() if request["status"] == 429][1:]


def test_a_day_too_short_for_the_verification_alone_is_not_complete(short):
    app = short
    app.sandbox.set(calls_per_day=READS + 62 + 2)
    result = app.seed()
    assert counts(result, "projects") == {"total": 60, "created": 60}
    assert not result["complete"]
    assert result["resume_after"]
    assert "nothing remains but the verification" in result["msg"]


def test_a_reserve_is_left_for_others(short):
    app = short
    result = app.seed(daily_reserve=10)
    assert counts(result, "projects") == {"total": 60, "created": 25, "remaining": 35}
    assert result["api"]["day_remaining"] == 10


def test_a_day_that_ends_while_reading_writes_nothing_and_ends_well(short):
    app = short
    app.sandbox.spend(day=38)
    result = app.seed()
    assert (result["changed"], result["complete"]) == (False, False)
    assert counts(result, "contacts") == {"total": 60, "remaining": 60}
    assert counts(result, "projects") == {"total": 60, "remaining": 60}
    assert result["resume_after"] in result["msg"]
    assert app.sandbox.contacts() == []


def test_the_estimate_is_given_before_the_first_write(short):
    app = short
    app.sandbox.set(calls_per_day=1000)
    path = app.folder / "progress"
    app.seed(check=True, progress_file=str(path), calls_per_minute=60)
    plan = next(event for event in map(json.loads, path.read_text().splitlines()) if event["phase"] == "plan")
    assert (plan["calls"], plan["verification"]) == (62, 3)
    assert plan["minutes"] == pytest.approx(1.0, rel=0.05)
