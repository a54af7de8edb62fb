"""All that is to be known of a dump before anything is restored, from one read of it that is also the check that it is whole."""
from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from ..errors import Finding
from ..processes.children import ChildResult, clean_environment, run_child
from .blocks import locate_blocks
from .checksums import HashThread, identity_of, manifest_of, no_manifest
from .data import CopyBlock, CopyScanner, parse_rows
from .direct import MissingEndError, read_blocks
from .header import RIGHT_COMMAND, DamagedArchiveError, Header, read_header
from .parts import divide
from .programs import ClientPrograms
from .reading import read_parts
from .toc import CopyTarget, Entry, TocEntry, codec, copy_target, encoding_of, list_text, locale_of, read_archive, skipped, unknown_kinds

_AGAIN = "Copy it again and compare its checksum with the one taken at the source; if they are equal, make the dump again"


@dataclass(frozen=True, slots=True)
class LedgerSpec:
    """The table that lists the applied migrations, for example ``django_migrations`` with the columns ``app`` and ``name``."""

    table: str
    columns: tuple[str, ...]


@dataclass(slots=True)
class DumpFacts:
    """What a dump says and contains; with ``findings`` it must not be restored.

    ``created`` is ISO 8601 in the local time of the machine that made the dump: an archive names no zone. A row count of None is not known:
    INSERT statements, or a table to which an extension adds rows of its own. Counts are of each table alone (``SELECT ... FROM ONLY``).
    """

    path: str
    sha256: str = ""
    bytes: int = 0
    format: str = ""
    archive_version: str = ""
    server_version: str = ""
    dump_version: str = ""
    compression: str = ""
    created: str = ""
    source_database: str = ""
    encoding: str = ""
    locale: str = ""
    rows: dict[str, int | None] = field(default_factory=dict)
    tables: dict[str, tuple[str, str]] = field(default_factory=dict)
    """Schema and name of each key of ``rows``."""
    uncompressed_bytes: int = 0
    extensions: list[str] = field(default_factory=list)
    skipped_entries: list[Entry] = field(default_factory=list)
    toc_list_text: str = ""
    ledger: list[list[str]] | None = None
    findings: list[Finding] = field(default_factory=list)
    complete: bool = False
    """Whether the whole dump was read."""
    seconds: float = 0.0

    def as_result(self) -> dict[str, Any]:
        """Return it as a module's result: plain data, without what only a restore needs."""
        result = asdict(self)
        del result["toc_list_text"], result["tables"]
        result["skipped_entries"] = [asdict(entry) for entry in self.skipped_entries]
        result["findings"] = [str(finding) for finding in self.findings]
        result["seconds"] = round(self.seconds, 3)
        return result

    @classmethod
    def from_result(cls, result: Mapping[str, Any]) -> DumpFacts:
        """Return the facts that ``pg_dump_info`` returned elsewhere; what only a restore needs is not in them, and findings were dealt with there."""
        named = {each.name: result[each.name] for each in fields(cls) if each.name in result and each.name not in ("path", "findings", "skipped_entries")}
        entries = [Entry(str(each["kind"]), str(each["name"]), str(each["why"])) for each in result.get("skipped_entries") or []]
        return cls(path=str(result["dump_path"]), skipped_entries=entries, **named)


