"""The module xero_organisation_info, in this process and by the real ansible command."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
import urllib.parse
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import xero_organisation_info
from ansible.module_utils.dev_refresh.xero.token_file import create_token_file
from ansible.module_utils.testing import patch_module_args
from xero_sandbox.testing import SandboxServer

ROOT = Path(__file__).resolve().parents[3]
Run = Callable[..., dict[str, Any]]


@pytest.fixture
def sandbox() -> Iterator[SandboxServer]:
    """Start a sandbox for each test: these change the organisation itself."""
    with SandboxServer() as server:
        yield server


@pytest.fixture
def arguments(sandbox: SandboxServer, tmp_path: Path) -> dict[str, Any]:
    """Return the options that reach the sandbox."""
    return {
        "client_id": sandbox.client_id,
        "client_secret": sandbox.client_secret,
        "api_url": sandbox.url,
        "identity_url": sandbox.identity_url,
        "log_dir": str(tmp_path / "log"),
    }


@pytest.fixture
def run(arguments: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> Run:
    """Return a function that runs the module in this process and returns its result."""

    def call(**options: Any) -> dict[str, Any]:
        with patch_module_args({**arguments, **options}), pytest.raises(SystemExit):
            xero_organisation_info.main()
        result: dict[str, Any] = json.loads(capsys.readouterr().out)
        return result

    return call


def ansible(arguments: dict[str, Any], *more: str) -> subprocess.CompletedProcess[str]:
    command = [str(Path(sys.executable).parent / "ansible"), "localhost", "-m", "xero_organisation_info", "-a", json.dumps(arguments), *more]
    environment = {**os.environ, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "ANSIBLE_PYTHON_INTERPRETER": sys.executable}
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120, check=False)


def test_a_demo_company_passes(sandbox: SandboxServer, run: Run) -> None:
    """With everything that the guard shows."""
    result = run()
    assert "failed" not in result
    assert result["changed"] is False
    assert result["organisation"]["tenant_id"] == sandbox.tenant_id
    assert result["organisation"]["is_demo_company"] is True
    assert set(result["organisation"]) == {"tenant_id", "name", "is_demo_company", "short_code", "country", "currency", "created"}
    assert [connection["tenant_id"] for connection in result["connected"]] == [sandbox.tenant_id]
    assert result["findings"] == []
    assert result["api"]["calls"] == 2
    assert len(result["api"]["recent"]) == 2
    assert result["limits"]["day_remaining"] > 0
    assert "projects" in result["scopes"]


def test_check_mode_is_the_same(run: Run) -> None:
    """It reads only."""
    result = run(_ansible_check_mode=True)
    assert result["findings"] == []
    assert result["changed"] is False


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({}, "is not a demo company. Connect the app to a demo company"),
        ({"allow_non_demo": True}, "allowed without being named. Set xero_seed_organisation"),
        ({"allow_non_demo": True, "organisation": "Another"}, 'not "Another"'),
        ({"organisation": "Real Workshop"}, "is not a demo company"),
    ],
)
def test_what_is_not_a_demo_company_is_refused(sandbox: SandboxServer, run: Run, options: dict[str, Any], words: str) -> None:
    """Unless it is named and allowed."""
    sandbox.change_organisation(is_demo_company=False, name="Real Workshop")
    result = run(**options)
    assert result["failed"] is True
    assert words in result["msg"]
    assert result["organisation"]["name"] == "Real Workshop"


def test_a_named_and_allowed_organisation_passes(sandbox: SandboxServer, run: Run) -> None:
    """A development organisation need not be a demo company."""
    sandbox.change_organisation(is_demo_company=False, name="Real Workshop")
    assert run(allow_non_demo=True, organisation="Real Workshop")["findings"] == []


def test_all_findings_come_at_once(sandbox: SandboxServer, run: Run) -> None:
    """Each with its remedy, and without failing if that is wanted."""
    sandbox.change_organisation(is_demo_company=False, name="Real Workshop")
    result = run(fail_on_findings=False, organisation="Another", forbidden_tenant_ids=[f" {sandbox.tenant_id.upper()} "])
    assert "failed" not in result
    assert len(result["findings"]) == 3
    assert "xero_seed_forbidden_tenant_ids" in result["findings"][0]


def test_nothing_connected(sandbox: SandboxServer, run: Run) -> None:
    """The message names the playbook."""
    sandbox.disconnect()
    result = run()
    assert result["failed"] is True
    assert "connected to no organisation" in result["msg"]
    assert "playbooks/connect_xero.yml" in result["msg"]


def test_several_connected_and_none_chosen(sandbox: SandboxServer, run: Run) -> None:
    """They are listed with their ids."""
    other = sandbox.add_organisation("Second", connect=[sandbox.client_id])
    try:
        result = run()
        assert "connected to 2 organisations" in result["msg"]
        assert other in result["msg"]
        assert {connection["tenant_id"] for connection in result["connected"]} >= {other}
        assert run(tenant_id=other.upper(), allow_non_demo=True, organisation="Second")["organisation"]["name"] == "Second"
    finally:
        sandbox.disconnect(other)


def test_a_tenant_that_is_not_connected(sandbox: SandboxServer, run: Run) -> None:
    """Says which are."""
    result = run(tenant_id="11111111-1111-1111-1111-111111111111")
    assert sandbox.tenant_id in result["msg"]


def test_a_wrong_secret(run: Run) -> None:
    """Names the variables, shows neither secret."""
    result = run(client_secret="wrong-secret-value")
    assert "xero_seed_client_secret" in result["msg"]
    assert "wrong-secret-value" not in json.dumps(result)


def test_missing_scopes_are_findings(sandbox: SandboxServer, run: Run) -> None:
    """Reading needs less than writing, and projects only count if they are to be seeded."""
    secret = "a-secret-of-its-own-2"
    sandbox.add_client("READONLY", secret, scopes=["accounting.settings.read", "accounting.contacts.read"], grants=["client_credentials"])
    sandbox.connect(sandbox.tenant_id, "READONLY")
    options = {"client_id": "READONLY", "client_secret": secret, "fail_on_findings": False}
    assert len(run(**options)["findings"]) == 2
    assert run(**options, entities=["contacts"], read_only=True)["findings"] == []


def test_the_log_has_requests_and_no_secrets(arguments: dict[str, Any], run: Run) -> None:
    """One JSON object a line; only the owner reads it."""
    run(run_id="20261122T081500Z-1f3a9c")
    (path,) = Path(arguments["log_dir"]).iterdir()
    assert path.name == "20261122T081500Z-1f3a9c.xero_organisation_info.jsonl"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert [(line["method"], line["path"], line["status"]) for line in lines] == [
        ("POST", "/connect/token", 200),
        ("GET", "/connections", 200),
        ("GET", "/api.xro/2.0/Organisation", 200),
    ]
    assert arguments["client_secret"] not in path.read_text()


def test_only_the_newest_logs_are_kept(arguments: dict[str, Any], run: Run) -> None:
    """By run, whichever modules wrote them."""
    folder = Path(arguments["log_dir"])
    folder.mkdir()
    for number in range(5):
        (folder / f"2026112{number}T081500Z-abcdef.xero_seed.jsonl").touch()
        (folder / f"2026112{number}T081500Z-abcdef.refresh_verify.jsonl").touch()
    (folder / "other.txt").touch()
    run(run_id="20261129T081500Z-abcdef", log_keep=3)
    days = ["20261123", "20261124", "20261129"]
    assert sorted({path.name.split(".")[0] for path in folder.iterdir()}) == [*(f"{day}T081500Z-abcdef" for day in days), "other"]


def test_a_log_that_cannot_be_written_is_a_finding(tmp_path: Path, run: Run) -> None:
    """Before anything is asked of Xero."""
    (tmp_path / "file").touch()
    result = run(log_dir=str(tmp_path / "file"))
    assert "xero_seed_log_dir" in result["msg"]
    assert result["api"]["calls"] == 0


def test_consent_and_refresh_tokens(sandbox: SandboxServer, run: Run, tmp_path: Path) -> None:
    """A token of a user's consent; each run stores the one that Xero rotated."""
    query = urllib.parse.urlencode(
        {
            "response_type": "code",
            "client_id": sandbox.client_id,
            "redirect_uri": "http://localhost:8976/callback",
            "scope": "offline_access accounting.contacts projects accounting.settings.read",
            "state": "xyz",
        }
    )
    _, headers, _ = sandbox.request("GET", f"/identity/connect/authorize?{query}")
    code = dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(headers["location"]).query))["code"]
    form = {"grant_type": "authorization_code", "code": code, "redirect_uri": "http://localhost:8976/callback"}
    form |= {"client_id": sandbox.client_id, "client_secret": sandbox.client_secret}
    status, _, body = sandbox.request(
        "POST", "/identity/connect/token", raw=urllib.parse.urlencode(form).encode(), headers={"Content-Type": "application/x-www-form-urlencoded"}
    )
    assert status == 200, body
    path = tmp_path / "token.json"
    create_token_file(str(path), json.loads(body)["refresh_token"])
    seen = {path.read_text()}
    sandbox.add_fault("drop_after", path="/connect/token$", skip=1)
    for _ in range(3):
        result = run(token_file=str(path), tenant_id=sandbox.tenant_id)
        assert result["findings"] == [], result["msg"]
        assert path.read_text() not in seen
        assert json.loads(path.read_text())["refresh_token"] not in json.dumps(result)
        seen.add(path.read_text())


