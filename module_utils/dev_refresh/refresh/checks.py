"""Checks of the server before anything is created; pure, from facts that were read."""
from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from ..errors import Finding
from ..postgres.databases import Database
from ..postgres.server import ServerFacts
from .names import Names

SPARE_CONNECTIONS = 3
SIZE_FACTOR = 1.7
"""A database takes about so many times the uncompressed bytes of its rows (measured: 1.6 and 1.7)."""
PEAK_FACTOR = 1.2
OLDEST_MAJOR = 13
"""DROP DATABASE WITH (FORCE) came with it."""


@dataclass(frozen=True, slots=True)
class Space:
    """Bytes that a restore needs and that are free; None where they cannot be known from here.

    ``wal_room`` is how large the WAL may become where it has a volume of its own; its need is in ``needed`` where it has none.
    """

    needed: int
    free: int | None
    wal_needed: int = 0
    wal_room: int | None = None


def needed_bytes(*, uncompressed: int, live_size: int) -> int:
    """Return the disk space that staging takes at its peak; the size of the compressed dump says nothing about it."""
    return int(PEAK_FACTOR * max(live_size, SIZE_FACTOR * uncompressed))


def needed_wal_bytes(*, uncompressed: int, max_wal: int) -> int:
    """Return the disk space that the WAL of a restore may take."""
    return min(max_wal, 4 * uncompressed)


def role_findings(server: ServerFacts, *, owner: str) -> list[Finding]:
    """Return what the two roles lack."""
    findings: list[Finding] = []
    admin = server.admin
    if server.major < OLDEST_MAJOR:
        findings.append(Finding(f"The server is PostgreSQL {server.major}; {OLDEST_MAJOR} is the oldest that is supported", "Upgrade the server"))
    if server.owner is None:
        findings.append(
            Finding(f'There is no role "{owner}" on the server', f'Create it: CREATE ROLE "{owner}" LOGIN PASSWORD ...; or correct database_restore_owner')
        )
    else:
        if server.owner.superuser:
            findings.append(
                Finding(
                    f'The owner role "{owner}" is a superuser: what a dump contains would run with all rights',
                    f'Use the app\'s own role, or ALTER ROLE "{owner}" NOSUPERUSER',
                )
            )
        if not server.owner.can_login:
            findings.append(Finding(f'The owner role "{owner}" may not log in', f'ALTER ROLE "{owner}" LOGIN'))
    if not admin.superuser:
        if not admin.create_db:
            findings.append(Finding(f'The administrator "{admin.name}" may not create databases', f'ALTER ROLE "{admin.name}" CREATEDB'))
        if server.owner is not None and not server.member_of_owner:
            findings.append(Finding(f'The administrator "{admin.name}" is not a member of the owner role "{owner}"', f'GRANT "{owner}" TO "{admin.name}"'))
        if not server.may_signal:
            findings.append(Finding(f'The administrator "{admin.name}" may not end other roles\' sessions', f'GRANT pg_signal_backend TO "{admin.name}"'))
        for database, role in server.not_member_of.items():
            if role != owner:
                findings.append(
                    Finding(
                        f'Database "{database}" belongs to "{role}", a role that the administrator "{admin.name}" does not have',
                        f'GRANT "{role}" TO "{admin.name}"',
                    )
                )
    return findings


def capacity_findings(server: ServerFacts, *, jobs: int, space: Space) -> list[Finding]:
    """Return what keeps the restore from fitting: connections and disk space."""
    findings: list[Finding] = []
    needed = jobs + SPARE_CONNECTIONS
    if server.free_connections < needed:
        findings.append(
            Finding(
                f"The server has {server.free_connections} free connections and the restore needs {needed}",
                "Lower database_restore_jobs, or raise max_connections",
            )
        )
    limit = server.owner.connection_limit if server.owner else -1
    if 0 <= limit < jobs + 2:
        findings.append(
            Finding(
                f'The owner role may have {limit} connections and the restore needs {jobs + 2}',
                "Lower database_restore_jobs, or raise the role's CONNECTION LIMIT",
            )
        )
    if space.free is not None and space.free < space.needed:
        findings.append(
            Finding(
                f"The restore needs about {megabytes(space.needed)} and the file system of the server's data has {megabytes(space.free)} free",
                "Free some space, or set database_restore_keep_previous=false once",
            )
        )
    if space.wal_room is not None and space.wal_room < space.wal_needed:
        findings.append(
            Finding(
                f"The restore may write {megabytes(space.wal_needed)} of WAL and the file system of pg_wal has room for {megabytes(space.wal_room)}",
                "Free some space there, or lower max_wal_size: a WAL volume that is full stops the server",
            )
        )
    return findings


