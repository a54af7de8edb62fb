"""The report: results of tasks in, record and pages out."""

from __future__ import annotations

import json
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from ansible.module_utils.dev_refresh.refresh.status import outlook
from ansible.module_utils.dev_refresh.report import files, html, markdown, summary
from ansible.module_utils.dev_refresh.report.collect import GOES_ON, STOPPED, HostRun
from ansible.module_utils.dev_refresh.report.figures import duration, ranked, size
from ansible.module_utils.dev_refresh.report.wrapping import hang

START = datetime(2026, 11, 22, 8, 0, tzinfo=UTC)
SEED = {
    "estimate": {"calls": 3, "verification": 3, "minutes_least": 0.1, "minutes": 0.1},
    "changed": True,
    "complete": True,
    "forecast": None,
    "organisation": {"tenant_id": "t-1", "name": "Demo Company (NZ)", "is_demo_company": True},
    "contacts": {"total": 3, "already_linked": 0, "linked": 1, "created": 1, "stale": 0, "skipped": 0, "failed": 1, "remaining": 0},
    "projects": {"total": 1, "already_linked": 0, "linked": 0, "created": 1, "stale": 0, "skipped": 0, "failed": 0, "remaining": 0},
    "failures": [{"entity": "contacts", "key": "7", "name": "A|B <script>alert(1)</script>", "reason": "Xero refused"}],
    "skips": [],
    "left_out": {"email": 7},
    "unclaimed": {"contacts": 3, "projects": 0},
    "api": {"calls": 62, "writes": 60, "retries": 0, "rate_limited": 0, "seconds_waited": 58.1, "day_remaining": 900, "per_minute": [60, 2], "recent": []},
    "invocation": {"module_args": {"client_secret": "VALUE_SPECIFIED_IN_NO_LOG_PARAMETER"}},
}


def run(*, check: bool = False, **more) -> HostRun:
    return HostRun(host="dev1", started=START, command="ansible-playbook restore_dev.yml", check=check, **more)


def full_run() -> HostRun:
    host = run(demo=True)
    host.task("guard", status="ok", seconds=1.5)
    host.task(
        "stage",
        status="changed",
        seconds=4.0,
        action="pg_refresh",
        result={
            "changed": True,
            "action": "restore",
            "dump": {"path": "/d/p.dump", "sha256": "ab", "bytes": 1_234_567, "created": "2026-11-21T02:00:00Z"},
            "database": {"name": "app_dev", "action": "restore", "previous": None},
            "seconds": {"stage": 3.0, "sanitise": 1.0},
            "not_predicted": [],
        },
    )
    host.task("migrate", status="changed", seconds=2.0, action="app_command", result={})
    host.task(
        "swap",
        status="changed",
        seconds=0.5,
        action="pg_refresh",
        result={"database": {"name": "app_dev", "action": "restore", "previous": "app_dev_previous"}},
    )
    host.task("seed", status="changed", seconds=60.0, action="xero_seed", result=SEED)
    host.task("finish", status="ok", seconds=0.1, action="pg_refresh", result={"database": {"name": "app_dev", "action": "current", "previous": None}})
    host.phases["finish"].status = "skipped"
    host.task("verify", status="ok", seconds=1.0, action="refresh_verify", result={"ok": True, "findings": [], "notes": ["one name differs"]})
    host.task("finish", status="skipped", seconds=0.0)
    return host


