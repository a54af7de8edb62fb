"""The module xero_seed: from its options to its result."""
from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from .dump.excerpt import ReadTable, make_excerpt, read_excerpt
from .dump.programs import find_programs
from .dump.tables import needs_program, read_table
from .errors import GuardError, RefreshError
from .mapping import ENTITIES, MAPPING_OPTIONS, parse_mapping
from .mapping import Mapping as RowMapping
from .postgres.connection import Login, connect
from .postgres.dump_store import DumpStore
from .postgres.dump_tables import MARKER_TABLE, soften, tables_from_dump
from .postgres.lock import DatabaseLock
from .postgres.mapped_tables import check_mapping, missing_rights
from .postgres.options import POSTGRESQL_OPTIONS, login_from
from .postgres.rows import database_errors
from .postgres.seed_store import PgSeedStore
from .progress import ProgressWriter
from .seeding.guard import GuardRules
from .seeding.ports import SeedStore
from .seeding.result import LISTED
from .seeding.runner import SeedRequest, SeedRun
from .xero.from_options import open_log, open_xero
from .xero.options import XERO_OPTIONS

if TYPE_CHECKING:
    from psycopg2.extensions import connection as Connection

OPTIONS: dict[str, Any] = {
    **POSTGRESQL_OPTIONS,
    **XERO_OPTIONS,
    "database": {"type": "str", "required": True},
    "entities": {"type": "list", "elements": "str", "default": list(ENTITIES), "choices": list(ENTITIES)},
    "mapping": {"type": "dict", "default": {}, "options": MAPPING_OPTIONS},
    "dump": {"type": "path"},
    "dump_source": {"type": "str", "choices": ["host", "controller"], "default": "host"},
    "dump_excerpt": {"type": "str", "no_log": True},
    "bin_dir": {"type": "path"},
    "forecast_reasons": {"type": "list", "elements": "str", "default": []},
    "calls_before": {"type": "int", "default": 0},
    "run_id": {"type": "str"},
    "progress_file": {"type": "path"},
}
"""Argument spec of the module."""

Warn = Callable[[str], None]


def seed(params: Mapping[str, Any], *, check_mode: bool, diff: int = LISTED, warn: Warn) -> dict[str, Any]:
    """Seed, or in check mode say what a seed would do; return the module's result, with at most ``diff`` names of what changed in each entity.

    Raises RefreshError and GuardError.
    """
    mapping = parse_mapping(params["mapping"])
    login, database = login_from(params), str(params["database"])
    if not params["entities"]:
        raise RefreshError("xero_seed_entities is empty, so there is nothing to seed. Name contacts, projects or both.")
    with contextlib.ExitStack() as stack:
        progress = ProgressWriter(params["progress_file"] or None)
        stack.callback(progress.close)
        if check_mode and params["dump"]:
            return _forecast_from_dump(params, mapping, login, database, progress, warn, diff=diff)
        if not check_mode:
            holder = f"xero_seed {params['run_id'] or 'without a run id'}"
            stack.enter_context(DatabaseLock(login, database, holder=holder, maintenance=params["maintenance_db"]))
        session = stack.enter_context(contextlib.closing(connect(login, database, application_name="dev_refresh xero_seed")))
        _check(session, mapping, params["entities"], warn)
        store = PgSeedStore(session, mapping, run_id=params["run_id"])
        return _run(params, mapping, store, progress, warn, check_mode=check_mode, diff=diff)


