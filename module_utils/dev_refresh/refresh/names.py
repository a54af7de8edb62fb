"""Which databases may be refreshed: rules for names and servers."""
from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass

from ..errors import Finding

DEFAULT_ALLOWED_NAMES = "(?:^|[^a-z])(?:dev|demo|test|uat|sandbox|hotfix)(?:[^a-z]|$)"
PRODUCTION_WORDS = ("prod", "production", "live")
NAME_BYTES = 63
"""PostgreSQL cuts longer names silently, so that two could become one."""


@dataclass(frozen=True, slots=True)
class Names:
    """The databases of one refresh."""

    live: str

    @property
    def staging(self) -> str:
        """Return where the dump is restored."""
        return f"{self.live}_refresh"

    @property
    def previous(self) -> str:
        """Return where the former live database is kept."""
        return f"{self.live}_previous"

    @property
    def old(self) -> str:
        """Return where the former previous database is for a moment of the swap."""
        return f"{self.live}_old"

    @property
    def all(self) -> list[str]:
        """Return all of them."""
        return [self.live, self.staging, self.previous, self.old]


def name_findings(name: str, *, allowed: str | None, maintenance: str) -> list[Finding]:
    """Return what speaks against refreshing a database of this name."""
    findings: list[Finding] = []
    longest = max(len(reserved.encode()) - len(name.encode()) for reserved in Names(name).all)
    if not name or name != name.strip() or any(ord(character) < 32 or ord(character) == 127 for character in name):
        return [Finding(f'"{name}" cannot be the name of a database', "Correct database_restore_name")]
    if len(name.encode()) + longest > NAME_BYTES:
        findings.append(
            Finding(
                f'The database name "{name}" has {len(name.encode())} bytes; with a suffix it must fit in {NAME_BYTES}',
                f"Choose a name of at most {NAME_BYTES - longest} bytes",
            )
        )
    if name.casefold() in (maintenance.casefold(), "postgres", "template0", "template1"):
        findings.append(Finding(f'"{name}" is a database of the server itself', "Correct database_restore_name"))
    words = set(re.findall(r"[^\W\d_]+", name.casefold()))
    for word in PRODUCTION_WORDS:
        if word in words:
            findings.append(
                Finding(
                    f'The database name "{name}" has the word "{word}" and is refused whatever database_restore_allowed_names says',
                    "Refresh a development database",
                )
            )
    for suffix in ("_refresh", "_previous", "_old"):
        if name.endswith(suffix):
            findings.append(
                Finding(f'The database name "{name}" ends in "{suffix}", which is reserved for databases that a refresh makes', "Choose another name")
            )
    pattern = allowed or DEFAULT_ALLOWED_NAMES
    try:
        matches = re.search(pattern, name, re.IGNORECASE) is not None
    except re.error as error:
        findings.append(Finding(f"database_restore_allowed_names is not a regular expression: {error}", "Correct it"))
    else:
        if not matches:
            findings.append(
                Finding(
                    f'The database name "{name}" does not match database_restore_allowed_names ({pattern})',
                    "Choose a name with one of the words dev, demo, test, uat, sandbox, hotfix, or widen database_restore_allowed_names",
                )
            )
    return findings


def host_findings(names_of_server: Iterable[str], forbidden: Collection[str]) -> list[Finding]:
    """Return a finding if the server, by any of its names or addresses, is forbidden."""
    wanted = {entry.strip().rstrip(".").casefold() for entry in forbidden if entry.strip()}
    hit = sorted({name for name in names_of_server if name.rstrip(".").casefold() in wanted})
    return (
        [Finding(f"The server {', '.join(hit)} is listed in database_restore_forbidden_hosts", "Correct database_restore_host: refresh a development server")]
        if hit
        else []
    )


def source_findings(name: str, source_database: str | None) -> list[Finding]:
    """Return a finding if the database has the name of the one that the dump was made of."""
    if source_database is None or source_database.casefold() != name.casefold():
        return []
    return [
        Finding(
            f'The dump was made of a database named "{source_database}", the same name as the database to be replaced',
            "Give the development database a name of its own, so that production cannot be taken for it",
        )
    ]