def test_record_has_the_contract_s_keys_and_no_invocation():
    record = full_run().record(START + timedelta(seconds=70))
    assert {
        "schema",
        "host",
        "demo",
        "mode",
        "status",
        "started",
        "finished",
        "phases",
        "dump",
        "database",
        "migrations",
        "xero",
        "verify",
        "not_predicted",
        "next_step",
    } <= set(record)
    assert record["schema"] == 1
    assert record["status"] == "ok"
    assert [phase["name"] for phase in record["phases"]] == ["guard", "stage", "sanitise", "migrate", "swap", "seed", "verify", "finish"]
    status = {phase["name"]: phase["status"] for phase in record["phases"]}
    assert status == {
        "guard": "ok",
        "stage": "changed",
        "sanitise": "changed",
        "migrate": "changed",
        "swap": "changed",
        "seed": "changed",
        "verify": "ok",
        "finish": "skipped",
    }
    assert {phase["name"]: phase["seconds"] for phase in record["phases"]}["stage"] == 3.0
    assert record["database"] == {"name": "app_dev", "action": "restore", "previous": "app_dev_previous"}
    assert record["migrations"] == {"pending_before": True}
    assert record["next_step"] is None
    assert "invocation" not in json.dumps(record)


@pytest.mark.parametrize(
    ("tasks", "status", "step"),
    [
        ([("guard", "unreachable", {"msg": "no route"})], "unreachable", "ansible -m ping dev1"),
        ([("guard", "failed", {"msg": "wrong"})], "failed", "Mend what the message says"),
        ([("seed", "ok", {"complete": False, "resume_after": "2026-11-23T00:00:00Z", "changed": True})], "incomplete", "after 2026-11-23T00:00:00Z"),
        ([("seed", "failed", {"complete": False, "failed": True, "msg": "x"})], "failed", "again"),
    ],
)
def test_status_and_next_step(tasks, status, step):
    host = run()
    for phase, outcome, result in tasks:
        host.task(phase, status=outcome, seconds=1.0, action="xero_seed" if phase == "seed" else "ping", result=result)
    record = host.record(START)
    assert record["status"] == status
    assert step in record["next_step"]


def test_a_refused_run_is_told_from_a_failed_one():
    host = run()
    host.task("stage", status="failed", seconds=0.1, action="pg_refresh", result={"msg": "is being worked on", "locked": True})
    assert host.refused


def test_pages_escape_what_comes_from_the_data():
    record = full_run().record(START + timedelta(seconds=70))
    assert "<script>" not in html.render(record)
    text = markdown.render(record)
    assert "<script>" not in text
    assert "A\\|B" in text
    assert "DEMO" in text.splitlines()[0]
    assert "http" not in html.render(record).replace("https://", "http"), "the page loads nothing from elsewhere"


def test_files_are_written_whole_and_check_mode_has_its_own(tmp_path):
    files.write(full_run().record(START), tmp_path)
    files.write(run(check=True).record(START), tmp_path)
    kinds = ("html", "json", "md")
    names = sorted(path.name for path in tmp_path.iterdir() if path.is_file())
    assert names == [*(f"dev1.check.{kind}" for kind in kinds), *(f"dev1.{kind}" for kind in kinds)]
    assert json.loads((tmp_path / "dev1.json").read_text())["xero"]["contacts"]["created"] == 1


def test_the_history_keeps_the_last_runs_and_no_dry_ones(tmp_path):
    for number in range(files.KEPT + 3):
        files.write(run().record(START + timedelta(hours=number)), tmp_path)
    files.write(run(check=True).record(START + timedelta(days=9)), tmp_path)
    kept = sorted(path.name for path in (tmp_path / "history" / "dev1").glob("*.json"))
    assert len(kept) == files.KEPT
    assert kept[0] == "20261122T110000Z.json", "the oldest went"
    assert len(list((tmp_path / "history" / "dev1").iterdir())) == 3 * files.KEPT


def test_summary_begins_with_source_and_target_and_ends_with_one_total():
    lines = summary.render(full_run().record(START + timedelta(seconds=70)), "reports/dev1.md")
    assert lines[1] == "  Source  /d/p.dump: 1.2 MB, made 2026-11-21 02:00 UTC (30 hours old)"
    assert lines[2].startswith("  Target  app_dev on dev1")
    assert lines[3] == "  Xero    Demo Company (NZ) (demo company, tenant t-1)"
    total = next(line for line in lines if line.lstrip().startswith("total  "))
    assert total.endswith("70 s")
    assert any(line.startswith("  6  seed") and "contacts: 1 linked, 1 created, 1 failed; projects: 1 created" in line for line in lines)


