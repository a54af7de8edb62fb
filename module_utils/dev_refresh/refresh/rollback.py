"""Put the previous database back: the swap in reverse, undone by running it again."""
from __future__ import annotations

import time
from contextlib import ExitStack
from typing import Any

from ..errors import Finding, GuardError, RefreshError
from ..postgres import databases, gate, marker
from ..postgres.databases import Move
from ..postgres.sessions import explained, transaction
from .finish_state import is_finished
from .ready import source_session
from .repair import repair
from .results import base_result, marked_dump
from .swap import preserve_rows
from .workspace import Workspace


def roll_back(work: Workspace) -> dict[str, Any]:
    """Exchange live and previous.

    The dump left behind is rejected, so that the next run does not bring it back, unless only this swap is taken back (``reject`` is false).
    """
    request, names = work.request, work.request.names
    work.check_fence()
    repair(work)
    live_database, previous_database = work.databases.get(names.live), work.databases.get(names.previous)
    if previous_database is None:
        raise RefreshError(
            f'There is no database "{names.previous}" to go back to. Run restore_dev.yml with an earlier dump and database_restore_force=true instead.'
        )
    if previous_database.note is None:
        raise GuardError([Finding(f'Database "{names.previous}" was not made by a refresh', "Rename it yourself if it is the one to go back to")])
    live = work.find(names.live)
    work.check_fence(live)
    leaving = live.marker.dump_sha256 if live.marker and live.ours else None
    rejected = leaving if request.reject else None
    result = base_result(work)
    if not work.writing:
        result.update(changed=True, action="rollback", phase="live")
        result["database"] |= {"action": "rollback"}
        result["not_predicted"] = [f'which dump is in "{names.previous}": it is closed']
        result["msg"] = f'"{names.previous}" would take the place of "{names.live}".'
        return result
    before: marker.Marker | None = None
    with ExitStack() as stack:
        source = stack.enter_context(source_session(work, names.live)) if live_database is not None and request.preserve else None
        # let ourselves in, then close the door behind us
        gate.set_open(work.admin, names.previous, True)
        try:
            target = stack.enter_context(work.owner_session(names.previous))
        finally:
            gate.set_open(work.admin, names.previous, False)
        before = marker.read(target)
        own = [session.get_backend_pid() for session in (source, target) if session is not None]
        gate.refuse_prepared(work.admin, names.all)
        started = time.monotonic()
        with ExitStack() as doors:
            if live_database is not None:
                doors.enter_context(gate.closed(work.admin, live_database, run_id=request.run_id))
            inside = [name for name in (names.live, names.previous) if name in work.databases]
            gate.end_sessions(work.admin, inside, keep=own)
            kept = preserve_rows(work, source, target) if source is not None else {}
            if before is not None:
                with explained("Writing the marker failed"), transaction(target), target.cursor() as cursor:
                    extra = dict(before.extra)
                    if request.reject:
                        extra["rejected"] = [rejected] if rejected and rejected != before.dump_sha256 else []
                    marker.update(cursor, phase="live", run_id=request.run_id, extra=extra)
            stack.close()
            gate.end_sessions(work.admin, inside)
            databases.rename_all(work.admin, _moves(work, before, leaving, has_live=live_database is not None))
    seconds = round(time.monotonic() - started, 3)
    work.reload()
    result = base_result(work)
    result.update(changed=True, action="rollback", phase="live", dump=marked_dump(before), preserved=kept, seconds={"closed": seconds})
    result["finished"] = before is not None and is_finished(before)
    result["database"] |= {"action": "rollback"}
    which = f"the dump {before.dump_sha256[:12]} made {before.dump_created or 'at an unknown time'}" if before else "a database that no refresh has made"
    if request.reject:
        result["msg"] = f'"{names.live}" is now {which}; what it was is "{names.previous}". Run the rollback again to undo it.'
    else:
        result["msg"] = f'The swap was taken back: "{names.live}" is {which} again; what was to replace it is "{names.previous}", closed.'
    return result


def _moves(work: Workspace, before: marker.Marker | None, leaving: str | None, *, has_live: bool) -> list[Move]:
    """Return the renames of the rollback."""
    names = work.request.names
    back = Move(names.previous, names.live, work.note("live", sha256=before.dump_sha256 if before else None), open=True)
    if not has_live:
        return [back]
    left_behind = work.note("previous", sha256=leaving, rejected=work.request.reject)
    return [Move(names.live, names.old, left_behind, open=False), back, Move(names.old, names.previous, left_behind, open=False)]
