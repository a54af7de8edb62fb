"""A host reached by SSH that has nothing but a Python: the whole job works from nothing, and is done once."""

from __future__ import annotations

import json
import os
import re
import signal

import pytest
from hosts_fleet import Fleet
from hosts_links import SEEDING, SLOW, ProcessListWatch, Running, converges, sandbox, secrets_of, wait_until_gone, wait_until_tidy, writes
from ssh_target import plain_python
from world.postgres_server import free_port


def test_a_dry_run_says_what_would_be_installed_and_writes_nothing(fleet, ssh_host):
    done = fleet.run("--check")
    assert done.code == 0, done.output
    assert sorted(path.name for path in ssh_host.home.iterdir()) in ([], [".ansible"])
    report = done.report("remote1", check=True)
    assert report["status"] == "ok"
    assert len(report["not_predicted"]) == 1
    assert "psycopg2-binary==" in report["not_predicted"][0]
    assert "Not known  The Python packages are not on remote1 yet" in done.output


@pytest.mark.full
def test_the_whole_job_works_from_nothing(fleet, ssh_host, world):
    with ProcessListWatch(secrets_of(world)) as watch:
        done = fleet.run()
    assert done.code == 0, done.output
    assert watch.looks > 20
    assert watch.seen == set(), "a command line shows a secret"
    assert world.disagreements() == []
    report = done.report("remote1")
    assert report["status"] == "ok"
    made = list((ssh_host.home / "environment").glob("venv-*"))
    assert len(made) == 1
    sent = list((ssh_host.home / "incoming").glob("*.dump"))
    assert [path.name for path in sent] == [world.dumps[-1].name]
    assert oct(sent[0].stat().st_mode)[-3:] == "600"
    assert report["dump"]["path"] == str(sent[0])
    assert "xero_seed remote1 contacts" in done.output, "no live progress"

    again = fleet.run()
    assert again.code == 0, again.output
    assert again.changed("remote1") == 0, again.output
    assert [path for path in ssh_host.home.iterdir() if path.name not in (".ansible", "environment", "incoming")] == []


@pytest.mark.full
def test_a_broken_environment_is_repaired(fleet, ssh_host):
    made = next((ssh_host.home / "environment").glob("venv-*"))
    package = next(made.glob("lib/python*/site-packages/psycopg2/_psycopg*.so"))
    package.unlink()
    done = fleet.run()
    assert done.code == 0, done.output
    assert package.exists()
    assert done.changed("remote1") == 1, done.output


def test_a_python_that_is_too_old_is_refused_before_a_module_of_ours_runs(fleet, ssh_host, tmp_path):
    """Catches a syntax error of a module in place of a sentence."""
    (tmp_path / "sitecustomize.py").write_text(
        "import sys, collections\n"
        "T = collections.namedtuple('T', 'major minor micro releaselevel serial')\n"
        "sys.version_info = T(3, 10, 4, 'final', 0)\n"
    )
    old = tmp_path / "python3.10"
    old.write_text(f'#!/bin/sh\nPYTHONPATH={tmp_path} exec {plain_python()} "$@"\n')
    old.chmod(0o755)
    done = fleet.run(extra={"ansible_python_interpreter": str(old)})
    assert done.code == 2, done.output
    assert "remote1 runs Ansible's modules with Python 3.10" in done.text, done.output
    assert "Install Python 3.11 or later" in done.text
    assert done.report("remote1")["status"] == "failed"


def test_a_python_that_ansible_cannot_use_is_named(fleet, tmp_path):
    old = tmp_path / "python3.8"
    old.write_text('#!/bin/sh\n[ "$1" = -V ] && { echo Python 3.8.10; exit; }\ncat >/dev/null\necho "SyntaxError: invalid syntax" >&2\nexit 1\n')
    old.chmod(0o755)
    done = fleet.run(extra={"ansible_python_interpreter": str(old)})
    assert done.code == 2, done.output
    assert f"{old}: Python 3.8.10" in done.text, done.output
    assert "Install Python 3.11 or later" in done.text
    assert "Traceback" not in done.output


@pytest.mark.full
def test_a_connection_cut_while_seeding_leaves_no_module_behind(fleet, world, ssh_host):
    tenant = sandbox(world, "state")["organisations"][0]["tenant_id"]
    sandbox(world, f"organisations/{tenant}/reset", {})
    run = Running(fleet, SLOW)
    run.wait_for(SEEDING)
    ssh_host.stop()
    wait_until_gone(ssh_host)
    wait_until_tidy(ssh_host)
    written = writes(world)
    output = run.end()
    assert run.process.returncode in (2, 4), output
    assert fleet.world.folder.joinpath("reports", "remote1.json").exists()
    report = json.loads(fleet.world.folder.joinpath("reports", "remote1.json").read_text())
    assert report["status"] == "unreachable", report["failure"]
    assert writes(world) == written, "a module went on writing to Xero"
    ssh_host.restart()
    converges(fleet, world, ssh_host)


