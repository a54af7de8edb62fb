"""From what an operator names to the facts of one dump, with all findings."""
from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

from ..errors import Finding, GuardError
from .checksums import expected_checksum
from .facts import DumpFacts, LedgerSpec, read_facts
from .programs import ClientPrograms, find_programs
from .resolve import is_pattern, resolve_dump
from .tables import needs_program


@dataclass(frozen=True, slots=True)
class Inspection:
    """The facts of a dump, where its expected checksum is from (``option``, ``manifest``, ``none`` or a file), and what is odd but no obstacle."""

    facts: DumpFacts
    checksum_source: str
    warnings: list[str]

    def as_result(self) -> dict[str, Any]:
        """Return it as a module's result."""
        result = self.facts.as_result()
        # Ansible adds owner, mode and so on of whatever is returned as "path"
        return {"dump_path": result.pop("path"), **result, "checksum_source": self.checksum_source}


def inspect_dump(
    path: str,
    *,
    checksum: str | None = None,
    require_checksum: bool = False,
    bin_dir: str | None = None,
    ledger: LedgerSpec | None = None,
    server_major: int | None = None,
    deadline: float = 3600,
    sparing: bool = False,
) -> Inspection:
    """Return all facts of the dump at ``path``, which may be a pattern; nothing is raised for a bad dump or missing programs.

    ``sparing``: where the dump can be read without client programs, they are not asked for; whether they could restore it is then not known.
    """
    found = resolve_dump(path)
    if isinstance(found, Finding):
        return Inspection(DumpFacts(path, findings=[found]), "none", [])
    found = os.path.abspath(found)
    expected = expected_checksum(found, checksum, is_glob=is_pattern(path), require=require_checksum)
    findings = [expected.finding] if expected.finding else []
    programs: ClientPrograms | None = None
    try:
        programs = None if sparing and not needs_program(found) else find_programs(bin_dir, server_major=server_major)
    except GuardError as exc:
        findings += exc.findings
    facts = read_facts(found, programs=programs, ledger=ledger, sha256_expected=expected.sha256, server_major=server_major, deadline=deadline)
    facts.findings += findings
    warnings = []
    if expected.source == "none" and facts.sha256 and not facts.findings:
        sidecar = f"{os.path.basename(found)}.sha256"
        warnings.append(f"There is no checksum for {found}, so whether it is what its source wrote is not known. Make a {sidecar} at the source.")
    return Inspection(facts, expected.source, warnings)
