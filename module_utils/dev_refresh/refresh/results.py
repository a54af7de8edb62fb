"""The module's result: the same keys in every state, for a run, for check mode and for failures."""
from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..postgres.marker import Marker
from .finish_state import is_finished
from .plan import Plan, describe_entries
from .workspace import Workspace


def dump_facts(plan: Plan) -> dict[str, Any] | None:
    """Return the dump's part of the result."""
    facts, dump = plan.facts, plan.dump
    if facts is not None:
        return {
            "path": facts.path,
            "sha256": facts.sha256,
            "bytes": facts.bytes,
            "created": facts.created or None,
            "format": facts.format,
            "server_version": facts.server_version,
            "source_database": facts.source_database,
        }
    if dump is None:
        return None
    known = plan.live.marker if plan.live.marker and plan.live.marker.dump_sha256 == dump.sha256 else None
    return {
        "path": dump.path,
        "sha256": dump.sha256,
        "bytes": dump.bytes,
        "created": known.dump_created if known else None,
        "format": None,
        "server_version": None,
        "source_database": known.source_database if known else None,
    }


def marked_dump(marker: Marker | None) -> dict[str, Any] | None:
    """Return the dump that a marker names, in the shape of the result."""
    if marker is None:
        return None
    return {
        "path": marker.dump_path,
        "sha256": marker.dump_sha256,
        "bytes": marker.dump_bytes,
        "created": marker.dump_created,
        "format": None,
        "server_version": None,
        "source_database": marker.source_database,
    }


def base_result(work: Workspace) -> dict[str, Any]:
    """Return the result of a state in which nothing happened."""
    names = work.request.names
    return {
        "changed": False,
        "state": work.request.state,
        "run_id": work.request.run_id,
        "action": None,
        "phase": None,
        "dump": None,
        "database": {"name": names.live, "working_name": names.live, "action": None, "previous": names.previous if names.previous in work.databases else None},
        "situation": None,
        "row_counts": {"tables": 0, "rows": 0},
        "skipped_entries": [],
        "seconds": {},
        "preserved": {},
        "moved_ids": 0,
        "repaired": list(work.repaired),
        "warnings_found": list(work.warnings),
        "effects": {},
        "not_predicted": [],
        "msg": "",
    }


def planned_result(work: Workspace, plan: Plan) -> dict[str, Any]:
    """Return the result that says what the plan found and what it leads to."""
    decision, names = plan.decision, work.request.names
    facts = plan.facts
    if decision.replaces_live and facts is not None:
        rows: dict[str, int | None] = dict(facts.rows)
        counts = {"tables": len(rows), "rows": sum(count or 0 for count in rows.values())}
    else:
        known = plan.live.marker.row_counts if plan.live.marker else {}
        counts = {"tables": len(known), "rows": sum(known.values())}
    result = base_result(work)
    result.update(
        action=decision.action,
        phase=(plan.staging.marker.phase if plan.staging.marker else None) if decision.action == "resume" else None if decision.replaces_live else "live",
        dump=dump_facts(plan),
        situation={"word": decision.word, "sentence": decision.sentence},
        finished=plan.live.marker is not None and plan.live.ours and is_finished(plan.live.marker),
        row_counts=counts,
        skipped_entries=describe_entries(facts.skipped_entries) if facts is not None and decision.replaces_live else [],
        warnings_found=[*work.warnings, *plan.warnings],
        effects=dict(plan.effects),
        not_predicted=list(plan.not_predicted),
        msg=decision.sentence,
    )
    result["database"] |= {"action": decision.action, "working_name": names.staging if decision.replaces_live else names.live}
    return result


def diff_of(work: Workspace, plan: Plan) -> dict[str, str]:
    """Return before and after for ``--diff``: which dump is in which database, and the rows of tables that have more or fewer, at most a page of them."""
    live = plan.live.marker
    before = [f"{work.request.names.live}: {_from(live) if plan.live.exists else 'does not exist'}"]
    after = list(before)
    if plan.decision.replaces_live and plan.dump is not None:
        created = plan.facts.created if plan.facts else None
        after = [f"{work.request.names.live}: dump {plan.dump.sha256[:12]} made {created or 'at an unknown time'}"]
        if plan.live.exists and work.request.keep_previous:
            after.append(f"{work.request.names.previous}: {_from(live)}")
        if work.request.names.previous in work.databases:
            before.append(f"{work.request.names.previous}: an earlier database")
        tables = _tables_diff(live.row_counts if live else {}, plan.facts.rows if plan.facts else {}, most=work.request.diff_lines)
        before += tables[0]
        after += tables[1]
    return {"before": "\n".join(before) + "\n", "after": "\n".join(after) + "\n", "before_header": "databases", "after_header": "databases"}


def _tables_diff(before: Mapping[str, int], after: Mapping[str, int | None], *, most: int) -> tuple[list[str], list[str]]:
    """Return the lines of the tables whose numbers of rows differ: the first ``most`` of them, and how many more there are."""
    differing = [table for table in sorted({*before, *after}) if before.get(table) != after.get(table)]
    lines = ([f"{table}: {counts[table]} rows" for table in differing[:most] if table in counts] for counts in (before, after))
    old, new = lines
    if len(differing) > most:
        new.append(f"and {len(differing) - most} more tables with other numbers of rows (all of them with -vv)")
    return old, new


def _from(marker: Marker | None) -> str:
    """Return which dump a database came from."""
    return f"dump {marker.dump_sha256[:12]} made {marker.dump_created or 'at an unknown time'}" if marker else "not made by a refresh"
