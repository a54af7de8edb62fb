"""Whole lists: from a list with a gap nothing may be decided, since what it lacks would be created once more."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from .errors import ListIncomplete

Entry = TypeVar("Entry")

TRIES = 3
MAX_PAGES = 10_000


@dataclass(frozen=True, slots=True)
class Page(Generic[Entry]):
    """One page; ``size``, ``pages`` and ``count`` are what the reply says of itself, None where it says nothing."""

    entries: list[Entry]
    length: int
    """Elements that came, usable or not."""
    size: int
    pages: int | None
    count: int | None


def page_info(body: Any, name: str, parse: Callable[[dict[str, Any]], Entry | None], *, asked_size: int) -> Page[Entry]:
    """Return a page of Xero's reply ``body``, whose elements are under ``name``."""
    elements = body.get(name) if isinstance(body, dict) else None
    elements = elements if isinstance(elements, list) else []
    told = body.get("pagination") if isinstance(body, dict) else None
    told = told if isinstance(told, dict) else {}
    entries = [entry for entry in (parse(element) for element in elements if isinstance(element, dict)) if entry is not None]
    size = _whole(told.get("pageSize"))
    return Page(entries, len(elements), size if size else asked_size, _whole(told.get("pageCount")), _whole(told.get("itemCount")))


def complete_list(read_page: Callable[[int], Page[Entry]], *, what: str, entry_id: Callable[[Entry], str]) -> list[Entry]:
    """Return all entries, each once, or raise ListIncomplete after some tries.

    A list is whole if every page but the last is full by the reply's own page size and at least the promised number of different ids came.
    """
    trouble = ""
    for _attempt in range(TRIES):
        entries, trouble = _read_once(read_page, entry_id)
        if not trouble:
            return entries
    raise ListIncomplete(
        f"Xero's list of {what} is not whole ({trouble}, read {TRIES} times)", "Nothing was written. Run again when nobody changes the organisation"
    )


def _read_once(read_page: Callable[[int], Page[Entry]], entry_id: Callable[[Entry], str]) -> tuple[list[Entry], str]:
    """Read all pages once; return the entries and what is wrong with them, empty if nothing is."""
    entries: dict[str, Entry] = {}
    count: int | None = None
    for number in range(1, MAX_PAGES + 1):
        page = read_page(number)
        if len(page.entries) != page.length:
            return [], f"page {number} has an entry without a valid id"
        for entry in page.entries:
            entries[entry_id(entry)] = entry
        count = page.count if page.count is not None else count
        last = page.length < page.size if page.pages is None else number >= page.pages
        if last:
            break
        if page.length < page.size:
            return [], f"page {number} has {page.length} entries instead of {page.size}"
    else:
        return [], f"it has more than {MAX_PAGES} pages"
    if count is not None and len(entries) < count:
        return [], f"{len(entries)} different entries came instead of {count}"
    return list(entries.values()), ""


def _whole(value: Any) -> int | None:
    """Return a count that a reply tells, None for anything else."""
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None
