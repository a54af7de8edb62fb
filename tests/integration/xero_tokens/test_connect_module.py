"""What xero_connect does on the host: look, exchange, store, list."""
from __future__ import annotations

import json
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils.dev_refresh.errors import RefreshError
from ansible.module_utils.dev_refresh.xero.connect import connect

Get = Callable[[], dict[str, Any]]


def token_calls(sandbox: Any) -> list[int]:
    return [request["status"] for request in sandbox.journal() if request["path"].endswith("/connect/token")]


def fail(params: dict[str, Any]) -> RefreshError:
    with pytest.raises(RefreshError) as caught:
        connect(params, check_mode=False)
    return caught.value


def test_without_a_file_a_consent_is_needed(params: dict[str, Any], token_path: Path) -> None:
    for check_mode in (True, False):
        result = connect(params, check_mode=check_mode)
        assert (result["changed"], result["consent_needed"], result["connected"]) == (True, True, [])
        assert "no token file" in result["reason"]
    assert not token_path.parent.exists()


def test_the_token_is_stored_for_its_owner_alone(params: dict[str, Any], get_code: Get, token_path: Path, sandbox: Any) -> None:
    result = connect({**params, **get_code()}, check_mode=False)
    assert result["changed"]
    assert not result["consent_needed"]
    assert result["connected"] == [
        {"tenant_id": sandbox.tenant_id, "name": "Demo Company (Sandbox)", "connected": result["connected"][0]["connected"], "is_demo_company": True}
    ]
    assert f"xero_seed_tenant_id: {sandbox.tenant_id}" in result["inventory"]
    assert stat.S_IMODE(token_path.stat().st_mode) == 0o600
    assert stat.S_IMODE(token_path.parent.stat().st_mode) == 0o700
    assert json.loads(token_path.read_text())["refresh_token"] not in json.dumps(result)
    again = connect(params, check_mode=False)
    assert (again["changed"], again["consent_needed"], again["connected"]) == (False, False, result["connected"])


@pytest.mark.parametrize("why", ["used up", "no token", "no connection", "scope", "force"])
def test_what_makes_a_new_consent_due(params: dict[str, Any], get_code: Get, consent: Callable[[], Path], sandbox: Any, why: str) -> None:
    """Each is mended by one consent."""
    path = consent()
    if why == "used up":
        path.write_text('{"refresh_token": "of-another-app"}')
    elif why == "no token":
        path.write_text("")
    elif why == "no connection":
        sandbox.disconnect()
    elif why == "scope":
        params["scopes"] = [*params["scopes"], "accounting.transactions"]
    else:
        params["force"] = True
    result = connect(params, check_mode=False)
    assert (result["changed"], result["consent_needed"]) == (True, True)
    if why == "scope":
        assert "lacks the scopes accounting.transactions" in result["reason"]
    assert connect({**params, **get_code()}, check_mode=False)["changed"]
    params["force"] = False
    assert not connect(params, check_mode=False)["changed"]


def test_a_scope_includes_its_reading_half(params: dict[str, Any], consent: Callable[[], Path]) -> None:
    consent()
    params["scopes"] = ["offline_access", "accounting.contacts.read"]
    assert not connect(params, check_mode=False)["changed"]


@pytest.mark.parametrize("stored", [False, True])
@pytest.mark.parametrize("name", ["client_id", "client_secret"])
def test_a_wrong_app_is_found_before_the_user_is_asked(params: dict[str, Any], consent: Callable[[], Path], name: str, stored: bool) -> None:
    if stored:
        before = consent().read_text()
    params[name] = "0123456789ABCDEF"
    assert "xero_seed_client_secret" in str(fail(params))
    if stored:
        assert Path(params["token_file"]).read_text() == before


@pytest.mark.parametrize("what", ["code", "verifier", "expired", "used", "port"])
def test_a_code_that_does_not_do_leaves_everything_as_it_was(
    params: dict[str, Any], get_code: Get, consent: Callable[[], Path], sandbox: Any, what: str
) -> None:
    path = consent()
    before = path.read_text(), sorted(entry.name for entry in path.parent.iterdir())
    if what == "expired":
        sandbox.set(code_seconds=0)
    given = get_code()
    if what == "code":
        given["code"] = "nonsense"
    elif what == "verifier":
        given["code_verifier"] = "x" * 43
    elif what == "port":
        params["redirect_port"] = 18799
    elif what == "used":
        connect({**params, **given}, check_mode=False)
        before = path.read_text(), before[1]
    error = fail({**params, **given})
    assert "refused the code of the consent" in str(error)
    assert "playbooks/connect_xero.yml" in str(error)
    assert given["code"] not in str(error)
    assert (path.read_text(), sorted(entry.name for entry in path.parent.iterdir())) == before


def test_a_code_whose_reply_is_lost_is_not_half_a_connection(params: dict[str, Any], get_code: Get, sandbox: Any, token_path: Path) -> None:
    """A code works once, so the second try is refused; the next consent does."""
    sandbox.add_fault("drop_after", method="POST", path="/connect/token$", times=1)
    assert "refused the code of the consent" in str(fail({**params, **get_code()}))
    assert not token_path.exists()
    assert connect({**params, **get_code()}, check_mode=False)["changed"]


def test_no_organisation_chosen(params: dict[str, Any], get_code: Get, sandbox: Any, token_path: Path) -> None:
    given = get_code()
    sandbox.disconnect()
    error = fail({**params, **given})
    assert "no organisation was chosen" in str(error)
    assert error.details["changed"]
    assert token_path.exists()


def test_organisations_that_cannot_be_listed_leave_a_stored_token(params: dict[str, Any], get_code: Get, sandbox: Any) -> None:
    given = get_code()
    sandbox.add_fault("forbidden", path="/connections$", times=50)
    error = fail({**params, **given})
    assert "The token is stored" in str(error)
    assert error.details["changed"]
    sandbox.clear_faults()
    assert not connect(params, check_mode=False)["changed"]


def test_several_organisations_are_told_apart(params: dict[str, Any], get_code: Get, sandbox: Any) -> None:
    real = sandbox.add_organisation("Real Ltd", is_demo_company=False)
    try:
        result = connect({**params, **get_code()}, check_mode=False)
        assert {row["name"]: row["is_demo_company"] for row in result["connected"]} == {"Demo Company (Sandbox)": True, "Real Ltd": False}
        assert "xero_seed_allow_non_demo" not in result["inventory"]
    finally:
        sandbox.admin("DELETE", f"/organisations/{real}")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"scopes": ["projects"]}, "offline_access"),
        ({"redirect_port": 80}, "xero_connect_redirect_port"),
        ({"token_file": "/etc/hostname/token.json"}, "cannot be written"),
        ({"token_file": "/etc"}, "is a folder"),
        ({"identity_url": "http://127.0.0.1:9"}, "xero_seed_identity_url"),
    ],
)  # fmt: skip
def test_what_cannot_work_is_found_before_the_user_is_asked(
    params: dict[str, Any], monkeypatch: pytest.MonkeyPatch, changes: dict[str, Any], words: str
) -> None:
    monkeypatch.setattr("ansible.module_utils.dev_refresh.xero.clock.SystemClock.sleep", lambda self, seconds: None)
    assert words in str(fail({**params, **changes}))


def test_a_file_that_others_can_read_is_refused(params: dict[str, Any], consent: Callable[[], Path], sandbox: Any) -> None:
    path = consent()
    path.chmod(0o644)
    sandbox.clear_journal()
    assert f"chmod 600 {path}" in str(fail(params))
    assert token_calls(sandbox) == []
