"""The sandbox over HTTP: who may call, limits, keys, admin."""
from __future__ import annotations

import gzip
import json
import subprocess
import sys
import time
import urllib.parse
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from xero_sandbox.testing import SandboxError, SandboxServer, busiest

DEMO = Path(__file__).resolve().parents[3] / "demo"


def test_only_loopback_is_listened_on():
    for host in ("0.0.0.0", "192.168.1.1", "example.com"):  # noqa: S104
        done = subprocess.run([sys.executable, "-m", "xero_sandbox", "--host", host], cwd=DEMO, capture_output=True, text=True, timeout=20, check=False)
        assert done.returncode == 2
        assert "must be a loopback address" in done.stderr


def test_a_caller_needs_a_token_a_tenant_and_the_scope(server, api, make_api):
    path = "/api.xro/2.0/Contacts"
    assert server.request("GET", path)[0] == 401
    assert server.request("GET", path, headers={"Authorization": "Bearer nonsense"})[0] == 401
    bearer = {"Authorization": api.headers["Authorization"]}
    assert server.request("GET", path, headers=bearer)[0] == 200, "a custom connection need not name its tenant"
    status, _, body = server.request("GET", path, headers={**bearer, "Xero-Tenant-Id": "11111111-1111-4111-8111-111111111111"})
    assert (status, json.loads(body)["Detail"]) == (403, "AuthenticationUnsuccessful")
    narrow = make_api(server, scope="accounting.contacts.read")
    assert narrow("GET", "/Contacts")[0] == 200
    status, headers, _ = narrow("PUT", "/Contacts", {"Contacts": [{"Name": "A"}]})
    assert status == 401
    assert "insufficient_scope" in headers["www-authenticate"]
    server.set(scope_refused_status=403)
    assert narrow("GET", "/Projects")[0] == 403
    server.set(scope_refused_status=401)


def test_tokens_expire(server, api):
    assert api("GET", "/Contacts")[0] == 200
    server.expire_tokens()
    status, _, data = api("GET", "/Contacts")
    assert status == 401
    assert data["Detail"].startswith("TokenExpired: token expired at ")
    api.headers["Authorization"] = "Bearer " + server.token()
    server.advance_clock(1801)
    assert api("GET", "/Contacts")[0] == 401


def test_the_authorise_page_sends_the_user_back_with_a_code(server):
    query = urllib.parse.urlencode({"response_type": "code", "client_id": server.client_id, "redirect_uri": "http://localhost:1/back?x=1",
                                    "scope": "offline_access accounting.contacts", "state": "abc"})
    status, headers, _ = server.request("GET", f"/identity/connect/authorize?{query}")
    assert status == 302
    assert headers["location"].startswith("http://localhost:1/back?x=1&code=")
    assert headers["location"].endswith("&state=abc")
    assert server.request("GET", "/identity/connect/authorize?client_id=nobody&redirect_uri=http://x")[0] == 400


def test_connections_of_several_organisations_and_of_none(server, api):
    other = server.add_organisation("Real Ltd", is_demo_company=False)
    rows = json.loads(server.request("GET", "/connections", headers=api.headers)[2])
    assert {row["tenantName"] for row in rows} == {"Demo Company (Sandbox)", "Real Ltd"}
    assert server.request("GET", "/api.xro/2.0/Contacts", headers={"Authorization": api.headers["Authorization"]})[0] == 403
    organisation = api("GET", "/Organisation", xero_tenant_id=other)[2]["Organisations"][0]
    assert (organisation["IsDemoCompany"], organisation["Class"]) == (False, "STANDARD")
    with pytest.raises(SandboxError, match="not a demo company"):
        server.reset_demo_company(tenant_id=other)
    first = rows[0]["tenantId"]
    assert server.request("DELETE", f"/connections/{rows[1]['id']}", headers=api.headers)[0] == 204
    server.disconnect()
    assert json.loads(server.request("GET", "/Connections", headers=api.headers)[2]) == []
    server.connect(first)
    server.admin("DELETE", f"/organisations/{other}")