def forecast_of(**more):
    host = run(check=True)
    host.task("guard", status="ok", seconds=1.0)
    host.task(
        "stage",
        status="changed",
        seconds=1.0,
        action="pg_refresh",
        result={
            "changed": True,
            "action": "restore",
            "dump": {"path": "/d/p.dump", "bytes": 1_234_567, "created": "2026-11-19T02:00:00", "source_database": "app_prod", "server_version": "15.4"},
            "database": {"name": "app_dev", "action": "restore", "previous": "app_dev_previous"},
            "row_counts": {"tables": 12, "rows": 9_876},
            "effects": {
                "renamed": [{"from": "app_dev", "to": "app_dev_previous"}],
                "dropped": [{"database": "app_dev_previous", "bytes": 9_400_000}],
                "sessions_ended": [{"pid": 1, "application": "gunicorn", "role": "app"}],
                "space": {"needed": 33_000_000, "free": None},
            },
            "not_predicted": ["whether every statement succeeds"],
            "invocation": {"module_args": {"login_host": "db.example", "login_port": 5432}},
        },
    )
    host.task("guard", status="ok", seconds=0.1, action="xero_organisation_info", result={"api": {"calls": 3}})
    host.task("migrate", status="ok", seconds=0.1, action="set_fact", result={"ansible_facts": {"app_migrate_missing": ["job.0002_x"]}})
    seed = SEED | {
        "forecast": "estimate",
        "forecast_reasons": ["1 migration is pending"],
        "api": {"calls": 4, "writes": 607, "day_remaining": 5000},
        "estimate": {"calls": 607, "verification": 4, "minutes_least": 10.1, "minutes": 10.1},
        "invocation": {"module_args": {"calls_per_minute": 60}},
    }
    host.task("seed", status="changed", seconds=1.0, action="xero_seed", result=seed | more)
    return host.record(START)


def test_a_check_ends_with_a_forecast_to_decide_by():
    record = forecast_of()
    text = "\n".join(summary.render(record, None))
    for said in (
        "Source  /d/p.dump: 1.2 MB, 9,876 rows in 12 tables, made 2026-11-19 02:00 (3 days old), of app_prod on PostgreSQL 15.4",
        "Restore     p.dump: 1.2 MB, 9,876 rows in 12 tables, 3 days old",
        "2  stage    to do",
        "Target  app_dev on db.example:5432",
        "app_dev becomes app_dev_previous; app_dev_previous (9.4 MB) is dropped",
        "1 session of gunicorn ends",
        "about 33.0 MB needed, free space not known from here",
        "Migrations  1: job.0002_x",
        "Contacts    of 3: 1 to link, 1 to create, 1 would be refused",
        "607 writing calls, about 10 minutes at 60 a minute; 9 reading calls",
        "Quota       5,000 of the day's calls are left, 4,384 after it",
        "Counts are  an estimate: 1 migration is pending",
        "Not known   whether every statement succeeds",
    ):
        assert said in text, text
    assert "of them writes" not in text, "the calls of a forecast have not been made"
    assert "What a run would do" in html.render(record)
    assert "What a run would do" in markdown.render(record)
    assert "too few" in "\n".join(summary.render(forecast_of(api={"calls": 4, "writes": 607, "day_remaining": 300}), None))


def test_a_check_of_what_is_current_has_nothing_to_swap():
    host = run(check=True)
    host.task("stage", status="ok", seconds=1.0, action="pg_refresh", result={"action": "current", "database": {"name": "app_dev", "action": "current"}})
    host.task("swap", status="ok", seconds=0.1)
    host.task("seed", status="changed", seconds=1.0, action="xero_seed", result=SEED | {"forecast": "exact", "forecast_reasons": []})
    text = "\n".join(summary.render(host.record(START), None))
    assert "nothing to swap" in text
    assert "contacts: 1 to link, 1 to create, 1 to be refused; projects: 1 to create" in text
    assert "Counts are  exact" in text


