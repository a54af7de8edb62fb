"""The sandbox as a child process, for tests and benchmarks."""
from __future__ import annotations

import http.client
import json
import os
import secrets
import select
import signal
import subprocess
import sys
import urllib.parse
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

START_SECONDS = 30.0
STOP_SECONDS = 10.0


class SandboxError(Exception):
    """The sandbox did not start, or refused an admin request."""


def busiest(requests: Sequence[Mapping[str, Any]], seconds: float = 60.0) -> int:
    """Return the largest number of requests of a journal that were counted within any ``seconds``: what a rolling limit would have seen."""
    times = sorted(row["counted"] for row in requests if row["counted"] is not None)
    first = most = 0
    for last, time in enumerate(times):
        while times[first] <= time - seconds:
            first += 1
        most = max(most, last - first + 1)
    return most


class SandboxServer:
    """A running sandbox; use it in a ``with`` statement, or call ``start`` and ``stop``.

    Settings (see ``settings.py``) are keyword arguments: ``SandboxServer(calls_per_minute=60, minute_mode="rolling", latency=0.2)``.
    """

    def __init__(
        self, *, state_file: Path | str | None = None, port: int = 0, client_id: str | None = None, client_secret: str | None = None,
        organisation: str = "Demo Company (Sandbox)", is_demo_company: bool = True, tenant_id: str | None = None,
        config_file: Path | str | None = None, **settings: Any,
    ) -> None:
        self.client_id = client_id or secrets.token_hex(16).upper()
        self.client_secret = client_secret or secrets.token_urlsafe(36)
        self.url = ""
        self._first_tenant_id = tenant_id
        self._port = port
        self._state_file = state_file
        self._organisation = organisation
        self._is_demo_company = is_demo_company
        self._config_file = config_file
        self._settings = settings
        self._process: subprocess.Popen[bytes] | None = None

    # -- the process --------------------------------------------------------------------------------------------------------------
    def __enter__(self) -> SandboxServer:
        """Start the sandbox."""
        return self.start()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Stop the sandbox."""
        self.stop()

    @property
    def pid(self) -> int | None:
        """Return the process id, while it runs."""
        return self._process.pid if self._process is not None and self._process.poll() is None else None

    def start(self) -> SandboxServer:
        """Start the process and wait until it answers; once started, it always comes back on the same port."""
        reader, writer = os.pipe()
        command = [
            sys.executable, "-m", "xero_sandbox", "--port", str(self._port), "--client-id", self.client_id, "--organisation", self._organisation,
            "--ready-fd", str(writer), "--exit-with-parent",
        ]
        if not self._is_demo_company:
            command.append("--not-demo")
        for option, value in (("--tenant-id", self._first_tenant_id), ("--state-file", self._state_file), ("--config", self._config_file)):
            if value is not None:
                command += [option, str(value)]
        for name, value in self._settings.items():
            command += ["--set", f"{name}={json.dumps(value)}"]
        packages = str(Path(__file__).resolve().parent.parent)
        path = os.pathsep.join(filter(None, (packages, os.environ.get("PYTHONPATH"))))
        environment = {**os.environ, "XERO_SANDBOX_CLIENT_SECRET": self.client_secret, "PYTHONPATH": path}
        try:
            self._process = subprocess.Popen(command, env=environment, pass_fds=(writer,), stdin=subprocess.DEVNULL)
        finally:
            os.close(writer)
        try:
            facts = self._wait_until_ready(reader)
        finally:
            os.close(reader)
        self.url = facts["url"]
        self._port = urllib.parse.urlsplit(self.url).port or 0
        return self

    def _wait_until_ready(self, reader: int) -> Any:
        ready, _, _ = select.select([reader], [], [], START_SECONDS)
        text = os.read(reader, 65536) if ready else b""
        if not text:
            self.stop()
            raise SandboxError("The sandbox did not start; its own words are on standard error")
        return json.loads(text)

    def stop(self) -> None:
        """End the process in order: its state is saved."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """End the process as a crash would."""
        self._end(signal.SIGKILL)

    def restart(self) -> None:
        """Stop and start again on the same port; without a state file everything is new."""
        self.stop()
        self.start()

    def _end(self, how: signal.Signals) -> None:
        if self._process is None:
            return
        if self._process.poll() is None:
            self._process.send_signal(how)
            try:
                self._process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        self._process = None

    # -- looking in ---------------------------------------------------------------------------------------------------------------
    @property
    def identity_url(self) -> str:
        """Return the base under which /connect/token is."""
        return self.url + "/identity"

    @property
    def tenant_id(self) -> str:
        """Return the tenant that the first client is connected with first; after a reset it is a new one."""
        about = self.admin("GET", "/")
        mine = [row["tenant_id"] for row in about["connections"] if row["client_id"] == self.client_id]
        if mine:
            return str(mine[0])
        if not about["organisations"]:
            raise SandboxError("The sandbox has no organisation")
        return str(about["organisations"][0]["tenant_id"])

    def get_state(self, tenant_id: str | None = None) -> dict[str, Any]:
        """Return an organisation with its ``contacts`` and ``projects`` as the API shows them; the first one unless it is named."""
        found: dict[str, Any] = self.admin("GET", f"/state?tenant_id={tenant_id or self.tenant_id}")["organisations"][0]
        return found

    def contacts(self, tenant_id: str | None = None) -> list[dict[str, Any]]:
        """Return all contacts, archived ones too."""
        rows: list[dict[str, Any]] = self.get_state(tenant_id)["contacts"]
        return rows

    def projects(self, tenant_id: str | None = None) -> list[dict[str, Any]]:
        """Return all projects."""
        rows: list[dict[str, Any]] = self.get_state(tenant_id)["projects"]
        return rows

    def journal(self, since: int = 0) -> list[dict[str, Any]]:
        """Return the requests after number ``since``, oldest first (admin requests are not among them)."""
        rows: list[dict[str, Any]] = self.admin("GET", f"/journal?since={since}")["requests"]
        return rows

    def clear_journal(self) -> None:
        """Forget the requests so far."""
        self.admin("DELETE", "/journal")

    def limits(self) -> dict[str, Any]:
        """Return the counters, and when each tenant's minute turns."""
        found: dict[str, Any] = self.admin("GET", "/limits")
        return found

    # -- arranging ----------------------------------------------------------------------------------------------------------------
    def add_fault(self, kind: str, **order: Any) -> int:
        """Order a fault, e.g. ``add_fault("drop_after", method="POST", path="/Projects$", skip=2, times=1)``; see ``faults.py``."""
        return int(self.admin("POST", "/faults", {"kind": kind, **order})["fault_id"])

    def faults(self) -> list[dict[str, Any]]:
        """Return the orders, with how often each was met (``met``) and done (``done``)."""
        rows: list[dict[str, Any]] = self.admin("GET", "/faults")["faults"]
        return rows

    def clear_faults(self) -> None:
        """Forget the orders."""
        self.admin("DELETE", "/faults")

    def seed(
        self, contacts: Sequence[Mapping[str, Any]] = (), projects: Sequence[Mapping[str, Any]] = (), *, tenant_id: str | None = None,
    ) -> dict[str, list[str]]:
        """Add contacts and projects without calls being counted; return their ids as ``contacts`` and ``projects``."""
        body = {"contacts": list(contacts), "projects": list(projects)}
        ids: dict[str, list[str]] = self.admin("POST", f"/organisations/{tenant_id or self.tenant_id}/seed", body)
        return ids

    def set(self, **settings: Any) -> dict[str, Any]:
        """Change settings while it runs; they hold after a restart too."""
        found: dict[str, Any] = self.admin("PATCH", "/settings", settings)
        self._settings |= settings
        return found

    def reset_demo_company(self, *, reconnect: bool = True, tenant_id: str | None = None) -> str:
        """Empty the demo company; return its new tenant id."""
        return str(self.admin("POST", f"/organisations/{tenant_id or self.tenant_id}/reset", {"reconnect": reconnect})["tenant_id"])

    def add_organisation(self, name: str, **more: Any) -> str:
        """Add an organisation (``is_demo_company``, ``country``, ``projects_enabled``, ``tenant_id``, ``connect``: client ids); return its tenant id."""
        return str(self.admin("POST", "/organisations", {"name": name, **more})["tenant_id"])

    def change_organisation(self, tenant_id: str | None = None, **changes: Any) -> None:
        """Change name, is_demo_company, country or projects_enabled."""
        self.admin("PATCH", f"/organisations/{tenant_id or self.tenant_id}", changes)

    def add_client(self, client_id: str, client_secret: str, **more: Any) -> None:
        """Register another app (``scopes``, ``redirect_uris``, ``grants``, ``offers``, ``connect``)."""
        self.admin("POST", "/clients", {"client_id": client_id, "client_secret": client_secret, **more})

    def connect(self, tenant_id: str, client_id: str | None = None) -> None:
        """Connect an app with a tenant."""
        self.admin("POST", "/connections", {"client_id": client_id or self.client_id, "tenant_id": tenant_id})

    def disconnect(self, tenant_id: str | None = None, client_id: str | None = None) -> None:
        """Remove connections; all of them unless a tenant or client is named."""
        self.admin("DELETE", "/connections", {"tenant_id": tenant_id, "client_id": client_id})

    def archive_contact(self, contact_id: str, *, tenant_id: str | None = None) -> None:
        """Archive a contact."""
        self.admin("POST", f"/organisations/{tenant_id or self.tenant_id}/contacts/{contact_id}/archive")

    def restore_contact(self, contact_id: str, *, tenant_id: str | None = None) -> None:
        """Make an archived contact active."""
        self.admin("POST", f"/organisations/{tenant_id or self.tenant_id}/contacts/{contact_id}/restore")

    def merge_contacts(self, contact_id: str, into: str, *, tenant_id: str | None = None) -> None:
        """Merge a contact into another one."""
        self.admin("POST", f"/organisations/{tenant_id or self.tenant_id}/contacts/{contact_id}/merge", {"into": into})

    def change_contact(self, contact_id: str, *, tenant_id: str | None = None, **members: Any) -> None:
        """Change members of a contact under Xero's names, e.g. ``Name="New"``, ``ContactNumber=None``, ``ContactStatus="GDPRREQUEST"``."""
        self.admin("PATCH", f"/organisations/{tenant_id or self.tenant_id}/contacts/{contact_id}", members)

    def change_project(self, project_id: str, *, tenant_id: str | None = None, **changes: Any) -> None:
        """Change a project's status, name or contact_id."""
        self.admin("PATCH", f"/organisations/{tenant_id or self.tenant_id}/projects/{project_id}", changes)

    def remove_project(self, project_id: str, *, tenant_id: str | None = None) -> None:
        """Delete a project."""
        self.admin("DELETE", f"/organisations/{tenant_id or self.tenant_id}/projects/{project_id}")

    def spend(self, *, minute: int = 0, day: int = 0) -> None:
        """Count calls as if they had been made elsewhere."""
        self.admin("POST", "/limits/spend", {"minute": minute, "day": day})

    def expire_tokens(self) -> None:
        """Let all access tokens be expired."""
        self.admin("POST", "/tokens/expire")

    def advance_clock(self, seconds: float) -> None:
        """Move the sandbox's clock forward."""
        self.admin("POST", "/clock", {"advance": seconds})

    # -- calls --------------------------------------------------------------------------------------------------------------------
    def admin(self, method: str, path: str, data: Mapping[str, Any] | None = None) -> Any:
        """Call an admin endpoint; ``path`` is below /sandbox."""
        status, _, body = self.request(method, "/sandbox" + path, data)
        if status >= 400:
            raise SandboxError(f"{method} /sandbox{path}: {status} {body.decode('utf-8', 'replace')}")
        return json.loads(body)

    def token(self, *, scope: str | None = None) -> str:
        """Return an access token by client credentials."""
        form = {"grant_type": "client_credentials", "client_id": self.client_id, "client_secret": self.client_secret}
        if scope is not None:
            form["scope"] = scope
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        status, _, body = self.request("POST", "/identity/connect/token", raw=urllib.parse.urlencode(form).encode(), headers=headers)
        if status != 200:
            raise SandboxError(f"No token: {status} {body.decode('utf-8', 'replace')}")
        return str(json.loads(body)["access_token"])

    def request(
        self, method: str, path: str, data: Any = None, *, headers: Mapping[str, str] | None = None, raw: bytes | None = None, timeout: float = 60.0,
    ) -> tuple[int, dict[str, str], bytes]:
        """Send one request; return status, headers (names in lower case) and body."""
        body = raw if raw is not None else json.dumps(data).encode() if data is not None else None
        sent = {"Content-Type": "application/json", **(headers or {})} if body is not None else dict(headers or {})
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=timeout)
        try:
            connection.request(method, path, body=body, headers=sent)
            reply = connection.getresponse()
            return reply.status, {name.lower(): value for name, value in reply.getheaders()}, reply.read()
        finally:
            connection.close()