def test_a_reset_demo_company_is_another_tenant_and_empty(server, api):
    api.create_contact("A")
    old = server.tenant_id
    new = server.reset_demo_company()
    assert new != old
    assert api("GET", "/Contacts")[0] == 403
    assert api("GET", "/Contacts", xero_tenant_id=new)[2]["Contacts"] == []
    newest = server.reset_demo_company(reconnect=False)
    assert json.loads(server.request("GET", "/connections", headers=api.headers)[2]) == []
    server.connect(newest)


def test_an_organisation_without_projects(server, api):
    server.change_organisation(projects_enabled=False)
    assert api("GET", "/Projects")[0] == 401
    assert api("GET", "/Contacts")[0] == 200


def test_the_minute_is_limited(server, api):
    # so long a minute never turns during the test
    server.set(calls_per_minute=3, minute_seconds=100_000.0, minute_phase=None)
    try:
        assert [api("GET", "/Organisation")[0] for _ in range(4)] == [200, 200, 200, 429]
        status, headers, data = api("GET", "/Projects")
        assert (status, data, headers["x-rate-limit-problem"], headers["x-minlimit-remaining"]) == (429, None, "minute", "0")
        assert int(headers["retry-after"]) > 0
        assert [row["limit_problem"] for row in server.journal()] == [None, None, None, None, "minute", "minute"]
    finally:
        server.set(calls_per_minute=6000, minute_seconds=60.0)


def test_five_calls_at_once(server, api):
    server.set(latency=0.4)
    try:
        with ThreadPoolExecutor(6) as pool:
            replies = list(pool.map(lambda _: api("GET", "/Organisation"), range(6)))
        assert sorted(status for status, _, _ in replies) == [200] * 5 + [429]
        refused = next(headers for status, headers, _ in replies if status == 429)
        assert refused["x-rate-limit-problem"] == "concurrent"
        assert "retry-after" not in refused
        assert max(row["in_flight"] for row in server.journal()) == 6
    finally:
        server.set(latency=0.0)


def test_an_idempotency_key_gives_the_first_reply_again(server, api):
    body = {"Contacts": [{"Name": "A"}]}
    first = api("PUT", "/Contacts", body, Idempotency_Key="k1")
    again = api("PUT", "/Contacts", body, Idempotency_Key="k1")
    assert again[2] == first[2]
    assert int(again[1]["x-daylimit-remaining"]) == int(first[1]["x-daylimit-remaining"]) - 1, "a replay counts"
    status, _, data = api("PUT", "/Contacts", {"Contacts": [{"Name": "B"}]}, Idempotency_Key="k1")
    assert (status, data["Message"]) == (400, "Idempotency Key k1 is used with a different request.")
    assert api("PUT", "/Contacts", body, Idempotency_Key="k" * 129)[0] == 400
    server.advance_clock(361)
    assert api("PUT", "/Contacts", body, Idempotency_Key="k1")[0] == 400, "forgotten after six minutes: now the name is taken"
    assert [row["replayed"] for row in server.journal() if row["method"] == "PUT"] == [False, True, False, False, False]


def test_a_reply_of_5xx_is_given_again(server, api):
    server.add_fault("http_500", method="PUT")
    body = {"Contacts": [{"Name": "A"}]}
    headers = {**api.headers, "Idempotency-Key": "k5"}
    assert [server.request("PUT", "/api.xro/2.0/Contacts", body, headers=headers)[0] for _ in range(2)] == [500, 500]
    assert api("PUT", "/Contacts", body, Idempotency_Key="k6")[0] == 200
    assert len(server.contacts()) == 1


def test_paths_that_are_not_there(server, api):
    status, headers, _ = server.request("GET", "/api.xro/2.0/Nonsense", headers=api.headers)
    assert (status, headers["content-type"]) == (404, "text/html; charset=utf-8")
    assert api("PUT", "/Contacts", None)[0] == 400
    assert server.request("PUT", "/api.xro/2.0/Contacts", headers=api.headers, raw=b"{")[0] == 400
    assert server.request("PUT", "/api.xro/2.0/Contacts", headers=api.headers, raw=b" " * 3_600_000)[0] == 413


def test_the_admin_endpoints_are_for_loopback_names(server):
    assert server.request("GET", "/sandbox/", headers={"Host": "evil.example"})[0] == 403
    assert server.request("GET", "/sandbox/", headers={"Origin": "https://evil.example"})[0] == 403
    with pytest.raises(SandboxError, match="no setting 'nonsense'"):
        server.set(nonsense=1)
    assert server.request("POST", "/sandbox/faults", [1])[0] == 400


