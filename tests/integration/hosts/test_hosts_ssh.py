"""A host reached by SSH that has nothing but a Python: the whole job works from nothing, and is done once."""

from __future__ import annotations

import json

import pytest
from hosts_links import SEEDING, SLOW, ProcessListWatch, Running, converges, sandbox, secrets_of, wait_until_gone, wait_until_tidy, writes
from ssh_target import plain_python


def test_a_dry_run_says_what_would_be_installed_and_writes_nothing(fleet, ssh_host):
    done = fleet.run("--check")
    assert done.code == 0, done.output
    assert sorted(path.name for path in ssh_host.home.iterdir()) in ([], [".ansible"])
    report = done.report("remote1", check=True)
    assert report["status"] == "ok"
    assert len(report["not_predicted"]) == 1
    assert "psycopg2-binary==" in report["not_predicted"][0]


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
def test_a_new_dump_of_the_controller_is_foreseen_and_sent_once(fleet, ssh_host, world):
    """Catches a dry run that sends the dump, and an earlier dump that stays on the host."""
    fleet.hosts["remote1"]["ansible_port"] = ssh_host.host_vars()["ansible_port"]
    world.new_dump()
    foreseen = fleet.run("--check")
    assert foreseen.code == 0, foreseen.output
    assert "a run would bring it" in foreseen.report("remote1", check=True)["not_predicted"][0]
    assert not (ssh_host.home / "incoming" / world.dumps[-1].name).exists()

    done = fleet.run()
    assert done.code == 0, done.output
    assert world.disagreements() == []
    assert [path.name for path in (ssh_host.home / "incoming").glob("*.dump")] == [world.dumps[-1].name]