def read_facts(
    path: str,
    *,
    programs: ClientPrograms | None,
    ledger: LedgerSpec | None = None,
    sha256_expected: str | None = None,
    server_major: int | None = None,
    hashed: HashThread | None = None,
    deadline: float = 3600,
) -> DumpFacts:
    """Read the dump at ``path`` once and return its facts; whatever is wrong with it is in their findings, nothing is raised for it.

    Without ``programs`` data that only pg_restore can read are not read. ``server_major`` is that of the server that it is for. ``hashed`` has
    taken the checksum already, which holds if the dump has not been touched since.
    """
    started = time.monotonic()
    facts = DumpFacts(path)
    header = read_header(path)
    if isinstance(header, Finding):
        facts.findings.append(header)
        return facts
    _note_header(facts, header)
    facts.findings += _version_findings(facts, header, programs, server_major)
    if hashed is not None and hashed.sha256 and hashed.identity == identity_of(path):
        hashing = hashed
    else:
        hashing = HashThread(path, seconds=deadline)
        hashing.start()
    try:
        try:
            _, entries, data_start = read_archive(path)
        except DamagedArchiveError as exc:
            facts.findings.append(Finding(f"{path} is damaged: {exc}", _AGAIN))
        except OSError as exc:
            facts.findings.append(Finding(f"{path} cannot be read: {exc.strerror}", "Look at the disk"))
        else:
            _note_entries(facts, entries)
            if not facts.findings:
                archive = _Archive(header, entries, data_start)
                _read_data(facts, archive, programs, ledger, deadline - (time.monotonic() - started))
        if hashing is not hashed:
            hashing.join()
    finally:
        hashing.stop()
    facts.sha256, facts.bytes = hashing.sha256, hashing.size
    facts.findings += hashing.findings
    facts.findings += _checksum_findings(facts, hashing, sha256_expected)
    if identity_of(path) != hashing.identity:
        remedy = "Wait until its copy is finished; copy to another name first and rename it at the end"
        facts.findings.append(Finding(f"{path} changed while it was read", remedy))
    facts.seconds = time.monotonic() - started
    return facts


def findings_here(facts: DumpFacts, programs: ClientPrograms | None, server_major: int) -> list[Finding]:
    """Return what keeps these programs or this server from taking a dump that was read elsewhere."""
    version = tuple(map(int, facts.archive_version.split(".")))
    header = Header(
        facts.format, (version[0], version[1]), facts.compression, facts.created, facts.source_database, facts.server_version, facts.dump_version
    )
    return _version_findings(facts, header, programs, server_major)


def _note_header(facts: DumpFacts, header: Header) -> None:
    facts.format, facts.archive_version, facts.compression = header.format, header.archive_version, header.compression
    facts.server_version, facts.dump_version = header.server_version, header.dump_version
    facts.created, facts.source_database = header.created, header.source_database


def _version_findings(facts: DumpFacts, header: Header, programs: ClientPrograms | None, server_major: int | None) -> list[Finding]:
    """Return what keeps this client from reading, or this server from taking, the dump."""
    found: list[Finding] = []
    if programs is not None and programs.major < header.oldest_client:
        oldest = header.oldest_client
        what = f"{facts.path} was made by pg_dump {header.dump_version}; its archive version {header.archive_version} needs pg_restore {oldest} or later"
        remedy = f"Install the client programs of PostgreSQL {oldest} or later, or set database_restore_bin_dir"
        if server_major is not None:
            remedy = f"Make the dump with pg_dump {server_major}, the dev server's major version, or move the dev server to PostgreSQL {oldest} or later"
        found.append(Finding(f"{what}, and the one in {programs.bin_dir} is {programs.version}", remedy))
    if server_major is not None and header.server_major > server_major:
        what = f"{facts.path} is from a PostgreSQL {header.server_major} server, and the dev server is PostgreSQL {server_major}"
        found.append(Finding(what, f"Move the dev server to PostgreSQL {header.server_major}"))
    return found


def _note_entries(facts: DumpFacts, entries: Sequence[TocEntry]) -> None:
    skip = skipped(entries)
    facts.encoding, facts.locale = encoding_of(entries), locale_of(entries)
    facts.extensions = sorted(entry.name for entry in entries if entry.kind == "EXTENSION" and entry.dump_id not in skip)
    facts.skipped_entries = list(skip.values())
    facts.toc_list_text = list_text(entries, skip)
    data = [entry for entry in entries if entry.kind == "TABLE DATA" and entry.dump_id not in skip]
    facts.rows = {entry.full_name: None for entry in data}
    facts.tables = {entry.full_name: (entry.schema, entry.name) for entry in data}
    unknown = unknown_kinds(entries)
    if unknown:
        what = f"{facts.path} contains entries of a kind that is not known here: {', '.join(unknown)}"
        facts.findings.append(Finding(what, "Update dev_refresh, or make the dump without them"))
    kinds = {entry.kind for entry in entries}
    if "TABLE" in kinds and "TABLE DATA" not in kinds:
        facts.findings.append(Finding(f"{facts.path} holds no data (pg_dump --schema-only)", RIGHT_COMMAND))
    elif "TABLE DATA" in kinds and "TABLE" not in kinds:
        facts.findings.append(Finding(f"{facts.path} holds data but no tables (pg_dump --data-only)", RIGHT_COMMAND))
    elif "TABLE" not in kinds:
        facts.findings.append(Finding(f"{facts.path} holds no table at all", f"Look at whether the right database was dumped. {RIGHT_COMMAND}"))


