"""Misspelt variables of the roles are found, and nobody else's are."""
from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[3]
sys.path.append(str(ROOT / "roles" / "guard" / "filter_plugins"))

from unknown_variables import ROLES, explain, known_variables, unknown_variables  # noqa: E402

SPECIFIED, USED = known_variables()


@pytest.mark.parametrize(
    ("name", "right"),
    [
        ("database_restore_dump_sorce", "database_restore_dump_source"),
        ("database_restore_sanitize_sql", "database_restore_sanitise_sql"),
        ("xero_seed_organization", "xero_seed_organisation"),
        ("app_services_unit", "app_services_units"),
        ("refresh_repot_dir", "refresh_report_dir"),
    ],
)
def test_the_nearest_name_is_told(name, right):
    assert unknown_variables([name]) == [f"There is no variable {name}. Correct it to {right}, or give it another name if it is one of your own."]


def test_what_is_near_nothing_is_told_too():
    assert unknown_variables(["xero_seed_quux"]) == [
        "There is no variable xero_seed_quux. Remove it, or give it another name if it is one of your own: those that begin with xero_seed_ are the role's."
    ]


@pytest.mark.parametrize("name", ["refresh_token", "guard_duty_enabled", "refresh_serial", "vault_xero_seed_client_secret", "app_name", "xero_tenant"])
def test_other_projects_variables_are_theirs(name):
    assert unknown_variables([name]) == []


def test_all_that_an_inventory_may_set_is_known():
    """Every option of every role's specification, read as YAML here and by its lines there."""
    options = set()
    for path in (ROOT / "roles").glob("*/meta/argument_specs.yml"):
        options |= set(yaml.safe_load(path.read_text())["argument_specs"]["main"]["options"])
    assert {name for name in options if name.startswith((*ROLES, "guard_", "refresh_"))} == SPECIFIED
    assert len(options) > 60


def test_what_the_roles_make_themselves_is_known():
    """Facts and registered results are variables too by the time the next playbook's guard looks."""
    made = set()
    for path in (ROOT / "roles").rglob("tasks/*.yml"):
        text = path.read_text()
        made |= set(re.findall(r"register: ([a-z]\w*)", text))
        for task in walk(yaml.safe_load(text)):
            made |= {name for name in task.get("ansible.builtin.set_fact", {}) if not name.startswith("_")}
    assert {name for name in made if name not in USED and explain(name, SPECIFIED)} == set()
    assert len(made) > 20


def walk(value):
    """Yield every mapping in a YAML document."""
    if isinstance(value, dict):
        yield value
    for each in value.values() if isinstance(value, dict) else value if isinstance(value, list) else []:
        yield from walk(each)
