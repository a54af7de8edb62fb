"""The output of a refresh by its steps: what is shown, what is left out, and how it looks elsewhere than at a wide UTF-8 terminal."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
PLAY = """
- name: Refresh
  hosts: dev
  gather_facts: false
  tasks:
    - block:
        - name: Note something
          ansible.builtin.set_fact: {noted: true}
          vars: {refresh_phase: guard}
        - name: Look
          ansible.builtin.raw: "true"
          changed_when: false
          vars: {refresh_phase: guard}
        - name: Never
          ansible.builtin.raw: "true"
          when: false
          vars: {refresh_phase: stage}
        - name: Change
          ansible.builtin.raw: "true"
          vars: {refresh_phase: swap}
        - name: Each
          ansible.builtin.fail: {msg: "Item {{ item }} ist zu groß. Mend it with `ansible-playbook play.yml -e a_long_variable_name=a_long_value`."}
          loop: [one]
          when: failing | default(false)
          vars: {refresh_phase: seed}
        - name: Hidden
          ansible.builtin.fail: {msg: nobody-may-see-this}
          no_log: true
          ignore_errors: true
          vars: {refresh_phase: seed}
        - name: Broken
          app_command: {argv: ["true"]}
          ignore_errors: true
          vars: {refresh_phase: seed, ansible_python_interpreter: "{{ inventory_dir }}/no_python"}
        - name: Seed
          ansible.builtin.fail:
            msg: |-
              Nothing was changed. 2 things keep this run from being safe:
              1. The database "a_database_with_a_long_name" exists and was not made by a refresh. Say that it may be replaced.
              2. Zweitens.
          vars: {refresh_phase: seed}
      rescue:
        - name: Never again
          ansible.builtin.raw: "true"
          when: false
          vars: {refresh_phase: swap}
        - name: End
          ansible.builtin.fail: {msg: The end.}
"""
HOSTS = """
dev:
  hosts: {dev1: {ansible_connection: local}}
  vars: {refresh_report_dir: "{{ inventory_dir }}/reports"}
