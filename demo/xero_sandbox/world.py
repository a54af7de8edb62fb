"""All that a sandbox knows, and how it is kept in a file."""
from __future__ import annotations

import json
import os
import secrets
import tempfile
from pathlib import Path
from typing import Any

from .clock import Clock
from .faults import Faults
from .idempotency import IdempotencyKeys
from .journal import Journal
from .limits import Limits
from .organisation import Contact, Organisation, Project, new_id
from .settings import Settings
from .tokens import Client, Tokens

FORMAT = 1


class World:
    """Settings, organisations, apps and counters; everything but the journal and the faults survives a restart."""

    def __init__(self) -> None:
        self.settings = Settings()
        self.clock = Clock()
        self.organisations: dict[str, Organisation] = {}
        self.tokens = Tokens(self.settings)
        self.limits = Limits(self.settings)
        self.keys = IdempotencyKeys()
        self.journal = Journal()
        self.faults = Faults()
        self.changes = 0
        self.stopping = False
        self.state_file: Path | None = None

    def touch(self) -> None:
        """Note that there is something to save."""
        self.changes += 1

    def add_organisation(self, organisation: Organisation) -> Organisation:
        """Take an organisation in."""
        organisation.created = organisation.created or self.clock.now_ms()
        self.organisations[organisation.tenant_id] = organisation
        self.touch()
        return organisation

    def add_client(self, client: Client, *, connect: bool = True) -> Client:
        """Register an app and connect it with all organisations, or those that it offers."""
        self.tokens.clients[client.client_id] = client
        if connect:
            self.tokens.connect(client.client_id, list(self.organisations) if client.offers is None else client.offers, self.clock.now())
        self.touch()
        return client

    def reset_demo_company(self, tenant_id: str, *, reconnect: bool) -> Organisation:
        """Empty a demo company as Xero does: all data is gone and the tenant id is new."""
        old = self.organisations.pop(tenant_id)
        new = Organisation(old.name, new_id(), is_demo_company=old.is_demo_company, country=old.country, projects_enabled=old.projects_enabled)
        self.add_organisation(new)
        for connection in self.tokens.connections:
            if connection.tenant_id == tenant_id and reconnect:
                connection.tenant_id, connection.connection_id, connection.created = new.tenant_id, new_id(), self.clock.now()
        self.tokens.disconnect(tenant_id=tenant_id)
        for client in self.tokens.clients.values():
            if client.offers is not None:
                client.offers = [new.tenant_id if offered == tenant_id else offered for offered in client.offers]
        return new

    def somebody_adds(self, organisation: Organisation) -> None:
        """Let another user add a contact and a project, as may happen while a list is read."""
        name = f"Somebody's {secrets.token_hex(4)}"
        contact = Contact(new_id(), "ACTIVE", {"Name": name}, self.clock.now_ms())
        organisation.put(contact)
        project = Project(new_id(), contact.contact_id, name)
        organisation.projects[project.project_id] = project
        self.touch()

    def save_if_asked(self) -> None:
        """Save before a write is answered, where that is set."""
        if self.settings.save_each_write and self.state_file is not None:
            self.save(self.state_file)

    # -- the file -----------------------------------------------------------------------------------------------------------------
    def as_dict(self) -> dict[str, Any]:
        """Return what is saved."""
        return {
            "format": FORMAT,
            "settings": self.settings.as_dict(),
            "clock_offset": self.clock.offset,
            "tokens": self.tokens.as_dict(),
            "limits": self.limits.as_list(),
            "idempotency": self.keys.as_list(),
            "organisations": [organisation.as_dict() for organisation in self.organisations.values()],
        }

    def save(self, path: Path) -> None:
        """Write the file whole or not at all; it holds secrets, so only its owner may read it."""
        text = json.dumps(self.as_dict(), separators=(",", ":"))
        descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=path.name, suffix=".tmp")  # made with mode 0600
        try:
            with os.fdopen(descriptor, "w") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            Path(name).replace(path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise

    def load(self, path: Path) -> None:
        """Take over a file that ``save`` wrote."""
        try:
            data = json.loads(path.read_text())
        except ValueError:
            data = None
        if not isinstance(data, dict) or data.get("format") != FORMAT:
            raise ValueError(f"{path} is not a state file of this sandbox. Remove it to start afresh.")
        self.settings.change(data["settings"])
        self.clock.offset = data["clock_offset"]
        self.tokens.load(data["tokens"])
        self.limits.load(data["limits"])
        self.keys.load(data["idempotency"])
        self.organisations = {row["tenant_id"]: Organisation.from_dict(row) for row in data["organisations"]}
