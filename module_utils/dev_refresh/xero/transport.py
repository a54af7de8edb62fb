"""One request to Xero and all that can go wrong with it.

The SDK's ``ApiClient.call_api`` sends, with the SDK's retries, token handling, deserialisation and exceptions kept out: they sleep through
429s for hours, refresh a token once per thread, die of an unknown enum value and of an error that is not JSON.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from importlib.metadata import version
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit
from urllib.request import getproxies, proxy_bypass

from ..errors import RefreshError
from .accounting import Limits
from .budget import Budget
from .clock import Clock, SystemClock
from .errors import MissingScope, NotConnected, OutcomeUnknown, RateLimited, Stopped, TokenRefused, XeroError
from .tokens import RECONNECT, Credentials, TokenSource, describe_transport_error

if TYPE_CHECKING:
    import urllib3
    from xero_python.api_client import ApiClient

    from .request_log import RequestLog

LOOK_FIRST = "Run the same command again; it looks before it sends"
CONNECT_TIMEOUT = 10.0
READ_TIMEOUT = 60.0
DEADLINE = 180.0
"""Seconds in which a whole reply must have come, however slowly it drips."""
MAX_REPLY = 64 * 1024 * 1024
READ_TRIES = 5
"""How often a reading call is made in all when Xero is down or the connection breaks."""
LIMIT_TRIES = 30
POOL = 8
LOOPBACK = ("localhost", "127.0.0.1", "::1")
MAX_PAUSE = 60.0


@dataclass(frozen=True, slots=True)
class Reply:
    """A reply that came whole; ``body`` is its JSON with Decimals, None if it is not JSON."""

    status: int
    body: Any
    headers: dict[str, str]
    """With names in lower case."""

    @property
    def ok(self) -> bool:
        """Whether the call succeeded."""
        return 200 <= self.status <= 299


@dataclass(frozen=True, slots=True)
class Failure:
    """A call that ended without a whole reply; ``sent`` says that Xero may have got it."""

    why: str
    sent: bool
    status: int | None = None


class Transport:
    """Make calls for any thread within the budget, with a fresh token each.

    Raises RefreshError when the SDK is missing or unusable.
    """

    def __init__(
        self,
        *,
        credentials: Credentials,
        api_url: str,
        identity_url: str,
        budget: Budget,
        log: RequestLog | None = None,
        clock: Clock | None = None,
        timeouts: tuple[float, float] = (CONNECT_TIMEOUT, READ_TIMEOUT),
        deadline: float = DEADLINE,
    ) -> None:
        self._clock = clock or SystemClock()
        self._api_url = check_url(api_url, "xero_seed_api_url")
        self._timeouts = timeouts
        self._deadline = deadline
        self._log = log
        self.budget = budget
        self._client = make_client(self._api_url)
        self.tokens = TokenSource(
            credentials,
            check_url(identity_url, "xero_seed_identity_url"),
            pool=self._client.rest_client.pool_manager,
            clock=self._clock,
            log=log,
        )

    def stop(self) -> None:
        """Let no further call begin; waiting threads end with Stopped."""
        self.budget.stop()
        self.tokens.stop()

    def read(self, path: str, *, what: str, tenant_id: str | None = None, query: Sequence[tuple[str, str]] = (), page: int | None = None) -> Any:
        """GET ``path`` and return its JSON; broken connections and 5xx are tried again a few times.

        Raises XeroError; ``what`` says in a few words what is read.
        """
        failure: Failure | None = None
        for attempt in range(1, READ_TRIES + 1):
            if failure is not None:
                self.budget.retried()
                self._pause(2.0 ** (attempt - 2))
            outcome = self._call("GET", path, what=what, tenant_id=tenant_id, query=query, page=page, attempt=attempt)
            if isinstance(outcome, Reply):
                if outcome.status < 500 and not outcome.ok:
                    raise self._refused(outcome, "GET", path, what)
                if outcome.ok and isinstance(outcome.body, (dict, list)):
                    return outcome.body
                failure = Failure("the reply is not JSON" if outcome.ok else f"HTTP {outcome.status}", True, outcome.status)
            else:
                failure = outcome
        assert failure is not None
        raise XeroError(
            f"Xero did not answer when asked for {what} (GET {path}: {failure.why}, tried {READ_TRIES} times)",
            "Check the network and status.xero.com, then run again",
        )

    def write(self, method: str, path: str, *, what: str, tenant_id: str, body: Any, idempotency_key: str, query: Sequence[tuple[str, str]] = ()) -> Reply:
        """Send a change once and return its reply, which is a success or a refusal (400, 404, 409 and the like) of this change.

        Raises OutcomeUnknown when the change may have been made all the same. What certainly was not carried out (no connection,
        429, expired token) is sent again.
        """
        for attempt in range(1, READ_TRIES + 1):
            if attempt > 1:
                self.budget.retried()
                self._pause(2.0 ** (attempt - 2))
            outcome = self._call(method, path, what=what, tenant_id=tenant_id, query=query, body=body, key=idempotency_key, attempt=attempt)
            if isinstance(outcome, Failure):
                if not outcome.sent:
                    continue
                raise OutcomeUnknown(f"The reply to {what} was lost ({method} {path}: {outcome.why})", LOOK_FIRST, raise_attempt=False)
            if outcome.status >= 500 or outcome.status == 408 or (outcome.status < 400 and not outcome.ok):
                raise OutcomeUnknown(f"Xero failed at {what} ({method} {path}: HTTP {outcome.status})", LOOK_FIRST, raise_attempt=True)
            if outcome.ok and not isinstance(outcome.body, dict):
                raise OutcomeUnknown(f"The reply to {what} is not readable ({method} {path})", LOOK_FIRST, raise_attempt=False)
            if outcome.status in (401, 403):
                raise self._refused(outcome, method, path, what)
            if outcome.status == 400 and "idempotency key" in json.dumps(outcome.body, default=str).lower():
                raise OutcomeUnknown(f"Xero knows the idempotency key of {what} from another request", "Run the same command again", raise_attempt=True)
            return outcome
        raise XeroError(f"Xero could not be reached for {what} (tried {READ_TRIES} times)", "Check the network, then run again")

    def _call(
        self,
        method: str,
        path: str,
        *,
        what: str,
        tenant_id: str | None,
        query: Sequence[tuple[str, str]] = (),
        body: Any = None,
        key: str | None = None,
        page: int | None = None,
        attempt: int = 1,
    ) -> Reply | Failure:
        """Make one call, again after a 429 and once after an expired token: neither was carried out."""
        renewed = False
        for _ in range(1, LIMIT_TRIES + 1):
            call = self.budget.acquire()
            limits = Limits()
            started = self._clock.now()
            outcome: Reply | Failure | None = None
            try:
                token = self.tokens.access_token()
                started = self._clock.now()
                outcome = self._send(method, path, token=token, tenant_id=tenant_id, query=query, body=body, key=key)
                if isinstance(outcome, Reply):
                    limits = read_limits(outcome)
            finally:
                if outcome is None or (isinstance(outcome, Failure) and not outcome.sent):
                    self.budget.unused()
                else:
                    self.budget.release(call, limits, write=method != "GET")
            self._note(method, path, outcome, self._clock.now() - started, attempt=attempt, key=key, page=page, limits=limits)
            if isinstance(outcome, Reply):
                if outcome.status == 429:
                    self.budget.retried()
                    continue
                if outcome.status == 401 and not renewed and is_token_expired(outcome):
                    renewed = True
                    self.budget.retried()
                    self.tokens.access_token(stale=token)
                    continue
            return outcome
        delayed = f"Others keep using up Xero's limits: {what} had to be put off {LIMIT_TRIES} times"
        raise RateLimited(delayed, "Stop what else uses this Xero app, then run again")

    def _send(
        self, method: str, path: str, *, token: str, tenant_id: str | None, query: Sequence[tuple[str, str]], body: Any, key: str | None
    ) -> Reply | Failure:
        """Send one request through the SDK and read its reply to the end."""
        import urllib3
        from xero_python.exceptions import ApiException, ApiSSLException

        headers = {"Authorization": f"Bearer {token}", "Accept": "application/json"}
        if tenant_id is not None:
            headers["Xero-Tenant-Id"] = tenant_id
        if key is not None:
            headers["Idempotency-Key"] = key
        give_up = self._clock.now() + self._deadline
        try:
            reply = self._client.call_api(
                self._api_url + quote(path, safe="/"),
                method,
                query_params=list(query) or None,
                header_params=headers,
                body=body,
                _return_http_data_only=True,
                _preload_content=False,
                _request_timeout=self._timeouts,
            )
            status, raw_headers = int(reply.status), reply.headers
            content = self._read_body(reply, give_up)
        except ApiSSLException:
            return Failure("the server's certificate was not accepted", sent=False)
        except ApiException as error:
            # its text would parse and show the body; only the raw response is used
            reply = error.http_resp
            if reply is None:
                return Failure("the request could not be made", sent=False)
            status, raw_headers, content = int(reply.status), reply.urllib3_response.headers, reply.data
        except urllib3.exceptions.LocationValueError:
            raise XeroError("xero_seed_api_url is not an address", "Write a URL such as https://api.xero.com") from None
        except (urllib3.exceptions.HTTPError, TimeoutError) as error:
            return Failure(describe_transport_error(error), sent=not never_sent(error))
        return Reply(status, parse_json(content), {str(name).lower(): str(value) for name, value in raw_headers.items()})

    def _read_body(self, reply: urllib3.HTTPResponse, give_up: float) -> bytes:
        """Return the body; a reply that drips on and on is cut off."""
        parts: list[bytes] = []
        size = 0
        try:
            for part in reply.stream(65536, decode_content=True):
                parts.append(part)
                size += len(part)
                if self._clock.now() > give_up or size > MAX_REPLY:
                    raise TimeoutError
        except BaseException:
            reply.close()
            raise
        reply.release_conn()
        return b"".join(parts)

    def _pause(self, seconds: float) -> None:
        """Wait before trying again."""
        if self.budget.stopped:
            raise Stopped("The run was stopped", "Run the same command again")
        self._clock.sleep(min(seconds, MAX_PAUSE))

    def _note(
        self, method: str, path: str, outcome: Reply | Failure | None, seconds: float, *, attempt: int, key: str | None, page: int | None, limits: Limits
    ) -> None:
        """Write the call into the log."""
        if self._log is not None:
            failure = outcome if isinstance(outcome, Failure) else None
            self._log.request(
                method,
                path,
                outcome.status if isinstance(outcome, Reply) else None,
                seconds,
                attempt=attempt,
                key=key,
                page=page,
                error=failure.why if failure else limits.problem,
                minute_remaining=limits.minute_remaining,
                day_remaining=limits.day_remaining,
            )

    def _refused(self, reply: Reply, method: str, path: str, what: str) -> XeroError:
        """Return the error for a 4xx that is not about one row."""
        said = said_by(reply)
        call = f"{method} {path}: HTTP {reply.status}{f', {said}' if said else ''}"
        challenge = reply.headers.get("www-authenticate", "").lower()
        if "insufficient_scope" in challenge or "insufficent_scope" in challenge or "insufficient_scope" in said.lower():
            return MissingScope(
                f"The Xero app lacks a scope for {what} ({call})",
                "Give the app the scopes accounting.contacts, projects and accounting.settings.read, then connect it again with playbooks/connect_xero.yml",
            )
        if "authenticationunsuccessful" in said.lower():
            return NotConnected(
                f"The app is not connected to this organisation ({call}): a demo company gets a new tenant id when it is reset",
                f"Remove or correct xero_seed_tenant_id. {RECONNECT}, or authorise the custom connection again",
            )
        if reply.status == 401 and "expired" in said.lower():
            expired = f"Xero calls even a new token expired when it is asked for {what} ({call})"
            return TokenRefused(expired, "Run again in a few minutes, or connect the app again")
        if reply.status in (401, 403):
            return XeroError(f"Xero refuses {what} to the app ({call})", "Check the rights of the user who connected the app, or connect it again")
        if reply.status == 404:
            return XeroError(f"Xero knows no address for {what} ({call})", "Check xero_seed_api_url and xero_seed_tenant_id")
        return XeroError(f"Xero refused the request for {what} ({call})", "Report this as a defect if the settings are right")


def make_client(api_url: str) -> ApiClient:
    """Return the SDK's client without its retries; it is imported only here and now, which takes a fifth of a second."""
    try:
        import urllib3
        from xero_python.api_client import ApiClient
        from xero_python.api_client.configuration import Configuration
    except ImportError as error:
        raise RefreshError(
            f"The Python package xero-python is missing on this host ({error.name or 'import failed'})."
            " Install requirements.txt for the interpreter that Ansible uses there."
        ) from None
    if version("urllib3") == "2.6.0":
        raise RefreshError(
            "urllib3 2.6.0 breaks the Xero SDK. Install requirements.txt, which excludes it, for the interpreter that Ansible uses on this host."
        )
    configuration = Configuration()
    configuration.debug = False
    parts = urlsplit(api_url)
    host = parts.hostname or ""
    if not proxy_bypass(host) and host not in LOOPBACK:
        configuration.proxy = getproxies().get(parts.scheme)
    client = ApiClient(configuration)
    client.set_default_header("Accept-Encoding", "gzip")
    client.user_agent = f"dev-refresh {client.user_agent}"
    settings = client.rest_client.pool_manager.connection_pool_kw
    settings["retries"] = urllib3.Retry(total=0, redirect=False, respect_retry_after_header=False)
    settings["maxsize"] = POOL
    return client