"""


@pytest.fixture(autouse=True)
def _arranged(tmp_path):
    (tmp_path / "play.yml").write_text(PLAY)
    (tmp_path / "hosts.yml").write_text(HOSTS)
    broken = tmp_path / "no_python"
    broken.write_text("#!/bin/sh\necho 'libpython is gone' >&2\nexit 127\n")
    broken.chmod(0o755)


def lines(text: str) -> list[str]:
    return [line.rstrip() for line in text.splitlines()]


def test_steps_are_headings_and_bookkeeping_is_left_out(play):
    ran = play()
    shown = lines(ran.stdout)
    assert [line for line in shown if line.startswith("STEP")] == [
        "STEP 1 guard: check everything before the first write",
        "STEP 5 swap: put the database in its place",
        "STEP 6 seed: link contacts and projects in Xero, create what is missing",
    ], "no heading for a step of which nothing ran, nor for a rescue that had nothing to do"
    assert not any("Note something" in line for line in shown)
    assert shown.index("STEP 1 guard: check everything before the first write") < next(n for n, line in enumerate(shown) if line.startswith("TASK [Look]"))
    begin = shown.index("failed: [dev1]")
    assert shown[begin + 1 : begin + 4] == [
        "  Nothing was changed. 2 things keep this run from being safe:",
        '  1. The database "a_database_with_a_long_name" exists and was not made by a refresh. Say that it may be replaced.',
        "  2. Zweitens.",
    ]
    assert ran.stdout.count("Zweitens") == 1, "the message is there once"
    assert "nobody-may-see-this" not in ran.stdout + ran.stderr
    assert "libpython is gone" in ran.stdout, "what a module that did not start has said"
    for noise in ("[ERROR]", "Origin:", "FAILED!", "msg:"):
        assert noise not in "\n".join(shown[begin:])


@pytest.mark.full
def test_an_item_of_a_loop_says_why_it_failed(play):
    ran = play("-e", '{"failing": true}')
    assert "failed: (item=one) [dev1]" in lines(ran.stdout)
    assert "  Item one ist zu groß. Mend it with `ansible-playbook play.yml -e a_long_variable_name=a_long_value`." in lines(ran.stdout)


@pytest.mark.full
def test_details_are_there_for_those_who_ask(play):
    ran = play("-v")
    for said in ("Note something", "fatal: [dev1]: FAILED!", "STEP 1 guard"):
        assert said in ran.stdout


@pytest.mark.parametrize("output", ["minimal", pytest.param("default", marks=pytest.mark.full), pytest.param("oneline", marks=pytest.mark.full)])
def test_other_outputs_have_the_summary_too(play, output):
    ran = play(ANSIBLE_STDOUT_CALLBACK=output, ANSIBLE_DEPRECATION_WARNINGS="0")
    assert ran.returncode == 2
    assert "SUMMARY dev1" in ran.stdout
    assert "Traceback" not in ran.stdout + ran.stderr
    assert "STEP " not in ran.stdout


def test_an_output_for_programs_stays_readable_for_them(play, tmp_path):
    """The summary goes to the standard error beside an output whose name says that it is not for people."""
    plugins = tmp_path / "more"
    plugins.mkdir()
    (plugins / "my_json.py").write_text(
        "from ansible.plugins.callback import CallbackBase\n"
        "DOCUMENTATION = '''\nname: my_json\ntype: stdout\nshort_description: a test's\ndescription: a test's\n'''\n"
        "class CallbackModule(CallbackBase):\n"
        "    CALLBACK_VERSION = 2.0\n    CALLBACK_TYPE = 'stdout'\n    CALLBACK_NAME = 'my_json'\n"
        "    def v2_playbook_on_stats(self, stats):\n        self._display.display('{}')\n"
    )
    ran = play(ANSIBLE_STDOUT_CALLBACK="my_json", ANSIBLE_CALLBACK_PLUGINS=f"{ROOT}/plugins/callback:{plugins}")
    assert ran.stdout.strip() == "{}"
    assert "SUMMARY dev1" in ran.stderr


@pytest.mark.full
def test_a_plain_locale_does_no_harm(play):
    """As under cron and systemd; with LC_ALL=C Ansible itself refuses to start."""
    ran = play(PYTHONIOENCODING="", LANG="C", LC_ALL="", LC_CTYPE="")
    assert ran.returncode == 2
    assert "SUMMARY dev1" in ran.stdout
    assert "Traceback" not in ran.stdout + ran.stderr
    assert "Unicode" not in ran.stdout + ran.stderr


def test_a_narrow_terminal_gets_narrow_lines(tmp_path):
    """Words are kept whole, numbered lines hang beside their number, and a command stays in one piece."""
    command = f"stty cols 72; exec {Path(sys.executable).parent / 'ansible-playbook'} -i hosts.yml play.yml"
    environment = {"PATH": "/usr/bin:/bin", "TERM": "xterm", "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "ANSIBLE_NOCOLOR": "1", "HOME": str(tmp_path)}
    theirs, ours = pty.openpty()
    process = subprocess.Popen(["sh", "-c", command], cwd=tmp_path, env=environment, stdin=ours, stdout=ours, stderr=ours, start_new_session=True)
    os.close(ours)
    said = b""
    while True:
        try:
            data = os.read(theirs, 65536)
        except OSError:
            break
        if not data:
            break
        said += data
    os.close(theirs)
    assert process.wait(60) == 2
    shown = lines(said.decode())
    recap = next(n for n, line in enumerate(shown) if line.startswith("PLAY RECAP"))
    first = next(n for n, line in enumerate(shown) if line.startswith("TASK [Seed]"))
    ours_only = [line for line in [*shown[first:recap], *shown[recap + 3 :]] if not line.startswith(("TASK", "PLAY", "STEP"))]
    assert [line for line in ours_only if len(line) > 72 and "reports" not in line] == []
    begin = next(n for n, line in enumerate(shown) if line.startswith("  1. The database"))
    assert shown[begin + 1].startswith("     "), "it hangs"
