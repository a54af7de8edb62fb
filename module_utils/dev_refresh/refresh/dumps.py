"""The dump of a refresh: its hash first, all of its facts only where they are needed."""
from __future__ import annotations

import os
from dataclasses import dataclass

from ..dump.checksums import ExpectedChecksum, HashThread, expected_checksum
from ..dump.facts import DumpFacts, findings_here, read_facts
from ..dump.programs import ClientPrograms, find_programs
from ..dump.resolve import is_pattern, resolve_dump
from ..errors import Finding, GuardError
from .request import Request


@dataclass(frozen=True, slots=True)
class DumpFile:
    """The dump as a file: all that is needed to tell whether it is in already; an empty hash is that of a dump that cannot be read."""

    path: str
    sha256: str
    bytes: int


@dataclass(frozen=True, slots=True)
class LocatedDump:
    """The dump that the request names, and what is wrong with its name or its checksum."""

    file: DumpFile
    expected: ExpectedChecksum
    findings: tuple[Finding, ...]
    hashing: HashThread | None = None
    """What has taken the hash."""


def locate_dump(request: Request, *, deadline: float) -> LocatedDump:
    """Find the dump and take its hash, which is never skipped."""
    nothing = DumpFile(request.dump or "", "", 0)
    unknown = ExpectedChecksum(None, "none")
    if not request.dump:
        return LocatedDump(nothing, unknown, (Finding("No dump is named", "Set database_restore_dump"),))
    if request.dump_facts is not None:
        facts, source = request.dump_facts, request.dump_checksum_source
        return LocatedDump(DumpFile(facts.path, facts.sha256, facts.bytes), ExpectedChecksum(None if source == "none" else facts.sha256, source), ())
    path = resolve_dump(request.dump)
    if isinstance(path, Finding):
        return LocatedDump(nothing, unknown, (path,))
    expected = expected_checksum(path, request.checksum, is_glob=is_pattern(request.dump), require=request.require_checksum)
    hashing = HashThread(path, seconds=deadline)
    hashing.run()
    # of a dump that cannot be read, only that is worth saying
    findings = [expected.finding] if expected.finding and hashing.sha256 else []
    if hashing.sha256 and expected.sha256 and expected.sha256 not in (hashing.sha256, hashing.manifest_sha256):
        remedy = "It is another dump or was damaged on the way: copy it again, or correct the expected checksum"
        findings.append(Finding(f"The checksum of {path} is sha256:{hashing.sha256}, and sha256:{expected.sha256} is expected ({expected.source})", remedy))
    return LocatedDump(DumpFile(os.path.abspath(path), hashing.sha256, hashing.size), expected, tuple(findings), hashing)


def read_dump(request: Request, dump: LocatedDump, *, server_major: int, deadline: float) -> tuple[DumpFacts | None, ClientPrograms | None, list[Finding]]:
    """Return the dump's facts and the programs that restore it, with all findings; its hash is taken anew if it changed."""
    findings: list[Finding] = []
    programs: ClientPrograms | None = None
    try:
        programs = find_programs(request.bin_dir, server_major=server_major)
    except GuardError as error:
        findings += error.findings
    if request.dump_facts is not None:
        return request.dump_facts, programs, findings + findings_here(request.dump_facts, programs, server_major)
    if not dump.file.path or is_pattern(dump.file.path):
        return None, programs, findings
    expected = dump.expected.sha256
    facts = read_facts(
        dump.file.path, programs=programs, server_major=server_major, sha256_expected=expected, hashed=dump.hashing, deadline=deadline
    )
    return facts, programs, findings + list(facts.findings)


def dump_findings(request: Request, *, deadline: float) -> list[Finding]:
    """Return what is wrong with the dump itself, where the server that it is for cannot be asked."""
    dump = locate_dump(request, deadline=deadline)
    findings = list(dump.findings)
    if request.dump_facts is None and dump.file.path and not is_pattern(dump.file.path):
        facts = read_facts(dump.file.path, programs=None, sha256_expected=dump.expected.sha256, hashed=dump.hashing, deadline=deadline)
        findings += facts.findings
    return findings
