"""The identity server's rules, with time handed in."""
from __future__ import annotations

import base64
import hashlib
import urllib.parse

import pytest
from xero_sandbox.settings import Settings
from xero_sandbox.tokens import Client, Tokens

BACK = "http://localhost:5000/callback"


@pytest.fixture
def tokens() -> Tokens:
    made = Tokens(Settings())
    made.clients["app"] = Client("app", "a-long-secret")
    made.clients["narrow"] = Client("narrow", "a-long-secret", scopes=["accounting.contacts", "offline_access"], grants=["client_credentials"])
    return made


def ask(tokens, now=1000.0, client="app", phrase="a-long-secret", authorization=None, **form):
    own = {} if authorization else {"client_id": client, "client_secret": phrase}
    return tokens.grant({**own, **form}, authorization, now)


def consent(tokens, scope="offline_access accounting.contacts", **query):
    reply = tokens.authorise({"response_type": "code", "client_id": "app", "redirect_uri": BACK, "scope": scope, "state": "s-1", **query}, ["t1"], 1000.0)
    assert reply.status == 302
    return dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(reply.headers["Location"]).query))


def test_client_credentials_give_all_or_the_scopes_asked_for(tokens):
    everything = ask(tokens, grant_type="client_credentials").data
    assert everything["expires_in"] == 1800
    assert "projects" in everything["scope"].split()
    assert "refresh_token" not in everything
    assert ask(tokens, grant_type="client_credentials", scope="projects accounting.contacts").data["scope"] == "projects accounting.contacts"


def test_basic_authorisation_works_too(tokens):
    header = "Basic " + base64.b64encode(b"app:a-long-secret").decode()
    assert ask(tokens, authorization=header, grant_type="client_credentials").status == 200
    assert ask(tokens, authorization="Basic !", grant_type="client_credentials").data == {"error": "invalid_client"}


@pytest.mark.parametrize(("form", "error"), [
    ({"phrase": "wrong", "grant_type": "client_credentials"}, "invalid_client"),
    ({"client": "nobody", "grant_type": "client_credentials"}, "invalid_client"),
    ({"grant_type": "client_credentials", "scope": "nonsense"}, "invalid_scope"),
    ({"client": "narrow", "grant_type": "client_credentials", "scope": "projects"}, "invalid_scope"),
    ({"grant_type": "password"}, "unsupported_grant_type"),
    ({"client": "narrow", "grant_type": "refresh_token"}, "unauthorized_client"),
    ({"grant_type": "refresh_token", "refresh_token": "nonsense"}, "invalid_grant"),
    ({"grant_type": "authorization_code", "code": "nonsense", "redirect_uri": BACK}, "invalid_grant"),
])
def test_refusals(tokens, form, error):
    reply = ask(tokens, **form)
    assert (reply.status, reply.data["error"]) == (400, error)


def test_a_code_works_once_and_for_five_minutes(tokens):
    answer = consent(tokens)
    assert answer["state"] == "s-1"
    assert tokens.tenants_of("app") == ["t1"]
    form = {"grant_type": "authorization_code", "code": answer["code"], "redirect_uri": BACK}
    assert ask(tokens, **form).data["refresh_token"]
    assert ask(tokens, **form).data == {"error": "invalid_grant"}
    late = {**form, "code": consent(tokens)["code"]}
    assert ask(tokens, now=1301.0, **late).data == {"error": "invalid_grant"}
    other = {**form, "code": consent(tokens)["code"], "redirect_uri": "http://elsewhere"}
    assert ask(tokens, **other).data == {"error": "invalid_grant"}


def test_no_refresh_token_without_offline_access(tokens):
    code = consent(tokens, scope="accounting.contacts")["code"]
    assert "refresh_token" not in ask(tokens, grant_type="authorization_code", code=code, redirect_uri=BACK).data


def test_proof_key(tokens):
    challenge = base64.urlsafe_b64encode(hashlib.sha256(b"verifier").digest()).rstrip(b"=").decode()
    for verifier, status in (("wrong", 400), ("verifier", 200)):
        code = consent(tokens, code_challenge=challenge, code_challenge_method="S256")["code"]
        assert ask(tokens, grant_type="authorization_code", code=code, redirect_uri=BACK, code_verifier=verifier).status == status


def test_a_user_can_refuse(tokens):
    tokens.settings.change({"consent": "deny"})
    assert consent(tokens) == {"error": "access_denied", "state": "s-1"}
    assert tokens.tenants_of("app") == []


def test_refresh_tokens_rotate_with_grace(tokens):
    code = consent(tokens)["code"]
    first = ask(tokens, grant_type="authorization_code", code=code, redirect_uri=BACK).data["refresh_token"]
    second = ask(tokens, now=2000.0, grant_type="refresh_token", refresh_token=first).data["refresh_token"]
    assert second != first
    assert ask(tokens, now=2000.0 + 1800, grant_type="refresh_token", refresh_token=first).status == 200
    assert ask(tokens, now=2000.0 + 1801, grant_type="refresh_token", refresh_token=first).data == {"error": "invalid_grant"}
    assert ask(tokens, now=2000.0 + 59 * 86400, grant_type="refresh_token", refresh_token=second).status == 200
    assert ask(tokens, now=2000.0 + 61 * 86400, grant_type="refresh_token", refresh_token=second).status == 400


def test_revoking_removes_tokens_and_connections(tokens):
    code = consent(tokens)["code"]
    data = ask(tokens, grant_type="authorization_code", code=code, redirect_uri=BACK).data
    tokens.revoke({"client_id": "app", "client_secret": "a-long-secret", "token": data["refresh_token"]}, None, 1000.0)
    assert tokens.bearer("Bearer " + data["access_token"]) is None
    assert tokens.tenants_of("app") == []


def test_saving_keeps_everything(tokens):
    code = consent(tokens)["code"]
    again = Tokens(Settings())
    again.load(tokens.as_dict())
    assert again.tenants_of("app") == ["t1"]
    assert ask(again, grant_type="authorization_code", code=code, redirect_uri=BACK).status == 200
