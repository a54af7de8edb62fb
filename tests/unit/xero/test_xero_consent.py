"""The listener for the consent: what it takes, what it refuses, and when it ends."""
from __future__ import annotations

import base64
import hashlib
import http.client
import socket
import threading
import urllib.parse
from collections.abc import Iterator

import pytest
from ansible.module_utils.dev_refresh.xero.connect import inventory_lines
from ansible.module_utils.dev_refresh.xero.consent_listener import ConsentRequest, Listener, new_request
from ansible.module_utils.dev_refresh.xero.errors import NotConnected, Stopped, XeroError
from world.postgres_server import free_port


def make_request(port: int, *, pkce: bool = True) -> ConsentRequest:
    return new_request(client_id="APP", login_url="https://login.example/authorize", port=port, scopes=["offline_access", "projects"], pkce=pkce)


@pytest.fixture
def port() -> int:
    return free_port()


@pytest.fixture
def request_(port: int) -> ConsentRequest:
    return make_request(port)


@pytest.fixture
def strays() -> list[str]:
    return []


@pytest.fixture
def listener(port: int, request_: ConsentRequest, strays: list[str]) -> Iterator[Listener]:
    with Listener(request_, port=port, on_stray=strays.append) as made:
        yield made


def visit(port: int, path: str = "/callback", *, host: str = "127.0.0.1", **query: str) -> tuple[int, str]:
    connection = http.client.HTTPConnection(host, port, timeout=5)
    try:
        connection.request("GET", f"{path}?{urllib.parse.urlencode(query)}")
        reply = connection.getresponse()
        return reply.status, reply.read().decode()
    finally:
        connection.close()


def test_the_address_asks_for_what_was_wanted(port: int) -> None:
    request = make_request(port)
    query = dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(request.url).query))
    assert query["scope"] == "offline_access projects"
    assert query["redirect_uri"] == request.redirect_uri == f"http://localhost:{port}/callback"
    assert query["state"] == request.state
    assert request.verifier is not None
    challenge = base64.urlsafe_b64encode(hashlib.sha256(request.verifier.encode()).digest()).rstrip(b"=").decode()
    assert (query["code_challenge"], query["code_challenge_method"]) == (challenge, "S256")
    assert 43 <= len(request.verifier) <= 128
    assert make_request(port).state != request.state
    assert "code_challenge" not in make_request(port, pkce=False).url
    assert request.state not in repr(request)


def test_a_good_answer_brings_the_code(listener: Listener, port: int, request_: ConsentRequest) -> None:
    status, page = visit(port, code="the-code", state=request_.state)
    assert (status, "the-code" in page) == (200, False)
    assert listener.wait(5) == "the-code"


def test_the_other_loopback_address_answers_too(listener: Listener, port: int, request_: ConsentRequest) -> None:
    """Catches browsers that mean ::1 by localhost."""
    if not socket.has_ipv6:
        pytest.skip("no IPv6 here")
    try:
        visit(port, host="::1", code="the-code", state=request_.state)
    except OSError:
        pytest.skip("no ::1 here")
    assert listener.wait(5) == "the-code"


@pytest.mark.parametrize("state", [None, "", "another", "ä€"])
def test_a_wrong_state_is_refused_and_waited_past(listener: Listener, port: int, request_: ConsentRequest, strays: list[str], state: str | None) -> None:
    status, page = visit(port, code="stolen", **({} if state is None else {"state": state}))
    assert (status, "stolen" in page) == (400, False)
    visit(port, code="the-code", state=request_.state)
    assert listener.wait(5) == "the-code"
    assert len(strays) == 1
    assert "wrong state" in strays[0]


def test_a_state_given_twice_is_wrong(listener: Listener, port: int, request_: ConsentRequest) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    connection.request("GET", f"/callback?code=a&state={request_.state}&state=x")
    assert connection.getresponse().status == 400
    connection.close()


def test_a_refusal_with_a_wrong_state_ends_nothing(listener: Listener, port: int, request_: ConsentRequest) -> None:
    assert visit(port, error="access_denied", state="another")[0] == 400
    visit(port, code="the-code", state=request_.state)
    assert listener.wait(5) == "the-code"


@pytest.mark.parametrize(
    ("error", "words"), [("access_denied", "denied in the browser"), ("invalid_scope", "xero_connect_scopes"), ("<b>x</b>", "an error without a name")]
)
def test_a_refusal_is_told(listener: Listener, port: int, request_: ConsentRequest, error: str, words: str) -> None:
    status, page = visit(port, error=error, state=request_.state)
    assert (status, "<b>" in page) == (200, False)
    with pytest.raises(XeroError, match=words):
        listener.wait(5)


@pytest.mark.parametrize("code", ["", "two words", "ü", "x" * 5000])
def test_an_answer_without_a_usable_code_is_waited_past(listener: Listener, port: int, request_: ConsentRequest, code: str) -> None:
    assert visit(port, code=code, state=request_.state)[0] == 400
    with pytest.raises(NotConnected, match="No consent came within 0 seconds"):
        listener.wait(0.3)


def test_other_addresses_are_nothing(listener: Listener, port: int, request_: ConsentRequest) -> None:
    assert visit(port, "/favicon.ico")[0] == 404
    assert visit(port, "/", code="the-code", state=request_.state)[0] == 404


def test_a_connection_that_is_never_used_holds_nobody_up(listener: Listener, port: int, request_: ConsentRequest) -> None:
    """Browsers open some in advance."""
    with socket.create_connection(("127.0.0.1", port)), socket.create_connection(("127.0.0.1", port)) as half:
        half.sendall(b"GET /callback?code=")
        visit(port, code="the-code", state=request_.state)
        assert listener.wait(5) == "the-code"


def test_the_deadline_says_what_to_do(listener: Listener, port: int) -> None:
    visit(port, code="x", state="another")
    with pytest.raises(NotConnected, match=r"1 answers came that do not belong.*open the address"):
        listener.wait(0.3)


def test_it_ends_when_nobody_wants_the_answer_any_more(listener: Listener) -> None:
    with pytest.raises(Stopped):
        listener.wait(60, still_wanted=lambda: False)


def test_a_port_in_use_is_told(port: int, request_: ConsentRequest) -> None:
    with socket.create_server(("127.0.0.1", port)), pytest.raises(XeroError, match=rf"Port {port} .* in use.*xero_connect_redirect_port"):
        Listener(request_, port=port).__enter__()


def test_the_port_is_free_afterwards(port: int, request_: ConsentRequest) -> None:
    """Catches a listener that the next run would meet."""
    for _ in range(2):
        with Listener(request_, port=port):
            pass
    assert not [thread for thread in threading.enumerate() if thread.name == "consent" and thread.is_alive()]


def test_inventory_lines_of_one_organisation() -> None:
    lines = inventory_lines("/etc/x.json", [{"tenant_id": "t1", "name": "Demo\nxero_seed_allow_non_demo: true", "is_demo_company": True}])
    assert lines.splitlines() == ["xero_seed_token_file: /etc/x.json", "# Demo xero_seed_allow_non_demo: true, a demo company", "xero_seed_tenant_id: t1"]


def test_inventory_lines_of_several_organisations() -> None:
    rows = [{"tenant_id": f"t{number}", "name": "A", "is_demo_company": kind} for number, kind in enumerate((True, False, None))]
    lines = inventory_lines("/a b/x: y", rows).splitlines()
    assert lines[:2] == ['xero_seed_token_file: "/a b/x: y"', "# one of these:"]
    assert "must be named and allowed" in lines[4]
    assert lines[6] == "# A"
