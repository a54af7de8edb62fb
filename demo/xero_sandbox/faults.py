"""Faults to order: which request they meet, and what they do to its reply."""
from __future__ import annotations

import copy
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from .reply import HTML, ZERO_ID, Reply, problem

HTML_PAGE = "<!DOCTYPE html>\n<html><head><title>{title}</title></head><body><h1>{title}</h1><p>The page cannot be displayed.</p></body></html>\n"
TITLES = {500: "Internal Server Error", 502: "Bad Gateway", 503: "Service Unavailable"}

KINDS = {
    "drop_before": "the connection is closed without a reply, and nothing was done",
    "drop_after": "the request is carried out, then the connection is closed without a reply",
    "http_500": "500 with an HTML page; carried out before it if `applied`",
    "http_502": "502 with an HTML page; carried out before it if `applied`",
    "http_503": "503 with an HTML page; carried out before it if `applied`",
    "limit_minute": "429 of the minute's limit, with Retry-After `retry_after`",
    "limit_day": "429 of the day's limit, with Retry-After `retry_after`",
    "limit_concurrent": "429 for too many calls at once",
    "limit_appminute": "429 of the app's own limit",
    "hang": "`seconds` pass before the reply; not `applied`: then the connection is closed and nothing was done",
    "truncated": "carried out; half of the body comes, as if it were all",
    "cut_short": "carried out; the connection is closed after half of the body",
    "empty_body": "carried out; 200 without a body",
    "html_body": "carried out; 200 with an HTML page",
    "null_id": "carried out; the ids of the rows are null",
    "zero_id": "carried out; the first row's id is the zero id, though the row is said to be fine",
    "reversed": "carried out; the rows come in reverse order",
    "element_missing": "carried out; the last row is missing",
    "unknown_enum": "carried out; the first row's status is one that the SDK does not know",
    "expired_token": "401, as for an expired token",
    "forbidden": "403, as for a tenant that is not connected",
    "not_found": "404",
    "rows_missing": "`rows` rows of a page are missing, though the pagination counts them",
    "rows_repeated": "the first row of a page comes twice, the last one not",
    "row_appears": "after the reply somebody adds a contact and a project",
}
UNDONE = frozenset({"drop_before", "limit_minute", "limit_day", "limit_concurrent", "limit_appminute", "expired_token", "forbidden", "not_found"})
ID_FIELDS = ("ContactID", "projectId", "taskId")
STATUS_FIELDS = ("ContactStatus", "status", "Class")


class FaultError(ValueError):
    """A fault that cannot be ordered."""


@dataclass(slots=True)
class Fault:
    """An order: the requests with this method and path, after ``skip`` of them, ``times`` times."""

    kind: str
    method: str | None = None
    path: str | None = None  # regular expression, searched in the path, case-insensitively
    query: str | None = None  # the same for the query string
    tenant_id: str | None = None
    skip: int = 0
    times: int | None = 1  # None: always
    every: int = 1  # of the requests after those skipped, only each so-maniest
    applied: bool | None = None
    seconds: float = 30.0
    retry_after: int | None = None
    rows: int = 1
    fault_id: int = 0
    met: int = field(default=0)
    done: int = field(default=0)

    @classmethod
    def order(cls, data: Mapping[str, Any]) -> Fault:
        """Return the fault that an admin request describes."""
        if data.get("kind") not in KINDS:
            raise FaultError(f"There is no fault {data.get('kind')!r}; the kinds are {', '.join(KINDS)}")
        orderable = set(cls.__slots__) - {"fault_id", "met", "done"}
        if set(data) - orderable:
            raise FaultError(f"A fault has no {', '.join(sorted(set(data) - orderable))}; it has {', '.join(sorted(orderable))}")
        fault = cls(**data)
        if fault.every < 1:
            raise FaultError("`every` must be at least 1")
        try:
            for pattern in (fault.path, fault.query):
                re.compile(pattern or "")
        except re.error as error:
            raise FaultError(f"Not a regular expression: {error}") from None
        return fault

    @property
    def carried_out(self) -> bool:
        """Return whether the request is carried out all the same."""
        if self.kind in UNDONE:
            return False
        if self.kind.startswith("http_"):
            return bool(self.applied)
        return self.kind != "hang" or self.applied is not False

    def fits(self, method: str, path: str, query: str, tenant_id: str | None) -> bool:
        """Return whether a request is one that the fault is meant for."""
        return (
            (self.method is None or self.method.upper() == method)
            and (self.path is None or re.search(self.path, path, re.IGNORECASE) is not None)
            and (self.query is None or re.search(self.query, query, re.IGNORECASE) is not None)
            and (self.tenant_id is None or self.tenant_id == tenant_id)
        )


