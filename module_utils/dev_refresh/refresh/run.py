"""The states of pg_refresh."""
from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from typing import Any

from ..errors import Finding, GuardError, RefreshError, as_finding
from ..postgres import databases, marker
from ..postgres.sessions import explained, transaction
from .decide import Found
from .dumps import dump_findings
from .finish import finish
from .finish_state import UNDER_WAY, is_due
from .names import host_findings
from .plan import Plan, make_plan
from .ready import make_ready
from .request import DIFF_LINES, Request, request_from
from .results import base_result, diff_of, planned_result
from .rollback import roll_back
from .sanitise import sanitise
from .server_names import server_names
from .stage import discard_staging, stage
from .swap import swap
from .workspace import Workspace, open_workspace


def refresh(params: Mapping[str, Any], *, check_mode: bool, diff_lines: int = DIFF_LINES) -> dict[str, Any]:
    """Bring the databases into the wanted state and return the module's result; in check mode say what would be done.

    The result's diff lists at most ``diff_lines`` tables.

    Raises GuardError with all findings before anything is created, RefreshError when a step fails; the live database is usable then.
    """
    request = request_from(params, check_mode=check_mode, diff_lines=diff_lines)
    forbidden = host_findings(server_names(request.admin.host) | server_names(request.owner.host), request.forbidden_hosts)
    if forbidden:
        # nothing, not even a repair, is done on such a server
        raise GuardError([*request.findings, *forbidden])
    if request.findings:
        raise GuardError([*request.findings, *_further_findings(request)])
    general = explained("PostgreSQL refused what the refresh needs", "Correct it, then run again; the run goes on from what was finished")
    with general, ExitStack() as stack:
        try:
            work = stack.enter_context(open_workspace(request, writing=not check_mode))
        except RefreshError as error:
            raise (_with_dump_findings(request, error) if check_mode else error) from None
        return (_forecast if check_mode else _work)(work)


def _further_findings(request: Request) -> list[Finding]:
    """Return what else is wrong, read-only, so that a user with a wrong name or mapping is told of the dump and the server in the same run."""
    if request.state != "staged" or request.dump is None:
        return []
    try:
        with open_workspace(request, writing=False) as work:
            return make_plan(work).findings
    except GuardError as error:
        return error.findings
    except RefreshError as error:
        return [as_finding(error), *_dump_findings(request)]


def _with_dump_findings(request: Request, error: RefreshError) -> RefreshError:
    """Return the error of a server that cannot be worked on, with what is wrong with the dump beside it."""
    findings = _dump_findings(request)
    return GuardError([as_finding(error), *findings], details=error.details) if findings else error


def _dump_findings(request: Request) -> list[Finding]:
    return dump_findings(request, deadline=request.deadline) if request.state == "staged" and request.dump else []


def _work(work: Workspace) -> dict[str, Any]:
    """Do what the state asks for."""
    states: dict[str, Callable[[Workspace], dict[str, Any]]] = {"staged": staged, "ready": make_ready, "live": swap, "previous": roll_back, "finished": finish}
    return states[work.request.state](work)


def staged(work: Workspace) -> dict[str, Any]:
    """Restore and sanitise, go on from a checkpoint, or leave a current database alone."""
    plan = make_plan(work)
    result = planned_result(work, plan)
    if plan.findings:
        raise _refused(plan, {**result, "changed": bool(work.repaired)})
    result["diff"] = diff_of(work, plan)
    action = plan.decision.action
    if action == "restore":
        _restore(work, plan, result)
    elif action == "resume":
        _take_over(work, work.request.names.staging, plan.staging)
    else:
        _take_over(work, work.request.names.live, plan.live, under_way=action == "migrate")
        if plan.staging.exists and plan.staging.ours:
            databases.drop_database(work.admin, work.request.names.staging)
            work.repaired.append(f'Database "{work.request.names.staging}", left over from another run, was removed.')
    result["changed"] = plan.decision.replaces_live or bool(work.repaired)
    result["repaired"] = list(work.repaired)
    result["warnings_found"] = [*work.warnings, *plan.warnings]
    result["not_predicted"] = []
    return result


def _restore(work: Workspace, plan: Plan, result: dict[str, Any]) -> None:
    """Restore and sanitise; a failure leaves no staging database behind and live as it was."""
    started = time.monotonic()
    try:
        result["seconds"]["stage"], moved = stage(work, plan)
        done = sanitise(work)
    except BaseException as error:
        discard_staging(work)
        if isinstance(error, RefreshError):
            seconds = {"stage": round(time.monotonic() - started, 2)}
            error.details = {**result, "changed": False, "phase": None, "seconds": seconds, **error.details}
        raise
    result["seconds"]["sanitise"] = done.seconds
    result["moved_ids"] = moved + done.moved_ids
    result["phase"] = "sanitised"


def _take_over(work: Workspace, name: str, found: Found, *, under_way: bool = False) -> None:
    """Write this run's id into a database, so that an older run stops; ``under_way``: and that it will migrate it."""
    note = work.databases[name].note
    if note is not None:
        databases.set_note(work.admin, name, {**note, "run_id": work.request.run_id})
    if found.marker is None:
        return
    # a run that migrates live stops its services, and one that dies then has to be known to the next
    extra = {**found.marker.extra, UNDER_WAY: work.request.run_id} if under_way else found.marker.extra
    if found.marker.run_id != work.request.run_id or extra != found.marker.extra:
        with work.owner_session(name) as session, transaction(session), session.cursor() as cursor:
            marker.update(cursor, run_id=work.request.run_id, extra=extra)


def _refused(plan: Plan, result: dict[str, Any]) -> GuardError:
    """Return the error of a refused run: what was found, without an action, since there is none."""
    return GuardError(plan.findings, details={key: value for key, value in result.items() if key != "action"})


def _forecast(work: Workspace) -> dict[str, Any]:
    """Say what a run would do; nothing is written."""
    request = work.request
    if request.state == "previous":
        return roll_back(work)
    if request.dump is None:
        return _forecast_without_dump(work)
    plan = make_plan(work)
    result = planned_result(work, plan)
    if plan.findings:
        raise _refused(plan, {**result, "changed": False})
    replaces = plan.decision.replaces_live
    result["repaired"] = list(work.repaired)
    if request.state == "staged":
        leftover = plan.staging.exists and plan.staging.ours and not replaces
        result["changed"] = replaces or leftover or bool(work.repaired)
        result["diff"] = diff_of(work, plan)
    elif request.state == "finished":
        result["changed"] = replaces or plan.live.marker is None or is_due(plan.live.marker)
    else:
        # ready is written anew for a staging database that stops at an earlier checkpoint
        ready_already = (
            request.state == "ready" and plan.decision.action == "resume" and plan.staging.marker is not None and plan.staging.marker.phase == "ready"
        )
        result["changed"] = replaces and not ready_already
    return result


def _forecast_without_dump(work: Workspace) -> dict[str, Any]:
    """Say what a state would do to the databases as they are, where no dump is named."""
    request, names = work.request, work.request.names
    if request.state == "staged":
        raise RefreshError("state=staged needs a dump. Set database_restore_dump.")
    if request.state == "finished":
        return finish(work)
    staging = work.find(names.staging)
    result = base_result(work)
    if staging.exists and staging.ours and staging.marker is not None:
        result["changed"] = request.state == "live" or staging.marker.phase != "ready"
        result.update(action="swap" if request.state == "live" else "ready", phase=staging.marker.phase)
    else:
        result.update(action="current", phase="live")
    result["database"] |= {"action": result["action"]}
    return result



