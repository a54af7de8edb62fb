"""The endpoints under /sandbox/ that real Xero does not have: looking in, arranging things, ordering faults."""
from __future__ import annotations

import json
import re
import urllib.parse
from collections.abc import Awaitable, Callable
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from .contact_shape import listed
from .faults import KINDS, FaultError
from .organisation import ACTIVE, ARCHIVED, CLOSED, INPROGRESS, Organisation, Project
from .projects import project_reply, task_reply
from .seeding import SeedError, add_contacts, add_projects
from .settings import SettingError
from .tokens import Client
from .world import World

LOOPBACK_NAMES = ("127.0.0.1", "localhost", "[::1]")
Endpoint = Callable[[Request], Awaitable[Response]]


class AdminError(Exception):
    """A request that cannot be done, with its status."""

    def __init__(self, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.status = status


class Admin:
    """The admin endpoints of one world."""

    def __init__(self, world: World) -> None:
        self.world = world

    def routes(self) -> list[Route]:
        """Return the routes below /sandbox."""
        table: tuple[tuple[str, str, Callable[[dict[str, Any], Request], Any]], ...] = (
            ("GET", "/", self.about),
            ("GET", "/state", self.state),
            ("GET", "/settings", lambda _data, _request: self.world.settings.as_dict()),
            ("PATCH", "/settings", self.change_settings),
            ("POST", "/organisations", self.add_organisation),
            ("PATCH", "/organisations/{tenant_id}", self.change_organisation),
            ("DELETE", "/organisations/{tenant_id}", self.remove_organisation),
            ("POST", "/organisations/{tenant_id}/reset", self.reset),
            ("POST", "/organisations/{tenant_id}/seed", self.seed),
            ("POST", "/organisations/{tenant_id}/contacts/{contact_id}/archive", self.archive),
            ("POST", "/organisations/{tenant_id}/contacts/{contact_id}/restore", self.restore),
            ("POST", "/organisations/{tenant_id}/contacts/{contact_id}/merge", self.merge),
            ("PATCH", "/organisations/{tenant_id}/contacts/{contact_id}", self.change_contact),
            ("PATCH", "/organisations/{tenant_id}/projects/{project_id}", self.change_project),
            ("DELETE", "/organisations/{tenant_id}/projects/{project_id}", self.remove_project),
            ("POST", "/clients", self.add_client),
            ("POST", "/connections", self.connect),
            ("DELETE", "/connections", self.disconnect),
            ("POST", "/tokens/expire", self.expire_tokens),
            ("POST", "/clock", self.advance),
            ("POST", "/limits/spend", self.spend),
            ("GET", "/limits", self.limits),
            ("GET", "/faults", lambda _data, _request: {"faults": self.world.faults.rows(), "kinds": KINDS}),
            ("POST", "/faults", lambda data, _request: {"fault_id": self.world.faults.add(data).fault_id}),
            ("DELETE", "/faults", lambda _data, _request: self.world.faults.clear()),
            ("GET", "/journal", lambda _data, request: {"requests": self.world.journal.rows(int(request.query_params.get("since", "0")))}),
            ("DELETE", "/journal", lambda _data, _request: self.world.journal.clear()),
        )
        return [Route(path, self._endpoint(action), methods=[method]) for method, path, action in table]

    def _endpoint(self, action: Callable[[dict[str, Any], Request], Any]) -> Endpoint:
        async def endpoint(request: Request) -> Response:
            names = [request.headers.get("host", ""), urllib.parse.urlsplit(request.headers.get("origin", "//localhost")).netloc]
            if any(re.sub(r":\d+$", "", name) not in LOOPBACK_NAMES for name in names):
                # a web page of another name must not reach these through the user's browser
                return JSONResponse({"error": "The admin endpoints answer on loopback names only"}, 403)
            body = await request.body()
            try:
                data = json.loads(body) if body else {}
                if not isinstance(data, dict):
                    raise AdminError("The body must be a JSON object")
                result = action(data, request)
            except AdminError as error:
                return JSONResponse({"error": str(error)}, error.status)
            except (SettingError, FaultError, SeedError) as error:
                return JSONResponse({"error": str(error)}, 400)
            except (KeyError, TypeError, ValueError) as error:
                return JSONResponse({"error": f"{type(error).__name__}: {error}"}, 400)
            if request.method != "GET":
                self.world.touch()
            return JSONResponse(result if result is not None else {})

        return endpoint

    # -- looking ------------------------------------------------------------------------------------------------------------------
    def about(self, _data: dict[str, Any], _request: Request) -> dict[str, Any]:
        """Say what there is."""
        return {
            "organisations": [{"name": o.name, "tenant_id": o.tenant_id, "is_demo_company": o.is_demo_company} for o in self.world.organisations.values()],
            "clients": list(self.world.tokens.clients),
            "connections": [{"client_id": c.client_id, "tenant_id": c.tenant_id, "id": c.connection_id} for c in self.world.tokens.connections],
            "settings": self.world.settings.as_dict(),
            "fault_kinds": KINDS,
        }

    def state(self, _data: dict[str, Any], request: Request) -> dict[str, Any]:
        """Return all contacts and projects, of one tenant if it is named."""
        wanted = request.query_params.get("tenant_id")
        return {"organisations": [_contents(o) for o in self.world.organisations.values() if wanted in (None, o.tenant_id)]}

    def limits(self, _data: dict[str, Any], _request: Request) -> dict[str, Any]:
        """Return the counters, and when each tenant's fixed window turns."""
        turns = {tenant: self.world.limits.turn_of_minute(tenant) for tenant in self.world.organisations}
        return {"usage": self.world.limits.as_list(), "minute_turns": turns, "now": self.world.clock.now()}

    # -- arranging ----------------------------------------------------------------------------------------------------------------
    def change_settings(self, data: dict[str, Any], _request: Request) -> dict[str, Any]:
        """Change settings and return all of them."""
        self.world.settings.change(data)
        return self.world.settings.as_dict()

    def add_organisation(self, data: dict[str, Any], _request: Request) -> dict[str, Any]:
        """Add an organisation; connect it with the clients in ``connect`` (default: all)."""
        connect = data.pop("connect", list(self.world.tokens.clients))
        organisation = self.world.add_organisation(Organisation(**data))
        for client_id in connect:
            self.world.tokens.connect(client_id, [organisation.tenant_id], self.world.clock.now())
        return {"tenant_id": organisation.tenant_id}

    def change_organisation(self, data: dict[str, Any], request: Request) -> None:
        """Change an organisation's name, is_demo_company, country or projects_enabled."""
        organisation = self._organisation(request)
        for name, value in data.items():
            if name not in ("name", "is_demo_company", "country", "projects_enabled"):
                raise AdminError(f"{name} of an organisation cannot be changed")
            setattr(organisation, name, value)

    def remove_organisation(self, _data: dict[str, Any], request: Request) -> None:
        """Remove an organisation and its connections."""
        organisation = self._organisation(request)
        del self.world.organisations[organisation.tenant_id]
        self.world.tokens.disconnect(tenant_id=organisation.tenant_id)

    def reset(self, data: dict[str, Any], request: Request) -> dict[str, Any]:
        """Reset a demo company; ``reconnect`` false leaves the apps without a connection."""
        organisation = self._organisation(request)
        if not organisation.is_demo_company:
            raise AdminError(f"{organisation.name} is not a demo company")
        new = self.world.reset_demo_company(organisation.tenant_id, reconnect=bool(data.get("reconnect", True)))
        return {"tenant_id": new.tenant_id}

    def seed(self, data: dict[str, Any], request: Request) -> dict[str, Any]:
        """Add contacts and projects in bulk."""
        organisation = self._organisation(request)
        contact_ids = add_contacts(organisation, data.get("contacts", []), self.world.clock.now_ms())
        return {"contacts": contact_ids, "projects": add_projects(organisation, data.get("projects", []))}

    def archive(self, _data: dict[str, Any], request: Request) -> None:
        """Archive a contact."""
        self._set_contact(request, status=ARCHIVED)

    def restore(self, _data: dict[str, Any], request: Request) -> None:
        """Make an archived contact active again, as only Xero's own pages can."""
        organisation, contact = self._organisation(request), self._contact(request)
        other = organisation.active_with_name(contact.name)
        if other is not None and other is not contact:
            raise AdminError(f"An active contact has the name {contact.name!r}", 409)
        self._set_contact(request, status=ACTIVE, merged_to=None)

    def merge(self, data: dict[str, Any], request: Request) -> None:
        """Merge a contact into another one: it is archived and points there."""
        if str(data.get("into", "")).lower() not in self._organisation(request).contacts:
            raise AdminError("`into` must be the id of a contact", 404)
        self._set_contact(request, status=ARCHIVED, merged_to=str(data["into"]).lower())

    def change_contact(self, data: dict[str, Any], request: Request) -> None:
        """Change a contact as a user would: members under Xero's names, ContactStatus and MergedToContactID among them."""
        changes: dict[str, Any] = {}
        if "ContactStatus" in data:
            changes["status"] = data.pop("ContactStatus")
        if "MergedToContactID" in data:
            changes["merged_to"] = data.pop("MergedToContactID")
        fields = {**self._contact(request).fields, **data}
        self._set_contact(request, **changes, fields={name: value for name, value in fields.items() if value is not None})

    def change_project(self, data: dict[str, Any], request: Request) -> None:
        """Change a project's status, name or contact_id."""
        project = self._project(request)
        for name, value in data.items():
            if name not in ("status", "name", "contact_id") or (name == "status" and value not in (INPROGRESS, CLOSED)):
                raise AdminError(f"{name} of a project cannot be {value!r}")
            setattr(project, name, value)

    def remove_project(self, _data: dict[str, Any], request: Request) -> None:
        """Delete a project, which Xero's API cannot do but its pages can."""
        del self._organisation(request).projects[self._project(request).project_id]

    def add_client(self, data: dict[str, Any], _request: Request) -> None:
        """Register an app; ``connect`` false leaves it without connections."""
        connect = bool(data.pop("connect", True))
        self.world.add_client(Client(**data), connect=connect)

    def connect(self, data: dict[str, Any], _request: Request) -> None:
        """Connect a client with a tenant."""
        if data["client_id"] not in self.world.tokens.clients or data["tenant_id"] not in self.world.organisations:
            raise AdminError("No such client or tenant", 404)
        self.world.tokens.connect(data["client_id"], [data["tenant_id"]], self.world.clock.now())

    def disconnect(self, data: dict[str, Any], _request: Request) -> dict[str, Any]:
        """Remove the connections of a client, of a tenant, or all."""
        return {"removed": self.world.tokens.disconnect(client_id=data.get("client_id"), tenant_id=data.get("tenant_id"))}

    def expire_tokens(self, _data: dict[str, Any], _request: Request) -> None:
        """Let all access tokens be expired."""
        self.world.tokens.expire(self.world.clock.now())

    def advance(self, data: dict[str, Any], _request: Request) -> dict[str, Any]:
        """Move the sandbox's clock forward."""
        self.world.clock.offset += float(data["advance"])
        return {"now": self.world.clock.now()}

    def spend(self, data: dict[str, Any], _request: Request) -> None:
        """Count calls as if the same app had made them elsewhere; for every connection, or those of a tenant."""
        for connection in self.world.tokens.connections:
            if data.get("tenant_id") in (None, connection.tenant_id) and data.get("client_id") in (None, connection.client_id):
                self.world.limits.spend(connection.client_id, connection.tenant_id, self.world.clock.now(), minute=int(data.get("minute", 0)),
                                        day=int(data.get("day", 0)))

    # -- inside -------------------------------------------------------------------------------------------------------------------
    def _organisation(self, request: Request) -> Organisation:
        found = self.world.organisations.get(request.path_params["tenant_id"])
        if found is None:
            raise AdminError("No such organisation", 404)
        return found

    def _contact(self, request: Request) -> Any:
        found = self._organisation(request).contacts.get(request.path_params["contact_id"].lower())
        if found is None:
            raise AdminError("No such contact", 404)
        return found

    def _project(self, request: Request) -> Project:
        found = self._organisation(request).projects.get(request.path_params["project_id"].lower())
        if found is None:
            raise AdminError("No such project", 404)
        return found

    def _set_contact(self, request: Request, **changes: Any) -> None:
        organisation, contact = self._organisation(request), self._contact(request)
        organisation.drop(contact.contact_id)  # out of the indexes under its old name
        for name, value in changes.items():
            setattr(contact, name, value)
        contact.updated = self.world.clock.now_ms()
        organisation.put(contact)


def _contents(organisation: Organisation) -> dict[str, Any]:
    """Return an organisation with its rows as the API shows them."""
    return {
        "tenant_id": organisation.tenant_id, "name": organisation.name, "is_demo_company": organisation.is_demo_company,
        "projects_enabled": organisation.projects_enabled,
        "contacts": [listed(contact, paged=True) for contact in organisation.contacts.values()],
        "projects": [
            {**project_reply(organisation, project), "tasks": [task_reply(project, task) for task in project.tasks]}
            for project in organisation.projects.values()
        ],
    }
