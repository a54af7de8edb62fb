"""Names in the form that Xero accepts, and numbers that identify a client."""
from __future__ import annotations

import hashlib
import unicodedata

import pytest
from ansible.module_utils.dev_refresh.mapping import parse_mapping
from ansible.module_utils.dev_refresh.seeding.contact_fields import optional_fields
from ansible.module_utils.dev_refresh.seeding.keys import key_order, valid_xero_id
from ansible.module_utils.dev_refresh.seeding.names import begins_with, clash_form, clean, compared, distinct_names, project_name, utf16_length
from ansible.module_utils.dev_refresh.seeding.numbers import NumberOwners, contact_number, is_weak, suffixed
from ansible.module_utils.dev_refresh.seeding.records import ClientRow
from hypothesis import given
from hypothesis import strategies as st
from xero_sandbox import contact_rules
from xero_sandbox.names import name_key

ANY = st.text(st.characters(), max_size=400)
"""Any Unicode, lone surrogates too."""


@pytest.mark.parametrize(
    ("given_name", "expected"),
    [
        ("  Acme \t\n Ltd ", "Acme Ltd"), ("A<b>", "A(b)"), ("Zero\u200bwidth\ufeff", "Zerowidth"), ("e\u0301", "é"), ("e\u200b\u0301", "é"), ("", ""),
        (None, ""),
        ("\x00\x07bell", "bell"), ("x" * 300, "x" * 255), ("x" * 254 + " y", "x" * 254), ("\u00a0nbsp\u3000", "nbsp"), ("😀" * 200, "😀" * 127),
    ],
)  # fmt: skip
def test_clean(given_name, expected):
    assert clean(given_name) == expected


@given(ANY)
def test_clean_is_idempotent_and_accepted(text):
    name = clean(text)
    assert clean(name) == name
    assert unicodedata.is_normalized("NFC", name)
    assert utf16_length(name) <= 255
    if name:
        assert contact_rules.refusals({"Name": name}, creating=True) == []


@given(ANY, ANY)
def test_what_xero_takes_for_the_same_is_known_before(first, second):
    one, two = clean(first), clean(second)
    if one and two and name_key(one) == name_key(two):
        assert clash_form(one) == clash_form(two)


@given(ANY)
def test_compared_is_idempotent(text):
    assert clash_form(clash_form(text)) == clash_form(text)
    if len(text) < 100:
        assert compared(compared(text)) == compared(text)


@pytest.mark.parametrize(
    ("one", "two"), [("ACME", "acme"), ("Béta", "BETA"), ("Straße", "STRASSE"), ("e\u0301", "E"), ("a  b", "A b"), ("İstanbul", "istanbul")]
)
def test_the_same_when_compared(one, two):
    assert compared(one) == compared(two)


@pytest.mark.parametrize(("one", "two"), [("Acme", "Acme Ltd"), ("ガス", "カス"), ("1", "2")])
def test_not_the_same_when_compared(one, two):
    assert compared(one) != compared(two)


@given(ANY, st.text(min_size=1, max_size=60))
def test_distinct_names_fit_and_differ(text, key):
    name = clean(text) or "x"
    names = distinct_names(name, key)
    assert names[0] == name
    assert len(set(names)) == len(names)
    assert all(utf16_length(one) <= 255 and clean(one) == one for one in names)


def test_the_suffix_is_the_end_of_the_key():
    key = "11111111-2222-3333-4444-555566667777"
    assert distinct_names("Acme", key)[:3] == ["Acme", "Acme (66667777)", f"Acme ({key})"]
    assert distinct_names("y" * 255, key)[1] == "y" * 244 + " (66667777)"


@pytest.mark.parametrize(
    ("template", "number", "name", "text", "beginning"),
    [
        ("Job {number}: {name}", "12", "Main", "Job 12: Main", "job 12:"),
        ("Job {number}: {name}", "12", None, "Job 12:", "job 12:"),
        ("Job {number}: {name}", "12", "x" * 200, "Job 12: " + "x" * 92, "job 12:"),
        ("{name} ({number})", "12", "x" * 200, "x" * 95 + " (12)", None),
        ("{number} {name}", "12", "Main", "12 Main", "12 "),
        ("{number}{name}", "12", "Main", "12Main", None),
        ("{name}/{number}", "12", "Main", "Main/12", None),
        ("Job {number}: {name}", "{name}", "{number}", "Job {name}: {number}", "job {name}:"),
        ("Job {number}: {name}", "9" * 120, "Main", "Job " + "9" * 96, None),
        ("Job {number}: {name}", " É ", " <x>  y", "Job É: (x) y", "job e:"),
    ],
)
def test_project_names(template, number, name, text, beginning):
    found = project_name(template, number, name)
    assert (found.text, found.beginning) == (text, beginning)


