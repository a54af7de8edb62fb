"""The last checks on staging after its migrations, and the checkpoint that allows the swap."""
from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ..errors import GuardError, RefreshError
from ..mapping import ENTITIES
from ..postgres import contents, marker, preserve
from ..postgres.mapped_tables import check_mapping, move_original_ids
from ..postgres.marker import Marker
from ..postgres.sessions import Session, execute, explained, transaction
from .decide import Found
from .repair import repair
from .results import base_result, marked_dump
from .stage import anchor_names
from .workspace import Workspace


def make_ready(work: Workspace) -> dict[str, Any]:
    """Take staging from migrated to ready; without a staging database, bind live's marker to its tables after migrations there."""
    names = work.request.names
    work.check_fence()
    repair(work)
    live, staging = work.find(names.live), work.find(names.staging)
    work.check_fence(live, staging)
    result = base_result(work)
    if not staging.exists:
        return _rebind_live(work, live, result)
    state = own_staging(work, staging)
    changed, moved = bool(work.repaired), 0
    with work.owner_session(names.staging) as session, explained(f'Making "{names.staging}" ready failed'), transaction(session), session.cursor() as cursor:
        findings, warnings = check_mapping(session, work.request.mapping, work.request.entities)
        with contents.all_rows(session):
            moved = move_original_ids(session, work.request.mapping, ENTITIES)
            if moved:
                contents.refresh_views(session)
            findings += contents.private_findings(session, work.request.private_tables)
        if findings:
            raise GuardError(findings)
        work.warnings += warnings
        result["preserved"] = dry_fit(work, session)
        anchors = marker.anchors(session, anchor_names(work, session))
        if moved or state.phase != "ready" or state.anchors != anchors:
            changed = True
            marker.update(cursor, phase="ready", anchors=anchors)
    result.update(changed=changed, action="ready", phase="ready", dump=marked_dump(state), moved_ids=moved, warnings_found=list(work.warnings))
    result["database"] |= {"action": "ready", "working_name": names.staging}
    result["msg"] = f'"{names.staging}" is ready to take the place of "{names.live}".'
    return result


def own_staging(work: Workspace, staging: Found) -> Marker:
    """Return the marker of the staging database; raise RefreshError if it is not one that this run may go on with."""
    name = work.request.names.staging
    again = "Run restore_dev.yml from its beginning"
    if not staging.ours or staging.marker is None:
        raise RefreshError(f'Database "{name}" is not a restored staging database. {again}.')
    if work.request.run_id_given and staging.marker.run_id != work.request.run_id:
        raise RefreshError(f'Database "{name}" was staged by run {staging.marker.run_id}, and this is run {work.request.run_id}. {again}.')
    if staging.marker.phase not in ("sanitised", "migrating", "ready"):
        raise RefreshError(f'Database "{name}" is in phase "{staging.marker.phase}": it was not restored and sanitised completely. {again}.')
    return staging.marker


def dry_fit(work: Workspace, staging_session: Session) -> dict[str, int]:
    """Carry the preserved rows over and take it back, inside the caller's transaction; return the rows of each table."""
    names = work.request.names
    if not work.request.preserve or names.live not in work.databases:
        return {}
    with source_session(work, names.live) as source:
        plans, notes = preserve.plan_tables(source, staging_session, work.request.preserve)
        work.warnings += notes
        execute(staging_session, "SAVEPOINT dry_fit")
        try:
            return preserve.carry_over(source, staging_session, plans)
        finally:
            execute(staging_session, "ROLLBACK TO SAVEPOINT dry_fit")


@contextmanager
def source_session(work: Workspace, name: str) -> Iterator[Session]:
    """Open the session that preserved rows are read over: one snapshot, nothing written."""
    session = work.open_owner(name, read_only=True)
    try:
        session.set_session(isolation_level="REPEATABLE READ", readonly=True, autocommit=False)
        yield session
    finally:
        session.close()


def _rebind_live(work: Workspace, live: Found, result: dict[str, Any]) -> dict[str, Any]:
    """Bind live's marker to its tables as migrations left them, so that they don't count as someone else's."""
    name = work.request.names.live
    if live.marker is None or not live.ours or live.marker.phase != "live":
        raise RefreshError(f'There is no staging database, and "{name}" was not made by a refresh. Run restore_dev.yml from its beginning.')
    with work.owner_session(name) as session, explained(f'Checking "{name}" after its migrations failed'), transaction(session), session.cursor() as cursor:
        findings, warnings = check_mapping(session, work.request.mapping, work.request.entities)
        if findings:
            raise GuardError(findings)
        work.warnings += warnings
        if contents.database_oid(session) != live.marker.db_oid:
            raise RefreshError(f'The marker of "{name}" was written for another database. Run restore_dev.yml from its beginning.')
        anchors = marker.anchors(session, anchor_names(work, session))
        if anchors != live.marker.anchors and (live.fits or live.marker.run_id == work.request.run_id):
            marker.update(cursor, anchors=anchors)
    result.update(changed=bool(work.repaired), action="current", phase="live", dump=marked_dump(live.marker), warnings_found=list(work.warnings))
    result["database"] |= {"action": "current"}
    result["msg"] = f'There is no staging database; "{name}" is current.'
    return result
