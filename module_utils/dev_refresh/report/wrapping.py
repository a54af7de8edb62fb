"""Lines that fit a terminal."""

from __future__ import annotations

import os
import re
import sys
import textwrap

NARROWEST = 60
"""No terminal is taken to be narrower: the columns of the steps need so much."""
_UNBROKEN = re.compile(r"`[^`]+`")


def terminal_width() -> int | None:
    """Return the width of the terminal to which we write, or None: a file or a log wraps its lines itself."""
    try:
        return os.get_terminal_size(sys.stdout.fileno()).columns or None
    except (OSError, ValueError):
        return None


def hang(title: str, text: str, width: int | None) -> list[str]:
    """Return ``title`` and ``text``, wrapped beside the title; paths, and commands between backticks, are not broken. Without a width it is one line."""
    if width is None:
        return [f"{title}{text}".rstrip()]
    kept = _UNBROKEN.sub(lambda found: found[0].replace(" ", "\0"), text)
    wrapped = textwrap.wrap(
        kept,
        max(width, NARROWEST),
        initial_indent=title,
        subsequent_indent=" " * len(title),
        break_long_words=False,
        break_on_hyphens=False,
    )
    return [line.replace("\0", " ").rstrip() for line in wrapped] or [title.rstrip()]