def megabytes(size: int) -> str:
    """Return bytes as words."""
    return f"{size / 1_000_000:,.0f} MB"


def extension_findings(server: ServerFacts, wanted: Sequence[str]) -> list[Finding]:
    """Return a finding for each extension of the dump that the owner cannot create here."""
    findings: list[Finding] = []
    for name in wanted:
        if name == "plpgsql":
            continue
        if name not in server.extensions:
            findings.append(Finding(f'The dump needs the extension "{name}", which the server does not have', "Install its package on the server"))
        elif not server.extensions[name]:
            findings.append(
                Finding(
                    f'The dump needs the extension "{name}", which only a superuser can create',
                    "Leave it out of the dump (pg_dump --exclude-extension, or drop it before), since the restore never runs as a superuser",
                )
            )
    return findings


def foreign_findings(names: Names, databases: Mapping[str, Database], ours: Mapping[str, bool]) -> list[Finding]:
    """Return a finding for each database that has one of our names and is not ours, and for templates."""
    findings: list[Finding] = []
    for name in (names.staging, names.previous, names.old):
        if name in databases and not ours.get(name, False):
            findings.append(
                Finding(
                    f'A database "{name}" exists that no refresh has made, and the refresh needs its name',
                    "Rename or drop it yourself if nobody needs it; it is never dropped here",
                )
            )
    findings.extend(
        Finding(f'Database "{name}" is a template and cannot be replaced', f'ALTER DATABASE "{name}" IS_TEMPLATE false')
        for name, database in databases.items()
        if database.is_template
    )
    return findings


def live_findings(server: ServerFacts, live: Database | None) -> list[Finding]:
    """Return what keeps the live database from being renamed or copied."""
    if live is None:
        return []
    findings: list[Finding] = []
    if not live.open and not (live.note and live.note.get("closed_by")):
        findings.append(
            Finding(
                f'Database "{live.name}" is closed to connections, and not by a refresh',
                f'ALTER DATABASE "{live.name}" WITH ALLOW_CONNECTIONS true, if that is right',
            )
        )
    if server.prepared_transactions.get(live.name):
        findings.append(
            Finding(
                f'Database "{live.name}" has {server.prepared_transactions[live.name]} prepared transactions, so it cannot be renamed',
                "Commit or roll them back (pg_prepared_xacts lists them)",
            )
        )
    if server.replication_slots.get(live.name):
        findings.append(
            Finding(f'Database "{live.name}" has logical replication slots, so it cannot be dropped later', "Drop the slots (pg_replication_slots lists them)")
        )
    return findings


def encoding_findings(live: Database | None, encoding: str) -> list[Finding]:
    """Return a finding if the rows of the dump may not fit the encoding that staging takes from live."""
    target = live.encoding if live else "UTF8"
    if not encoding or target == "UTF8" or target == encoding:
        return []
    return [
        Finding(
            f"The dump has the encoding {encoding} and the database to be replaced has {target}, in which not all of it can be stored",
            "Make the development database anew with UTF8 (CREATE DATABASE ... ENCODING 'UTF8' TEMPLATE template0)",
        )
    ]


def app_findings(path: str, tables: Collection[str], *, mapped: Sequence[str], ledger: str | None) -> list[Finding]:
    """Return a finding if the dump is another app's: it has neither a mapped table nor the table of the applied migrations.

    ``tables`` are ``schema.table``. A mapped table alone may be missing: a pending migration may bring it, and staging is checked before the swap.
    """
    if not mapped or not ledger or not tables:
        return []
    named = {name if "." in name else f"public.{name}" for name in (*mapped, ledger)}
    if named & set(tables):
        return []
    return [
        Finding(
            f"{path} looks like the dump of another app: it has neither of the tables {', '.join(mapped)} nor {ledger}, but {', '.join(sorted(tables)[:5])}",
            "Correct database_restore_dump, or the tables in xero_seed_mapping and app_migrate_ledger",
        )
    ]