def test_a_failed_check_forecasts_nothing():
    host = run(check=True)
    host.task("guard", status="failed", seconds=1.0, result={"msg": "Nothing was changed. 2 things:\n1. x\n2. y"}, task="Refuse")
    lines = summary.render(host.record(START), None)
    assert not [line for line in lines if "What a run would do" in line]
    assert '  "Refuse": Nothing was changed. 2 things: (listed above and in the report)' in lines


def test_summary_says_verdict_report_and_next_step():
    host = run(check=True)
    host.task("stage", status="changed", seconds=1.0, action="pg_refresh", result={"changed": True})
    text = "\n".join(summary.render(host.record(START), "reports/dev1.check.md"))
    assert "nothing was changed" in text
    assert "A run would change this." in text
    assert "without --check" in text
    assert "reports/dev1.check.md" in text


def test_commands_in_a_sentence_look_like_commands():
    assert str(html.commands("Run `a <b>` & `c`.")) == "Run <code>a &lt;b&gt;</code> &amp; <code>c</code>."


def test_chart_keeps_inside_its_drawing():
    drawn = html.chart([60, 60, 3], 60)
    assert drawn is not None
    assert all(0 <= bar["x"] <= 640 and 0 <= bar["y"] <= 140 for bar in drawn["bars"])
    assert html.chart([], 60) is None
    assert html.chart([5], 6000)["limit_y"] is None


def test_figures():
    assert [duration(s) for s in (0.42, 48.2, 583)] == ["0.4 s", "48 s", "9 min 43 s"]
    assert [size(b) for b in (12, 9_300_000, 1_716_000_000)] == ["12 B", "9.3 MB", "1.7 GB"]


def test_a_swap_that_was_taken_back_is_told() -> None:
    host = full_run()
    host.task("swap", status="failed", seconds=1, action="app_command", task="Check the app", result={"msg": "One or more items failed", "results": [
        {"failed": False, "msg": "fine"}, {"failed": True, "msg": "the app says no"},
    ]})
    taken = {"changed": True, "action": "rollback", "msg": "The swap was taken back.", "dump": {"path": "/dumps/old.dump"}, "database": {"action": "rollback"}}
    host.task("swap", status="changed", seconds=1, action="pg_refresh", result=taken)
    record = host.record(START + timedelta(seconds=9))
    assert record["status"] == "failed"
    assert record["failure"] == {"task": "Check the app", "message": "the app says no\nThe swap was taken back."}
    assert record["database"]["taken_back"] is True
    assert record["database"]["action"] != "rollback"
    assert record["dump"]["path"] != "/dumps/old.dump"


@pytest.mark.parametrize("width", [60, 72, 80, 100, 200])
def test_no_line_is_wider_than_the_terminal(width: int) -> None:
    for record in (forecast_of(), full_run().record(START + timedelta(seconds=70))):
        record["dump"]["path"] = "/srv/dumps/jobs_prod_2026-11-22_112503.dump"
        wide = summary.render(record, "reports/dev1.md")
        lines = summary.render(record, "reports/dev1.md", width)
        counts = [line for line in lines if line.startswith(("  contacts ", "  projects ")) or "already linked" in line]
        assert [line for line in lines if len(line) > width and line not in counts] == []
        words = [" ".join(text).replace("--", "").split() for text in (wide, lines)]
        assert Counter(words[0]) == Counter(words[1]), "nothing is lost"


def test_a_command_is_not_broken() -> None:
    assert hang("  Next: ", "Mend it, then run `ansible-playbook -i hosts.yml restore_dev.yml` again.", 60) == [
        "  Next: Mend it, then run",
        "        `ansible-playbook -i hosts.yml restore_dev.yml`",
        "        again.",
    ]