def check_url(url: str, name: str) -> str:
    """Return ``url`` without its last slash; raises XeroError for what is not an http address."""
    try:
        parts = urlsplit(url)
        valid = parts.scheme in ("http", "https") and bool(parts.hostname) and not parts.query and not parts.fragment and not parts.username
        parts.port  # noqa: B018 - reading it checks it
    except ValueError:
        valid = False
    if not valid:
        raise XeroError(f"{name} is not an http address", "Write a URL such as https://api.xero.com")
    return url.rstrip("/")


def read_limits(reply: Reply) -> Limits:
    """Return what the headers of a reply say of the limits."""
    headers = reply.headers
    problem = headers.get("x-rate-limit-problem", "minute") if reply.status == 429 else None
    retry_after = _number(headers.get("retry-after")) if reply.status == 429 else None
    return Limits(
        minute_remaining=_count(headers.get("x-minlimit-remaining")),
        day_remaining=_count(headers.get("x-daylimit-remaining")),
        problem=problem,
        retry_after=retry_after,
    )


def parse_json(content: bytes) -> Any:
    """Return the JSON in ``content`` with Decimals, or None: empty, truncated, HTML, not UTF-8, NaN, or nested without end."""
    try:
        return json.loads(content.decode("utf-8-sig"), parse_float=Decimal, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        return None


def said_by(reply: Reply) -> str:
    """Return Xero's own words on a refusal, in any of its shapes; empty if it said nothing."""
    body = reply.body
    if not isinstance(body, dict):
        return ""
    words: list[str] = []
    for element in _dicts(body.get("Elements")):
        words += messages(element)
    state = body.get("modelState")
    if isinstance(state, dict):
        for texts in state.values():
            words += [str(text) for text in texts if text] if isinstance(texts, list) else [str(texts)]
    if not words:
        told = (body.get(name) for name in ("Detail", "detail", "Message", "message", "Title", "title", "error"))
        words = [text for text in told if isinstance(text, str) and text][:1]
    return shorten("; ".join(words))


def messages(element: dict[str, Any]) -> list[str]:
    """Return the validation messages of one element; one page of Xero's documentation calls them Description."""
    found: list[str] = []
    for error in _dicts(element.get("ValidationErrors")):
        text = error.get("Message") or error.get("Description")
        if isinstance(text, str) and text.strip():
            found.append(text.strip())
    return found


def shorten(text: str, length: int = 500) -> str:
    """Return ``text`` on one line, cut to ``length``."""
    line = " ".join(text.split())
    return line if len(line) <= length else line[: length - 1] + "…"


def is_token_expired(reply: Reply) -> bool:
    """Tell whether a 401 says that the token has run out, or says nothing else that explains it."""
    challenge = reply.headers.get("www-authenticate", "").lower()
    if "scope" in challenge:
        return False
    said = said_by(reply).lower()
    return "tokenexpired" in said or "token expired" in said or "invalid_token" in challenge or said in ("", "unauthorized")


def never_sent(error: BaseException) -> bool:
    """Tell whether the request certainly did not reach the server: no connection was made."""
    import urllib3

    reason = error.reason if isinstance(error, urllib3.exceptions.MaxRetryError) and error.reason else error
    return isinstance(
        reason,
        (urllib3.exceptions.NewConnectionError, urllib3.exceptions.ConnectTimeoutError, urllib3.exceptions.ProxyError, urllib3.exceptions.SSLError),
    )


def _dicts(value: Any) -> list[dict[str, Any]]:
    """Return the objects in a JSON list, or nothing."""
    return [part for part in value if isinstance(part, dict)] if isinstance(value, list) else []


def _count(text: str | None) -> int | None:
    """Return a header's whole number."""
    return int(text) if text is not None and text.strip().isdecimal() and len(text) < 10 else None


def _number(text: str | None) -> float | None:
    """Return a header's seconds."""
    return float(text) if text is not None and text.strip().replace(".", "", 1).isdecimal() and text.isascii() and len(text) < 12 else None


def _no_constant(name: str) -> Any:
    """Refuse NaN and Infinity, which are not JSON."""
    raise ValueError(name)
