"""Names: the form that Xero accepts, when two are the same, and how a project's name is built."""
from __future__ import annotations

import hashlib
import re
import unicodedata
from dataclasses import dataclass

CONTACT_NAME_LENGTH = 255
PROJECT_NAME_LENGTH = 100
"""Xero documents no limit for projects; 100 is that of their tasks."""

_BRACKETS = str.maketrans("<>", "()")
_UNSEEN = {"Cc", "Cf", "Cs"}
"""Control and format characters (the zero-width ones are among these) and lone surrogates."""

_FIRST_ACCENT_CLASS = 200
"""Combining classes from here on are marks above and below a letter; lower ones belong to the letters of other scripts."""

_PLACEHOLDER = re.compile(r"\{(number|name)\}")


def clean(text: str | None, length: int = CONTACT_NAME_LENGTH) -> str:
    """Return ``text`` in the form that Xero accepts; empty if nothing is left of it."""
    seen = "".join(" " if char.isspace() else char for char in text or "" if char.isspace() or unicodedata.category(char) not in _UNSEEN)
    composed = unicodedata.normalize("NFC", seen).translate(_BRACKETS)
    return cut(" ".join(composed.split()), length)


def cut(text: str, length: int) -> str:
    """Return the beginning of ``text`` that has ``length`` characters as Xero counts them (UTF-16), without white space at its end."""
    units = 0
    for place, char in enumerate(text):
        units += utf16_length(char)
        if units > length:
            return text[:place].rstrip()
    return text.rstrip()


def utf16_length(text: str) -> int:
    """Return the number of UTF-16 code units of ``text``."""
    return len(text) + sum(char > "\uffff" for char in text)


def compared(text: str | None) -> str:
    """Return what two names have in common when Xero, or a person, would take them for the same: clean, case folded, without accents."""
    folded = unicodedata.normalize("NFD", clean(text).casefold())
    plain = "".join(char for char in folded if unicodedata.combining(char) < _FIRST_ACCENT_CLASS)
    # folding may lengthen a name, and may give letters that fold once more
    return unicodedata.normalize("NFC", plain.casefold())


def clash_form(name: str) -> str:
    """Return what two contacts may not have in common, if Xero is as strict as it may be: the compared form without any mark at all."""
    plain = "".join(char for char in unicodedata.normalize("NFD", compared(name)) if not unicodedata.combining(char))
    return " ".join(plain.casefold().split())


def with_suffix(name: str, suffix: str, length: int = CONTACT_NAME_LENGTH) -> str:
    """Return the clean ``name`` with `` (suffix)``, its base cut so that both fit."""
    ending = f" ({clean(suffix, length - 4)})"
    return clean(cut(name, length - utf16_length(ending)) + ending, length)


def distinct_names(name: str, key: str, length: int = CONTACT_NAME_LENGTH) -> list[str]:
    """Return the names that a row may be given, in order: its own, with the last 8 characters of its key, with the whole key, with its hash.

    The hash is for keys that Xero takes for the same, such as ``a`` and ``A``.
    """
    digest = hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()[:16]
    names = [name, with_suffix(name, key[-8:], length), with_suffix(name, key, length), with_suffix(name, digest, length)]
    return list(dict.fromkeys(names))


@dataclass(frozen=True, slots=True)
class ProjectName:
    """A job's project name; ``beginning`` is what identifies the job in a name that was edited, compared form, or None where nothing does."""

    text: str
    beginning: str | None


def project_name(template: str, number: str, name: str | None) -> ProjectName:
    """Return the name of a job's project by the mapping's ``name_template``; too long, it loses its end but never the number."""
    number, name = clean(number), clean(name)
    head, _found, tail = template.partition("{number}")
    if "{name}" in head:
        name = cut(name, PROJECT_NAME_LENGTH)
        while name and utf16_length(clean(_fill(template, number, name))) > PROJECT_NAME_LENGTH:
            name = name[:-1]
    text = clean(_fill(template, number, name), PROJECT_NAME_LENGTH)
    literal = _PLACEHOLDER.split(tail)[0]
    if not literal:
        return ProjectName(text, None)
    start = _fill(head, number, name) + number + literal
    beginning = compared(start) + (" " if literal.isspace() else "")
    return ProjectName(text, beginning if utf16_length(clean(start)) < PROJECT_NAME_LENGTH else None)


def begins_with(name: str, beginning: str) -> bool:
    """Tell whether a project's name has this compared beginning."""
    return f"{compared(name)} ".startswith(beginning)


def _fill(template: str, number: str, name: str) -> str:
    """Return the template with its placeholders filled in; what looks like one in a value stays."""
    return _PLACEHOLDER.sub(lambda match: number if match.group(1) == "number" else name, template)
