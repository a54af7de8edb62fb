"""Access tokens by our own calls: the SDK's would lose a rotated refresh token and refresh once per thread."""

from __future__ import annotations

import base64
import json
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from .clock import Clock, SystemClock
from .errors import BadCredentials, NotConnected, Stopped, XeroError
from .token_file import TokenFile

if TYPE_CHECKING:
    import urllib3

    from .request_log import RequestLog

MARGIN = 120.0
"""Seconds before its end at which a token is no longer used."""
TRIES = 4
TIMEOUT = (10.0, 30.0)
RECONNECT = "Connect the app again with playbooks/connect_xero.yml"


@dataclass(frozen=True, slots=True)
class Credentials:
    """The Xero app; with ``token_file`` it acts for the user who consented, else by client credentials."""

    client_id: str = field(repr=False)
    client_secret: str = field(repr=False)
    token_file: str | None = None


class TokenSource:
    """Give a valid access token to any thread; one request for a new one at a time."""

    def __init__(
        self, credentials: Credentials, identity_url: str, *, pool: urllib3.PoolManager, clock: Clock | None = None, log: RequestLog | None = None
    ) -> None:
        self._credentials = credentials
        self._url = f"{identity_url.rstrip('/')}/connect/token"
        self._pool = pool
        self._clock = clock or SystemClock()
        self._log = log
        self._lock = threading.Lock()
        self._token = ""
        self._good_until = 0.0
        self._stopped = False
        self.scopes: tuple[str, ...] = ()
        self.minted = 0

    def access_token(self, *, stale: str | None = None) -> str:
        """Return a token that is good for two minutes at least; ``stale`` is one that Xero just refused."""
        with self._lock:
            if not self._token or self._token == stale or self._clock.now() >= self._good_until:
                self._renew()
            return self._token

    def exchange(self, code: str, *, redirect_uri: str, verifier: str | None) -> str:
        """Exchange the code of a user's consent; return the refresh token, which the caller stores at once, and keep the access token."""
        form = {"grant_type": "authorization_code", "code": code, "redirect_uri": redirect_uri}
        if verifier:
            form["code_verifier"] = verifier
        with self._lock:
            reply = self._ask(form)
            refresh_token = reply.get("refresh_token")
            if not isinstance(refresh_token, str) or not refresh_token:
                raise XeroError("Xero gave no refresh token", "Put offline_access among xero_connect_scopes, then run again")
            self._accept(reply)
        return refresh_token

    def check_client(self) -> None:
        """Raise BadCredentials if Xero does not know the app or its secret; for that a token is asked for that nobody gets."""
        try:
            self._ask({"grant_type": "refresh_token", "refresh_token": "none"})
        except NotConnected:
            return  # the token was refused, so the app was not

    def stop(self) -> None:
        """Make waiting for the identity server end soon."""
        self._stopped = True

    def secrets(self) -> list[str]:
        """Return what must never be shown."""
        return [text for text in (self._credentials.client_secret, self._token) if text]

    def _renew(self) -> None:
        """Get another token; a refresh token that Xero rotated is on disk before the new one is used."""
        path = self._credentials.token_file
        if path is None:
            reply = self._ask({"grant_type": "client_credentials"})
        else:
            with TokenFile(path, clock=self._clock) as stored:
                reply = self._ask({"grant_type": "refresh_token", "refresh_token": stored.refresh_token})
                rotated = reply.get("refresh_token")
                if isinstance(rotated, str) and rotated and rotated != stored.refresh_token:
                    stored.replace(rotated)
        self._accept(reply)

    def _accept(self, reply: dict[str, Any]) -> None:
        """Take over the access token of a reply."""
        token = reply.get("access_token")
        if not isinstance(token, str) or not token or not token.isascii() or not token.isprintable():
            raise XeroError("Xero's identity server answered without an access token", "Check xero_seed_identity_url, then run again")
        seconds = _seconds(reply.get("expires_in"))
        self._token = token
        self._good_until = self._clock.now() + max(seconds - MARGIN, seconds / 2)
        scope = reply.get("scope")
        self.scopes = tuple(scope.split()) if isinstance(scope, str) else tuple(str(part) for part in scope) if isinstance(scope, list) else ()
        self.minted += 1

    def _ask(self, form: dict[str, str]) -> dict[str, Any]:
        """Post to the token endpoint, again after a lost reply: for client credentials it does no harm, and a refresh token stays good for a while."""
        wait = 1.0
        for attempt in range(1, TRIES + 1):
            started = self._clock.now()
            status, body, trouble = self._post(form)
            if self._log is not None:
                self._log.request("POST", "/connect/token", status, self._clock.now() - started, attempt=attempt, error=trouble)
            if status == 200 and body is not None:
                return body
            if status is not None and 400 <= status < 500 and status not in (408, 429):
                raise self._refused(status, body, form["grant_type"])
            if self._stopped:
                raise Stopped("The run was stopped", "Run the same command again")
            if attempt < TRIES:
                self._clock.sleep(wait)
                wait *= 2
        said = trouble or f"HTTP {status}"
        raise XeroError(f"Xero's identity server gave no token ({said}, tried {TRIES} times)", "Check the network and xero_seed_identity_url, then run again")

    def _post(self, form: dict[str, str]) -> tuple[int | None, dict[str, Any] | None, str | None]:
        """Post once; return status, JSON object and what went wrong, each of them or None."""
        import urllib3

        pair = f"{self._credentials.client_id}:{self._credentials.client_secret}".encode()
        headers = {
            "Authorization": f"Basic {base64.b64encode(pair).decode()}",
            "Content-Type": "application/x-www-form-urlencoded",
            "Accept": "application/json",
        }
        try:
            reply = self._pool.request(
                "POST",
                self._url,
                body=urlencode(form).encode(),
                headers=headers,
                timeout=urllib3.Timeout(connect=TIMEOUT[0], read=TIMEOUT[1]),
                retries=urllib3.Retry(total=0, redirect=False),
            )
        except urllib3.exceptions.LocationValueError:
            raise XeroError("xero_seed_identity_url is not an address", "Write a URL such as https://identity.xero.com") from None
        except urllib3.exceptions.HTTPError as error:
            return None, None, describe_transport_error(error)
        try:
            body = json.loads(reply.data.decode("utf-8-sig"))
        except (ValueError, RecursionError):
            return int(reply.status), None, "the reply is not JSON"
        return int(reply.status), body if isinstance(body, dict) else None, None

    def _refused(self, status: int, body: dict[str, Any] | None, grant: str) -> XeroError:
        """Return the error for a refusal by the identity server."""
        code = str((body or {}).get("error", ""))
        said = f"HTTP {status}" + (f", {code}" if code.isascii() and code.replace("_", "").isalnum() and len(code) < 60 else "")
        if code == "invalid_grant" and grant == "authorization_code":
            return NotConnected(
                f"Xero refused the code of the consent ({said}): a code works once, for five minutes, and for the redirect URI that it was made for",
                "Run playbooks/connect_xero.yml again and consent once more",
            )
        if code == "invalid_grant" and self._credentials.token_file:
            return NotConnected(
                f"Xero refused the refresh token in {self._credentials.token_file} ({said}): it was used up, revoked or is older than 60 days", RECONNECT
            )
        if code in ("invalid_client", "unauthorized_client", "invalid_grant") or status == 401:
            remedy = "Correct xero_seed_client_id and xero_seed_client_secret"
            if not self._credentials.token_file:
                remedy += "; an app that is no custom connection also needs xero_seed_token_file, which playbooks/connect_xero.yml writes"
            elif code == "unauthorized_client":
                remedy += "; a custom connection needs no consent and no xero_seed_token_file"
            return BadCredentials(f"Xero refused the app's client id or secret ({said})", remedy)
        if code == "invalid_scope":
            return BadCredentials(
                f"Xero refused the scopes of the app ({said})", "Give the app the scopes accounting.contacts, projects and accounting.settings.read"
            )
        return XeroError(
            f"Xero's identity server refused to give a token ({said})", "Check xero_seed_identity_url and the app's settings at developer.xero.com"
        )