def status_of(**more):
    host = run(playbook="status_dev", restore_command="ansible-playbook -i inventory/mine restore_dev.yml")
    marker = {
        "dump_path": "/d/p.dump", "dump_created": "2026-11-20T02:00:00", "restored_at": "2026-11-22T07:20:00Z", "tenant_id": "t-1",
        "tenant_name": "Demo Company (NZ)", "seeded_at": "2026-11-22T07:30:00Z", "finished_at": None,
    }
    status = {
        "exists": True, "fits": True, "marker": marker,
        "databases": {
            "live": {"name": "app_dev", "bytes": 9_400_000, "open": True},
            "previous": {"name": "app_dev_previous", "bytes": 9_300_000, "open": False},
        },
    }
    status |= more
    verdict, following = outlook(status)
    result = {**status, "verdict": verdict, "next": following, "invocation": {"module_args": {"name": "app_dev", "login_host": "db", "login_port": 5432}}}
    host.task("status", status="ok", seconds=1.0, action="pg_refresh_info", result=result)
    return host.record(START)


def test_a_status_is_answered_in_a_table_with_verdict_and_next_command() -> None:
    lines = summary.render(status_of(), None)
    assert lines == [
        "",
        "  Database  app_dev on db:5432, 9.4 MB, open",
        "  Dump      /d/p.dump, made 2026-11-20 02:00 (2 days old)",
        "  Restored  2026-11-22 07:20 UTC (40 min ago)",
        "  Seeded    2026-11-22 07:30 UTC (30 min ago) in Demo Company (NZ) (tenant t-1)",
        "  Previous  app_dev_previous, 9.3 MB; playbooks/rollback_dev.yml puts it back",
        "",
        "  Restored and seeded, but not verified yet.",
        "  Next: `ansible-playbook -i inventory/mine restore_dev.yml` verifies it and finishes.",
    ]
    fleet = "\n".join(summary.render_fleet([status_of(), status_of()]))
    assert "dev1  2026-11-20 02:00  Demo Company (NZ)  Restored and seeded, but not verified yet." in fleet
    assert max(len(line) for line in summary.render_fleet([status_of(), status_of()], 70)) <= 70


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"exists": False, "marker": None, "databases": {}}, "There is no such database yet."),
        ({"marker": None, "fits": False}, "Not made by a refresh."),
        ({"fits": False}, "Something else was restored over it."),
        ({"databases": {"live": {"name": "app_dev", "bytes": 1, "open": False}}}, "Closed to connections: a refresh is at work, or died."),
    ],
)
def test_a_status_that_is_not_as_it_should_be(more, said) -> None:
    lines = summary.render(status_of(**more), None)
    assert f"  {said}" in lines
    assert any(line.startswith("  Next: ") for line in lines)


def test_a_rollback_says_what_is_live_now() -> None:
    host = run(playbook="rollback_dev")
    result = {
        "changed": True, "action": "rollback", "msg": '"app_dev" is now the dump ab made 2026-11-20; what it was is "app_dev_previous".',
        "dump": {"path": "/d/old.dump"}, "database": {"name": "app_dev", "action": "rollback", "previous": "app_dev_previous"},
    }
    host.task("guard", status="ok", seconds=1.0)
    host.task("swap", status="changed", seconds=1.0, action="pg_refresh", result=result)
    text = "\n".join(summary.render(host.record(START), None))
    assert "app_dev and app_dev_previous changed places" in text
    assert 'Rolled back: "app_dev" is now the dump ab' in text


def test_a_connection_is_told_with_its_organisations() -> None:
    host = run(playbook="connect_xero")
    host.task("connect", status="changed", seconds=1.0, action="xero_connect", result={
        "changed": True, "msg": "The token is stored in /etc/t.json.", "token_file": "/etc/t.json", "scopes": ["projects"],
        "connected": [{"name": "Demo Company (NZ)", "tenant_id": "t-1", "is_demo_company": True}],
    })
    assert summary.render(host.record(START), None) == [
        "",
        "  Token         /etc/t.json",
        "  Organisation  Demo Company (NZ), a demo company, tenant t-1",
        "  Scopes        projects",
        "",
        "  The token is stored in /etc/t.json.",
    ]


