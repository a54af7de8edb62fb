"""Say which dump is in, from when, and where it was seeded; read-only."""
from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from ..postgres import marker as markers
from ..postgres.connection import Login, connect
from ..postgres.databases import Database, read_databases, read_size
from .names import Names

APPLICATION = "dev_refresh pg_refresh_info"


def read_status(name: str, admin: Login, owner: Login, *, maintenance: str = "postgres") -> dict[str, Any]:
    """Return what is known of the live, the staging and the previous database of ``name``.

    Keys: ``exists``, ``marker`` (live's, or None), ``fits``, ``databases`` (role in the refresh → name, bytes, open, note), ``verdict`` and ``next``
    (a sentence each) and ``summary`` (lines).
    Raises RefreshError when the server cannot be reached.
    """
    names = Names(name)
    session = connect(admin, maintenance, application_name=APPLICATION, autocommit=True)
    try:
        found = read_databases(session, names.all)
        sizes = {each: read_size(session, each) for each in found}
    finally:
        session.close()
    roles = {"live": names.live, "staging": names.staging, "previous": names.previous}
    databases = {role: _facts(found[each], sizes[each]) for role, each in roles.items() if each in found}
    marker, fits = _live_marker(owner, found.get(name))
    status: dict[str, Any] = {"exists": name in found, "marker": marker, "fits": fits, "databases": databases}
    status["summary"] = summary(name, status)
    status["verdict"], status["next"] = outlook(status)
    return status


def outlook(status: Mapping[str, Any]) -> tuple[str, str]:
    """Return what the status comes to and what would be next, a sentence each (pure)."""
    marker, run = status["marker"], "`ansible-playbook restore_dev.yml`"
    if not status["exists"]:
        return "There is no such database yet.", f"{run} makes it."
    if "live" in status["databases"] and not status["databases"]["live"]["open"]:
        return "Closed to connections: a refresh is at work, or died.", f"{run} reopens it and goes on."
    if marker is None:
        return "Not made by a refresh.", f"{run} replaces it if you say `-e database_restore_adopt=true`, once; it is kept as the previous database."
    if not status["fits"]:
        return "Something else was restored over it.", f"{run} restores it anew."
    if "staging" in status["databases"]:
        return "A refresh is at work, or died before the swap.", f"{run} goes on with it."
    if not marker["seeded_at"]:
        return "Restored, but not all clients and jobs are in Xero yet.", f"{run} goes on with the seed."
    if not marker["finished_at"]:
        return "Restored and seeded, but not verified yet.", f"{run} verifies it and finishes."
    return "Restored, seeded and verified.", f"nothing, until there is a newer dump; {run} brings it in."


def summary(name: str, status: Mapping[str, Any]) -> list[str]:
    """Return the status in sentences (pure)."""
    databases, marker = status["databases"], status["marker"]
    if not status["exists"]:
        lines = [f'There is no database "{name}". `ansible-playbook restore_dev.yml` makes it.']
    elif marker is None:
        lines = [f'Database "{name}" is not ours, or empty of our marker: nothing is known of where it came from.']
    elif not status["fits"]:
        lines = [f'The marker of database "{name}" does not fit its data: something else was restored over it. The next refresh restores it anew.']
    else:
        made = marker["dump_created"] or "at an unknown time"
        lines = [f'Database "{name}" holds the dump {marker["dump_path"]}, made {made}, restored {marker["restored_at"]}.']
        if not marker["tenant_id"]:
            lines.append("It was not seeded yet.")
        else:
            where = f"{marker['tenant_name'] or 'the organisation'} (tenant {marker['tenant_id']})"
            lines.append(f"It was seeded in {where}, {marker['seeded_at']}." if marker["seeded_at"] else f"Seeding in {where} has begun and is not complete.")
            if marker["finished_at"]:
                lines.append(f"It was verified and finished {marker['finished_at']}.")
    if "live" in databases and not databases["live"]["open"]:
        lines.append(f'Database "{name}" is closed to connections. The next refresh reopens it.')
    if "staging" in databases:
        lines.append(f'"{databases["staging"]["name"]}" is there: a refresh is at work, or died and will be continued.')
    if "previous" in databases:
        lines.append(f'"{databases["previous"]["name"]}" is kept for rollback: `ansible-playbook playbooks/rollback_dev.yml` puts it back.')
    return lines


def _facts(database: Database, size: int) -> dict[str, Any]:
    return {"name": database.name, "bytes": size, "open": database.open, "note": database.note}


def _live_marker(owner: Login, live: Database | None) -> tuple[dict[str, Any] | None, bool]:
    """Return live's marker and whether it fits; (None, False) where there is none or the database is closed."""
    if live is None or not live.open:
        return None, False
    session = connect(owner, live.name, application_name=APPLICATION)
    try:
        session.set_session(readonly=True)
        marker = markers.read(session)
        return (asdict(marker), markers.fits(session, marker)) if marker is not None else (None, False)
    finally:
        session.close()
