"""The main job, as a user runs it: check, run, run again, new dump, roll back."""

from __future__ import annotations

COUNTS = ("contacts", "projects", "left_out", "unclaimed", "changed")
NO_MIGRATIONS = {"app_migrate_command": [], "app_migrate_pending_command": [], "app_migrate_expected_command": [], "app_migrate_post_commands": []}


def counts(report):
    return {name: report["xero"][name] for name in COUNTS}


def zeros(report):
    return all(report["xero"][entity][count] == 0 for entity in ("contacts", "projects") for count in ("linked", "created", "stale", "failed", "remaining"))


def test_check_run_run_again_and_check(stage):
    """One scenario, since each step begins where the last one ended."""
    before = stage.everything()
    check = stage.run("--check")
    assert check.code == 0, check.output
    assert stage.everything() == before, "check mode changed something"
    assert check.report["status"] == "ok"
    assert check.report["mode"] == "check"
    assert check.report["database"]["action"] == "restore"
    assert check.report["xero"]["forecast"] == "estimate"
    assert any("migrations are pending" in reason for reason in check.report["xero"]["forecast_reasons"])
    assert "Run the same command without --check" in check.output

    first = stage.run()
    assert first.code == 0, first.output
    assert first.changed > 0
    assert "DEMO" in first.output
    assert first.report["demo"] is True
    assert first.report["status"] == "ok"
    assert stage.world.disagreements() == []
    assert counts(first.report) == counts(check.report), "here the migrations do not touch what the forecast reads"
    assert first.report["xero"]["api"]["writes"] == check.report["xero"]["api"]["writes"]
    assert first.report["verify"]["ok"] is True
    assert first.report["verify"]["findings"] == []
    for entity in ("contacts", "projects"):
        c = first.report["xero"][entity]
        assert c["total"] == c["already_linked"] + c["linked"] + c["created"] + c["skipped"]
    assert {skip["reason"] for skip in first.report["xero"]["skips"]}, "every skipped row has its reason"
    assert {phase["name"]: phase["status"] for phase in first.report["phases"]} == {
        "guard": "ok",
        "stage": "changed",
        "sanitise": "changed",
        "migrate": "changed",
        "swap": "changed",
        "seed": "changed",
        "verify": "ok",
        "finish": "changed",
    }

    seen = len(stage.calls_since(0))
    after = stage.everything()
    again = stage.run()
    assert again.code == 0, again.output
    assert again.changed == 0
    assert "Nothing to do: everything is current." in again.output
    calls = [call for call in stage.calls_since(seen) if "connect/token" not in call["path"]]
    assert calls
    assert {call["method"] for call in calls} == {"GET"}
    assert {name: value for name, value in stage.contents().items() if ".dev_refresh." not in name} == {
        name: value for name, value in after[1].items() if ".dev_refresh." not in name
    }
    assert stage.organisation() == after[2]

    before = stage.everything()
    check = stage.run("--check")
    assert check.code == 0, check.output
    assert stage.everything() == before
    assert check.changed == 0
    assert check.report["xero"]["forecast"] == "exact"
    assert zeros(check.report)


def test_a_new_dump_is_forecast_exactly_and_then_done(stage):
    stage.world.new_dump()
    before = stage.everything()
    check = stage.run("--check", extra=NO_MIGRATIONS)
    assert check.code == 0, check.output
    assert stage.everything() == before
    assert check.report["xero"]["forecast"] == "exact", check.report["xero"]["forecast_reasons"]
    run = stage.run(extra=NO_MIGRATIONS)
    assert run.code == 0, run.output
    assert counts(run.report) == counts(check.report)
    assert run.report["xero"]["api"]["writes"] == check.report["xero"]["api"]["writes"]
    assert stage.world.disagreements() == []


def test_rollback_brings_the_previous_back_and_the_next_night_leaves_it(stage):
    live = {name: oid for name, oid, *_ in stage.databases()}
    name = stage.told["database"]
    back = stage.run(playbook="playbooks/rollback_dev.yml")
    assert back.code == 0, back.output
    assert back.report["database"]["action"] == "rollback"
    assert "Rolled back: " in back.output
    now = {name: oid for name, oid, *_ in stage.databases()}
    assert (now[name], now[f"{name}_previous"]) == (live[f"{name}_previous"], live[name])
    night = stage.run(extra=NO_MIGRATIONS)
    assert night.code == 0, night.output
    assert {name: oid for name, oid, *_ in stage.databases()} == now, "the rejected dump was brought back"
    again = stage.run(playbook="playbooks/rollback_dev.yml")
    assert again.code == 0, again.output
    assert {name: oid for name, oid, *_ in stage.databases()} == live


def test_the_other_playbooks_alone(stage):
    for playbook in ("seed_xero", "verify_dev", "status_dev"):
        ran = stage.run(playbook=f"playbooks/{playbook}.yml", extra=NO_MIGRATIONS)
        assert ran.code == 0, ran.output
        assert ran.changed == 0, ran.output
    assert "Restored, seeded and verified." in ran.output
