"""What ``--diff`` lists first."""
from __future__ import annotations

from types import SimpleNamespace

from ansible.module_utils.dev_refresh.seeding.result import diff_of


def test_what_is_new_and_what_a_name_decided_come_before_what_the_number_says():
    nothing = {"cleared": [], "linked": [], "created": []}
    contacts = nothing | {"linked": ["A -> 1 (number)", "Z -> 2 (same name)", "B -> 3 (similar name)"], "created": ["N", "M"]}
    summary = SimpleNamespace(title="Demo (t)", former=None, outcomes=SimpleNamespace(names={"contacts": contacts, "projects": nothing}))
    (found,) = diff_of(summary)
    assert found["after"].splitlines() == [
        "created: M", "created: N", "linked: B -> 3 (similar name)", "linked: Z -> 2 (same name)", "linked: A -> 1 (number)",
    ]  # fmt: skip
    (page,) = diff_of(summary, 2)
    assert page["after"].splitlines() == ["created: M", "created: N", "and 3 more (all of them with -vv)"]
