"""Dumps that come to the host from elsewhere: kept in a folder of our own, put there whole or not at all, the earlier ones removed."""
from __future__ import annotations

import base64
import contextlib
import hashlib
import http.client
import json
import os
import re
import shutil
import stat
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from ..errors import Finding, GuardError, RefreshError
from .checksums import SIDECAR

PART = ".part"
NOTES = ".incoming.json"
_PIECE = 1 << 20
_SPARE = 64 << 20
_SIDECAR_BYTES = 1 << 16
_TIMEOUT = 60
_OTHERS_MAY_WRITE = stat.S_IWGRP | stat.S_IWOTH
_HEX = re.compile(r"\b[0-9a-fA-F]{64}\b")


@dataclass(frozen=True, slots=True)
class Incoming:
    """One dump in ``folder``; ``label`` names what it is for, so that only its own predecessors are removed."""

    folder: Path
    name: str
    label: str
    sha256: str | None
    """What it must have; None if it is not known."""

    def __post_init__(self) -> None:
        if not self.name or self.name.startswith(".") or "/" in self.name or self.name.endswith((PART, SIDECAR)):
            raise RefreshError(f'"{self.name}" cannot be the name of a dump. Give the path or address of a file such as production.dump.')

    @property
    def path(self) -> Path:
        """Return where the dump is."""
        return self.folder / self.name

    @property
    def part(self) -> Path:
        """Return where it is while it comes."""
        return self.folder / (self.name + PART)

    def is_there(self, sha256: str | None = None) -> bool:
        """Tell whether the dump is there with this checksum."""
        wanted = sha256 or self.sha256
        return wanted is not None and self.path.is_file() and file_sha256(self.path) == wanted

    def prepare(self, size: int) -> None:
        """Make the folder and see that there is room; what an interrupted run left is removed."""
        self._make_folder()
        self.part.unlink(missing_ok=True)
        free = shutil.disk_usage(self.folder).free
        if free < size + _SPARE:
            what = f"{self.folder} has {free >> 20} MiB free, and the dump needs {size >> 20}"
            raise GuardError([Finding(what, "Make room, or set database_restore_incoming_dir")])

    def finish(self, sha256: str, *, proven: bool) -> list[str]:
        """Check what came, put it in its place, and return the earlier dumps that were removed.

        ``proven`` says that the checksum is from where the dump was made; only then is it kept beside the dump.
        """
        real = file_sha256(self.part)
        if real != sha256:
            self.part.unlink(missing_ok=True)
            came = f"The dump came damaged: its checksum is {real[:12]}…, and should be {sha256[:12]}…"
            raise RefreshError(f"{came}. Run again; if it stays so, look at its source.")
        os.chmod(self.part, 0o600)
        sidecar = Path(f"{self.path}{SIDECAR}")
        sidecar.unlink(missing_ok=True)
        self.part.rename(self.path)
        if proven:
            sidecar.write_text(f"{sha256}  {self.name}\n")
        return self._prune()

    def _make_folder(self) -> None:
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            found = self.folder.lstat()
        except OSError as exc:
            remedy = "Make it for the user that the restore runs as, or set database_restore_incoming_dir"
            raise RefreshError(f"{self.folder} cannot be made: {exc.strerror}. {remedy}.") from None
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & _OTHERS_MAY_WRITE:
            raise RefreshError(
                f"{self.folder} is not a folder that only the user that the restore runs as may write to. Remove it, or set database_restore_incoming_dir."
            )

    def _prune(self) -> list[str]:
        """Remove what we put here for the same label earlier; other files are nobody's business."""
        notes: dict[str, str] = {}
        with contextlib.suppress(OSError, ValueError):
            notes = dict(json.loads((self.folder / NOTES).read_text()))
        old = [name for name, label in notes.items() if label == self.label and name != self.name]
        for name in old:
            for suffix in ("", SIDECAR, PART):
                (self.folder / (name + suffix)).unlink(missing_ok=True)
        kept = {name: label for name, label in notes.items() if name not in old} | {self.name: self.label}
        written = self.folder / (NOTES + PART)
        written.write_text(json.dumps(kept))
        written.rename(self.folder / NOTES)
        return [str(self.folder / name) for name in old]


