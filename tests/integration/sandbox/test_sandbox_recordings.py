"""The sandbox against recorded replies of a real demo company, in the folder that the variable XERO_RECORDINGS_DIR names."""
from __future__ import annotations

import json
import os
import urllib.parse
from pathlib import Path
from typing import Any

import pytest

FOLDER = os.environ.get("XERO_RECORDINGS_DIR")
pytestmark = pytest.mark.skipif(not FOLDER, reason="XERO_RECORDINGS_DIR does not name the folder of recorded replies")
NAME = "[TEST] Recording a1a54b7c"
SENT = {"Name": NAME, "EmailAddress": "a@example.com", "Phones": [{"PhoneType": "DEFAULT", "PhoneNumber": "555"}], "IsCustomer": True}


def recording(name: str) -> Any:
    return json.loads((Path(FOLDER or "") / f"{name}.json").read_text())


def shape(value: Any) -> Any:
    """Return a value's keys and types; of the lists, their elements' shapes in order."""
    if isinstance(value, dict):
        return {key: shape(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [shape(inner) for inner in value]
    return "number" if isinstance(value, int | float) and not isinstance(value, bool) else type(value).__name__


def fixed(value: Any) -> Any:
    """Return the members whose values must be the recorded ones: statuses, kinds, flags, messages."""
    names = ("Status", "ContactStatus", "StatusAttributeString", "HasValidationErrors", "AddressType", "PhoneType", "Message", "ErrorNumber", "Type", "Class",
             "IsDemoCompany", "pageSize", "page", "IsSupplier", "IsCustomer")
    if isinstance(value, dict):
        return {key: value[key] if key in names else fixed(value[key]) for key in value if key in names or isinstance(value[key], dict | list)}
    return [fixed(inner) for inner in value] if isinstance(value, list) else None


@pytest.fixture
def replay(server, api):
    """Return a call that sends a recording's request and compares the reply with the recorded one."""

    def call(name: str, data: Any = None, *, contact_id: str | None = None) -> Any:
        recorded = recording(name)
        request, reply = recorded["request"], recorded["response"]
        path = request["path"]
        if contact_id is not None and path.count("/") > 3:
            path = path.rpartition("/")[0] + "/" + contact_id
        query = urllib.parse.urlencode(request["query"])
        status, headers, body = server.request(request["method"], f"{path}?{query}" if query else path, data, headers=api.headers)
        assert status == reply["status"]
        assert headers.get("content-type", "") == reply["content_type"]
        assert {header.lower() for header in reply["headers"]} <= set(headers)
        if recorded["body"] is None:
            assert body == b""
            return None
        found = json.loads(body)
        assert shape(found) == shape(recorded["body"])
        assert fixed(found) == fixed(recorded["body"])
        return found

    return call


def test_organisation(replay):
    replay("organisation")


def test_a_contact_is_created_updated_found_and_refused(replay, server):
    contact = replay("contact_create", {"Contacts": [SENT]})["Contacts"][0]["ContactID"]
    refused = replay("contact_create_duplicate_name", {"Contacts": [SENT]})
    assert refused["Elements"][0]["ContactID"] == recording("contact_create_duplicate_name")["body"]["Elements"][0]["ContactID"]
    replay("contact_update", {"Contacts": [{"Name": NAME}]}, contact_id=contact)
    assert replay("contacts_by_name_other_case")["Contacts"][0]["ContactID"] == contact


def test_an_archived_contact(replay, server):
    (contact,) = server.seed([{"name": NAME + " B", "status": "ARCHIVED"}])["contacts"]
    found = replay("contact_archive_archived", {"Contacts": [{"ContactID": contact, "ContactStatus": "ARCHIVED"}]})
    assert found["Contacts"][0]["ContactID"] == contact


def test_a_page_of_contacts_made_by_users(replay, server):
    server.seed([{"name": f"Eastside Club {number}"} for number in range(3)])
    replay("contacts_page")


def test_not_found_and_the_minutes_limit(replay, server):
    replay("invoice_not_found")
    server.set(calls_per_minute=1, minute_seconds=100_000.0)
    server.spend(minute=1)
    try:
        replay("rate_limit_minute")
    finally:
        server.set(calls_per_minute=6000, minute_seconds=60.0)
