"""Projects and tasks: rules, writing and listing."""
from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from .names import name_key
from .organisation import ACTIVE, CLOSED, INPROGRESS, Organisation, Project, Task, new_id
from .reply import Reply, model_state, page_of
from .settings import Settings

STATES = (INPROGRESS, CLOSED)
CHARGE_TYPES = ("TIME", "FIXED", "NON_CHARGEABLE")
PAGE_SIZE, PAGE_SIZE_MAX = 50, 500
TASK_NAME_MAX = 100
AMOUNT_MAX = 10**15
DECIMALS = re.compile(r"\.(\d{1,6})\d*")


def members(data: Any) -> dict[str, Any]:
    """Return a body's members under lower-case names: this API does not look at case."""
    return {key.lower(): value for key, value in data.items()} if isinstance(data, Mapping) else {}


# -- projects ---------------------------------------------------------------------------------------------------------------------


def create(organisation: Organisation, data: Any, settings: Settings) -> Reply:
    """Answer POST /Projects."""
    sent = members(data)
    errors = refusals(organisation, sent, settings, creating=True)
    if errors:
        return model_state(errors)
    project = Project(new_id(), str(sent["contactid"]).lower(), sent["name"], deadline=utc_text(sent.get("deadlineutc")), estimate=_amount(sent))
    organisation.projects[project.project_id] = project
    return Reply(201, project_reply(organisation, project))


def update(organisation: Organisation, project_id: str, data: Any, settings: Settings) -> Reply:
    """Answer PUT /Projects/{projectId}."""
    project = organisation.projects.get(project_id.lower())
    if project is None:
        return missing()
    sent = members(data)
    errors = refusals(organisation, sent, settings, creating=False, own=project)
    if errors:
        return model_state(errors)
    project.name = sent["name"]
    project.deadline = utc_text(sent.get("deadlineutc"))
    project.estimate = _amount(sent)
    return Reply(204, content_type="")


def patch(organisation: Organisation, project_id: str, data: Any) -> Reply:
    """Answer PATCH /Projects/{projectId}."""
    project = organisation.projects.get(project_id.lower())
    if project is None:
        return missing()
    status = members(data).get("status")
    if status not in STATES:
        return model_state({"model.Status": ["The Status must be INPROGRESS or CLOSED"]})
    project.status = status
    return Reply(204, content_type="")


def get_one(organisation: Organisation, project_id: str) -> Reply:
    """Answer GET /Projects/{projectId}."""
    project = organisation.projects.get(project_id.lower())
    return missing() if project is None else Reply(200, project_reply(organisation, project))


def list_projects(organisation: Organisation, query: Mapping[str, list[str]], settings: Settings) -> Reply:
    """Answer GET /Projects; ``query`` holds all values of each parameter, since ids come repeated or with commas."""
    wanted_ids = {part.strip().lower() for value in query.get("projectIds", []) for part in value.split(",") if part.strip()}
    states = [part.strip().upper() for part in (query.get("states") or [settings.default_project_states])[0].split(",") if part.strip()]
    errors: dict[str, list[str]] = {}
    if set(states) - set(STATES):
        errors["states"] = [f"The value '{','.join(states)}' is not valid for States"]
    contact = (query.get("contactID") or [""])[0].lower()
    page, size = _page(query, errors)
    if errors:
        return model_state(errors)
    found = [
        project for project in organisation.projects.values()
        if project.status in states and (not wanted_ids or project.project_id in wanted_ids) and (not contact or project.contact_id == contact)
    ]
    if settings.project_order == "newest":
        found.reverse()
    elif settings.project_order == "name":
        found.sort(key=lambda project: (name_key(project.name), project.project_id))
    part = found[(page - 1) * size : page * size]
    return Reply(200, {"pagination": page_of(page, size, len(found)), "items": [project_reply(organisation, project) for project in part]})


