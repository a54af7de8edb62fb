"""Restore the dump into the staging database and prove that all of it arrived."""
from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import Any

from .. import __version__
from ..dump.facts import DumpFacts
from ..dump.header import DamagedArchiveError
from ..dump.programs import ClientPrograms
from ..dump.shares import share_out
from ..dump.toc import list_text
from ..errors import RefreshError
from ..postgres import contents, databases, marker
from ..postgres.connection import connect
from ..postgres.sessions import explained, transaction
from .decide import Found, rejected_dumps
from .load import load_tables, wait_for_room
from .pg_restore import pg_restore_into
from .plan import Plan
from .workspace import Workspace

PROGRESS_SECONDS = 1.0
MOST_SESSIONS = 4
"""So many sessions count rows at once."""


def create_staging(work: Workspace, plan: Plan) -> None:
    """Create the empty staging database in place of an earlier one of ours."""
    names = work.request.names
    if names.staging in work.databases:
        databases.drop_database(work.admin, names.staging)
    live = work.databases.get(names.live)
    note = work.note("staging", sha256=plan.dump.sha256 if plan.dump else "")
    databases.create_database(work.admin, names.staging, owner=work.request.owner.user, like=live, note=note)
    if live is not None:
        work.warnings += databases.copy_settings(work.admin, names.live, names.staging)
    work.reload()


def restore(work: Workspace, facts: DumpFacts, programs: ClientPrograms) -> int:
    """Restore all entries of the dump that are wanted, as the owner; return how many Xero ids were moved on the way.

    Raises RefreshError with the first error.
    """
    try:
        shares = share_out(facts.path)
    except (DamagedArchiveError, OSError) as error:
        raise RefreshError(f"{facts.path} cannot be read any more: {error}. Look at the disk, or copy the dump again.") from None
    jobs = work.request.jobs
    with pg_restore_into(work, facts.path, programs) as program, _progress(work, facts):
        if not shares.tables and not shares.in_order:
            program.run(facts.toc_list_text, jobs=jobs)
            return 0
        program.run(list_text(shares.before, ()))
        loaded = load_tables(work, shares, program)
        wait_for_room(work)
        if shares.in_order:
            # one at a time: several would lock each other out of the tables that they share (PostgreSQL docs, pg_dump)
            program.run(list_text(shares.data, ()))
            program.run(list_text(shares.after, loaded.indexes), jobs=jobs)
        else:
            program.run(list_text([*shares.data, *shares.after], loaded.indexes), jobs=jobs)
    return loaded.moved_ids


@contextmanager
def _progress(work: Workspace, facts: DumpFacts) -> Iterator[None]:
    """Report the growth of the staging database while the block runs."""
    if work.request.progress_file is None:
        yield
        return
    stop = threading.Event()
    total = facts.uncompressed_bytes or None

    def watch() -> None:
        # progress is a courtesy: without it the restore goes on
        with suppress(RefreshError):
            session = connect(work.request.admin, work.request.maintenance, application_name="dev_refresh progress", autocommit=True)
            try:
                while not stop.wait(PROGRESS_SECONDS):
                    size = databases.read_size(session, work.request.names.staging)
                    work.progress.emit("stage", size, None, "in the staging database", dump_bytes=total)
            except Exception:  # noqa: S110 - a lost session ends the courtesy, and the restore says why itself
                pass
            finally:
                session.close()

    work.progress.emit("stage", 0, None, "restoring")
    thread = threading.Thread(target=watch, name="progress", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(5)


def verify(work: Workspace, facts: DumpFacts) -> dict[str, int]:
    """Compare the rows of every table with the dump's, and look for broken indexes; return the counts.

    Raises RefreshError naming what differs.
    """
    expected = {table: count for table, count in facts.rows.items() if count is not None}
    found: dict[str, int] = {}
    wrong: list[str] = []
    with ExitStack() as stack, explained("Verifying the restored database failed"):
        count = max(1, min(work.request.jobs, MOST_SESSIONS, len(expected)))
        sessions = [stack.enter_context(work.owner_session(work.request.names.staging)) for _ in range(count)]
        for done, (table, rows) in enumerate(contents.count_rows_at_once(sessions, expected, beside=contents.analyze_statements(sessions[0])), 1):
            if rows != expected[table]:
                wrong.append(f"{table}: {expected[table]} rows in the dump, {'no table' if rows is None else f'{rows} rows'} restored")
            found[table] = rows or 0
            if done % 25 == 0 or done == len(expected):
                work.progress.emit("stage", done, len(expected), "tables verified")
        broken = contents.broken_indexes(sessions[0])
    if wrong:
        wrong.sort()
        raise RefreshError(
            f"The restored database differs from the dump in {len(wrong)} tables: {'; '.join(wrong[:10])}. The dump is damaged or was filtered; make a new one."
        )
    if broken:
        raise RefreshError(f"The restored database has invalid indexes: {', '.join(broken[:10])}. Make a new dump.")
    return found


def write_marker(work: Workspace, plan: Plan, facts: DumpFacts, counts: dict[str, int], seconds: float) -> None:
    """Write the marker of a restored database; what the dump's own marker said is kept beside."""
    request = work.request
    with work.owner_session(request.names.staging) as session, explained("Writing the marker failed"), transaction(session):
        inherited = marker.read(session)
        marker.create(session)
        with session.cursor() as cursor:
            marker.write(
                cursor,
                marker.Marker(
                    run_id=request.run_id,
                    phase="restored",
                    dump_sha256=facts.sha256,
                    dump_path=facts.path,
                    dump_bytes=facts.bytes,
                    dump_created=facts.created or None,
                    source_database=facts.source_database or None,
                    parameters_sha256=request.parameters,
                    db_oid=contents.database_oid(session),
                    anchors=marker.anchors(session, anchor_names(work, session)),
                    row_counts=counts,
                    version=__version__,
                    restored_at=marker.now(cursor),
                    extra={**_extra(plan.live, facts.sha256, inherited), "stage_seconds": seconds},
                ),
            )


def _extra(live: Found, sha256: str, inherited: marker.Marker | None) -> dict[str, Any]:
    """Return what a new marker takes over: rejected dumps of live's, and the organisation of a dump of a dev database."""
    extra: dict[str, Any] = {}
    rejected = [entry for entry in rejected_dumps(live.marker) if entry != sha256] if live.marker else []
    if rejected:
        extra["rejected"] = rejected
    if inherited is not None:
        extra["dump_marker"] = {"tenant_id": inherited.tenant_id, "tenant_name": inherited.tenant_name, "run_id": inherited.run_id}
    return extra


def anchor_names(work: Workspace, session: Any) -> list[str]:
    """Return the tables that the marker is bound to: the mapped ones first."""
    return contents.choose_anchors(session, [work.request.mapping.entity(entity).table for entity in work.request.entities])


def stage(work: Workspace, plan: Plan) -> tuple[float, int]:
    """Create, fill and verify the staging database; return the seconds it took, and how many Xero ids were moved on the way."""
    started = time.monotonic()
    facts, programs = plan.facts, plan.programs
    if facts is None or programs is None:
        raise RefreshError("The dump could not be read. Correct database_restore_dump.")
    create_staging(work, plan)
    moved_ids = restore(work, facts, programs)
    counts = verify(work, facts)
    seconds = round(time.monotonic() - started, 2)
    write_marker(work, plan, facts, counts, seconds)
    return seconds, moved_ids


def discard_staging(work: Workspace) -> None:
    """Drop the staging database after a failure; a server that is gone leaves it to the next run."""
    with suppress(Exception):
        databases.drop_database(work.admin, work.request.names.staging)
