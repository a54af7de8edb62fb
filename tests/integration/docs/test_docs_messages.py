"""Every message that the troubleshooting page quotes is one that the code can say."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[3]
PAGE = ROOT / "docs" / "troubleshooting.md"
SHORTEST = 5
COVERED = 0.6
"""So much of a message at least must be fixed words of the code; the rest are names and numbers."""


def messages() -> list[str]:
    """Return the quoted messages, but for those of Ansible itself."""
    text = PAGE.read_text(encoding="utf-8").partition("\n## Ansible itself")[0]
    return [line[2:] for line in text.splitlines() if line.startswith("> ")]


def words_of_python(path: Path) -> Iterator[str]:
    """Yield the fixed words of every text in a module, f-strings and concatenations included."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


def words_of_yaml(path: Path) -> Iterator[str]:
    """Yield the fixed words of every text in a role's tasks, templates left out."""

    def texts(value: object) -> Iterator[str]:
        if isinstance(value, str):
            yield value
        elif isinstance(value, dict):
            for each in value.values():
                yield from texts(each)
        elif isinstance(value, list):
            for each in value:
                yield from texts(each)

    for text in texts(yaml.safe_load(path.read_text(encoding="utf-8"))):
        yield from re.split(r"\{\{.*?\}\}|\{%.*?%\}", text, flags=re.DOTALL)
        # texts inside a template are messages too
        yield from re.findall(r"'([^']+)'", text)


@cache
def fixed_words() -> tuple[str, ...]:
    """Return all fixed words of the project, the longest first."""
    found: set[str] = set()
    for folder in ("module_utils", "library", "plugins", "roles"):
        for path in (ROOT / folder).rglob("*.py"):
            found.update(words_of_python(path))
    for path in (ROOT / "roles").rglob("tasks/*.yml"):
        found.update(words_of_yaml(path))
    # what a role's specification refuses is worded by Ansible
    found.update((" must be one or more of: ", ". Got no match for: ", "value of "))
    bare = {" ".join(text.split()).strip(" .,:;") for text in found}
    return tuple(sorted((text for text in bare if len(text) >= SHORTEST), key=len, reverse=True))


@pytest.mark.parametrize("message", messages())
def test_the_message_is_the_code_s(message):
    """A message that was reworded is to be reworded here too."""
    # names, paths and ids are the user's
    message = re.sub(r'"[^"]*"', '"…"', message)
    message = re.sub(r"(?<= )/\S+|[0-9a-f]{8}-[0-9a-f-]{27}|\d{4}-\d\d-\d\dT[0-9:Z]+", "…", message)
    left = message
    for words in fixed_words():
        left = left.replace(words, "\0")
    known = 1 - len(left.replace("\0", "").replace("…", "").strip()) / max(1, len(message.replace("…", "")))
    assert known >= COVERED, f"only {known:.0%} of it is in the code; left: {left.replace(chr(0), '|')}"


def findings() -> Iterator[tuple[str, str]]:
    """Yield where a finding of the guard is made, and its longest fixed words."""
    for path in sorted((ROOT / "module_utils").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Finding" and node.args:
                said = [each.value for each in ast.walk(node.args[0]) if isinstance(each, ast.Constant) and isinstance(each.value, str)]
                words = max((" ".join(re.sub(r'"[^"]*"', '"…"', text).split()).strip(' ".,:;') for text in said), key=len, default="")
                if len(words) > SHORTEST:
                    yield f"{path.name}:{node.lineno}", words


def test_every_finding_is_explained():
    page = " ".join(re.sub(r'"[^"\n]*"', '"…"', PAGE.read_text(encoding="utf-8")).split())
    assert [f"{where}: {words}" for where, words in findings() if words not in page] == []


def test_there_are_many():
    assert len(messages()) > 50