def refusals(
    organisation: Organisation, sent: Mapping[str, Any], settings: Settings, *, creating: bool, own: Project | None = None,
) -> dict[str, list[str]]:
    """Return all that is wrong with a project, under the names of the model's members."""
    errors: dict[str, list[str]] = {}
    name = sent.get("name")
    if not isinstance(name, str) or not name.strip():
        errors["model.Name"] = ["The Project Name cannot be empty"]
    elif len(name) > settings.project_name_max:
        errors["model.Name"] = [f"The Project Name cannot be longer than {settings.project_name_max} characters"]
    elif settings.project_name_unique and any(p.name.casefold() == name.casefold() and p is not own for p in organisation.projects.values()):
        errors["model.Name"] = ["The Project Name must be unique"]
    if creating:
        contact_id = sent.get("contactid")
        contact = organisation.contacts.get(str(contact_id).lower())
        if not contact_id:
            errors["model.ContactId"] = ["The ContactId cannot be null or empty"]
        elif contact is None:
            errors["model.ContactId"] = ["The Contact does not exist"]
        elif contact.status != ACTIVE:
            errors["model.ContactId"] = ["The Contact is not active"]
    try:
        amount = _amount(sent)
        if amount is not None and not 0 < amount < AMOUNT_MAX:
            errors["model.EstimateAmount"] = ["The EstimateAmount must be greater than 0"]
    except (TypeError, ValueError, OverflowError):
        errors["model.EstimateAmount"] = ["The EstimateAmount is not a number"]
    try:
        utc_text(sent.get("deadlineutc"))
    except (TypeError, ValueError):
        errors["model.DeadlineUtc"] = ["The DeadlineUtc is not a date"]
    return errors


def project_reply(organisation: Organisation, project: Project) -> dict[str, Any]:
    """Return a project as the API shows it."""
    currency = organisation.currency
    none = {"currency": currency, "value": 0.0}
    row: dict[str, Any] = {
        "projectId": project.project_id, "contactId": project.contact_id, "name": project.name, "currencyCode": currency, "minutesLogged": 0,
        "totalTaskAmount": none, "totalExpenseAmount": none, "minutesToBeInvoiced": 0, "taskAmountToBeInvoiced": none, "taskAmountInvoiced": none,
        "expenseAmountToBeInvoiced": none, "expenseAmountInvoiced": none, "projectAmountInvoiced": none, "deposit": none, "depositApplied": none,
        "creditNoteAmount": none, "totalInvoiced": none, "totalToBeInvoiced": none,
    }
    if project.deadline is not None:
        row["deadlineUtc"] = project.deadline
    if project.estimate is not None:
        row["estimate"] = {"currency": currency, "value": project.estimate}
    row["status"] = project.status
    return row


# -- tasks ------------------------------------------------------------------------------------------------------------------------


def create_task(organisation: Organisation, project_id: str, data: Any) -> Reply:
    """Answer POST /Projects/{projectId}/Tasks."""
    project = organisation.projects.get(project_id.lower())
    if project is None:
        return missing()
    sent = members(data)
    errors = task_refusals(organisation, sent)
    if errors:
        return model_state(errors)
    task = Task(new_id(), sent["name"], sent["chargetype"], organisation.currency, float(members(sent["rate"])["value"]), sent.get("estimateminutes"))
    project.tasks.append(task)
    return Reply(201, task_reply(project, task))


def update_task(organisation: Organisation, project_id: str, task_id: str, data: Any) -> Reply:
    """Answer PUT /Projects/{projectId}/Tasks/{taskId}."""
    task = _task(organisation, project_id, task_id)
    if task is None:
        return missing()
    sent = members(data)
    errors = task_refusals(organisation, sent)
    if errors:
        return model_state(errors)
    task.name, task.charge_type = sent["name"], sent["chargetype"]
    task.rate_value, task.estimate_minutes = float(members(sent["rate"])["value"]), sent.get("estimateminutes")
    return Reply(204, content_type="")


def delete_task(organisation: Organisation, project_id: str, task_id: str) -> Reply:
    """Answer DELETE /Projects/{projectId}/Tasks/{taskId}."""
    task = _task(organisation, project_id, task_id)
    if task is None:
        return missing()
    organisation.projects[project_id.lower()].tasks.remove(task)
    return Reply(204, content_type="")


def get_task(organisation: Organisation, project_id: str, task_id: str) -> Reply:
    """Answer GET /Projects/{projectId}/Tasks/{taskId}."""
    task = _task(organisation, project_id, task_id)
    return missing() if task is None else Reply(200, task_reply(organisation.projects[project_id.lower()], task))


