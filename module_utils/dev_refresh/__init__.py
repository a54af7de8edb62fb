"""Refresh a development database from a production dump and seed its Xero organisation."""
from __future__ import annotations

__version__ = "0.1.0"