@dataclass(frozen=True, slots=True)
class _Archive:
    """Header, list of contents, and where the data begin."""

    header: Header
    entries: Sequence[TocEntry]
    data_start: int


def _read_data(facts: DumpFacts, archive: _Archive, programs: ClientPrograms | None, ledger: LedgerSpec | None, seconds: float) -> None:
    """Read all data and count the rows; through pg_restore where the archive is not of the usual kind."""
    entries = archive.entries
    encoding = codec(entries)
    with_data = [entry for entry in entries if entry.kind == "TABLE DATA" and entry.copy]
    wanted = _ledger_entry(with_data, ledger)
    blocks = [CopyBlock(entry.copy, collect=entry is wanted) for entry in with_data]
    block_of = {entry.dump_id: block for entry, block in zip(with_data, blocks, strict=True)}
    until = time.monotonic() + seconds
    try:
        places = locate_blocks(facts.path, archive.header, entries, archive.data_start)
        if places is None:
            whole = programs is not None and _read_through_program(facts, entries, programs, block_of, seconds)
        else:
            whole = programs is None or _is_listed(facts, programs, seconds)
            if whole:
                read_blocks(places, archive.header, block_of, seconds=until - time.monotonic())
    except MissingEndError as exc:
        whole = False
        facts.findings.append(Finding(f"{facts.path}: the data of table {exc} is missing or has no end", _AGAIN))
    except DamagedArchiveError as exc:
        whole = False
        facts.findings.append(Finding(f"{facts.path} is {'cut off' if str(exc).startswith('it ends') else 'damaged'}: {exc}", _AGAIN))
    except TimeoutError:
        whole = False
        facts.findings.append(_too_slow(facts, seconds))
    except OSError as exc:
        whole = False
        facts.findings.append(Finding(f"{exc.filename or facts.path} cannot be read: {exc.strerror}", "Look at the disk"))
    facts.uncompressed_bytes = sum(block.size for block in blocks)
    if not whole:
        return
    facts.complete = True
    _note_rows(facts, entries, list(zip(with_data, blocks, strict=True)), encoding)
    if wanted is not None and ledger is not None:
        _note_ledger(facts, block_of[wanted.dump_id], ledger, encoding)


def _is_listed(facts: DumpFacts, programs: ClientPrograms, seconds: float) -> bool:
    """Tell whether the pg_restore that would restore the dump can read its list of contents; if not, note what it says."""
    child = run_child([programs.pg_restore, "--list", facts.path], deadline=max(seconds, 0.1), env=clean_environment(os.environ), on_stdout=lambda _: None)
    if child.timed_out:
        facts.findings.append(_too_slow(facts, seconds))
    elif child.returncode != 0:
        facts.findings.append(_explain(facts, programs, child))
    return child.returncode == 0


def _read_through_program(
    facts: DumpFacts, entries: Sequence[TocEntry], programs: ClientPrograms, block_of: Mapping[int, CopyBlock], seconds: float
) -> bool:
    """Read all data through pg_restore; tell whether it is whole, and note what is wrong."""
    parts = divide(facts.path, entries)
    scanners = [CopyScanner([block_of[entry.dump_id] for entry in part.tables]) for part in parts]
    children = read_parts(programs, facts.path, parts, [scanner.feed for scanner in scanners], deadline=max(seconds, 0.1))
    if any(child.timed_out for child in children):
        facts.findings.append(_too_slow(facts, seconds))
        return False
    if any(child.stalled for child in children):
        facts.findings.append(Finding(f"{facts.path} is damaged (pg_restore makes no progress in it)", _AGAIN))
        return False
    failed = next((child for child in children if child.returncode != 0), None)
    if failed is not None:
        facts.findings.append(_explain(facts, programs, failed))
        return False
    for part, scanner in zip(parts, scanners, strict=True):
        missing = scanner.unfinished()
        if missing is not None:
            what = f"{facts.path}: the data of table {part.tables[missing].full_name} is missing or has no end"
            if missing > 0:
                what += f" (or that of {part.tables[missing - 1].full_name} before it)"
            facts.findings.append(Finding(what, _AGAIN))
            return False
    return True


