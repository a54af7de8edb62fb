"""Stub."""
from __future__ import annotations

from typing import Any


def disagreements(told: dict[str, Any]) -> list[str]:
    """Return what differs."""
    return [str(told)]
