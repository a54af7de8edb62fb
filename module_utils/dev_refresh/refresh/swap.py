"""Put staging in live's place: preserve and rename behind the closed door."""
from __future__ import annotations

import time
from contextlib import ExitStack
from typing import Any

from ..errors import Finding, GuardError, RefreshError
from ..postgres import databases, gate, marker, preserve
from ..postgres.databases import Database, Move
from ..postgres.sessions import Session, explained, transaction
from .ready import own_staging, source_session
from .repair import finish_swap, mark_live, repair
from .results import base_result, marked_dump
from .workspace import Workspace


def swap(work: Workspace) -> dict[str, Any]:
    """Make the ready staging database live; do nothing if there is none and live is current."""
    request, names = work.request, work.request.names
    work.check_fence()
    repair(work)
    live, staging = work.find(names.live), work.find(names.staging)
    work.check_fence(live, staging)
    if not staging.exists:
        return _nothing_to_swap(work)
    state = own_staging(work, staging)
    if state.phase != "ready":
        raise RefreshError(
            f'Database "{names.staging}" is in phase "{state.phase}", not ready: its migrations did not finish or were not checked.'
            " Run restore_dev.yml from its beginning."
        )
    if not staging.fits:
        raise RefreshError(
            f'The marker of "{names.staging}" does not fit its data: something else was restored into it. Run restore_dev.yml from its beginning.'
        )
    if live.exists and not live.ours and not request.adopt:
        raise GuardError(
            [Finding(f'Database "{names.live}" exists and was not made by a refresh', "If it may be replaced, say database_restore_adopt=true once")]
        )
    previous = work.databases.get(names.previous)
    if previous is not None and not work.find(names.previous).ours:
        raise GuardError([Finding(f'A database "{names.previous}" exists that no refresh has made', "Rename or drop it yourself; it is never dropped here")])
    kept, closed_seconds = exchange(work, state)
    work.reload()
    mark_live(work)
    remove_leftovers(work)
    work.reload()
    result = base_result(work)
    result.update(changed=True, action="swap", phase="live", dump=marked_dump(state), preserved=kept, seconds={"closed": closed_seconds})
    result["database"] |= {"action": "swap"}
    result["msg"] = f'"{names.live}" is now the dump {state.dump_sha256[:12]}; it was closed for {closed_seconds:.2f} s.'
    return result


def exchange(work: Workspace, state: marker.Marker) -> tuple[dict[str, int], float]:
    """Preserve and rename; return the rows kept and the seconds that live was closed. On any failure live is open as before."""
    request, names = work.request, work.request.names
    live, staging = work.databases.get(names.live), work.databases[names.staging]
    if live is not None:
        # with the old OID goes what is set for it: settings were copied at creation, what may hinder a restore is copied now
        work.warnings += databases.copy_access(work.admin, live, names.staging)
    moves = _moves(work, live, state)
    kept: dict[str, int] = {}
    with ExitStack() as stack:
        # both opened before the door closes: it does not end sessions, and nobody else gets in any more
        source = stack.enter_context(source_session(work, names.live)) if live is not None and request.preserve else None
        target = stack.enter_context(work.owner_session(names.staging))
        own = [session.get_backend_pid() for session in (source, target) if session is not None]
        gate.refuse_prepared(work.admin, work.request.names.all)
        started = time.monotonic()
        work.progress.emit("swap", 0, 1, "closing the door")
        with ExitStack() as doors:
            doors.enter_context(gate.closed(work.admin, staging, run_id=request.run_id))
            if live is not None:
                doors.enter_context(gate.closed(work.admin, live, run_id=request.run_id))
            inside = [name for name in (names.live, names.staging, names.previous) if name in work.databases]
            gate.end_sessions(work.admin, inside, keep=own)
            if source is not None:
                kept = preserve_rows(work, source, target)
            stack.close()
            # a closed session takes a moment to end on the server
            gate.end_sessions(work.admin, inside)
            databases.rename_all(work.admin, moves)
        work.progress.emit("swap", 1, 1, "renamed")
    return kept, round(time.monotonic() - started, 3)


def preserve_rows(work: Workspace, source: Session, target: Session) -> dict[str, int]:
    """Carry the preserved rows from one session to the other and commit."""
    with explained("Carrying the preserved rows over failed"), transaction(target):
        plans, notes = preserve.plan_tables(source, target, work.request.preserve)
        work.warnings += [note for note in notes if note not in work.warnings]
        return preserve.carry_over(source, target, plans)


def _moves(work: Workspace, live: Database | None, state: marker.Marker) -> list[Move]:
    """Return the renames of the swap, in an order in which no name is taken."""
    names = work.request.names
    moves: list[Move] = []
    if live is not None:
        if names.previous in work.databases:
            moves.append(Move(names.previous, names.old, work.note("old"), open=False))
        before = live.note or {}
        moves.append(Move(names.live, names.previous, work.note("previous", sha256=before.get("sha256")), open=False))
    moves.append(Move(names.staging, names.live, work.note("live", sha256=state.dump_sha256), open=True))
    return moves


def remove_leftovers(work: Workspace) -> None:
    """Drop what the swap has pushed out, and the former live database if it is not to be kept."""
    names = work.request.names
    if names.old in work.databases:
        databases.drop_database(work.admin, names.old)
    if not work.request.keep_previous and names.previous in work.databases:
        databases.drop_database(work.admin, names.previous)


def _nothing_to_swap(work: Workspace) -> dict[str, Any]:
    """Return the result where no staging database is: live is current, or a dead run's swap was done."""
    names = work.request.names
    live = finish_swap(work, work.find(names.live))
    if not live.exists or live.marker is None or not live.ours:
        raise RefreshError(f'There is no staging database "{names.staging}" to swap in. Run restore_dev.yml from its beginning.')
    result = base_result(work)
    result.update(changed=bool(work.repaired), action="current", phase=live.marker.phase, dump=marked_dump(live.marker))
    result["database"] |= {"action": "current"}
    result["msg"] = " ".join(work.repaired) or f'"{names.live}" is current; there is nothing to swap.'
    return result
