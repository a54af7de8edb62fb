"""Who may import what: the drivers of Xero and PostgreSQL each stay in one place, and deciding stays apart from doing."""
from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
PACKAGE = ROOT / "module_utils" / "dev_refresh"
PRODUCT = [ROOT / folder for folder in ("library", "module_utils", "plugins", "roles")]
OWNERS = {"xero_python": PACKAGE / "xero", "urllib3": PACKAGE / "xero", "psycopg2": PACKAGE / "postgres"}
"""The only folder that may import a library."""


def python_files(folders: list[Path]) -> list[Path]:
    return sorted(path for folder in folders for path in folder.rglob("*.py"))


def imports(path: Path) -> Iterator[tuple[str, bool]]:
    """Yield the full name of everything that the file imports, and whether only for type checking."""
    tree = ast.parse(path.read_text())
    typing_only = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"
        for inner in ast.walk(node)
    }
    here = path.relative_to(ROOT).with_suffix("").parts
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = [*here[: len(here) - node.level]] if node.level else []
            names = [".".join([*base, *([node.module] if node.module else []), alias.name]) for alias in node.names]
        else:
            continue
        for name in names:
            yield name, id(node) in typing_only


def test_there_are_files_to_look_at():
    """Catches a moved folder, after which no rule would be checked."""
    assert all(python_files([folder]) for folder in (PACKAGE, ROOT / "library", ROOT / "plugins", PACKAGE / "xero", PACKAGE / "postgres"))


@pytest.mark.parametrize("library", OWNERS)
def test_only_one_package_imports(library):
    owner = OWNERS[library]
    wrong = [
        str(path.relative_to(ROOT))
        for path in python_files(PRODUCT)
        if owner not in path.parents
        for name, typing_only in imports(path)
        if name.split(".")[0] == library and not typing_only
    ]
    assert wrong == []


def test_the_package_imports_itself_relatively():
    """Catches an absolute import, which mypy or AnsiballZ would not follow."""
    wrong = [
        f"{path.relative_to(ROOT)}: {name}"
        for path in python_files([PACKAGE])
        for name, _ in imports(path)
        if name.startswith(("dev_refresh", "ansible.module_utils.dev_refresh"))
    ]
    assert wrong == []


def test_every_folder_of_the_package_is_a_package():
    """Catches a folder without __init__.py, which AnsiballZ does not ship."""
    folders = {path.parent for path in python_files([PACKAGE])}
    assert [str(folder.relative_to(ROOT)) for folder in folders if not (folder / "__init__.py").exists()] == []


def test_no_module_is_found_by_its_name_at_run_time():
    """Catches importlib.import_module, which AnsiballZ does not see."""
    wrong = [
        str(path.relative_to(ROOT))
        for path in python_files([PACKAGE, ROOT / "library"])
        for name, _ in imports(path)
        if name in ("importlib", "importlib.import_module", "importlib.util")
    ]
    assert wrong == []


def test_seeding_knows_xero_and_postgresql_only_by_what_it_is_given():
    wrong = [
        f"{path.relative_to(ROOT)}: {name}"
        for path in python_files([PACKAGE / "seeding"])
        for name, typing_only in imports(path)
        if name.startswith("module_utils.dev_refresh.xero") and not typing_only
    ]
    assert wrong == []


def test_the_product_does_not_import_the_demo():
    demo = ("world", "xero_sandbox", "django")
    wrong = [f"{path.relative_to(ROOT)}: {name}" for path in python_files(PRODUCT) for name, _ in imports(path) if name.split(".")[0] in demo]
    assert wrong == []
