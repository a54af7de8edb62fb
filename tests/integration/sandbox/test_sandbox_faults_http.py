"""Faults as a client meets them."""
from __future__ import annotations

import http.client
import json
import time

import pytest


def contact_names(server):
    return sorted(row["Name"] for row in server.contacts())


def put(api, name, **headers):
    return api("PUT", "/Contacts", {"Contacts": [{"Name": name}]}, **headers)


def test_a_connection_is_dropped_before_or_after_the_change(server, api):
    server.add_fault("drop_before", method="PUT")
    with pytest.raises((http.client.RemoteDisconnected, ConnectionResetError)):
        put(api, "A")
    assert contact_names(server) == []
    server.add_fault("drop_after", method="PUT", skip=1)
    put(api, "A")
    with pytest.raises((http.client.RemoteDisconnected, ConnectionResetError)):
        put(api, "B", Idempotency_Key="kb")
    assert contact_names(server) == ["A", "B"]
    assert put(api, "B", Idempotency_Key="kb")[0] == 200, "the key gives the reply that was lost"
    assert [(row["status"], row["fault"]) for row in server.journal() if row["method"] == "PUT"] == [
        (0, "drop_before"), (200, None), (0, "drop_after"), (200, None),
    ]


def test_a_lost_refresh_can_be_repeated(server):
    server.add_fault("drop_after", path="/connect/token$")
    with pytest.raises((http.client.RemoteDisconnected, ConnectionResetError)):
        server.token()
    assert server.token()


@pytest.mark.parametrize("applied", [False, True])
@pytest.mark.parametrize("status", [500, 502, 503])
def test_gateway_errors_are_html(server, api, status, applied):
    server.add_fault(f"http_{status}", method="PUT", applied=applied)
    got, headers, body = server.request("PUT", "/api.xro/2.0/Contacts", {"Contacts": [{"Name": "A"}]}, headers=api.headers)
    assert (got, headers["content-type"]) == (status, "text/html; charset=utf-8")
    assert body.startswith(b"<!DOCTYPE html>")
    assert contact_names(server) == (["A"] if applied else [])


@pytest.mark.parametrize(("kind", "problem", "wait"), [
    ("limit_minute", "minute", "1"), ("limit_day", "day", "66975"), ("limit_concurrent", "concurrent", None), ("limit_appminute", "appminute", None),
])
def test_each_429(server, api, kind, problem, wait):
    server.add_fault(kind)
    status, headers, body = server.request("PUT", "/api.xro/2.0/Contacts", {"Contacts": [{"Name": "A"}]}, headers={**api.headers, "Idempotency-Key": kind})
    assert (status, body, headers.get("content-type")) == (429, b"", None)
    assert (headers["x-rate-limit-problem"], headers.get("retry-after")) == (problem, wait)
    assert put(api, "A", Idempotency_Key=kind)[0] == 200, "a refused call does not use its key up"


def test_a_hanging_call(server, api):
    server.add_fault("hang", seconds=0.5)
    start = time.monotonic()
    assert put(api, "A")[0] == 200
    assert time.monotonic() - start >= 0.5
    server.add_fault("hang", seconds=30)
    with pytest.raises(TimeoutError):
        server.request("PUT", "/api.xro/2.0/Contacts", {"Contacts": [{"Name": "B"}]}, headers=api.headers, timeout=0.3)
    server.add_fault("hang", seconds=0.1, applied=False)
    with pytest.raises((http.client.RemoteDisconnected, ConnectionResetError)):
        put(api, "C")
    assert contact_names(server) == ["A", "B"]


def test_spoiled_bodies(server, api):
    path = "/api.xro/2.0/Contacts?page=1"
    put(api, "A")
    server.add_fault("truncated")
    with pytest.raises(json.JSONDecodeError):
        json.loads(server.request("GET", path, headers=api.headers)[2])
    server.add_fault("cut_short")
    with pytest.raises((http.client.IncompleteRead, ConnectionResetError)):
        server.request("GET", path, headers=api.headers)
    server.add_fault("empty_body")
    assert server.request("GET", path, headers=api.headers)[::2] == (200, b"")
    server.add_fault("html_body")
    assert server.request("GET", path, headers=api.headers)[2].startswith(b"<!DOCTYPE")


def test_spoiled_rows(server, api):
    contact = api.create_contact("A")
    for kind, wanted in (("null_id", None), ("zero_id", "00000000-0000-0000-0000-000000000000")):
        server.add_fault(kind, method="POST")
        assert api("POST", "/Projects", {"contactId": contact, "name": "P"})[2]["projectId"] == wanted
    server.add_fault("reversed", method="PUT")
    rows = api("PUT", "/Contacts?summarizeErrors=false", {"Contacts": [{"Name": "B"}, {"Name": "C"}]})[2]["Contacts"]
    assert [row["Name"] for row in rows] == ["C", "B"]
    server.add_fault("element_missing", method="PUT")
    assert len(api("PUT", "/Contacts", {"Contacts": [{"Name": "D"}, {"Name": "E"}]})[2]["Contacts"]) == 1
    server.add_fault("unknown_enum")
    assert api("GET", "/Contacts?page=1")[2]["Contacts"][0]["ContactStatus"] == "SOMETHINGNEW"
    server.add_fault("unknown_enum")
    assert api("GET", "/Organisation")[2]["Organisations"][0]["Class"] == "SOMETHINGNEW"


def test_refusals_to_order(server, api):
    for kind, status in (("expired_token", 401), ("forbidden", 403), ("not_found", 404)):
        server.add_fault(kind, times=1)
        assert put(api, "A", Idempotency_Key="same")[0] == status
    server.clear_faults()
    assert put(api, "A")[0] == 200


def test_lists_that_are_not_whole(server, api):
    server.seed([{"name": f"N{number}"} for number in range(10)])
    path = "/Contacts?page=1&pageSize=10&order=ContactID"
    server.add_fault("rows_missing", rows=3)
    data = api("GET", path)[2]
    assert (len(data["Contacts"]), data["pagination"]["itemCount"]) == (7, 10)
    server.add_fault("rows_repeated")
    assert len({row["ContactID"] for row in api("GET", path)[2]["Contacts"]}) == 9
    server.add_fault("row_appears", times=None)
    assert [api("GET", path)[2]["pagination"]["itemCount"] for _ in range(3)] == [10, 11, 12]
    assert len(server.projects()) == 3
