"""The operator's statements after a verified seed, once for each seed."""
from __future__ import annotations

from typing import Any

from ..errors import RefreshError
from ..postgres import contents, marker
from ..postgres.sessions import explained, transaction
from .finish_state import UNDER_WAY, is_due
from .repair import repair
from .results import base_result, marked_dump
from .workspace import Workspace


def finish(work: Workspace) -> dict[str, Any]:
    """Run ``finish_sql`` on live and note in the same transaction that it is verified and finished; nothing if that was done for this seed."""
    request, name = work.request, work.request.names.live
    work.check_fence()
    repair(work)
    live = work.find(name)
    work.check_fence(live)
    result = base_result(work)
    if live.marker is None or not live.ours:
        raise RefreshError(f'Database "{name}" was not made by a refresh. Run restore_dev.yml first.')
    if not live.fits:
        raise RefreshError(f'The marker of "{name}" does not fit its data: something else was restored into it. Run restore_dev.yml first.')
    changed = is_due(live.marker)
    if work.writing and (changed or UNDER_WAY in live.marker.extra):
        with work.owner_session(name) as session, explained(f'Finishing "{name}" failed'), transaction(session), session.cursor() as cursor:
            cursor.execute("SELECT set_config('statement_timeout', %s, true)", (str(int(work.seconds_left * 1000)),))
            state = marker.read(session, lock=True)
            changed = state is not None and is_due(state)
            if changed:
                contents.run_statements(session, request.finish_sql, option="xero_seed_finish_sql", where=f'"{name}"')
                now = marker.now(cursor)
                marker.update(cursor, verified_at=now, finished_at=now)
            if state is not None:
                marker.update(cursor, extra={name: value for name, value in state.extra.items() if name != UNDER_WAY})
    result.update(changed=changed or bool(work.repaired), action="finish" if changed else "current", phase="live", dump=marked_dump(live.marker))
    result["database"] |= {"action": "finish" if changed else "current"}
    result["msg"] = f'"{name}" is finished.' if changed else f'"{name}" was finished already.'
    return result
