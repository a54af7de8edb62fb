"""What an operation of the sandbox answers, before it becomes HTTP."""
from __future__ import annotations

import json
import uuid
from dataclasses import dataclass, field
from typing import Any

ZERO_ID = "00000000-0000-0000-0000-000000000000"
JSON = "application/json; charset=utf-8"
HTML = "text/html; charset=utf-8"


@dataclass(slots=True)
class Reply:
    """A status, a body (JSON data, text or nothing) and headers."""

    status: int
    data: Any = None
    content_type: str = JSON
    headers: dict[str, str] = field(default_factory=dict)
    text: str | None = None

    def body(self) -> bytes:
        """Return the body's bytes."""
        if self.text is not None:
            return self.text.encode()
        if self.data is None:
            return b""
        try:
            return json.dumps(self.data, ensure_ascii=False, separators=(",", ":")).encode()
        except UnicodeEncodeError:  # half a surrogate pair, which JSON can carry and UTF-8 cannot
            return json.dumps(self.data, separators=(",", ":")).encode()


def envelope(name: str, rows: list[dict[str, Any]], now_ms: int, *, provider: str, pagination: dict[str, int] | None = None) -> dict[str, Any]:
    """Return the accounting API's envelope around rows."""
    data: dict[str, Any] = {"Id": str(uuid.uuid4()), "Status": "OK", "ProviderName": provider, "DateTimeUTC": f"/Date({now_ms})/"}
    if pagination is not None:
        data["pagination"] = pagination
    data[name] = rows
    return data


def problem(status: int, title: str, detail: str) -> Reply:
    """Return the answer of Xero's front door to a call it does not let in."""
    data: dict[str, Any] = {"Type": None, "Title": title, "Status": status, "Detail": detail, "Instance": str(uuid.uuid4()), "Extensions": {}}
    return Reply(status, data)


def not_found() -> Reply:
    """Return the accounting API's 404: HTML by its type, and empty."""
    return Reply(404, content_type=HTML)


def exception(number: int, kind: str, message: str, *, status: int = 400, elements: list[dict[str, Any]] | None = None) -> Reply:
    """Return an error of the accounting API."""
    data: dict[str, Any] = {"ErrorNumber": number, "Type": kind, "Message": message}
    if elements is not None:
        data["Elements"] = elements
    return Reply(status, data)


def model_state(errors: dict[str, list[str]], *, status: int = 400) -> Reply:
    """Return an error of the projects API."""
    return Reply(status, {"message": "The request is invalid.", "modelState": errors})


def page_of(page: int, page_size: int, count: int) -> dict[str, int]:
    """Return the pagination object of a list."""
    return {"page": page, "pageSize": page_size, "pageCount": -(-count // page_size), "itemCount": count}
