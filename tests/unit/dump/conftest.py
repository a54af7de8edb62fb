"""Archives for tests of their readers."""
from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from archive_writer import Wrote, archive_bytes


@pytest.fixture
def write_archive(tmp_path: Path) -> Callable[..., str]:
    """Return a function that writes an archive without data and returns its path."""

    def write(entries: Sequence[Wrote] = (), *, name: str = "made.dump", **how: object) -> str:
        path = tmp_path / name
        path.write_bytes(archive_bytes(entries, **how))
        return str(path)

    return write
