"""Run the module pg_refresh and show its progress while it works."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[1] / "plugin_utils"))

from live_progress import ActionModule

__all__ = ["ActionModule"]