def file_sha256(path: Path) -> str:
    """Return the SHA-256 of a file."""
    with path.open("rb", buffering=0) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def name_of(url: str) -> str:
    """Return the file's name in an address; raise RefreshError for anything but https."""
    parts = urllib.parse.urlsplit(url)
    if parts.scheme != "https" or not parts.hostname:
        raise RefreshError(f"{_shown(url)} is not an https address. Production's data does not travel unencrypted: use https, or copy the dump.")
    return urllib.parse.unquote(parts.path.rsplit("/", 1)[-1])


def checksum_beside(url: str) -> str | None:
    """Return the checksum in ``<url>.sha256``, or None if there is none."""
    parts = urllib.parse.urlsplit(url)
    beside = urllib.parse.urlunsplit(parts._replace(path=parts.path + SIDECAR))
    try:
        with _open(beside) as reply:
            found = _HEX.findall(reply.read(_SIDECAR_BYTES).decode("utf-8", "replace"))
    except urllib.error.HTTPError as error:
        if error.code in (403, 404, 410):
            return None
        raise RefreshError(f"{_shown(beside)} answered {error.code}. Look at the server, or set database_restore_checksum.") from None
    except OSError as error:
        raise RefreshError(f"{_shown(beside)} could not be read: {_reason(error)}. Look at the connection, or set database_restore_checksum.") from None
    return found[0].lower() if found else None


def download(url: str, incoming: Incoming, *, deadline: float, told: Callable[[int, int | None], None]) -> None:
    """Fetch the dump into its ``part``; raise RefreshError if it does not come whole."""
    until = time.monotonic() + deadline
    try:
        with _open(url) as reply:
            length = reply.headers.get("Content-Length")
            size = int(length) if length and length.isdigit() else None
            incoming.prepare(size or 0)
            done = 0
            with open(os.open(incoming.part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
                while piece := reply.read(_PIECE):
                    file.write(piece)
                    done += len(piece)
                    told(done, size)
                    if time.monotonic() > until:
                        raise RefreshError(f"{_shown(url)} did not come within {deadline:.0f} s. Raise database_restore_deadline, or look at the connection.")
            if size is not None and done != size:
                raise RefreshError(f"{_shown(url)} ended after {done} of {size} bytes. Run again.")
    except urllib.error.HTTPError as error:
        raise RefreshError(f"{_shown(url)} answered {error.code}. Correct database_restore_dump, or look at the server.") from None
    except (OSError, http.client.HTTPException) as error:
        raise RefreshError(f"{_shown(url)} could not be fetched: {_reason(error)}. Look at the connection, then run again.") from None


def _open(url: str) -> Any:
    name_of(url)
    opener = urllib.request.build_opener(_HttpsOnly)
    parts = urllib.parse.urlsplit(url)
    bare = urllib.parse.urlunsplit(parts._replace(netloc=parts.netloc.rsplit("@", 1)[-1]))
    request = urllib.request.Request(bare)  # noqa: S310 -- nothing but https, see above
    if parts.username:
        pair = f"{urllib.parse.unquote(parts.username)}:{urllib.parse.unquote(parts.password or '')}"
        request.add_unredirected_header("Authorization", "Basic " + base64.b64encode(pair.encode()).decode())
    return opener.open(request, timeout=_TIMEOUT)


class _HttpsOnly(urllib.request.HTTPRedirectHandler):
    """Follow redirections to https alone."""

    def redirect_request(self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: Any, newurl: str) -> urllib.request.Request | None:
        """Refuse to leave https."""
        name_of(newurl)
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _shown(url: str) -> str:
    """Return the address without what may be secret in it."""
    parts = urllib.parse.urlsplit(url)
    return urllib.parse.urlunsplit((parts.scheme, parts.netloc.rsplit("@", 1)[-1], parts.path, "", ""))


def _reason(error: Exception) -> str:
    inner = getattr(error, "reason", None) or error
    return str(getattr(inner, "strerror", None) or inner).rstrip(".")
