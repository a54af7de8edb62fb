"""The options that every module which talks to Xero shares; importable without the Xero SDK."""

from __future__ import annotations

from typing import Any

API_URL = "https://api.xero.com"
IDENTITY_URL = "https://identity.xero.com"

XERO_OPTIONS: dict[str, Any] = {
    "client_id": {"type": "str", "required": True, "no_log": True},
    "client_secret": {"type": "str", "required": True, "no_log": True},
    "token_file": {"type": "path", "no_log": False},
    "tenant_id": {"type": "str"},
    "organisation": {"type": "str"},
    "allow_non_demo": {"type": "bool", "default": False},
    "forbidden_tenant_ids": {"type": "list", "elements": "str", "default": []},
    "api_url": {"type": "str", "default": API_URL},
    "identity_url": {"type": "str", "default": IDENTITY_URL},
    "calls_per_minute": {"type": "int", "default": 60},
    "daily_reserve": {"type": "int", "default": 0},
    "recent_calls": {"type": "list", "elements": "float", "default": []},
    "log_dir": {"type": "path"},
    "log_keep": {"type": "int", "default": 30},
}
"""Argument spec; documented in plugins/doc_fragments/dev_refresh_xero.py."""
