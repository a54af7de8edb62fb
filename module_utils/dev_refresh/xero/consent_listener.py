"""The user's consent in a browser: the address to open, and the listener that takes Xero's answer.

Runs on the controller, where the browser is, and needs nothing but Python.
"""

from __future__ import annotations

import base64
import errno
import hashlib
import hmac
import queue
import re
import secrets
import socket
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from html import escape
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socketserver import TCPServer
from types import TracebackType
from urllib.parse import parse_qs, urlencode, urlsplit

from .errors import NotConnected, Stopped, XeroError

CALLBACK_PATH = "/callback"
POLL = 0.2
"""Seconds between two looks at the deadline."""
STRAYS_TOLD = 5
AGAIN = "Run the playbook again"


@dataclass(frozen=True, slots=True)
class ConsentRequest:
    """What is asked of the user; ``state`` ties the answer to this run, ``verifier`` the code."""

    url: str = field(repr=False)
    redirect_uri: str
    state: str = field(repr=False)
    verifier: str | None = field(repr=False)


@dataclass(frozen=True, slots=True)
class _Answer:
    """What the browser is shown, and the code or error that the request brought."""

    status: int
    text: str
    outcome: str | XeroError | None = field(default=None, repr=False)


def redirect_uri(port: int) -> str:
    """Return the address that must stand among the app's redirect URIs; of plain http Xero takes localhost alone."""
    return f"http://localhost:{port}{CALLBACK_PATH}"


def new_request(*, client_id: str, login_url: str, port: int, scopes: Sequence[str], pkce: bool) -> ConsentRequest:
    """Return a request with secrets of its own."""
    state = secrets.token_urlsafe(32)
    verifier = secrets.token_urlsafe(64) if pkce else None
    query = {"response_type": "code", "client_id": client_id, "redirect_uri": redirect_uri(port), "scope": " ".join(scopes), "state": state}
    if verifier:
        digest = hashlib.sha256(verifier.encode()).digest()
        query |= {"code_challenge": base64.urlsafe_b64encode(digest).rstrip(b"=").decode(), "code_challenge_method": "S256"}
    return ConsentRequest(f"{login_url}?{urlencode(query)}", redirect_uri(port), state, verifier)


class Listener:
    """Listen on the loopback addresses of ``port`` for the answer to ``request``, inside the ``with`` block.

    ``on_stray`` hears of answers that do not belong to the request. Raises XeroError if the port is taken.
    """

    def __init__(self, request: ConsentRequest, *, port: int, on_stray: Callable[[str], None] | None = None) -> None:
        self._request = request
        self._port = port
        self._on_stray = on_stray
        self._strays: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._outcomes: queue.SimpleQueue[str | XeroError] = queue.SimpleQueue()
        self._servers: list[_Server] = []
        self._strangers = 0

    def __enter__(self) -> Listener:
        try:
            self._servers.append(_Server(socket.AF_INET, ("127.0.0.1", self._port), self))
            self._add_ipv6()
        except OSError as error:
            self._close()
            in_use = error.errno == errno.EADDRINUSE
            raise XeroError(
                f"Port {self._port} of this machine " + ("is in use" if in_use else f"cannot be listened on ({error.strerror})"),
                "End what uses it, or set xero_connect_redirect_port to another one and add http://localhost:<port>/callback to the app's redirect URIs",
            ) from None
        for server in self._servers:
            threading.Thread(target=server.serve_forever, kwargs={"poll_interval": POLL / 4}, daemon=True, name="consent").start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        for server in self._servers:
            server.shutdown()
        self._close()

    def wait(self, seconds: float, *, still_wanted: Callable[[], bool] = lambda: True) -> str:
        """Return the code; raises XeroError if it was refused or did not come in time."""
        end = time.monotonic() + seconds
        while True:
            try:
                outcome = self._outcomes.get(timeout=POLL)
            except queue.Empty:
                outcome = None
            self._tell_strays()
            if isinstance(outcome, XeroError):
                raise outcome
            if outcome is not None:
                return outcome
            if not still_wanted():
                raise Stopped("The run was ended before the consent came", AGAIN)
            if time.monotonic() >= end:
                strangers = f" ({self._strangers} answers came that do not belong to this run)" if self._strangers else ""
                raise NotConnected(f"No consent came within {seconds:.0f} seconds{strangers}", f"{AGAIN} and open the address that it prints")

    def answer(self, target: str) -> _Answer:
        """Judge one request by the address that the browser asked for."""
        parts = urlsplit(target)
        if parts.path != CALLBACK_PATH:
            return _Answer(404, "There is nothing here.")
        try:
            query = parse_qs(parts.query, keep_blank_values=True, max_num_fields=50)
        except ValueError:
            query = {}
        given = {name: found[0] for name, found in query.items() if len(found) == 1}
        if not hmac.compare_digest(given.get("state", "").encode(), self._request.state.encode()):
            self._strays.put("An answer with a wrong state was refused: it belongs to another run, or nobody asked for it. Still waiting.")
            return _Answer(400, "This answer does not belong to the run that waits now. Open the address that it printed.")
        if "error" in query:
            return _Answer(200, "Xero gave no consent. The terminal says more; this page can be closed.", _refusal(given.get("error", "")))
        code = given.get("code", "")
        if not re.fullmatch(r"[!-~]{1,4000}", code):
            self._strays.put("An answer without a code was refused. Still waiting.")
            return _Answer(400, "This answer has no code. Open the address that the run printed once more.")
        return _Answer(200, "The consent has arrived. The rest is in the terminal; this page can be closed.", code)

    def take(self, outcome: str | XeroError) -> None:
        """Note what a request brought, once the browser has its page."""
        self._outcomes.put(outcome)

    def _add_ipv6(self) -> None:
        """Listen on ::1 too, where there is one: some browsers mean it by localhost."""
        try:
            self._servers.append(_Server(socket.AF_INET6, ("::1", self._port), self))
        except OSError as error:
            if error.errno not in (errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL):
                raise

    def _tell_strays(self) -> None:
        """Pass on what was refused, from this thread, and only a few times."""
        while not self._strays.empty():
            self._strangers += 1
            text = self._strays.get()
            if self._on_stray is not None and self._strangers <= STRAYS_TOLD:
                self._on_stray(text)

    def _close(self) -> None:
        """Let go of the port."""
        for server in self._servers:
            server.server_close()
        self._servers.clear()


