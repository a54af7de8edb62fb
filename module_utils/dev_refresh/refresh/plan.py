"""Everything that can be known before a write, and what follows from it: the same for a run and for check mode."""
from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any

from ..dump.facts import DumpFacts
from ..dump.programs import ClientPrograms
from ..errors import Finding, RefreshError, as_finding
from ..postgres import contents, databases, gate, preserve
from ..postgres.server import ServerFacts, read_server
from . import checks
from .decide import Decision, Found, Wanted, decide
from .dumps import DumpFile, locate_dump, read_dump
from .names import source_findings
from .repair import finish_swap, repair
from .server_names import is_local
from .workspace import Workspace


@dataclass(slots=True)
class Plan:
    """What was found and what will be done."""

    live: Found
    staging: Found
    decision: Decision
    dump: DumpFile | None
    facts: DumpFacts | None = None
    programs: ClientPrograms | None = None
    server: ServerFacts | None = None
    findings: list[Finding] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    not_predicted: list[str] = field(default_factory=list)
    effects: dict[str, Any] = field(default_factory=dict)
    """What the run does to databases and sessions, and what it needs."""


def make_plan(work: Workspace) -> Plan:
    """Repair what a dead run left, check everything, decide; findings are collected in the plan."""
    request, names = work.request, work.request.names
    work.check_fence()
    findings: list[Finding] = []
    repair(work)
    server = read_server(work.admin, owner=request.owner.user, names=names.all)
    findings += checks.role_findings(server, owner=request.owner.user)
    live, staging = Found(), Found()
    readable = True
    try:
        probe_owner(work)
        live = finish_swap(work, work.find(names.live))
        staging = work.find(names.staging)
        ours = {name: work.find(name).ours for name in (names.previous, names.old) if name in work.databases}
        findings += checks.foreign_findings(names, work.databases, {**ours, names.staging: staging.ours})
    except RefreshError as error:
        findings.append(as_finding(error))
        readable = False
        live = Found(exists=names.live in work.databases)
    work.check_fence(live, staging)
    located = locate_dump(request, deadline=work.seconds_left)
    dump = located.file
    findings += located.findings
    wanted = Wanted(
        sha256=dump.sha256,
        parameters=request.parameters,
        run_id=request.run_id,
        force=request.force,
        adopt=request.adopt,
        migrations_pending=request.migrations_pending,
    )
    plan = Plan(live, staging, decide(names.live, live, staging, wanted), dump, server=server, findings=findings)
    if live.was_closed:
        plan.not_predicted.append(f'whether the dump is in "{names.live}": its door is closed until a run reopens it')
    if not plan.decision.replaces_live and not findings:
        return plan
    plan.facts, plan.programs, problems = read_dump(request, located, server_major=server.major, deadline=work.seconds_left)
    # the checksum is compared twice, and one finding says it
    findings += [finding for finding in problems if not ("is expected" in finding.what and located.findings)]
    if plan.facts is not None:
        _check_dump(work, plan, plan.facts, wanted)
    if located.expected.sha256 is None and located.expected.source == "none" and plan.decision.replaces_live:
        plan.warnings.append(f"There is no checksum for {dump.path}: only one taken where the dump was made proves that it is whole.")
    findings += checks.live_findings(server, work.databases.get(names.live))
    # without the owner's access nobody can say what live holds
    findings += plan.decision.refusals if readable else []
    if live.exists and not live.was_closed and request.preserve and not findings:
        findings += preserve_findings(work, plan)
    if plan.decision.replaces_live:
        _note_effects(work, plan)
        plan.not_predicted.append("whether every statement and migration succeeds on the data of the dump")
        if request.preserve:
            plan.not_predicted.append("whether the preserved rows fit the schema after the migrations")
    return plan


def _check_dump(work: Workspace, plan: Plan, facts: DumpFacts, wanted: Wanted) -> None:
    """Decide with all that the dump says, and check that this server can take it."""
    request, server = work.request, plan.server
    assert server is not None
    if facts.sha256 and plan.dump is not None and facts.sha256 != plan.dump.sha256:
        plan.findings.append(Finding(f"{facts.path} changed while it was read", "Wait until its copy is finished"))
    plan.decision = decide(request.names.live, plan.live, plan.staging, replace(wanted, created=facts.created or None))
    plan.findings += source_findings(request.names.live, facts.source_database or None)
    mapped = [request.mapping.entity(name).table for name in request.entities]
    plan.findings += checks.app_findings(facts.path, facts.rows, mapped=mapped, ledger=request.ledger_table)
    plan.findings += checks.extension_findings(server, facts.extensions)
    plan.findings += checks.encoding_findings(work.databases.get(request.names.live), facts.encoding)
    if plan.decision.action == "restore":
        space = read_space(work, server, facts.uncompressed_bytes)
        plan.effects["space"] = {"needed": space.needed, "free": space.free}
        if space.wal_room is not None:
            plan.effects["space"] |= {"wal_needed": space.wal_needed, "wal_room": space.wal_room}
        if space.free is None:
            plan.warnings.append("The free disk space of the server cannot be read from here and was not checked.")
        plan.findings += checks.capacity_findings(server, jobs=request.jobs, space=space)


