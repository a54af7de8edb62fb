"""From a path or pattern to one dump."""
from __future__ import annotations

import os
from glob import glob, has_magic

from ..errors import Finding
from .header import Header, read_header

_NOT_DUMPS = (".sha256", ".sha256sum", ".md5", ".sig", ".asc", ".tmp", ".part", ".partial", ".crdownload", ".filepart", ".swp", "~")


def is_pattern(path: str) -> bool:
    """Tell whether ``path`` is a pattern, and not the name of something that exists."""
    return has_magic(path) and not os.path.lexists(path)


def resolve_dump(path: str) -> str | Finding:
    """Return the dump that ``path`` names; of a pattern, the newest by the archive's own creation time.

    Checksums and unfinished copies never match. An unreadable file that is newer than the dump found and has the same ending is a finding:
    last night's dump failed, and an older one must not be taken in silence.
    """
    path = os.path.expanduser(path)
    if not is_pattern(path):
        return path.rstrip("/") or path
    matches = sorted(match.rstrip("/") for match in glob(path) if _may_be_dump(match.rstrip("/")))
    if not matches:
        return Finding(f"No dump matches {path}", "Copy one there, or correct database_restore_dump (and database_restore_dump_source: host or controller)")
    headers = {match: read_header(match) for match in matches}
    dumps = [(header.created, _modified(match), match) for match, header in headers.items() if isinstance(header, Header)]
    refused = {match: header for match, header in headers.items() if isinstance(header, Finding)}
    if not dumps:
        listed = " ".join(str(finding) for finding in list(refused.values())[:3])
        what = f"Nothing that matches {path} is a dump that can be restored: {listed.rstrip('.')}"
        return Finding(what, "Make the dump again, or correct database_restore_dump")
    _, modified, newest = max(dumps)
    for match, finding in refused.items():
        if _modified(match) > modified and os.path.splitext(match)[1] == os.path.splitext(newest)[1]:
            what = f"{finding.what}, and it is newer than {newest}, the newest dump that matches {path}"
            return Finding(what, f"{finding.remedy}; or remove it to restore the older dump")
    return newest


def _may_be_dump(path: str) -> bool:
    name = os.path.basename(path)
    return not name.startswith(".") and not name.lower().endswith(_NOT_DUMPS) and name != "SHA256SUMS"


def _modified(path: str) -> float:
    try:
        return os.stat(path).st_mtime
    except OSError:
        return 0.0
