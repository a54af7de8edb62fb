"""What a module's documentation says is what the module takes: options, types, defaults, choices, and check mode."""
from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible.module_utils.basic import AnsibleModule
from ansible.plugins.loader import fragment_loader
from ansible.utils.plugin_docs import get_docstring

ROOT = Path(__file__).resolve().parent.parent.parent
MODULES = sorted(path for path in (ROOT / "library").glob("*.py") if not path.name.startswith("_"))
COMPARED = ("type", "elements", "required", "default", "choices", "aliases")
TASK_KEYWORDS = {"name", "register", "when", "loop", "vars", "delegate_to", "run_once", "no_log", "check_mode", "become", "become_user", "async", "poll"}
DICT_METHODS = {"items", "keys", "values", "results"}


class CapturedError(Exception):
    """Carries what a module gave to AnsibleModule."""


@pytest.fixture(scope="module", autouse=True)
def fragments():
    fragment_loader.add_directory(str(ROOT / "plugins" / "doc_fragments"))


@pytest.fixture(params=MODULES, ids=lambda path: path.stem)
def path(request) -> Path:
    return request.param


@pytest.fixture
def documented(path):
    """Return documentation with its fragments merged in, examples and return values."""
    documentation, examples, returned, _ = get_docstring(str(path), fragment_loader, is_module=True, plugin_type="module")
    return documentation, yaml.safe_load(examples), returned


@pytest.fixture
def taken(path, monkeypatch) -> dict[str, Any]:
    """Return the arguments that the module's main() gives to AnsibleModule."""

    def capture(self, argument_spec, **more):
        raise CapturedError({"argument_spec": argument_spec, **more})

    monkeypatch.setattr(AnsibleModule, "__init__", capture)
    spec = importlib.util.spec_from_file_location(f"module_{path.stem}", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    with pytest.raises(CapturedError) as caught:
        module.main()
    return caught.value.args[0]


def normal(option: dict[str, Any]) -> dict[str, Any]:
    """Return what is compared of one option, with Ansible's own defaults filled in."""
    found = {name: option[name] for name in COMPARED if option.get(name) not in (None, [], False) or (name == "default" and option.get(name) is not None)}
    found.setdefault("type", "str")
    return {name: sorted(value) if name in ("choices", "aliases") else value for name, value in found.items()}


def differences(documented: dict[str, Any], taken: dict[str, Any], where: str = "") -> list[str]:
    """Return one line for each difference, suboptions included."""
    found = [f"{where}{name} is documented and not taken" for name in documented if name not in taken]
    found += [f"{where}{name} is taken and not documented" for name in taken if name not in documented]
    for name in documented.keys() & taken.keys():
        if normal(documented[name]) != normal(taken[name]):
            found.append(f"{where}{name}: documented {normal(documented[name])}, taken {normal(taken[name])}")
        if not documented[name].get("description"):
            found.append(f"{where}{name} has no description")
        found += differences(documented[name].get("suboptions") or {}, taken[name].get("options") or {}, f"{where}{name}.")
    return found


def test_there_are_modules():
    """Catches a renamed folder, after which nothing would be compared."""
    assert MODULES


def test_options_are_documented_as_they_are_taken(documented, taken):
    assert differences(documented[0].get("options") or {}, taken["argument_spec"]) == []


def test_secrets_are_never_logged(documented, taken):
    """Catches a password option without no_log."""
    words = ("password", "secret", "environment", "token")
    open_secrets = [
        name
        for name, option in taken["argument_spec"].items()
        if any(word in name for word in words) and not name.endswith(("_file", "_user")) and option.get("type", "str") != "path" and not option.get("no_log")
    ]
    assert open_secrets == []


def test_check_mode_is_documented_as_it_is_supported(documented, taken):
    support = documented[0].get("attributes", {}).get("check_mode", {}).get("support")
    assert support in ("full", "partial") if taken.get("supports_check_mode") else support == "none"


def test_documentation_is_complete(path, documented):
    documentation, _, returned = documented
    assert documentation["module"] == path.stem
    for entry in ("short_description", "description", "author"):
        assert documentation.get(entry), f"{path.name} has no {entry}"
    assert returned, f"{path.name} has no RETURN"
    assert not DICT_METHODS & returned.keys()
    for name, value in returned.items():
        assert {"description", "returned", "type"} <= value.keys(), f"RETURN of {path.name}: {name} is incomplete"


def test_examples_use_options_that_exist(path, documented, taken):
    _, examples, _ = documented
    used = [task for task in examples if path.stem in task]
    assert used, f"No example of {path.name} uses it"
    for task in examples:
        assert task.get("name"), f"An example of {path.name} has no name"
        if path.stem in task:
            assert set(task) - {path.stem} <= TASK_KEYWORDS
            assert set(task[path.stem] or {}) <= set(taken["argument_spec"]), f"An example of {path.name} uses an option that it does not have"