def _note_effects(work: Workspace, plan: Plan) -> None:
    """Note which databases are renamed and dropped, which sessions end, which rows are kept, and the space and time it takes."""
    names, request = work.request.names, work.request
    sizes = {name: databases.read_size(work.admin, name) for name in work.databases}
    dropped = [names.previous] if names.previous in work.databases and plan.live.exists else []
    if plan.decision.action == "restore" and names.staging in work.databases:
        dropped.append(names.staging)
    renamed = [{"from": names.staging, "to": names.live}]
    if plan.live.exists:
        renamed.insert(0, {"from": names.live, "to": names.previous})
        if not request.keep_previous:
            dropped.append(names.live)
    plan.effects |= {
        "renamed": renamed,
        "dropped": [{"database": name, "bytes": sizes[name]} for name in dropped],
        "sessions_ended": gate.list_sessions(work.admin, [names.live]) if plan.live.exists else [],
        "seconds_last_time": plan.live.marker.extra.get("stage_seconds") if plan.live.marker else None,
    }


def probe_owner(work: Workspace) -> None:
    """Log in as the owner under the staging name; "does not exist" is a good answer, since authentication comes first.

    Raises RefreshError when pg_hba.conf or the password keeps the owner out.
    """
    name = work.request.names.staging
    if name in work.databases and not work.databases[name].open:
        return
    try:
        work.open_owner(name, read_only=True).close()
    except RefreshError as error:
        if "there is no such database" not in str(error) or name in work.databases:
            raise


def preserve_findings(work: Workspace, plan: Plan) -> list[Finding]:
    """Return what is wrong with the preserve entries as far as live tells; the staging side is checked when it is ready."""
    findings: list[Finding] = []
    with work.owner_session(work.request.names.live, read_only=True) as session:
        for spec in work.request.preserve:
            columns = preserve.read_columns(session, spec.table)
            where = f'database_restore_preserve, table "{spec.table}"'
            if columns is None:
                plan.warnings.append(f'{where}: "{work.request.names.live}" has no such table, so nothing of it is kept.')
                continue
            plan.effects.setdefault("preserved", {})[spec.table] = next(contents.count_rows(session, [preserve.qualified(session, spec.table)]))[1]
            findings.extend(
                Finding(f'{where}: there is no column "{name}"', f"Correct the entry; the table has {', '.join(sorted(columns))}")
                for name in (*spec.key, *spec.columns)
                if name not in columns
            )
            if not spec.key and not preserve.read_primary_key(session, spec.table):
                findings.append(Finding(f"{where}: the table has no primary key and the entry names no key", "Add `key` to the entry"))
    return findings


def read_space(work: Workspace, server: ServerFacts, uncompressed: int) -> checks.Space:
    """Return the disk space needed and free, that of the WAL apart where it has a volume of its own; free is None for a server elsewhere."""
    live_size = databases.read_size(work.admin, work.request.names.live)
    data = checks.needed_bytes(uncompressed=uncompressed, live_size=live_size)
    wal = checks.needed_wal_bytes(uncompressed=uncompressed, max_wal=server.max_wal_bytes)
    folder = server.data_directory
    if folder is None or not is_local(work.request.admin.host) or not os.path.isdir(folder):
        return checks.Space(data + wal, None)
    live = work.databases.get(work.request.names.live)
    # staging is made in live's tablespace
    place = (databases.read_location(work.admin, live.tablespace) if live else "") or folder
    if not os.path.isdir(place):
        return checks.Space(data + wal, None)
    wal_room = _room_for_wal(folder, place)
    if wal_room is None:
        return checks.Space(data + wal, _free(place))
    return checks.Space(data, _free(place), wal_needed=wal, wal_room=wal_room)


def _free(folder: str) -> int:
    """Return the free bytes of the file system of a folder."""
    facts = os.statvfs(folder)
    return facts.f_bavail * facts.f_frsize


def _room_for_wal(folder: str, place: str) -> int | None:
    """Return how large the WAL may become on another volume than the data; None if it is on the same one, or if only the server may look."""
    path = os.path.join(folder, "pg_wal")
    try:
        if os.stat(path).st_dev == os.stat(place).st_dev:
            return None
        # what is there already is used again
        return _free(path) + sum(entry.stat().st_size for entry in os.scandir(path))
    except OSError:
        return None


def describe_entries(entries: Iterable[Any]) -> list[dict[str, str]]:
    """Return skipped entries of the dump for the result."""
    return [{"kind": str(entry.kind), "name": str(entry.name), "why": str(entry.why)} for entry in entries]
