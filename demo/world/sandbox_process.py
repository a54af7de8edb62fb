"""The sandbox as a process of the demo's world, and what its organisation holds at the start."""
from __future__ import annotations

import http.client
import json
import os
import subprocess
import sys
import time
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


@dataclass(frozen=True, slots=True)
class Sandbox:
    """The sandbox whose state is in ``folder``, listening on 127.0.0.1:``port``."""

    folder: Path
    port: int
    client_id: str
    client_secret: str

    @property
    def url(self) -> str:
        """Return the address that stands for Xero's API."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def identity_url(self) -> str:
        """Return the address that stands for Xero's identity server."""
        return f"{self.url}/identity"

    @property
    def process(self) -> Process | None:
        """Return the running process, or None."""
        return Process.read(self.folder / "sandbox.pid")

    @property
    def answers(self) -> bool:
        """Tell whether our sandbox, not another server on its port, answers."""
        try:
            return self.process is not None and self.client_id in self._admin("GET", "/")["clients"]
        except (OSError, http.client.HTTPException, ServerError, ValueError, KeyError, TypeError):
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
            # without it, what is in the file, the secret too, would go into the log
            "--ready-file": self.folder / "ready.json",
        }
        argv = [sys.executable, "-m", "xero_sandbox", *(str(part) for option in options.items() for part in option)]
        packages = [str(Path(__file__).resolve().parent.parent), os.environ.get("PYTHONPATH")]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, packages)), "XERO_SANDBOX_CLIENT_SECRET": self.client_secret}
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
        """Return the id of the connected organisation; a reset of the demo company gives it a new one."""
        return str(next(row["tenant_id"] for row in self._admin("GET", "/")["connections"] if row["client_id"] == self.client_id))

    def organisation(self) -> dict[str, Any]:
        """Return the connected organisation with all its contacts and projects; no call is counted for it."""
        return dict(self._admin("GET", f"/state?tenant_id={self.tenant_id()}")["organisations"][0])

    def fill(self, existing: ExistingRecords) -> None:
        """Put records into the organisation, as its users would in Xero's own pages."""
        contacts = [
            {"name": contact.name, "number": contact.number, "status": "ARCHIVED" if contact.is_archived else "ACTIVE"} for contact in existing.contacts
        ]
        projects = [{"contact": project.contact, "name": project.name} for project in existing.projects]
        self._admin("POST", f"/organisations/{self.tenant_id()}/seed", {"contacts": contacts, "projects": projects})

    def _admin(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
        """Return the reply to a call that real Xero does not have; raise ServerError with the sandbox's words if it refuses."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            connection.request(method, "/sandbox" + path, None if body is None else json.dumps(body), {"Content-Type": "application/json"})
            reply = connection.getresponse()
            text = reply.read()
        finally:
            connection.close()
        if reply.status != http.client.OK:
            raise ServerError(f"The sandbox answered {reply.status} to {method} {path}: {text.decode(errors='replace')[:500]}")
        return json.loads(text)

    def _last_words(self) -> str:
        """Return the end of the sandbox's log."""
        lines = (self.folder / "sandbox.log").read_text(errors="replace").splitlines()
        return " / ".join(lines[-3:]) or "none"