def test_what_the_playbook_says_of_the_state_is_kept_beside_the_reason() -> None:
    host = run()
    host.task("migrate", status="failed", seconds=1, action="app_command", task="Migrate", result={"msg": "migrate failed"})
    host.task(None, status="failed", seconds=0, action="fail", result={"msg": 'Stopped at "Migrate"; … it goes on where this run stopped.  \n '})
    assert host.record(START)["failure"]["message"] == "migrate failed"
    host.task(None, status="failed", seconds=0, action="fail", result={"msg": 'Stopped at "x"; it goes on where this run stopped. It ran on\n live.'})
    assert host.record(START)["failure"]["message"] == "migrate failed\nIt ran on live."


def test_the_playbooks_end_as_the_report_expects() -> None:
    text = " ".join((Path(__file__).resolve().parents[3] / "roles/guard/tasks/failed.yml").read_text().split())
    assert f"msg: >- {STOPPED}" in text
    assert GOES_ON in text


def test_a_day_that_was_too_short_is_told_once() -> None:
    host = run()
    host.task("guard", status="ok", seconds=1)
    seeded = SEED | {"complete": False, "resume_after": "2026-11-23T00:00:00Z", "projects": SEED["projects"] | {"remaining": 311}}
    host.task("seed", status="changed", seconds=60, action="xero_seed", result=seeded)
    host.task("seed", status="failed", seconds=0, action="fail", task="Fail because the day's calls are used up", result={"msg": "The day's calls are used up"})
    record = host.record(START)
    lines = summary.render(record, None)
    assert any(line.startswith("  6  seed   incomplete  contacts: 1 linked") for line in lines), lines
    assert "  Not complete: Xero's day limit ended the run; 311 rows remain." in lines
    for text in ("\n".join(lines), markdown.render(record), html.render(record)):
        assert "calls are used up" not in text
        assert "after 2026-11-23T00:00:00Z" in text
    assert record["failure"]["message"] == "The day's calls are used up"


def test_an_interrupted_run_says_so_and_claims_nothing_of_its_last_step() -> None:
    host = run()
    host.task("guard", status="ok", seconds=1)
    host.task("migrate", status="ok", seconds=1)
    host.cut_off(None, seconds=0.0, task="")
    text = "\n".join(summary.render(host.record(START), None))
    assert "  4  migrate  interrupted" in text
    assert "nothing pending" not in text
    assert "  Interrupted." in text


def test_the_page_of_all_hosts_escapes_and_links(tmp_path) -> None:
    first, second = full_run().record(START), status_of() | {"state": {}, "host": "<b>"}
    page = files.write_fleet([(first, tmp_path / "dev1.md"), (second, None)], tmp_path)
    assert page.name == "all.md"
    text = (tmp_path / "all.html").read_text()
    assert '<a href="dev1.html">dev1</a>' in text
    assert "<b>" not in text.replace("<b>total", "")
    assert "2 ok" in text
    files.write_fleet([(forecast_of(), None), (forecast_of(), None)], tmp_path)
    assert "contacts to make" in (tmp_path / "all.check.html").read_text()


def test_the_source_is_the_dump_that_was_asked_for() -> None:
    """Also where another one stays in, since this one was rejected."""
    host = full_run()
    host.task("finish", status="ok", seconds=1, action="pg_refresh", result={"dump": {"path": "/d/older.dump", "sha256": "cd"}})
    assert (host.dump["path"], host.dump["sha256"]) == ("/d/p.dump", "ab")


def test_hosts_are_sorted_as_people_count() -> None:
    records = [{"status": status, "host": host} for status, host in (("ok", "dev10"), ("ok", "dev2"), ("failed", "dev3.b"), ("failed", "dev3"))]
    assert [record["host"] for record in ranked(records)] == ["dev3", "dev3.b", "dev2", "dev10"]
