"""The report: results of tasks in, record and pages out."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest
from ansible.module_utils.dev_refresh.report import files, html, markdown, summary
from ansible.module_utils.dev_refresh.report.collect import HostRun
from ansible.module_utils.dev_refresh.report.figures import duration, size

START = datetime(2026, 11, 22, 8, 0, tzinfo=UTC)
SEED = {
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
    assert sorted(path.name for path in tmp_path.iterdir()) == ["dev1.check.html", "dev1.check.json", "dev1.check.md", "dev1.html", "dev1.json", "dev1.md"]
    assert json.loads((tmp_path / "dev1.json").read_text())["xero"]["contacts"]["created"] == 1


def test_summary_says_verdict_report_and_next_step():
    host = run(check=True)
    host.task("stage", status="changed", seconds=1.0, action="pg_refresh", result={"changed": True})
    text = "\n".join(summary.render(host.record(START), "reports/dev1.check.md"))
    assert "nothing was changed" in text
    assert "A run would change this." in text
    assert "without --check" in text
    assert "reports/dev1.check.md" in text


def test_chart_keeps_inside_its_drawing():
    drawn = html.chart([60, 60, 3], 60)
    assert drawn is not None
    assert all(0 <= bar["x"] <= 640 and 0 <= bar["y"] <= 140 for bar in drawn["bars"])
    assert html.chart([], 60) is None
    assert html.chart([5], 6000)["limit_y"] is None


def test_figures():
    assert [duration(s) for s in (0.42, 48.2, 583)] == ["0.4 s", "48 s", "9 min 43 s"]
    assert [size(b) for b in (12, 9_300_000, 1_716_000_000)] == ["12 B", "9.3 MB", "1.7 GB"]
