"""The connection that a module's options describe."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from .connection import Credentials, Xero
from .request_log import RequestLog


def open_log(params: Mapping[str, Any], *, module: str) -> RequestLog:
    """Return the log that XERO_OPTIONS and ``run_id`` describe; raises RefreshError if it cannot be written."""
    return RequestLog(params["log_dir"], module=module, run_id=params.get("run_id"), keep=params["log_keep"])


def open_xero(params: Mapping[str, Any], *, log: RequestLog | None, on_wait: Callable[[str, float], None] | None = None) -> Xero:
    """Return the connection that XERO_OPTIONS describe, not yet connected."""
    return Xero(
        credentials=Credentials(params["client_id"], params["client_secret"], params["token_file"]),
        api_url=params["api_url"],
        identity_url=params["identity_url"],
        tenant_id=params["tenant_id"],
        calls_per_minute=params["calls_per_minute"],
        daily_reserve=params["daily_reserve"],
        recent=params["recent_calls"],
        log=log,
        on_wait=on_wait,
    )
