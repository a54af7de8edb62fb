"""The steps of bringing a dump to a host: all of a download's, and the host's part of what the controller sends."""
from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..errors import Finding, GuardError, RefreshError
from .checksums import expected_checksum
from .incoming import Incoming, checksum_beside, download, file_sha256, name_of

INCOMING_OPTIONS: dict[str, Any] = {
    "source": {"type": "str"},
    "folder": {"type": "path", "required": True},
    "label": {"type": "str", "required": True},
    "checksum": {"type": "str"},
    "require_checksum": {"type": "bool", "default": False},
    "step": {"type": "str", "choices": ["all", "look", "prepare", "finish"], "default": "all"},
    "file_name": {"type": "str"},
    "bytes": {"type": "int", "default": 0},
    "proven": {"type": "bool", "default": True},
    "deadline": {"type": "int", "default": 7200},
}
"""Argument spec of the module and its action plugin."""


def is_url(source: str) -> bool:
    """Tell whether a dump is named by an address."""
    return "://" in source


def fetch(params: Mapping[str, Any], *, folder: Path, check_mode: bool) -> dict[str, Any]:
    """Do the step that ``params`` name and return the module's result."""
    source, step = params["source"] or "", params["step"]
    if step == "all":
        if not is_url(source):
            raise RefreshError("Only the action plugin sends a dump of the controller; set action_plugins as ansible.cfg does.")
        return _from_url(source, params, folder, check_mode=check_mode)
    sha256 = _digits(params["checksum"], source)
    incoming = Incoming(folder, params["file_name"] or "", params["label"], sha256)
    result: dict[str, Any] = {"changed": False, "dump_path": str(incoming.path), "source_path": source, "sha256": sha256, "present": True, "removed": []}
    if step == "look":
        return {**result, "present": incoming.is_there()}
    if check_mode:
        return {**result, "present": False}
    if step == "prepare":
        incoming.prepare(params["bytes"])
        return {**result, "present": False, "part": str(incoming.part)}
    return {**result, "changed": True, "removed": incoming.finish(str(sha256), proven=params["proven"])}


def _from_url(url: str, params: Mapping[str, Any], folder: Path, *, check_mode: bool) -> dict[str, Any]:
    """Download the dump if it is not there."""
    sha256 = _digits(params["checksum"], url) or checksum_beside(url)
    if sha256 is None:
        what = "A dump that is downloaded needs a checksum, and there is none beside it"
        raise GuardError([Finding(what, "Set database_restore_checksum, or put <dump>.sha256 beside the dump on the server")])
    incoming = Incoming(folder, name_of(url), params["label"], sha256)
    there = incoming.is_there()
    result: dict[str, Any] = {
        "changed": not there,
        "dump_path": str(incoming.path),
        "source_path": url.split("?")[0],
        "sha256": sha256,
        "present": there,
        "removed": [],
    }
    if there or check_mode:
        return result
    download(url, incoming, deadline=float(params["deadline"]), told=lambda _done, _size: None)
    real = file_sha256(incoming.part)
    if real != sha256:
        incoming.part.unlink()
        what = f"The downloaded dump has the checksum {real}, and should have {sha256}"
        remedy = "If the dump is newer than the checksum, correct database_restore_checksum; else it was damaged on the way: run again"
        raise GuardError([Finding(what, remedy)])
    return {**result, "present": True, "removed": incoming.finish(sha256, proven=True)}


def _digits(option: str | None, source: str) -> str | None:
    """Return the checksum of the option, or None if there is none; raise GuardError if it is none."""
    if not option:
        return None
    expected = expected_checksum(source, option, is_glob=False, require=False)
    if expected.finding is not None:
        raise GuardError([expected.finding])
    return expected.sha256