def _run(
    params: Mapping[str, Any], mapping: RowMapping, store: SeedStore, progress: ProgressWriter, warn: Warn, *,
    check_mode: bool, diff: int, restore_due: bool = False, reasons: Sequence[str] = (),
) -> dict[str, Any]:  # fmt: skip
    """Connect to Xero and run."""
    request = SeedRequest(
        mapping=mapping,
        entities=params["entities"],
        rules=GuardRules(params["tenant_id"], params["organisation"], params["allow_non_demo"], params["forbidden_tenant_ids"]),
        check_mode=check_mode,
        restore_due=restore_due,
        forecast_reasons=[*params["forecast_reasons"], *reasons] if check_mode else (),
        run_id=params["run_id"],
        calls_per_minute=params["calls_per_minute"],
        daily_reserve=params["daily_reserve"],
        calls_before=params["calls_before"],
        diff=diff,
    )
    with contextlib.ExitStack() as stack:
        log = open_log(params, module="xero_seed")
        stack.callback(log.close)
        xero = stack.enter_context(
            open_xero(params, log=log, on_wait=lambda reason, seconds: progress.emit("wait", 0, None, f"{reason} ({seconds:.0f} s)"))
        )
        run = SeedRun(request, xero, store, progress, log)
        try:
            return run.run()
        finally:
            for warning in run.warnings:
                warn(warning)


def _check(session: Connection, mapping: RowMapping, entities: Sequence[str], warn: Warn, *, keep: bool = False) -> None:
    """Refuse a mapping that does not fit the database; ``keep`` leaves the transaction open."""
    with database_errors("looking at the mapped tables"):
        findings, warnings = check_mapping(session, mapping, entities)
        if not findings:
            findings = missing_rights(session, mapping, entities)
        if not keep:
            session.rollback()
    for warning in warnings:
        warn(warning)
    if findings:
        raise GuardError(findings)


def _forecast_from_dump(
    params: Mapping[str, Any], mapping: RowMapping, login: Login, database: str, progress: ProgressWriter, warn: Warn, *, diff: int
) -> dict[str, Any]:
    """Say what a seed would do after the dump was restored."""
    # where migrations or the like come in between, what does not fit now may fit then
    lenient = bool(params["forecast_reasons"])
    with contextlib.closing(_session_for_dump(params, login, database)) as session:
        read = _reader(params, server_major=session.server_version // 10000)
        with tables_from_dump(session, read, mapping, params["entities"], lenient=lenient) as tables:
            for doubt in tables.doubts:
                warn(f"The mapping could not be checked: {doubt}.")
            if not lenient:
                _check(session, tables.mapping, params["entities"], warn, keep=True)
            with database_errors("looking at the rows of the dump"):
                soften(session, tables)
            store = DumpStore(session, tables)
            return _run(params, tables.mapping, store, progress, warn, check_mode=True, diff=diff, restore_due=True, reasons=tables.reasons)


def _reader(params: Mapping[str, Any], *, server_major: int) -> ReadTable:
    """Return what reads the dump's tables: here, or from what the action plugin has read on the controller."""
    if params.get("dump_source", "host") == "controller":
        if not params["dump_excerpt"]:
            raise RefreshError("Only the action plugin reads a dump of the controller; set action_plugins as ansible.cfg does.")
        return read_excerpt(params["dump_excerpt"])
    return partial(read_table, find_programs(params["bin_dir"], server_major=server_major), str(params["dump"]))


def excerpt_for(dump: str, mapping: Mapping[str, Any] | None) -> str:
    """Return, on the controller, the tables of its dump that a forecast needs; their rows go to the host, where they are not written to disk.

    Raises RefreshError where the dump takes client programs and the controller has none.
    """
    mapped = parse_mapping(mapping)
    read = partial(read_table, find_programs(None) if needs_program(dump) else None, dump)
    return make_excerpt(read, [mapped.contacts.table, mapped.projects.table, MARKER_TABLE])


def _session_for_dump(params: Mapping[str, Any], login: Login, database: str) -> Connection:
    """Return a session in which the dump's rows can be looked at: in the live database, whose types are known, or where there is none elsewhere."""
    try:
        return connect(login, database, application_name="dev_refresh xero_seed")
    except RefreshError:
        return connect(login, params["maintenance_db"], application_name="dev_refresh xero_seed")
