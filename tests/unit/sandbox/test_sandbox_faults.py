"""Which request a fault meets, and what it leaves of a reply."""
from __future__ import annotations

import json

import pytest
from xero_sandbox.faults import KINDS, Fault, FaultError, Faults, instead, spoiled
from xero_sandbox.idempotency import IdempotencyKeys, KeyRefusedError
from xero_sandbox.reply import ZERO_ID, Reply


def test_a_fault_meets_the_request_meant():
    faults = Faults()
    faults.add({"kind": "http_500", "method": "post", "path": "/Projects$", "skip": 1, "times": 2})
    taken = [faults.take(method, path, "", None) is not None for method, path in [
        ("POST", "/projects.xro/2.0/projects"), ("GET", "/projects.xro/2.0/Projects"), ("POST", "/projects.xro/2.0/Projects"),
        ("POST", "/projects.xro/2.0/Projects/x/Tasks"), ("POST", "/projects.xro/2.0/Projects"), ("POST", "/projects.xro/2.0/Projects"),
    ]]
    assert taken == [False, False, True, False, True, False]
    assert faults.rows()[0]["done"] == 2


def test_a_fault_can_meet_each_nth_request():
    faults = Faults()
    faults.add({"kind": "drop_after", "skip": 1, "every": 3, "times": None})
    assert [faults.take("GET", "/", "", None) is not None for _ in range(8)] == [False, True, False, False, True, False, False, True]


@pytest.mark.parametrize("data", [{"kind": "hang", "every": 0}, {}, {"kind": "nonsense"}, {"kind": "hang", "nonsense": 1}, {"kind": "hang", "path": "("}])
def test_a_wrong_order_is_refused(data):
    with pytest.raises(FaultError):
        Fault.order(data)


@pytest.mark.parametrize(("kind", "names"), [
    ("null_id", [(None, "a"), (None, "b")]), ("zero_id", [(ZERO_ID, "a"), ("2", "b")]), ("reversed", [("2", "b"), ("1", "a")]),
    ("element_missing", [("1", "a")]), ("rows_missing", [("1", "a")]), ("rows_repeated", [("1", "a"), ("1", "a")]),
])
def test_rows_are_spoiled_in_a_copy(kind, names):
    reply = Reply(200, {"Contacts": [{"ContactID": "1", "Name": "a"}, {"ContactID": "2", "Name": "b"}]})
    left = spoiled(Fault(kind), reply)
    assert [(row["ContactID"], row["Name"]) for row in left.data["Contacts"]] == names
    assert [row["Name"] for row in reply.data["Contacts"]] == ["a", "b"]


def test_bodies_are_spoiled():
    reply = Reply(200, {"Contacts": [{"ContactID": "1", "ContactStatus": "ACTIVE"}]})
    with pytest.raises(json.JSONDecodeError):
        json.loads(spoiled(Fault("truncated"), reply).body())
    assert spoiled(Fault("empty_body"), reply).body() == b""
    assert spoiled(Fault("html_body"), reply).body().startswith(b"<!DOCTYPE html>")
    assert spoiled(Fault("unknown_enum"), reply).data["Contacts"][0]["ContactStatus"] == "SOMETHINGNEW"


def test_every_kind_is_replaced_or_spoiled_without_error():
    for kind in KINDS:
        fault = Fault.order({"kind": kind})
        reply = instead(fault) or spoiled(fault, Reply(201, {"projectId": "1", "status": "INPROGRESS"}))
        assert isinstance(reply.body(), bytes)


def test_the_limits_headers_are_those_recorded():
    minute = instead(Fault("limit_minute", retry_after=26))
    assert minute is not None
    assert (minute.status, minute.content_type, minute.body()) == (429, "", b"")
    assert minute.headers == {"X-Rate-Limit-Problem": "minute", "Retry-After": "26", "X-MinLimit-Remaining": "0"}
    for kind in ("limit_concurrent", "limit_appminute"):
        reply = instead(Fault(kind))
        assert reply is not None
        assert "Retry-After" not in reply.headers


def test_an_idempotency_key_is_kept_for_its_time():
    keys = IdempotencyKeys()
    assert keys.find("app", "k", "print", 0.0, 360.0) is None
    keys.keep("app", "k", "print", Reply(500), 0.0)
    kept = keys.find("app", "k", "print", 359.0, 360.0)
    assert kept is not None
    assert kept.status == 500
    assert keys.find("other", "k", "another", 359.0, 360.0) is None
    with pytest.raises(KeyRefusedError, match="used with a different request"):
        keys.find("app", "k", "another", 359.0, 360.0)
    with pytest.raises(KeyRefusedError, match="128"):
        keys.find("app", "k" * 129, "print", 0.0, 360.0)
    again = IdempotencyKeys()
    again.load(keys.as_list())
    assert again.find("app", "k", "print", 359.0, 360.0) is not None
    assert again.find("app", "k", "another", 360.0, 360.0) is None
