"""The connection options that all modules with a database share; documented in the fragment dev_refresh_postgresql."""
from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .connection import Login

POSTGRESQL_OPTIONS: dict[str, Any] = {
    "login_host": {"type": "str", "default": ""},
    "login_port": {"type": "int", "default": 5432},
    "login_user": {"type": "str", "default": "postgres"},
    "login_password": {"type": "str", "no_log": True},
    "login_unix_socket": {"type": "str", "default": ""},
    "ssl_mode": {"type": "str", "default": "prefer", "choices": ["allow", "disable", "prefer", "require", "verify-ca", "verify-full"]},
    "ca_cert": {"type": "path"},
    "maintenance_db": {"type": "str", "default": "postgres"},
}
"""Argument spec shared by the modules."""


def login_from(params: Mapping[str, Any]) -> Login:
    """Return the login that the shared options describe."""
    return Login(
        user=params["login_user"],
        password=params["login_password"] or None,
        host=params["login_host"] or "",
        port=params["login_port"],
        unix_socket=params["login_unix_socket"] or "",
        ssl_mode=params["ssl_mode"],
        ca_cert=params["ca_cert"],
    )
