"""What pg_refresh is asked for, checked as far as it can be without a server."""
from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from ..dump.facts import DumpFacts
from ..errors import Finding, GuardError, RefreshError
from ..mapping import ENTITIES, parse_mapping
from ..mapping import Mapping as SeedMapping
from ..postgres.connection import Login
from ..postgres.options import login_from
from ..postgres.preserve import PreserveSpec, parse_preserve
from ..run_id import is_run_id, new_run_id
from .names import Names, name_findings
from .parameters import parameters_sha256

MIN_SECRET = 8
DIFF_LINES = 50
"""So many tables a diff lists, unless the operator asks for all."""


@dataclass(frozen=True, slots=True)
class Request:
    """The options of the module, typed."""

    names: Names
    state: str
    admin: Login
    owner: Login
    maintenance: str = "postgres"
    dump: str | None = None
    dump_facts: DumpFacts | None = None
    """In check mode: the facts of a dump that is not on this machine yet."""
    dump_checksum_source: str = "none"
    checksum: str | None = None
    require_checksum: bool = False
    forbidden_hosts: tuple[str, ...] = ()
    adopt: bool = False
    jobs: int = 1
    bin_dir: str | None = None
    sanitise_sql: tuple[str, ...] = ()
    private_tables: tuple[Mapping[str, Any], ...] = ()
    preserve: tuple[PreserveSpec, ...] = ()
    keep_previous: bool = True
    reject: bool = True
    force: bool = False
    mapping: SeedMapping = field(default_factory=lambda: parse_mapping(None))
    entities: tuple[str, ...] = ENTITIES
    migrations_pending: bool | None = None
    post_commands_sha256: str | None = None
    finish_sql: tuple[str, ...] = ()
    run_id: str = ""
    run_id_given: bool = False
    progress_file: str | None = None
    deadline: float = 7200.0
    ledger_table: str | None = None
    diff_lines: int = DIFF_LINES
    findings: tuple[Finding, ...] = ()
    """What is wrong with the parameters themselves; nothing is done with a request that has any."""

    @property
    def parameters(self) -> str:
        """Return the hash of what makes a restored database what it is, beside the dump."""
        return parameters_sha256(sanitise_sql=self.sanitise_sql, post_commands_sha256=self.post_commands_sha256)

    @property
    def secrets(self) -> tuple[str, ...]:
        """Return the passwords, for scrubbing."""
        return tuple(secret for secret in (self.admin.password, self.owner.password) if secret)


def request_from(params: Mapping[str, Any], *, check_mode: bool = False, diff_lines: int = DIFF_LINES) -> Request:
    """Return the request of the module's parameters, with everything that is wrong with them in its ``findings``."""
    # a run restores what it has read itself
    elsewhere = params.get("dump_facts") if check_mode else None
    names = Names(params["name"])
    findings = name_findings(params["name"], allowed=params["allowed_names"], maintenance=params["maintenance_db"])
    findings += _secret_findings(params)
    run_id = params["run_id"] or ""
    if run_id and not is_run_id(run_id):
        findings.append(Finding(f'"{run_id}" is not a run id', "Leave run_id out, or hand on the one that the playbook made"))
    admin = login_from(params)
    # a role with a password logs in by TCP: Debian's pg_hba.conf asks for peer on the socket
    host = params["owner_host"] or admin.host or ("localhost" if params["owner_password"] else "")
    owner = replace(admin, user=params["owner"], password=params["owner_password"] or None, host=host)
    if params["jobs"] is not None and params["jobs"] < 1:
        findings.append(Finding("database_restore_jobs must be at least 1", "Correct it"))
    mapping = parse_mapping(None)
    try:
        mapping = parse_mapping(params["mapping"])
    except GuardError as error:
        findings += error.findings
    return Request(
        names=names,
        state=params["state"],
        admin=admin,
        owner=owner,
        maintenance=params["maintenance_db"],
        dump=params["dump"],
        dump_facts=DumpFacts.from_result(elsewhere) if elsewhere else None,
        dump_checksum_source=elsewhere.get("checksum_source", "none") if elsewhere else "none",
        checksum=params["checksum"],
        diff_lines=diff_lines,
        require_checksum=params["require_checksum"],
        forbidden_hosts=tuple(params["forbidden_hosts"]),
        adopt=params["adopt"],
        jobs=params["jobs"] or os.cpu_count() or 1,
        bin_dir=params["bin_dir"],
        sanitise_sql=tuple(params["sanitise_sql"]),
        private_tables=tuple(private_entry(entry) for entry in params["private_tables"]),
        preserve=tuple(parse_preserve(params["preserve"])),
        keep_previous=params["keep_previous"],
        reject=params["reject"],
        force=params["force"],
        mapping=mapping,
        entities=tuple(params["entities"]),
        migrations_pending=params["migrations_pending"],
        post_commands_sha256=params["post_commands_sha256"],
        finish_sql=tuple(params["finish_sql"]),
        run_id=run_id or new_run_id(),
        run_id_given=bool(run_id),
        progress_file=params["progress_file"],
        deadline=float(params["deadline"]),
        ledger_table=params["ledger_table"],
        findings=tuple(findings),
    )


def private_entry(entry: Any) -> Mapping[str, Any]:
    """Return an entry of ``private_tables`` as a dictionary; a plain table name is allowed."""
    if isinstance(entry, str) and entry:
        return {"table": entry, "columns": []}
    if isinstance(entry, Mapping) and entry.get("table") and not set(entry) - {"table", "columns"}:
        columns = entry.get("columns") or []
        return {"table": str(entry["table"]), "columns": [columns] if isinstance(columns, str) else [str(column) for column in columns]}
    raise RefreshError(f"database_restore_private_tables: {entry!r} is neither a table nor {{table, columns}}. Correct the entry.")


def _secret_findings(params: Mapping[str, Any]) -> list[Finding]:
    """Return a finding for each password that Ansible's no_log would cut out of names."""
    findings: list[Finding] = []
    named = {"database": params["name"], "owner role": params["owner"], "administrator role": params["login_user"], "host": params["login_host"] or ""}
    tables = [entry.get("table") for entry in params["preserve"]] + [
        entry.get("table") if isinstance(entry, dict) else entry for entry in params["private_tables"]
    ]
    tables += [(entity or {}).get("table") for entity in (params["mapping"] or {}).values() if isinstance(entity, dict) or entity is None]
    named["table"] = "\n".join(str(table) for table in tables if table)
    for option, variable in (("login_password", "database_restore_admin_password"), ("owner_password", "database_restore_owner_password")):
        secret = params[option]
        if not secret:
            continue
        if len(secret) < MIN_SECRET:
            findings.append(
                Finding(f"{variable} has fewer than {MIN_SECRET} characters", "Set a longer one: Ansible cuts secrets out of every text, names included")
            )
        else:
            within = [what for what, name in named.items() if secret in name]
            if within:
                findings.append(
                    Finding(f"{variable} is contained in the name of the {' and the '.join(within)}", "Set another password: Ansible cuts secrets out of names")
                )
    return findings