def test_contacts_are_archived_merged_and_restored(server, api):
    one, two = server.seed([{"name": "One", "number": "1"}, {"name": "Two"}])["contacts"]
    server.merge_contacts(one, two)
    rows = api("GET", "/Contacts?page=1&includeArchived=true&order=ContactID")[2]["Contacts"]
    assert next(row for row in rows if row["ContactID"] == one)["MergedToContactID"] == two
    assert api("GET", "/Contacts/1")[2]["Contacts"][0]["ContactID"] == one
    server.restore_contact(one)
    server.archive_contact(two)
    assert [row["Name"] for row in api("GET", "/Contacts?page=1")[2]["Contacts"]] == ["One"]
    server.change_contact(one, Name="First", ContactNumber=None)
    assert api("GET", '/Contacts?where=Name%3D%3D"first"')[2]["Contacts"][0]["ContactID"] == one
    assert api("GET", "/Contacts/1")[0] == 404


def test_two_apps_have_their_own_connections_and_limits(server, api):
    server.add_client("second", "another-secret", connect=False)
    form = urllib.parse.urlencode({"grant_type": "client_credentials", "client_id": "second", "client_secret": "another-secret"}).encode()
    body = server.request("POST", "/connect/token", raw=form, headers={"Content-Type": "application/x-www-form-urlencoded"})[2]
    second = {"Authorization": "Bearer " + json.loads(body)["access_token"], "xero-tenant-id": server.tenant_id}
    assert server.request("GET", "/api.xro/2.0/Contacts", headers=second)[0] == 403
    server.connect(server.tenant_id, "second")
    for _ in range(3):
        api("GET", "/Contacts")
    left = server.request("GET", "/api.xro/2.0/Contacts", headers=second)[1]["x-minlimit-remaining"]
    assert left == "5999"


def test_a_restart_keeps_everything(tmp_path, make_api):
    with SandboxServer(state_file=tmp_path / "state.json", calls_per_day=100) as server:
        api = make_api(server)
        contact = api.create_contact("Société", ContactNumber="7")
        project = api("POST", "/Projects", {"contactId": contact, "name": "P"}, Idempotency_Key="k")[2]
        api("POST", f"/Projects/{project['projectId']}/Tasks", {"name": "T", "rate": {"currency": "NZD", "value": 1}, "chargeType": "TIME"})
        before = (server.get_state(), server.tenant_id, server.url)
        server.restart()
        assert (server.get_state(), server.tenant_id, server.url) == before
        status, headers, data = api("POST", "/Projects", {"contactId": contact, "name": "P"}, Idempotency_Key="k")
        assert (status, data) == (201, project)
        assert headers["x-daylimit-remaining"] == "96"
        assert api("PUT", "/Contacts", {"Contacts": [{"Name": "SOCIETE"}]})[0] == 400
        assert (tmp_path / "state.json").stat().st_mode & 0o777 == 0o600
        server.set(save_each_write=True)
        api.create_contact("Kept")
        server.kill()
        server.start()
        assert {row["Name"] for row in server.contacts()} == {"Société", "Kept"}
    assert [path.name for path in tmp_path.iterdir()] == ["state.json"]


def test_a_config_file_describes_organisations_and_apps(tmp_path):
    config = {"settings": {"calls_per_minute": 7}, "organisations": [{"name": "One"}, {"name": "Two", "is_demo_company": False, "country": "AU"}],
              "clients": [{"client_id": "app", "client_secret": "a-long-secret", "connect": False}]}
    path = tmp_path / "config.json"
    path.write_text(json.dumps(config))
    with SandboxServer(config_file=path, client_id="app", client_secret="a-long-secret") as server:
        about = server.admin("GET", "/")
        assert [row["name"] for row in about["organisations"]] == ["One", "Two"]
        assert about["connections"] == []
        assert about["settings"]["calls_per_minute"] == 7