class _Server(ThreadingHTTPServer):
    """A thread for each connection: browsers open some that they never use."""

    daemon_threads = True

    def __init__(self, family: socket.AddressFamily, address: tuple[str, int], listener: Listener) -> None:
        self.address_family = family
        self.listener = listener
        super().__init__(address, _Handler)

    def server_bind(self) -> None:
        """Bind without the look-up of the host's full name, which may take long."""
        TCPServer.server_bind(self)
        self.server_name, self.server_port = "localhost", self.server_address[1]

    def handle_error(self, request: object, client_address: object) -> None:
        """Keep silent: what breaks is a browser's connection."""


class _Handler(BaseHTTPRequestHandler):
    """Answer one request with a page of plain HTML."""

    timeout = 10
    server: _Server

    def do_GET(self) -> None:
        """Answer the browser, then pass on what it brought."""
        answer = self.server.listener.answer(self.path)
        page = f'<!doctype html><html lang="en"><meta charset="utf-8"><title>dev-refresh</title><p>{escape(answer.text)}</p></html>\n'.encode()
        try:
            self.send_response(answer.status)
            for name, value in (
                ("Content-Type", "text/html; charset=utf-8"),
                ("Content-Length", str(len(page))),
                ("Cache-Control", "no-store"),
                ("Referrer-Policy", "no-referrer"),
                ("Connection", "close"),
            ):
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(page)
            self.wfile.flush()
        finally:
            if answer.outcome is not None:
                self.server.listener.take(answer.outcome)

    def log_message(self, format: str, *args: object) -> None:
        """Log nothing: the address holds the code."""

    def version_string(self) -> str:
        """Return the name of the server."""
        return "dev-refresh"


def _refusal(code: str) -> XeroError:
    """Return the error for an answer that says no."""
    if code == "access_denied":
        return NotConnected("The consent was denied in the browser", f"{AGAIN} and allow the access; a custom connection needs no consent")
    if code == "invalid_scope":
        return XeroError("Xero refused the scopes that were asked for (invalid_scope)", "Compare xero_connect_scopes with the scopes of the app")
    said = code if re.fullmatch(r"[a-z_]{1,60}", code) else "an error without a name"
    return XeroError(f"Xero answered with {said}", "Check the app's settings at developer.xero.com, then run the playbook again")
