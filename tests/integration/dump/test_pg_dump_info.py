"""The module pg_dump_info, in this process and through Ansible."""
from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pg_dump_info
import pytest
from ansible.module_utils.testing import patch_module_args
from world.postgres_server import wheel_bin_dir

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def run(capfd, monkeypatch):
    """Return a function that runs the module and returns its result."""
    monkeypatch.setattr("ansible.module_utils.dev_refresh.reporting.watch_parents", lambda: None)

    def call(**options):
        with patch_module_args({"bin_dir": str(wheel_bin_dir()), **options}), pytest.raises(SystemExit):
            pg_dump_info.main()
        return json.loads(capfd.readouterr().out)

    return call


@pytest.mark.parametrize("check", [False, True])
def test_a_good_dump(run, dump_with, check, monkeypatch):
    warned = []
    # Ansible gives each warning once a process, and other tests share this one
    monkeypatch.setattr("ansible.module_utils.basic.AnsibleModule.warn", lambda _module, text, **_more: warned.append(text))
    result = run(path=dump_with("-Fc"), ledger={}, _ansible_check_mode=check)
    assert (result["changed"], result["findings"], result["complete"]) == (False, [], True)
    assert result["rows"]["public.client_client"] == 1000
    assert result["ledger"][0] == ["client", "0001_initial"]
    assert "There is no checksum for" in str(warned)


def test_a_bad_dump_fails_with_its_facts_or_only_tells(run, dump_with):
    failed = run(path=dump_with("-Ft"))
    assert failed["failed"] is True
    assert "is a tar archive" in failed["msg"]
    assert failed["findings"]
    assert "failed" not in run(path=dump_with("-Ft"), fail_on_findings=False)


def test_results_have_what_the_documentation_says(run, dump_with):
    import yaml

    documented = set(yaml.safe_load(pg_dump_info.RETURN))
    assert set(run(path=dump_with("-Fc"))) - {"changed", "invocation", "warnings"} == documented


def test_it_needs_neither_psycopg2_nor_a_server(dump_with, tmp_path):
    """It runs where only the dump is, for example on a backup host."""
    (tmp_path / "psycopg2").mkdir()
    (tmp_path / "psycopg2" / "__init__.py").write_text("raise ImportError('psycopg2 must not be needed')")
    shutil.copytree(tmp_path / "psycopg2", tmp_path / "xero_python")
    options = json.dumps({"path": dump_with("-Fc"), "bin_dir": str(wheel_bin_dir())})
    argv = [str(Path(sys.executable).parent / "ansible"), "localhost", "-m", "pg_dump_info", "-a", options]
    environment = {**os.environ, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "PYTHONPATH": str(tmp_path)}
    done = subprocess.run(argv, env=environment, cwd=ROOT, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "complete" in done.stdout
    assert "must not be needed" not in done.stdout