@pytest.mark.parametrize(
    ("name", "beginning", "expected"),
    [
        ("Job 12: x", "job 12:", True), ("JOB 12:x", "job 12:", True), ("Job 123: x", "job 12:", False),
        ("12", "12 ", True), ("12 x", "12 ", True), ("123", "12 ", False),
    ],
)
def test_beginnings(name, beginning, expected):
    assert begins_with(name, beginning) is expected


def test_contact_numbers():
    assert contact_number("{key}", "abc") == "abc"
    assert contact_number("dev-{key}", "7") == "dev-7"
    assert contact_number("{key}", "a" * 50) == "a" * 50
    assert contact_number("{key}", "a" * 51) == hashlib.sha256(b"a" * 51).hexdigest()[:32]
    assert len(contact_number("{key}", " x")) == 32
    assert suffixed("7", 2) == "7~2"
    assert len(suffixed("a" * 50, 2)) == 34


def test_weak_numbers():
    assert is_weak("{key}", "7")
    assert is_weak("{key}", "abc")
    assert not is_weak("dev-{key}", "7")
    assert not is_weak("{key}", "11111111-2222-3333-4444-555566667777")


@given(st.lists(st.text(st.sampled_from("ab~1Aé "), min_size=1, max_size=52), unique=True, min_size=1, max_size=6))
def test_every_number_has_one_owner(keys):
    owners = NumberOwners("{key}", keys)
    held: set[str] = set()
    numbers = {key: [owners.free_number(key, held) for _ in range(3)] for key in keys}
    everything = [number for some in numbers.values() for number in some]
    assert len({number.casefold() for number in everything}) == len(everything)
    for key, some in numbers.items():
        for number in some:
            assert len(number) <= 50
            owner = owners.owner(number)
            assert owner is not None
            assert owner[0] == key


def test_keys_sort_by_what_they_are():
    assert sorted(["10", "9", "-1", "b", "a10", "a9", "B"], key=key_order) == ["-1", "9", "10", "B", "a10", "a9", "b"]
    low, high = "0a000000-0000-0000-0000-000000000000", "a0000000-0000-0000-0000-000000000000"
    assert sorted([high.upper(), low], key=key_order) == [low, high.upper()]


@pytest.mark.parametrize("text", [None, "", "None", "00000000-0000-0000-0000-000000000000", "x", "{11111111-2222-3333-4444-555566667777}", "1" * 32])
def test_what_is_no_xero_id(text):
    assert valid_xero_id(text) is None


@given(st.text(max_size=80), st.text(max_size=80), st.text(max_size=600), st.sampled_from(["keep", "drop", "rewrite"]))
def test_optional_fields_are_accepted(email, phone, address, policy):
    em = parse_mapping({"contacts": {"email_policy": policy, "email_domain": "example.org"}}).contacts
    found = optional_fields(ClientRow("1", "x", email, phone, address), em)
    lines = {f"AddressLine{number}": line for number, line in enumerate((found.address or "").split("\n"), 1)}
    element = {"Name": "x", "EmailAddress": found.email, "Phones": [{"PhoneNumber": found.phone}], "Addresses": [lines]}
    assert contact_rules.refusals(element, creating=True) == []
    assert len(lines) <= 4


@pytest.mark.parametrize(
    ("email", "policy", "expected", "left_out"),
    [
        ("a@b.nz", "keep", "a@b.nz", ()), (" a@b.nz ", "rewrite", "a@dev.test", ()), ("a@b.nz", "drop", None, ()), ("a@b", "keep", None, ("email",)),
        ("a@b", "drop", None, ()), ("ä@b.nz", "rewrite", None, ("email",)), ("", "keep", None, ()),
        (None, "keep", None, ()), ("a..b@c.nz", "keep", None, ("email",)),
    ],
)  # fmt: skip
def test_mail_addresses(email, policy, expected, left_out):
    em = parse_mapping({"contacts": {"email_policy": policy, "email_domain": "dev.test"}}).contacts
    found = optional_fields(ClientRow("1", "x", email), em)
    assert (found.email, found.left_out) == (expected, left_out)
