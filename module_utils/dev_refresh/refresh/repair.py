"""What a dead run may have left behind, put right before anything else."""
from __future__ import annotations

from ..postgres import databases, gate, marker
from ..postgres.sessions import transaction
from .decide import Found
from .workspace import Workspace


def repair(work: Workspace) -> None:
    """Reopen doors that a dead run closed and remove what its swap left over; in check mode say what would be done."""
    names = work.request.names
    for name in (names.live, names.staging):
        database = work.databases.get(name)
        if database is not None and not database.open and database.note is not None and database.note.get("closed_by"):
            work.repaired.append(f'Database "{name}" was left closed by run {database.note["closed_by"]} and is open again.')
            if work.writing:
                gate.open_door(work.admin, name)
    previous = work.databases.get(names.previous)
    if previous is not None and previous.open and previous.note is not None:
        work.repaired.append(f'Database "{names.previous}" was left open by a dead run and is closed again.')
        if work.writing:
            gate.set_open(work.admin, names.previous, False)
            gate.end_sessions(work.admin, [names.previous])
    old = work.databases.get(names.old)
    if old is not None and old.note is not None:
        work.repaired.append(f'Database "{names.old}", left over from a swap, was removed.')
        if work.writing:
            databases.drop_database(work.admin, names.old)
    if work.writing and work.repaired:
        work.reload()


def finish_swap(work: Workspace, live: Found) -> Found:
    """Write what a run that died right after its swap could not: the live database's marker says that it is live."""
    if not (live.ours and live.fits and live.marker is not None and live.marker.phase in ("ready", "rejected")):
        return live
    work.repaired.append(f'The swap of database "{work.request.names.live}" was done; its marker now says so.')
    if work.writing:
        mark_live(work)
        return work.find(work.request.names.live)
    return live


def mark_live(work: Workspace) -> None:
    """Write into the live database's marker that it is live, and since when."""
    with work.owner_session(work.request.names.live) as session, transaction(session), session.cursor() as cursor:
        marker.update(cursor, phase="live", swapped_at=marker.now(cursor), run_id=work.request.run_id)