class Faults:
    """The orders, first come first served."""

    def __init__(self) -> None:
        self.orders: list[Fault] = []
        self._last = 0

    def add(self, data: Mapping[str, Any]) -> Fault:
        """Take an order."""
        fault = Fault.order(data)
        self._last += 1
        fault.fault_id = self._last
        self.orders.append(fault)
        return fault

    def take(self, method: str, path: str, query: str, tenant_id: str | None) -> Fault | None:
        """Return the fault that this request meets; every order that fits counts it."""
        met: Fault | None = None
        for fault in self.orders:
            if (fault.times is not None and fault.done >= fault.times) or not fault.fits(method, path, query, tenant_id):
                continue
            fault.met += 1
            if met is None and fault.met > fault.skip and (fault.met - fault.skip - 1) % fault.every == 0:
                fault.done += 1
                met = fault
        return met

    def clear(self) -> None:
        """Forget all orders."""
        self.orders.clear()

    def rows(self) -> list[dict[str, Any]]:
        """Return the orders as JSON data."""
        return [asdict(fault) for fault in self.orders]


def instead(fault: Fault) -> Reply | None:
    """Return the reply that is given in place of the operation's own, if the fault is of that kind."""
    if fault.kind.startswith("http_"):
        status = int(fault.kind.removeprefix("http_"))
        return Reply(status, content_type=HTML, text=HTML_PAGE.format(title=TITLES[status]))
    if fault.kind.startswith("limit_"):
        name = fault.kind.removeprefix("limit_")
        headers = {"X-Rate-Limit-Problem": name}
        if name in ("minute", "day"):
            headers["Retry-After"] = str(fault.retry_after if fault.retry_after is not None else 1 if name == "minute" else 66975)
        elif fault.retry_after is not None:
            headers["Retry-After"] = str(fault.retry_after)
        if name == "minute":
            headers["X-MinLimit-Remaining"] = "0"
        elif name == "day":
            headers["X-DayLimit-Remaining"] = "0"
        return Reply(429, content_type="", headers=headers)
    if fault.kind == "expired_token":
        return problem(401, "Unauthorized", "TokenExpired: token expired at 01/01/2026 00:00:00")
    if fault.kind == "forbidden":
        return problem(403, "Forbidden", "AuthenticationUnsuccessful")
    if fault.kind == "not_found":
        return Reply(404, content_type=HTML)
    return None


def spoiled(fault: Fault, reply: Reply) -> Reply:
    """Return the operation's own reply as the fault leaves it."""
    if fault.kind == "empty_body":
        return Reply(reply.status, None, reply.content_type, reply.headers)
    if fault.kind == "html_body":
        return Reply(reply.status, None, HTML, reply.headers, text=HTML_PAGE.format(title="Xero"))
    if fault.kind == "truncated":
        whole = reply.body().decode()
        return Reply(reply.status, None, reply.content_type, reply.headers, text=whole[: len(whole) // 2])
    if not isinstance(reply.data, dict | list):
        return reply
    data = copy.deepcopy(reply.data)
    rows = _rows_of(data)
    if rows:
        _spoil_rows(fault, rows)
    return Reply(reply.status, data, reply.content_type, reply.headers)


def _rows_of(data: Any) -> list[dict[str, Any]]:
    """Return the list of rows inside a body; a single row is a list of one."""
    if isinstance(data, list):
        return data
    for name in ("Contacts", "items", "Organisations", "Elements"):
        if isinstance(data.get(name), list):
            rows: list[dict[str, Any]] = data[name]
            return rows
    return [data]


def _spoil_rows(fault: Fault, rows: list[dict[str, Any]]) -> None:
    if fault.kind == "null_id":
        for row in rows:
            row.update({name: None for name in ID_FIELDS if name in row})
    elif fault.kind == "zero_id":
        rows[0].update({name: ZERO_ID for name in ID_FIELDS if name in rows[0]})
    elif fault.kind == "reversed":
        rows.reverse()
    elif fault.kind == "element_missing":
        del rows[-1:]
    elif fault.kind == "unknown_enum":
        rows[0].update({name: "SOMETHINGNEW" for name in STATUS_FIELDS if name in rows[0]})
    elif fault.kind == "rows_missing":
        del rows[-fault.rows :]
    elif fault.kind == "rows_repeated" and len(rows) > 1:
        rows[-1] = copy.deepcopy(rows[0])
