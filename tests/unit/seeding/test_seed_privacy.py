"""What stands in the log of Xero's words."""
from __future__ import annotations

import pytest
from ansible.module_utils.dev_refresh.seeding.privacy import impersonal

KEY = "00000000-0000-0000-0000-000000000007"


@pytest.mark.parametrize(
    ("reason", "names", "kept"),
    [
        ("The contact name Acme is already assigned to another contact.", ["Acme"], "The contact name (name) is already assigned to another contact."),
        ("ACME Ltd (00000007) and Acmeville", ["Acme Ltd (00000007)"], "(name) and Acmeville"),
        ("Email address 'ann.o+x@example.co.nz' is not valid", [""], "Email address '(e-mail)' is not valid"),
        ("Telephone +64 (21) 555-123 is too long", [], "Telephone (telephone) is too long"),
        (f"its client {KEY} failed: A (A) is taken", ["A"], f"its client {KEY} failed: (name) ((name)) is taken"),
        ("The Project Name cannot be longer than 20 characters", ["x"], "The Project Name cannot be longer than 20 characters"),
        ("HTTP 400 without a reason", [], "HTTP 400 without a reason"),
        ("(.*) is no name", ["(.*)"], "(name) is no name"),
    ],
)
def test_names_and_addresses_are_left_out(reason, names, kept):
    assert impersonal(reason, *names) == kept
    assert impersonal(kept, *names) == kept