def _too_slow(facts: DumpFacts, seconds: float) -> Finding:
    return Finding(f"{facts.path} was not read within {seconds:.0f} s", "Raise the deadline, or look at the disk")


def _note_rows(facts: DumpFacts, entries: Sequence[TocEntry], found: list[tuple[TocEntry, CopyBlock]], encoding: str) -> None:
    tables = {(entry.schema, entry.name) for entry in entries if entry.kind == "TABLE"}
    elsewhere: dict[str, int] = {}
    for entry, block in found:
        if entry.full_name not in facts.rows:
            continue
        target = copy_target(entry.copy, encoding)
        if target is not None and (target.schema or entry.schema, target.table) != (entry.schema, entry.name):
            # pg_dump --load-via-partition-root: the server chooses the partition, so only the sum is certain
            root = f"{target.schema}.{target.table}"
            facts.tables[root] = (target.schema, target.table)
            elsewhere[root] = elsewhere.get(root, 0) + (block.rows or 0)
        elif (entry.schema, entry.name) in tables:
            facts.rows[entry.full_name] = block.rows
    facts.rows.update(elsewhere)


def _ledger_entry(with_data: Sequence[TocEntry], ledger: LedgerSpec | None) -> TocEntry | None:
    """Return the entry with the data of the ledger's table; a name without schema means public's, or else the only one of that name."""
    if ledger is None:
        return None
    exact = [entry for entry in with_data if ledger.table in (entry.full_name, entry.full_name.removeprefix("public."))]
    named = [entry for entry in with_data if entry.name == ledger.table]
    return exact[0] if exact else named[0] if len(named) == 1 else None


def _note_ledger(facts: DumpFacts, block: CopyBlock, ledger: LedgerSpec, encoding: str) -> None:
    target: CopyTarget | None = copy_target(block.statement, encoding)
    if target is None or block.collected is None:
        return
    missing = [column for column in ledger.columns if column not in target.columns]
    if missing:
        what = f"Table {ledger.table} in {facts.path} has no column {', '.join(missing)} (it has {', '.join(target.columns)})"
        facts.findings.append(Finding(what, "Correct app_migrate_ledger"))
        return
    places = [target.columns.index(column) for column in ledger.columns]
    facts.ledger = [[row[place] or "" for place in places] for row in parse_rows(bytes(block.collected), encoding)]


def _explain(facts: DumpFacts, programs: ClientPrograms, child: ChildResult) -> Finding:
    """Return a finding for what pg_restore said."""
    words = " ".join(child.last_lines(3).split()).replace("pg_restore: error: ", "")
    if "restore from compressed archive" in words or "not support compression" in words:
        what = f"{facts.path} is compressed with {facts.compression}, and the pg_restore in {programs.bin_dir} was built without it"
        return Finding(what, "Install a pg_restore that has it, or make the dump with: pg_dump -Fc -Z gzip -f <file> <database>")
    if "end of file" in words or "too short" in words:
        return Finding(f"{facts.path} is cut off (pg_restore: {words})", _AGAIN)
    return Finding(f"{facts.path} is damaged (pg_restore: {words})", _AGAIN)


def _checksum_findings(facts: DumpFacts, hashing: HashThread, expected: str | None) -> list[Finding]:
    if not hashing.sha256:
        return []
    if expected is not None and expected.lower() not in (hashing.sha256, hashing.manifest_sha256):
        what = f"The checksum of {facts.path} is sha256:{hashing.sha256}, and sha256:{expected.lower()} is expected"
        return [Finding(what, "It is another dump or was damaged on the way: copy it again, or correct the expected checksum")]
    if facts.format == "directory" and expected is None and manifest_of(facts.path) is None:
        return [no_manifest(facts.path)]
    return []
