"""Variables that begin like one of the roles' and are none: a misspelt option would be left out without a word."""
from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable
from difflib import get_close_matches
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
# a role's own: nobody else's variables begin so
ROLES = ("app_migrate_", "app_services_", "database_restore_", "host_environment_", "refresh_verify_", "xero_connect_", "xero_seed_")
# words that variables of other projects may begin with too, so that only those count that are nearly one of ours
WORDS = ("guard_", "refresh_")
NEAR = 0.85
NEAREST = 0.6

_KEY = re.compile(rf"^\s*(?:- )?(?:register: )?((?:{'|'.join((*ROLES, *WORDS))})[a-z0-9_]*)\b", re.MULTILINE)


@cache
def known_variables(root: Path = ROOT) -> tuple[frozenset[str], frozenset[str]]:
    """Return the variables that an inventory may set, and all that the roles and playbooks use, those that they make themselves included."""
    specified = _names(root.glob("roles/*/meta/argument_specs.yml"))
    used = _names(path for folder in ("roles", "playbooks", "inventory/demo") for path in (root / folder).rglob("*.yml"))
    return frozenset(specified), frozenset(specified | used)


def _names(paths: Iterable[Path]) -> set[str]:
    """Return the names with our beginnings that stand as keys in YAML files."""
    return {name for path in paths for name in _KEY.findall(path.read_text(encoding="utf-8"))}


def unknown_variables(names: Iterable[str], root: Path = ROOT) -> list[str]:
    """Return a sentence for each of ``names`` that looks like a variable of the roles and is none."""
    specified, used = known_variables(root)
    return [sentence for name in sorted(set(names) - used) if name.startswith((*ROLES, *WORDS)) and (sentence := explain(name, specified))]


def explain(name: str, specified: Collection[str]) -> str:
    """Return what is wrong with a variable that nothing uses; an empty text if it may be somebody else's."""
    prefix = next((prefix for prefix in ROLES if name.startswith(prefix)), "")
    # within a role the common beginning says nothing about likeness
    within = [each.removeprefix(prefix) for each in sorted(specified) if prefix and each.startswith(prefix)]
    near = [prefix + word for word in get_close_matches(name.removeprefix(prefix), within, n=1, cutoff=NEAREST)]
    near = near or get_close_matches(name, sorted(specified), n=1, cutoff=NEAR)
    if near:
        return f"There is no variable {name}. Correct it to {near[0]}, or give it another name if it is one of your own."
    if prefix:
        return f"There is no variable {name}. Remove it, or give it another name if it is one of your own: those that begin with {prefix} are the role's."
    return ""


class FilterModule:
    """The filter, for Ansible."""

    def filters(self) -> dict[str, Callable[[Iterable[str]], list[str]]]:
        """Return the filter by its name."""
        return {"unknown_variables": unknown_variables}