def list_tasks(organisation: Organisation, project_id: str, query: Mapping[str, list[str]]) -> Reply:
    """Answer GET /Projects/{projectId}/Tasks."""
    project = organisation.projects.get(project_id.lower())
    if project is None:
        return missing()
    errors: dict[str, list[str]] = {}
    page, size = _page(query, errors)
    if errors:
        return model_state(errors)
    wanted_ids = {part.strip().lower() for value in query.get("taskIds", []) for part in value.split(",") if part.strip()}
    kind = (query.get("chargeType") or [""])[0]
    found = [task for task in project.tasks if (not wanted_ids or task.task_id in wanted_ids) and (not kind or task.charge_type == kind)]
    part = found[(page - 1) * size : page * size]
    return Reply(200, {"pagination": page_of(page, size, len(found)), "items": [task_reply(project, task) for task in part]})


def task_refusals(organisation: Organisation, sent: Mapping[str, Any]) -> dict[str, list[str]]:
    """Return all that is wrong with a task."""
    errors: dict[str, list[str]] = {}
    name = sent.get("name")
    if not isinstance(name, str) or not name.strip():
        errors["model.Name"] = ["The Task Name cannot be empty"]
    elif len(name) > TASK_NAME_MAX:
        errors["model.Name"] = [f"The Task Name cannot be longer than {TASK_NAME_MAX} characters"]
    if sent.get("chargetype") not in CHARGE_TYPES:
        errors["model.ChargeType"] = ["The ChargeType must be TIME, FIXED or NON_CHARGEABLE"]
    rate = members(sent.get("rate"))
    value = rate.get("value")
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < AMOUNT_MAX:
        errors["model.Rate"] = ["The Rate must have a value that is not negative"]
    elif rate.get("currency", organisation.currency) != organisation.currency:
        errors["model.Rate"] = [f"The currency must be {organisation.currency}"]
    estimate = sent.get("estimateminutes")
    if estimate is not None and (isinstance(estimate, bool) or not isinstance(estimate, int) or estimate < 0):
        errors["model.EstimateMinutes"] = ["The EstimateMinutes must be a whole number"]
    return errors


def task_reply(project: Project, task: Task) -> dict[str, Any]:
    """Return a task as the API shows it."""
    none = {"currency": task.rate_currency, "value": 0.0}
    row: dict[str, Any] = {
        "name": task.name, "rate": {"currency": task.rate_currency, "value": task.rate_value}, "chargeType": task.charge_type, "status": "ACTIVE",
        "taskId": task.task_id, "projectId": project.project_id, "totalMinutes": 0, "totalAmount": none, "minutesToBeInvoiced": 0, "minutesInvoiced": 0,
        "nonChargeableMinutes": 0, "fixedMinutes": 0, "amountToBeInvoiced": none, "amountInvoiced": none,
    }
    if task.estimate_minutes is not None:
        row["estimateMinutes"] = task.estimate_minutes
    return row


# -- inside -----------------------------------------------------------------------------------------------------------------------


def missing() -> Reply:
    """Return this API's 404."""
    return Reply(404, {"message": "The resource you're looking for cannot be found"})


def utc_text(value: Any) -> str | None:
    """Return a moment in the API's form; a moment without a zone is UTC."""
    if value is None:
        return None
    if not isinstance(value, str):
        raise TypeError("not a text")
    moment = datetime.fromisoformat(DECIMALS.sub(lambda found: "." + found[1].ljust(6, "0"), value))
    moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    return moment.isoformat(timespec="microseconds" if moment.microsecond else "seconds").replace("+00:00", "Z")


def _amount(sent: Mapping[str, Any]) -> float | None:
    value = sent.get("estimateamount")
    if isinstance(value, bool):
        raise TypeError("not a number")
    return None if value is None else float(value)


def _task(organisation: Organisation, project_id: str, task_id: str) -> Task | None:
    project = organisation.projects.get(project_id.lower())
    return next((task for task in project.tasks if task.task_id == task_id.lower()), None) if project else None


def _page(query: Mapping[str, list[str]], errors: dict[str, list[str]]) -> tuple[int, int]:
    values = {"page": 1, "pageSize": PAGE_SIZE}
    for name, longest in (("page", None), ("pageSize", PAGE_SIZE_MAX)):
        if name not in query:
            continue
        text = query[name][0]
        if not text.isdecimal() or len(text) > 9 or int(text) < 1 or (longest is not None and int(text) > longest):
            errors[name] = [f"The {name} must be a number " + ("greater than 0" if longest is None else f"between 1 and {longest}")]
        else:
            values[name] = int(text)
    return values["page"], values["pageSize"]
