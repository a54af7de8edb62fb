"""Live progress: lines while a module works, and silence where it is asked for."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
MODULE = """#!/usr/bin/python
import json, time
from ansible.module_utils.basic import AnsibleModule
module = AnsibleModule(argument_spec={"word": {"type": "str"}, "progress_file": {"type": "path"}}, supports_check_mode=True)
if module.params["progress_file"]:
    with open(module.params["progress_file"], "a", buffering=1) as file:
        for phase, total in (("read", 3), ("write", 40)):
            for done in range(total + 1):
                file.write(json.dumps({"phase": phase, "done": done, "total": total, "note": module.params["word"]}) + "\\n")
        # the last event comes in the last moment
        file.write(json.dumps({"phase": "end", "done": 1, "total": 2, "note": ""}) + "\\n")
module.exit_json(changed=False, watched=bool(module.params["progress_file"]))
"""
PLAY = """
- hosts: dev
  gather_facts: false
  tasks:
    - name: Work
      slow_work: {word: open-word}
    - name: Work in secret
      slow_work: {word: hidden-word}
      no_log: true
    - name: Work for somebody else's eyes
      slow_work: {word: elsewhere, progress_file: "{{ inventory_dir }}/own_{{ inventory_hostname }}"}
"""
HOSTS = """
dev:
  hosts: {one: {}, two: {}}
  vars: {ansible_connection: local, ansible_python_interpreter: "{{ ansible_playbook_python }}"}
"""


@pytest.fixture
def working(play, tmp_path):
    """Return what runs the play with a module that has something to tell."""
    action = (ROOT / "plugins/action/pg_refresh.py").read_text().replace("Path(__file__).resolve().parents[1]", f'Path("{ROOT}/plugins")')
    for folder, text in (("library", MODULE), ("action", action)):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "slow_work.py").write_text(text)
    (tmp_path / "play.yml").write_text(PLAY)
    (tmp_path / "hosts.yml").write_text(HOSTS)
    places = {"ANSIBLE_LIBRARY": str(tmp_path / "library"), "ANSIBLE_ACTION_PLUGINS": str(tmp_path / "action")}
    return lambda *words, **environment: play(*words, **places, **environment)


def test_lines_of_every_host_arrive_and_none_is_lost(working, tmp_path):
    ran = working()
    assert ran.returncode == 0, ran.stdout + ran.stderr
    for host in ("one", "two"):
        lines = re.findall(rf"^slow_work {host} (.+)$", ran.stdout, flags=re.MULTILINE)
        assert "write 40/40 · open-word" in lines
        assert lines[-1] == "end 1/2"
        assert (tmp_path / f"own_{host}").read_text().count("\n") == 46, "a file of the user's own is the user's"
    assert "hidden-word" not in ran.stdout + ran.stderr
    assert "elsewhere" not in ran.stdout + ran.stderr
    assert "progress_file" not in ran.stdout
    assert not list((tmp_path / "home").rglob("progress_*"))


def test_it_can_be_switched_off_and_works_in_check_mode(working):
    assert "slow_work one" not in working(DEV_REFRESH_PROGRESS="0").stdout
    assert "slow_work one write 40/40" in working("--check").stdout
