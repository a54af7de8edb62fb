"""Restore the dump into the staging database and prove that all of it arrived."""
from __future__ import annotations

import os
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import Any

from .. import __version__
from ..dump.facts import DumpFacts
from ..dump.programs import ClientPrograms
from ..errors import RefreshError
from ..postgres import contents, databases, marker
from ..postgres.connection import Login, connect
from ..postgres.sessions import explained, transaction
from ..processes.children import clean_environment, run_child
from ..processes.secrets import password_file
from .decide import Found, rejected_dumps
from .memory import available_memory, sort_memory
from .plan import Plan
from .sanitise import moving_ids
from .server_names import is_local
from .workspace import Workspace

# harmless in a database that is thrown away when anything fails, and worth a sixth of the time (a quarter on slow disks)
RESTORE_OPTIONS = (
    "-c synchronous_commit=off -c default_transaction_read_only=off -c statement_timeout=0 -c lock_timeout=0 -c idle_in_transaction_session_timeout=0"
)
PROGRESS_SECONDS = 1.0
MOST_SESSIONS = 4
"""So many sessions count rows at once."""
_SERVER_GONE = "server closed the connection unexpectedly"


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


def restore(work: Workspace, facts: DumpFacts, programs: ClientPrograms) -> None:
    """Run pg_restore as the owner; raise RefreshError with its first error."""
    staging, owner = work.request.names.staging, work.request.owner
    with tempfile.TemporaryDirectory(prefix="dev_refresh_") as folder, _passwords(owner) as environment, _progress(work, facts):
        listing = os.path.join(folder, "entries.list")
        with open(listing, "w", encoding="utf-8") as file:
            file.write(facts.toc_list_text)
        argv = [
            programs.pg_restore,
            f"--dbname={conninfo(owner, staging)}",
            "--no-password",
            "--no-owner",
            "--no-privileges",
            "--no-publications",
            "--no-subscriptions",
            "--exit-on-error",
            f"--jobs={work.request.jobs}",
            f"--use-list={listing}",
            facts.path,
        ]
        options = " ".join([RESTORE_OPTIONS, *_sort_option(work)])
        done = run_child(argv, deadline=work.seconds_left, env=clean_environment(os.environ, PGOPTIONS=options, **environment), secrets=work.request.secrets)
    if done.timed_out:
        raise RefreshError(
            f"pg_restore did not end within the deadline of {work.request.deadline:.0f} seconds and was ended. Raise deadline, or look for locks."
        )
    if done.returncode != 0:
        why = " The server ended meanwhile: its log says why, often a full disk or too little memory." if _SERVER_GONE in done.stderr else ""
        raise RefreshError(
            f'pg_restore failed on "{staging}" (exit code {done.returncode}): {first_error(done.stderr)}{why} Nothing in the live database was touched.'
        )


def _sort_option(work: Workspace) -> list[str]:
    """Return the setting that gives each job more memory to build indexes with, where the server is on this machine and has it to spare."""
    if not is_local(work.request.admin.host):
        return []
    with work.owner_session(work.request.names.staging) as session, explained("Reading maintenance_work_mem failed"):
        now = contents.setting_bytes(session, "maintenance_work_mem")
    wanted = sort_memory(available_memory(), jobs=work.request.jobs)
    return [f"-c maintenance_work_mem={wanted // 1024}kB"] if wanted > now else []


def first_error(stderr: str) -> str:
    """Return pg_restore's first error with its statement, without rows of the database, as one sentence."""
    lines = [line.strip() for line in stderr.splitlines() if line.strip()]
    start = next((index for index, line in enumerate(lines) if "error:" in line), 0)
    # DETAIL and CONTEXT quote rows of production; of a server that is gone libpq says three lines
    kept = [line for line in lines[start : start + 8] if not line.startswith(("DETAIL:", "CONTEXT:", "This probably means", "before or while"))][:4]
    words = " ".join(kept) or "it said nothing"
    return (words if len(words) <= 600 else words[:597] + "...").rstrip(".") + "."


def conninfo(login: Login, database: str) -> str:
    """Return libpq's connection string without the password."""
    words = {name: value for name, value in login.libpq(database).items() if name != "password"}
    words["application_name"] = "dev_refresh pg_restore"
    return " ".join(f"{name}='{_escape(str(value))}'" for name, value in words.items())


def _escape(value: str) -> str:
    """Return a value as it stands between quotes in a connection string."""
    return value.replace("\\", "\\\\").replace("'", "\\'")


@contextmanager
def _passwords(owner: Login) -> Iterator[dict[str, str]]:
    """Yield the environment that hands the owner's password over in a file; argv can be read by everybody on the host."""
    if not owner.password:
        yield {}
        return
    with password_file([("*", "*", "*", owner.user, owner.password)]) as path:
        yield {"PGPASSFILE": path}


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
        for done, (table, rows) in enumerate(contents.count_rows_at_once(sessions, expected, beside="ANALYZE"), 1):
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
    """Create, fill and verify the staging database; return the seconds it took, and how many Xero ids were moved meanwhile."""
    started = time.monotonic()
    facts, programs = plan.facts, plan.programs
    if facts is None or programs is None:
        raise RefreshError("The dump could not be read. Correct database_restore_dump.")
    create_staging(work, plan)
    restore(work, facts, programs)
    with moving_ids(work) as moved:
        counts = verify(work, facts)
    seconds = round(time.monotonic() - started, 2)
    write_marker(work, plan, facts, counts, seconds)
    return seconds, sum(moved)


def discard_staging(work: Workspace) -> None:
    """Drop the staging database after a failure; a server that is gone leaves it to the next run."""
    with suppress(Exception):
        databases.drop_database(work.admin, work.request.names.staging)
