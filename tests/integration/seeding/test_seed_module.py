"""The module as Ansible runs it: shipped to the host, with real options, results and exit codes."""
from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from ansible.module_utils.dev_refresh.verification.run import OPTIONS as VERIFY_OPTIONS
from seeding_app import App, counts

ROOT = Path(__file__).resolve().parents[3]


def ansible(app: App, *flags: str, **options: object) -> tuple[int, str, dict]:
    """Run the module on localhost; return exit code, all output, and the result."""
    given = {name: value for name, value in app.params(**options).items() if value is not None}
    folder = app.folder / "callbacks"
    environment = {
        **os.environ, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"),
        "ANSIBLE_CALLBACK_RESULT_FORMAT": "json", "ANSIBLE_LOCAL_TEMP": str(folder), "ANSIBLE_HOME": str(folder),
    }  # fmt: skip
    python = f"ansible_python_interpreter={sys.executable}"
    command = [str(Path(sys.executable).with_name("ansible")), "localhost", "-i", "localhost,", "-c", "local", "-e", python]
    done = subprocess.run(
        [*command, "-m", "xero_seed", "-a", json.dumps(given), *flags], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120, check=False
    )
    text = done.stdout + done.stderr
    assert " => {" in text, text
    result, _end = json.JSONDecoder().raw_decode(text[text.index(" => {") + 4 :])
    return done.returncode, text, result


def test_ansible_runs_it(small_world):
    app = small_world
    code, text, forecast = ansible(app, "--check", "--diff")
    assert code == 0, text
    assert forecast["forecast"] == "exact"
    assert app.sandbox.contacts() == []
    code, text, result = ansible(app, "-vvv")
    assert code == 0, text
    assert counts(result, "projects") == {"total": 6, "created": 6}
    assert "diff" not in result
    assert [forecast[name] for name in ("contacts", "projects", "changed")] == [result[name] for name in ("contacts", "projects", "changed")]
    assert app.sandbox.client_secret not in text
    assert app.cluster.owner_password not in text


def test_a_failed_row_fails_the_module_with_all_counts(small_world):
    app = small_world
    app.sandbox.set(project_name_max=8)
    code, text, result = ansible(app)
    app.sandbox.set(project_name_max=100)
    assert code != 0
    assert result["changed"]
    assert counts(result, "contacts") == {"total": 4, "created": 4}
    assert counts(result, "projects") == {"total": 6, "failed": 6}
    assert "Traceback" not in text


def as_process(app: App, module: str, **options: object) -> dict:
    """Run a module as Ansible does on a host, in a process of its own, without the packing; return its result."""
    given = {"login_host": "127.0.0.1", **{name: value for name, value in app.params(**options).items() if value is not None}}
    if module == "refresh_verify":
        given = {name: value for name, value in given.items() if name in VERIFY_OPTIONS}
    arguments = {"ANSIBLE_MODULE_ARGS": {**given, "_ansible_check_mode": False, "_ansible_diff": False, "_ansible_no_log": False}}
    start = (
        f"import sys, runpy, ansible.module_utils as m; m.__path__.append({str(ROOT / 'module_utils')!r});"
        f" sys.argv = [{module!r}]; runpy.run_path({str(ROOT / 'library' / f'{module}.py')!r}, run_name='__main__')"
    )
    done = subprocess.run([sys.executable, "-c", start], input=json.dumps(arguments), capture_output=True, text=True, timeout=60, check=False)
    return json.loads(done.stdout.strip().splitlines()[-1])


def test_between_tasks_a_newer_run_takes_over_and_the_older_ones_next_module_names_it(small_world):
    """No lock is held between two modules of a run: the run id in the marker is the fence."""
    app = small_world
    older, newer = "20260101T000000Z-aaaa", "20260102T000000Z-bbbb"
    app.make_marker(run_id=older)
    assert as_process(app, "xero_seed", run_id=older, entities=["contacts"])["changed"]
    assert as_process(app, "xero_seed", run_id=newer)["projects"]["created"] == 6
    before = app.everything()
    for module in ("xero_seed", "refresh_verify"):
        refused = as_process(app, module, run_id=older)
        assert refused["failed"]
        assert newer in refused["msg"]
        assert "has taken over" in refused["msg"]
    assert app.everything() == before
    assert as_process(app, "refresh_verify", run_id=newer)["ok"]
