"""Run the operator's statements on staging and take production's Xero ids out of its rows."""
from __future__ import annotations

import time
from dataclasses import dataclass

from ..errors import GuardError
from ..mapping import ENTITIES
from ..postgres import contents, marker
from ..postgres.mapped_tables import move_original_ids
from ..postgres.sessions import explained, transaction
from .workspace import Workspace

_FAILED = 'Sanitising "{}" failed'


@dataclass(frozen=True, slots=True)
class Sanitised:
    """What sanitising did."""

    moved_ids: int
    seconds: float


def sanitise(work: Workspace) -> Sanitised:
    """Sanitise the staging database in one transaction and set the checkpoint; raise RefreshError naming the statement that fails."""
    request = work.request
    started = time.monotonic()
    staging = request.names.staging
    work.progress.emit("sanitise", 0, len(request.sanitise_sql), "statements")
    with work.owner_session(staging) as session, explained(_FAILED.format(staging)), transaction(session), session.cursor() as cursor:
        cursor.execute("SELECT set_config('statement_timeout', %s, true)", (str(int(work.seconds_left * 1000)),))
        with contents.all_rows(session):
            contents.run_statements(session, request.sanitise_sql, option="database_restore_sanitise_sql", where=f'"{staging}"')
            # last, so that the operator's statements can still go by the ids; of all entities, since none of production's may reach live
            moved = move_original_ids(session, request.mapping, ENTITIES)
            if moved or request.sanitise_sql:
                # they were filled by the restore, with what was just taken out
                contents.refresh_views(session)
            findings = contents.private_findings(session, request.private_tables)
            if findings:
                raise GuardError(findings)
        marker.update(cursor, phase="sanitised")
    work.progress.emit("sanitise", len(request.sanitise_sql), len(request.sanitise_sql), "statements")
    return Sanitised(moved, round(time.monotonic() - started, 2))