@pytest.mark.full
def test_a_new_dump_of_the_controller_is_foreseen_and_sent_once(fleet, ssh_host, world, monkeypatch):
    """Catches a dry run that sends the dump, one that knows nothing of a dump that is not on the host, and an earlier dump that stays on the host."""
    fleet.hosts["remote1"]["ansible_port"] = ssh_host.host_vars()["ansible_port"]
    tenant = sandbox(world, "state")["organisations"][0]["tenant_id"]
    sandbox(world, f"organisations/{tenant}/reset", {})
    world.new_dump()
    before = sorted(path.name for path in ssh_host.home.rglob("*") if ".ansible" not in path.parts)
    # the controller needs no PostgreSQL
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    foreseen = fleet.run("--check", "-vvv")
    assert foreseen.code == 0, foreseen.output
    told = foreseen.report("remote1", check=True)
    assert "a run would bring it" in told["not_predicted"][0]
    assert sorted(path.name for path in ssh_host.home.rglob("*") if ".ansible" not in path.parts) == before
    assert told["database"]["action"] == "restore"
    assert told["migrations"]["pending_before"] is True
    # the rows travelled in an option that is shown nowhere
    assert "dump_excerpt: VALUE_SPECIFIED_IN_NO_LOG_PARAMETER" in foreseen.text

    done = fleet.run()
    assert done.code == 0, done.output
    assert world.disagreements() == []
    assert [path.name for path in (ssh_host.home / "incoming").glob("*.dump")] == [world.dumps[-1].name]
    real = done.report("remote1")
    assert told["dump"]["sha256"] == real["dump"]["sha256"]
    for name in ("contacts", "projects", "left_out"):
        assert told["xero"][name] == real["xero"][name]
    assert told["xero"]["api"]["writes"] == real["xero"]["api"]["writes"]


@pytest.mark.full
def test_a_second_controller_is_refused_and_told_by_whom(fleet, world, ssh_host):
    """Catches two seeds of one database, a refusal that names nobody, and a report of the working run that the refused one overwrites."""
    fleet.hosts["remote1"]["ansible_port"] = ssh_host.host_vars()["ansible_port"]
    tenant = sandbox(world, "state")["organisations"][0]["tenant_id"]
    sandbox(world, f"organisations/{tenant}/reset", {})
    run = Running(fleet, {"xero_seed_calls_per_minute": 200})
    run.wait_for(SEEDING)
    report = world.folder / "reports" / "remote1.json"
    before = report.read_bytes()
    second = fleet.run()
    assert second.code == 2, second.output
    owner = json.loads(world.file.read_text())["postgres"]["owner"]
    who = rf'"dev_refresh xero_seed \d{{8}}T\d{{6}}Z-\d+" \(role {owner}, from 127\.0\.0\.1, since \d\d:\d\d:\d\d UTC, PostgreSQL process \d+\)'
    assert re.search(f"is being worked on by {who}", second.text), second.output
    assert report.read_bytes() == before
    assert run.process.poll() is None, "the first run ended: " + run.end()
    os.kill(run.process.pid, signal.SIGINT)
    run.end()
    wait_until_gone(ssh_host)
    converges(fleet, world, ssh_host)


@pytest.mark.full
def test_a_host_that_cannot_be_reached_has_a_report_and_leaves_the_others_alone(fleet, world, ssh_host):
    """Catches a run that says nothing of a host which was never there, or that ends for all because of it."""
    ours = {**fleet.hosts["remote1"], "ansible_port": ssh_host.host_vars()["ansible_port"]}
    both = Fleet(world, {"gone1": {**ours, "ansible_port": free_port(), "database_restore_name": "jobs_dev_gone"}, "remote1": ours})
    done = both.run()
    assert done.code == 4, done.output
    report = done.report("gone1")
    assert (report["status"], report["host"]) == ("unreachable", "gone1")
    assert "-m ping gone1" in report["next_step"]
    assert "Connection refused" in json.dumps(report)
    assert done.report("remote1")["status"] == "ok"
    assert "2 hosts: 1 ok, 1 unreachable" in done.output