def describe_transport_error(error: BaseException) -> str:
    """Return a transport error in a few words, without the address's query or any header."""
    import urllib3

    reason = error.reason if isinstance(error, urllib3.exceptions.MaxRetryError) and error.reason else error
    if isinstance(reason, urllib3.exceptions.NameResolutionError):
        return "the host's name is unknown"
    if isinstance(reason, urllib3.exceptions.NewConnectionError):
        return "the connection was refused"
    if isinstance(reason, urllib3.exceptions.ConnectTimeoutError):
        return "no connection within the time allowed"
    if isinstance(reason, (urllib3.exceptions.ReadTimeoutError, TimeoutError)):
        return "no reply within the time allowed"
    if isinstance(reason, urllib3.exceptions.SSLError):
        return "the server's certificate was not accepted"
    if isinstance(reason, urllib3.exceptions.IncompleteRead):
        return "the reply ended too early"
    if isinstance(reason, urllib3.exceptions.DecodeError):
        return "the reply's compression is damaged"
    return f"the connection broke ({type(reason).__name__})"


def _seconds(value: object) -> float:
    """Return how long a token lives; Xero says 1800."""
    try:
        seconds = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return 1800.0
    return min(max(seconds, 1.0), 86400.0) if seconds == seconds else 1800.0
