"""Projects: list them all, create them one by one."""

from __future__ import annotations

from datetime import UTC
from typing import Any

from ..seeding.records import CreateReply, NewProject, Project
from .errors import NotConnected, OutcomeUnknown, ProjectsNotAvailable, XeroError
from .idempotency import idempotency_key
from .ids import valid_id
from .lists import Page, complete_list, page_info
from .transport import LOOK_FIRST, Transport, said_by

PATH = "/projects.xro/2.0/Projects"
PAGE_SIZE = 500
STATES = "INPROGRESS,CLOSED"


def list_projects(transport: Transport, tenant_id: str, *, contact_id: str | None = None) -> list[Project]:
    """Return every project in both states, or those of one contact; or raise."""

    def page(number: int) -> Page[Project]:
        query = [("states", STATES), ("page", str(number)), ("pageSize", str(PAGE_SIZE))]
        if contact_id is not None:
            query.append(("contactID", contact_id))
        body = transport.read(PATH, what="the projects", tenant_id=tenant_id, query=query, page=number)
        return page_info(body, "items", parse_project, asked_size=PAGE_SIZE)

    return complete_list(page, what="projects", entry_id=lambda project: project.id)


def parse_project(element: dict[str, Any]) -> Project | None:
    """Return the project of a list's element, or None if it has no valid id."""
    project_id = valid_id(element.get("projectId"))
    if project_id is None:
        return None
    name, status = element.get("name"), element.get("status")
    return Project(
        id=project_id,
        contact_id=valid_id(element.get("contactId")) or "",
        name=name if isinstance(name, str) else "",
        status=status if isinstance(status, str) and status else "UNKNOWN",
    )


def project_body(new: NewProject) -> dict[str, Any]:
    """Return the body for one project; an estimate of 0 would be refused."""
    body: dict[str, Any] = {"contactId": new.contact_id, "name": new.name}
    if new.deadline is not None:
        body["deadlineUtc"] = (new.deadline if new.deadline.tzinfo else new.deadline.replace(tzinfo=UTC)).astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    if new.estimate is not None and new.estimate > 0:
        body["estimateAmount"] = new.estimate
    return body


def create_project(transport: Transport, tenant_id: str, new: NewProject, *, key_attempt: int) -> CreateReply:
    """Create one project; raises OutcomeUnknown when it may have been created all the same."""
    body = project_body(new)
    key = idempotency_key(tenant_id=tenant_id, entity="projects", row_keys=[new.key], body=body, attempt=key_attempt)
    what = "creating a project"
    reply = transport.write("POST", PATH, what=what, tenant_id=tenant_id, body=body, idempotency_key=key)
    if not reply.ok:
        reason = said_by(reply) or f"HTTP {reply.status} without a reason"
        return CreateReply(new.key, "duplicate" if "already" in reason.lower() or "unique" in reason.lower() else "refused", reason=reason)
    project_id = valid_id(reply.body.get("projectId"))
    contact_id = valid_id(reply.body.get("contactId"))
    if project_id is None or reply.body.get("name") != new.name or (contact_id is not None and contact_id != new.contact_id.lower()):
        raise OutcomeUnknown(f"Xero's reply to {what} is not about the project that was sent", LOOK_FIRST, raise_attempt=False)
    return CreateReply(new.key, "created", id=project_id)


def explain_projects(error: XeroError) -> XeroError:
    """Return the error of a first call to Projects in terms of Projects: the organisation has answered, so the connection is good."""
    if isinstance(error, NotConnected) or type(error) is XeroError:
        text = str(error.finding.what)
        if "HTTP 401" in text or "HTTP 403" in text:
            return ProjectsNotAvailable(
                f"Xero Projects is not available in this organisation ({text})",
                "Add Xero Projects to the organisation and give the user who connected the app a Projects role, or leave projects out of xero_seed_entities",
            )
    return error
