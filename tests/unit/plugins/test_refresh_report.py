"""The report's callback: a record for each host, whatever became of it."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import time
from pathlib import Path

import pytest

PLAY = """
- hosts: dev
  gather_facts: false
  tasks:
    - block:
        - name: Look
          ansible.builtin.raw: "true"
          changed_when: false
          vars:
            refresh_phase: guard
        - name: Stop here
          ansible.builtin.fail:
            msg: The dump is cut off. Copy it again.
          when: inventory_hostname == "broken"
          vars:
            refresh_phase: stage
        - name: Swap
          ansible.builtin.raw: "true"
          vars:
            refresh_phase: swap
      rescue:
        - name: End
          ansible.builtin.fail:
            msg: its message is above
"""
HOSTS = """
dev:
  hosts:
    fine: {ansible_connection: local}
    broken: {ansible_connection: local}
    gone: {ansible_connection: ssh, ansible_ssh_executable: "{{ inventory_dir }}/no_ssh"}
  vars:
    refresh_report_dir: "{{ inventory_dir }}/reports"
"""


def reports(folder):
    return {path.stem: json.loads(path.read_text()) for path in (folder / "reports").glob("*.json")}


def all_hosts(folder):
    """Return the lines of the table of all hosts."""
    return [line for line in (folder / "reports" / "all.md").read_text().splitlines() if line.startswith("| ")]


def arrange(folder):
    (folder / "play.yml").write_text(PLAY)
    (folder / "hosts.yml").write_text(HOSTS)
    ssh = folder / "no_ssh"
    ssh.write_text("#!/bin/sh\necho 'ssh: connect to host gone port 22: No route to host' >&2\nexit 255\n")
    ssh.chmod(0o755)


def test_every_host_has_its_report(play, tmp_path):
    arrange(tmp_path)
    summary = tmp_path / "step_summary.md"
    ran = play(GITHUB_STEP_SUMMARY=str(summary))
    assert ran.returncode != 0
    assert "Traceback" not in ran.stdout + ran.stderr
    assert "Callback dispatch" not in ran.stdout + ran.stderr, "a callback's own failure is only a warning"
    found = reports(tmp_path)
    assert {host: record["status"] for host, record in found.items()} == {"fine": "ok", "broken": "failed", "gone": "unreachable"}
    phases = {host: {phase["name"]: phase["status"] for phase in record["phases"] if phase["status"] != "skipped"} for host, record in found.items()}
    assert phases == {"fine": {"guard": "ok", "swap": "changed"}, "broken": {"guard": "ok", "stage": "failed"}, "gone": {"guard": "failed"}}
    assert found["broken"]["failure"] == {"task": "Stop here", "message": "The dump is cut off. Copy it again."}, "the first failure, not the rescue's"
    assert found["gone"]["failure"]["message"].startswith("Failed to connect to the host via ssh: ssh: connect to host gone port 22: No route to host")
    assert "`ansible -i hosts.yml -m ping gone`" in found["gone"]["next_step"]
    assert "`ansible-playbook -i hosts.yml play.yml`" in found["broken"]["next_step"]
    for host in found:
        assert f"SUMMARY {host}" in ran.stdout
        assert (tmp_path / "reports" / f"{host}.html").exists()
        assert len(list((tmp_path / "reports" / "history" / host).glob("*.json"))) == 1
        assert f"of {host}:" in summary.read_text()
    assert [line.split("|")[1].strip() for line in all_hosts(tmp_path)] == ["host", "---", "gone", "broken", "fine"], "those that need somebody first"
    assert summary.read_text().startswith("# Refresh of 3 hosts: 1 ok, 1 failed, 1 unreachable\n")
    page = (tmp_path / "reports" / "all.html").read_text()
    assert '<a href="broken.html">' in page
    assert "http" not in page


def test_a_dry_run_of_one_host_writes_its_own_files(play, tmp_path):
    """The command to go on with is the one that was given, less what may be secret."""
    arrange(tmp_path)
    ran = play("--check", "--limit", "fine", "-e", "xero_seed_client_secret=not-to-be-shown")
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert set(reports(tmp_path)) == {"fine.check"}
    assert "not-to-be-shown" not in ran.stdout + (tmp_path / "reports" / "fine.check.json").read_text()
    broken = play("--check", "--limit", "broken", "-e", "xero_seed_client_secret=not-to-be-shown")
    assert "Next: Mend what the message says, then run `ansible-playbook -i hosts.yml play.yml --limit broken --check -e …` again" in broken.stdout


def test_a_folder_that_cannot_be_written_is_a_warning(play, tmp_path):
    arrange(tmp_path)
    (tmp_path / "reports").write_text("a file")
    ran = play("--limit", "fine")
    assert ran.returncode == 0
    assert "Correct refresh_report_dir" in " ".join((ran.stdout + ran.stderr).split())


def test_a_play_without_phases_is_left_alone(play, tmp_path):
    arrange(tmp_path)
    (tmp_path / "play.yml").write_text("- hosts: fine\n  gather_facts: false\n  tasks:\n    - ansible.builtin.debug:\n")
    ran = play()
    assert ran.returncode == 0
    assert "SUMMARY" not in ran.stdout
    assert not (tmp_path / "reports").exists()


CUT = """
- hosts: dev
  gather_facts: false
  tasks:
    - name: Look
      ansible.builtin.raw: "true"
      changed_when: false
      vars:
        refresh_phase: guard
    - name: Work
      ansible.builtin.raw: '{{ "true" if inventory_hostname == "first" else "sleep 1; touch " ~ inventory_dir ~ "/here; sleep 60" }}'
      changed_when: false
      vars:
        refresh_phase: seed
"""
TWO = """
dev:
  hosts:
    first: {ansible_connection: local}
    second: {ansible_connection: local}
  vars:
    refresh_report_dir: "{{ inventory_dir }}/reports"
"""


@pytest.mark.parametrize("how", ["a worker is killed", *(pytest.param(name, marks=pytest.mark.full) for name in ("SIGINT", "SIGTERM"))])
def test_a_run_that_is_cut_off_leaves_its_reports(start_play, tmp_path, how):
    """Ansible tells no callback of such an end."""
    (tmp_path / "play.yml").write_text(CUT)
    (tmp_path / "hosts.yml").write_text(TWO)
    running = start_play()
    deadline = time.monotonic() + 30
    while not (tmp_path / "here").exists():
        assert time.monotonic() < deadline and running.poll() is None, running.communicate()[0]
        time.sleep(0.05)
    children = Path(f"/proc/{running.pid}/task/{running.pid}/children").read_text().split()
    if how.startswith("SIG"):
        running.send_signal(signal.Signals[how])
    else:
        os.kill(int(children[0]), signal.SIGKILL)
    output, _ = running.communicate(timeout=20)
    for child in children:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(int(child), signal.SIGKILL)
    assert running.returncode != 0
    assert "Traceback" not in output
    found = reports(tmp_path)
    phases = {host: {phase["name"]: phase["status"] for phase in record["phases"] if phase["status"] != "skipped"} for host, record in found.items()}
    assert phases == {"first": {"guard": "ok", "seed": "ok"}, "second": {"guard": "ok", "seed": "failed"}}
    for host, where in (("first", "before this host was done"), ("second", "in the middle of this task")):
        assert found[host]["status"] == "failed"
        assert found[host]["failure"]["message"].startswith(f"The run ended {where}: it was interrupted, or one of Ansible")
        assert found[host]["next_step"] == "Run `ansible-playbook -i hosts.yml play.yml` again; it goes on where this run stopped."
        assert (f"SUMMARY {host}" in output) == (how != "SIGTERM")
