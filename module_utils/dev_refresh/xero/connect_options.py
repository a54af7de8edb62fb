"""The options of the module xero_connect, which its action plugin reads too; importable without the Xero SDK."""

from __future__ import annotations

from typing import Any

from .options import API_URL, IDENTITY_URL

LOGIN_URL = "https://login.xero.com/identity/connect/authorize"
SCOPES = ["offline_access", "accounting.contacts", "projects", "accounting.settings.read"]

CONNECT_OPTIONS: dict[str, Any] = {
    "client_id": {"type": "str", "required": True, "no_log": True},
    "client_secret": {"type": "str", "required": True, "no_log": True},
    "token_file": {"type": "path", "required": True, "no_log": False},
    "scopes": {"type": "list", "elements": "str", "default": SCOPES},
    "redirect_port": {"type": "int", "default": 8750},
    "login_url": {"type": "str", "default": LOGIN_URL},
    "api_url": {"type": "str", "default": API_URL},
    "identity_url": {"type": "str", "default": IDENTITY_URL},
    "pkce": {"type": "bool", "default": True},
    "deadline": {"type": "int", "default": 300},
    "force": {"type": "bool", "default": False},
    "code": {"type": "str", "no_log": True},
    "code_verifier": {"type": "str", "no_log": True},
}
"""Argument spec; documented in library/xero_connect.py."""
