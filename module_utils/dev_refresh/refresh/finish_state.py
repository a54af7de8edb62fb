"""How far the live database's last run got after the swap; pure."""
from __future__ import annotations

from ..postgres.marker import Marker

UNDER_WAY = "migrating_live"
"""Key in the marker's ``extra``: this run migrates live, its services stopped, and has not come to its end."""


def is_due(state: Marker) -> bool:
    """Tell whether the seed of this database has not been finished yet."""
    return state.finished_at is None or (state.seeded_at is not None and state.seeded_at > state.finished_at)


def is_finished(state: Marker) -> bool:
    """Tell whether the last run came to its end; after one that did not, the app's services may still be stopped."""
    return not is_due(state) and UNDER_WAY not in state.extra
