"""The sandbox as a process of the demo's world, and what its organisation holds at the start."""
from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .organisation import ExistingRecords
from .postgres_server import ServerError
from .processes import Process

START_SECONDS = 30
CALLS_PER_MINUTE = 6000
CALLS_PER_DAY = 100_000
SCOPES = "accounting.contacts accounting.settings.read projects"


@dataclass(frozen=True, slots=True)
class Sandbox:
    """The sandbox whose state is in ``folder``, listening on 127.0.0.1:``port``."""

    folder: Path
    port: int
    client_id: str
    client_secret: str

    @property
    def url(self) -> str:
        """Return the address that stands for Xero's API and for its identity server."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def process(self) -> Process | None:
        """Return the running process, or None."""
        return Process.read(self.folder / "sandbox.pid")

    @property
    def answers(self) -> bool:
        """Tell whether our sandbox, not another server on its port, answers."""
        try:
            return self.process is not None and bool(self._token())
        except (OSError, ValueError):
            return False

    def start(self) -> None:
        """Start the sandbox and wait until it answers; one that already runs is left as it is."""
        if self.answers:
            return
        self.stop()
        self.folder.mkdir(parents=True, exist_ok=True)
        options = {
            "--port": self.port,
            "--state-file": self.folder / "state.json",
            "--calls-per-minute": CALLS_PER_MINUTE,
            "--calls-per-day": CALLS_PER_DAY,
            "--client-id": self.client_id,
            "--client-secret": self.client_secret,
        }
        argv = [sys.executable, "-m", "xero_sandbox", *(str(part) for option in options.items() for part in option)]
        environment = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parent.parent)}
        with (self.folder / "sandbox.log").open("ab") as log:
            server = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True, cwd=self.folder, env=environment)
        process = Process.of(server.pid)
        if process is not None:
            process.write(self.folder / "sandbox.pid")
        deadline = time.monotonic() + START_SECONDS
        while not self.answers:
            if server.poll() is not None or time.monotonic() > deadline:
                self.stop()
                raise ServerError(f"The sandbox did not start; its last words: {self._last_words()}")
            time.sleep(0.05)

    def stop(self) -> None:
        """Stop the sandbox if it runs."""
        process = self.process
        if process is not None:
            process.stop()
        (self.folder / "sandbox.pid").unlink(missing_ok=True)

    def tenant_id(self) -> str:
        """Return the id of the connected organisation."""
        return str(self._call("GET", "/connections", self._token(), None)[0]["tenantId"])

    def fill(self, existing: ExistingRecords) -> None:
        """Put records into the empty organisation, by the calls that any other app would make."""
        token, tenant_id = self._token(), self.tenant_id()
        rows = [{"Name": contact.name, **({"ContactNumber": contact.number} if contact.number else {})} for contact in existing.contacts]
        made = self._call("PUT", "/api.xro/2.0/Contacts?summarizeErrors=false", token, {"Contacts": rows}, tenant_id)["Contacts"]
        refused = [row.get("ValidationErrors") for row in made if row.get("StatusAttributeString", "OK") != "OK"]
        if refused or len(made) != len(rows):
            raise ServerError(f"The sandbox refused contacts of the demo: {refused}")
        gone = [
            {"ContactID": row["ContactID"], "ContactStatus": "ARCHIVED"} for row, contact in zip(made, existing.contacts, strict=True) if contact.is_archived
        ]
        self._call("POST", "/api.xro/2.0/Contacts", token, {"Contacts": gone}, tenant_id)
        contact_id = {contact.name: row["ContactID"] for row, contact in zip(made, existing.contacts, strict=True) if not contact.is_archived}
        for project in existing.projects:
            self._call("POST", "/projects.xro/2.0/Projects", token, {"contactId": contact_id[project.contact], "name": project.name}, tenant_id)

    def _token(self) -> str:
        """Return an access token."""
        body = urllib.parse.urlencode({"grant_type": "client_credentials", "scope": SCOPES}).encode()
        basic = base64.b64encode(f"{self.client_id}:{self.client_secret}".encode()).decode()
        headers = {"Authorization": f"Basic {basic}", "Content-Type": "application/x-www-form-urlencoded"}
        return str(_send(urllib.request.Request(f"{self.url}/connect/token", body, headers))["access_token"])  # noqa: S310 -- always http on loopback

    def _call(self, method: str, path: str, token: str, body: Mapping[str, Any] | None, tenant_id: str | None = None) -> Any:
        """Return the reply to one call; raise ServerError with the sandbox's words if it refuses."""
        headers = {"Authorization": f"Bearer {token}", "Accept": "application/json", "Content-Type": "application/json"}
        if tenant_id is not None:
            headers["Xero-Tenant-Id"] = tenant_id
        data = None if body is None else json.dumps(body).encode()
        try:
            return _send(urllib.request.Request(self.url + path, data, headers, method=method))  # noqa: S310 -- always http on loopback
        except urllib.error.HTTPError as error:
            raise ServerError(f"The sandbox answered {error.code} to {method} {path}: {error.read().decode(errors='replace')[:500]}") from error

    def _last_words(self) -> str:
        """Return the end of the sandbox's log."""
        lines = (self.folder / "sandbox.log").read_text(errors="replace").splitlines()
        return " / ".join(lines[-3:]) or "none"


def _send(request: urllib.request.Request) -> Any:
    """Return the JSON reply to a request."""
    # a proxy of the environment must not come between us and loopback
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(request, timeout=10) as reply:
        return json.load(reply)