def test_the_sandbox_ends_with_its_parent():
    script = ("import sys, time; sys.path.insert(0, sys.argv[1]); from xero_sandbox.testing import SandboxServer; "
              "s = SandboxServer().start(); print(s.pid, flush=True); import os; os._exit(0)")
    done = subprocess.run([sys.executable, "-c", script, str(DEMO)], capture_output=True, text=True, timeout=30, check=True)
    stat = Path(f"/proc/{done.stdout.strip()}/stat")
    end = time.monotonic() + 5
    while stat.exists() and ") Z" not in stat.read_text() and time.monotonic() < end:
        time.sleep(0.05)
    assert not stat.exists() or ") Z" in stat.read_text()


def test_the_ready_file_tells_how_to_reach_it(tmp_path):
    ready = tmp_path / "ready.json"
    ready.write_text("that of an earlier run")
    command = [sys.executable, "-m", "xero_sandbox", "--port", "0", "--ready-file", str(ready), "--organisation", "Real Ltd", "--not-demo"]
    process = subprocess.Popen(command, cwd=DEMO)
    try:
        end = time.monotonic() + 20
        while (not ready.exists() or "url" not in ready.read_text()) and time.monotonic() < end:
            time.sleep(0.05)
        facts = json.loads(ready.read_text())
        assert facts["pid"] == process.pid
        assert ready.stat().st_mode & 0o777 == 0o600
        with urllib.request.urlopen(facts["url"] + "/sandbox/") as reply:
            about = json.loads(reply.read())
        assert about["organisations"] == [{"name": "Real Ltd", "tenant_id": facts["tenant_id"], "is_demo_company": False}]
    finally:
        process.terminate()
        assert process.wait(10) == 0


def test_a_wrong_state_file_is_named(tmp_path):
    state = tmp_path / "state.json"
    state.write_text("{")
    done = subprocess.run([sys.executable, "-m", "xero_sandbox", "--port", "0", "--state-file", str(state)], cwd=DEMO, capture_output=True, text=True,
                          timeout=20, check=False)
    assert done.returncode == 2
    assert f"{state} is not a state file" in done.stderr
    assert "Traceback" not in done.stderr


def test_replies_are_compressed_if_asked(server, api):
    server.seed([{"name": f"N{number}"} for number in range(20)])
    path = "/api.xro/2.0/Contacts?page=1"
    plain = server.request("GET", path, headers=api.headers)[2]
    _, headers, body = server.request("GET", path, headers={**api.headers, "Accept-Encoding": "gzip"})
    assert headers["content-encoding"] == "gzip"
    assert json.loads(gzip.decompress(body))["Contacts"] == json.loads(plain)["Contacts"]


def test_contacts_modified_since(server, api):
    api.create_contact("A")
    for since, count in (("Sat, 01 Jan 2000 00:00:00 GMT", 1), ("2000-01-01T00:00:00", 1), ("2100-01-01T00:00:00+00:00", 0), ("nonsense", 1)):
        assert len(api("GET", "/Contacts?page=1", If_Modified_Since=since)[2]["Contacts"]) == count


@pytest.mark.parametrize("mode", ["fixed", "rolling"])
def test_a_busy_client_never_gets_more_than_the_limit(server, api, mode):
    server.set(calls_per_minute=10, minute_seconds=1.0, minute_mode=mode)
    server.clear_journal()
    try:
        with ThreadPoolExecutor(5) as pool:
            list(pool.map(lambda _: api("GET", "/Organisation"), range(150)))
        allowed = [row for row in server.journal() if row["status"] == 200]
        assert allowed
        assert busiest(allowed, 0.99) <= (10 if mode == "rolling" else 20)
    finally:
        server.set(calls_per_minute=6000, minute_seconds=60.0, minute_mode="fixed")


def test_it_is_fast_enough(server, api):
    """Four hundred projects a second are wanted; the bound is low because the machine may be busy."""
    import http.client

    contact = api.create_contact("A")
    connection = http.client.HTTPConnection("127.0.0.1", urllib.parse.urlsplit(server.url).port)
    start, count = time.monotonic(), 300
    for number in range(count):
        connection.request("POST", "/projects.xro/2.0/Projects", json.dumps({"contactId": contact, "name": f"P{number}"}), api.headers)
        assert connection.getresponse().read()
    assert count / (time.monotonic() - start) > 200
    connection.close()