def test_the_real_ansible_command(arguments: dict[str, Any]) -> None:
    """AnsiballZ takes all that is needed along."""
    done = ansible(arguments, "--check")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "is_demo_company: true" in done.stdout or '"is_demo_company": true' in done.stdout


@pytest.mark.parametrize("options", [{}, {"tenant_id": "11111111-1111-1111-1111-111111111111"}, {"client_secret": "wrong-secret-value-123"}])
def test_no_secret_at_any_verbosity(sandbox: SandboxServer, arguments: dict[str, Any], options: dict[str, Any], tmp_path: Path) -> None:
    """Success and failure, with the options in a playbook as they are in ours."""
    asked = {**arguments, **options}
    play = [
        {
            "hosts": "localhost",
            "gather_facts": False,
            "tasks": [{"name": "Look", "xero_organisation_info": {name: f"{{{{ given.{name} }}}}" for name in asked}}],
        }
    ]
    (tmp_path / "play.json").write_text(json.dumps(play))
    command = [str(Path(sys.executable).parent / "ansible-playbook"), "-i", "localhost,", "-c", "local", str(tmp_path / "play.json")]
    (tmp_path / "given.json").write_text(json.dumps({"given": asked}))
    # ours without its callback, which would write reports
    (tmp_path / "ansible.cfg").write_text(f"[defaults]\nlibrary = {ROOT}/library\nmodule_utils = {ROOT}/module_utils\n[connection]\npipelining = true\n")
    environment = {**os.environ, "ANSIBLE_CONFIG": str(tmp_path / "ansible.cfg"), "ANSIBLE_PYTHON_INTERPRETER": sys.executable}
    done = subprocess.run(
        [*command, "-e", f"@{tmp_path / 'given.json'}", "-vvvv", "--diff"], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120, check=False
    )
    assert "TASK [Look]" in done.stdout, done.stdout + done.stderr
    assert (done.returncode == 0) == (not options)
    for secret in (sandbox.client_secret, asked["client_secret"]):
        assert secret not in done.stdout + done.stderr
