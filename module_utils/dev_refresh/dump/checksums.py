"""Checksums of dumps: the expected one from an option, a file beside the dump or a directory's manifest, and the real one.

Only a checksum taken at the source proves that a dump is whole: pg_restore reads many a flipped bit, and an emptied data file of a directory
dump, without a word (measured).
"""
from __future__ import annotations

import hashlib
import os
import re
import threading
import time
from dataclasses import dataclass

from ..errors import Finding

SIDECAR = ".sha256"
MANIFEST = "SHA256SUMS"

_HASH = re.compile(r"[0-9a-fA-F]{64}")
_LINE = re.compile(r"\\?([0-9a-fA-F]{64})(?: [ *](.+))?")
_BSD_LINE = re.compile(r"SHA256 ?\((.+)\) ?= ?([0-9a-fA-F]{64})")
_PIECE = 1 << 20
_MANIFEST_COMMAND = "Make a manifest where the dump was made: (cd {name} && sha256sum -- *) > {name}.sha256, and copy it beside the dump"


@dataclass(frozen=True, slots=True)
class ExpectedChecksum:
    """The checksum that a dump must have; ``sha256`` None means that none is known, and ``finding`` that it is required or unusable."""

    sha256: str | None
    source: str
    finding: Finding | None = None


class HashThread(threading.Thread):
    """Compute the checksum of a dump beside other work; ``join`` it, then look at its results."""

    def __init__(self, path: str, *, seconds: float) -> None:
        super().__init__(name="checksum", daemon=True)
        self._path = path
        self._until = time.monotonic() + seconds
        self._stopped = threading.Event()
        self.sha256 = ""
        self.size = 0
        self.findings: list[Finding] = []
        self.manifest_sha256: str | None = None
        self.identity = identity_of(path)
        """What the dump was before it was read."""

    def stop(self) -> None:
        """End it without a result."""
        self._stopped.set()

    def run(self) -> None:
        """Compute; called by ``start``."""
        try:
            if os.path.isdir(self._path):
                self._hash_directory()
            else:
                self.sha256, self.size = self._hash_file(self._path)
        except TimeoutError:
            self.findings.append(Finding(f"The checksum of {self._path} could not be computed in time", "Raise the deadline, or look at the disk"))
        except OSError as exc:
            place = exc.filename or self._path
            self.findings.append(Finding(f"{place} cannot be read: {exc.strerror}", "Correct its permissions, or look at the disk"))

    def _hash_file(self, path: str) -> tuple[str, int]:
        digest, size = hashlib.sha256(), 0
        with open(path, "rb", buffering=0) as file:
            while piece := file.read(_PIECE):
                if self._stopped.is_set() or time.monotonic() > self._until:
                    raise TimeoutError
                digest.update(piece)
                size += len(piece)
        return digest.hexdigest(), size

    def _hash_directory(self) -> None:
        """Compute the checksum of every file, and of their sorted list, which is the dump's; compare them with the manifest."""
        names = sorted(name for name in os.listdir(self._path) if name != MANIFEST)
        found: dict[str, str] = {}
        for name in names:
            found[name], size = self._hash_file(os.path.join(self._path, name))
            self.size += size
        self.sha256 = hashlib.sha256("".join(f"{found[name]}  {name}\n" for name in names).encode("utf-8", "surrogateescape")).hexdigest()
        manifest = manifest_of(self._path)
        if manifest is None:
            return
        self.manifest_sha256 = self._hash_file(manifest)[0]
        listed = _read_manifest(manifest, self._path)
        if isinstance(listed, Finding):
            self.findings.append(listed)
            return
        again = "Copy the directory again, or make dump and manifest again"
        for name in sorted(found.keys() | listed.keys()):
            if name not in found:
                self.findings.append(Finding(f"{self._path} lacks the file {name}, which its manifest lists", again))
            elif name not in listed:
                self.findings.append(Finding(f"{self._path} contains {name}, which its manifest {manifest} does not list", again))
            elif found[name] != listed[name]:
                self.findings.append(Finding(f"{os.path.join(self._path, name)} does not have the checksum in its manifest: it was damaged on the way", again))


def identity_of(path: str) -> tuple[tuple[int, int, int, int], ...]:
    """Return what changes when the dump is written to or replaced."""
    try:
        paths = [path, *(os.path.join(path, name) for name in sorted(os.listdir(path)))] if os.path.isdir(path) else [path]
        return tuple((s.st_dev, s.st_ino, s.st_size, s.st_mtime_ns) for s in map(os.stat, paths))
    except OSError:
        return ()


def manifest_of(path: str) -> str | None:
    """Return the manifest of a dump that is a directory: ``<directory>.sha256`` beside it or ``SHA256SUMS`` in it."""
    for candidate in (path.rstrip("/") + SIDECAR, os.path.join(path, MANIFEST)):
        if os.path.isfile(candidate):
            return candidate
    return None


def no_manifest(path: str) -> Finding:
    """Return the finding for a directory dump without a manifest."""
    name = os.path.basename(path.rstrip("/"))
    what = f"{path} is a directory dump without a manifest of checksums, so that an emptied data file would not be noticed"
    return Finding(what, _MANIFEST_COMMAND.format(name=name))


def expected_checksum(path: str, option: str | None, *, is_glob: bool, require: bool) -> ExpectedChecksum:
    """Return the checksum that the dump at ``path`` must have.

    ``option`` is ``sha256:<64 hexadecimal digits>`` (not with a glob); without it a ``<path>.sha256`` beside a file counts, in sha256sum's
    format or with the bare digits. A directory has its manifest instead, which is looked at with its contents.
    """
    if option:
        if is_glob:
            remedy = "Give the path of one dump with its checksum, or put <dump>.sha256 files beside the dumps"
            return ExpectedChecksum(None, "option", Finding("A checksum is given for a pattern, which may match another dump tomorrow", remedy))
        algorithm, _, digits = option.strip().partition(":")
        if algorithm.lower() != "sha256" or not _HASH.fullmatch(digits):
            what = f'The checksum "{option}" is not of the form sha256:<64 hexadecimal digits>'
            return ExpectedChecksum(None, "option", Finding(what, "Correct database_restore_checksum"))
        return ExpectedChecksum(digits.lower(), "option")
    if os.path.isdir(path):
        return ExpectedChecksum(None, "manifest")
    sidecar = path + SIDECAR
    if not os.path.lexists(sidecar):
        finding = None
        if require:
            remedy = f"Make one where the dump was made: sha256sum {os.path.basename(path)} > {os.path.basename(sidecar)}, or set database_restore_checksum"
            finding = Finding(f"There is no checksum for {path}, and one is required", remedy)
        return ExpectedChecksum(None, "none", finding)
    digits_or_finding = _read_sidecar(sidecar, os.path.basename(path))
    if isinstance(digits_or_finding, Finding):
        return ExpectedChecksum(None, sidecar, digits_or_finding)
    return ExpectedChecksum(digits_or_finding, sidecar)


def _lines(path: str) -> list[tuple[str, str | None]] | Finding:
    """Return hash and name of each line; the name is None where a line is the bare hash."""
    remedy = f"Make it again: sha256sum <dump> > {os.path.basename(path)}"
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            text = file.read(64 << 20)
    except OSError as exc:
        return Finding(f"{path} cannot be read: {exc.strerror}", "Correct its permissions, or remove it")
    found: list[tuple[str, str | None]] = []
    for line in text.lstrip("\ufeff").splitlines():
        if not line.strip():
            continue
        if bsd := _BSD_LINE.fullmatch(line.strip()):
            found.append((bsd[2].lower(), bsd[1]))
        elif match := _LINE.fullmatch(line.strip()):
            found.append((match[1].lower(), match[2]))
        else:
            return Finding(f"{path} is not a file of SHA-256 checksums", remedy)
    return found or Finding(f"{path} is empty", remedy)


def _read_sidecar(sidecar: str, name: str) -> str | Finding:
    lines = _lines(sidecar)
    if isinstance(lines, Finding):
        return lines
    matching = [digits for digits, listed in lines if listed is None or os.path.basename(listed) == name]
    if len(set(matching)) == 1:
        return matching[0]
    if matching:
        return Finding(f"{sidecar} has more than one checksum for {name}", f"Make it again: sha256sum {name} > {os.path.basename(sidecar)}")
    others = ", ".join(sorted({listed or "" for _, listed in lines})[:3])
    return Finding(f"{sidecar} is not about {name} but about {others}", f"Make it again: sha256sum {name} > {os.path.basename(sidecar)}")


def _read_manifest(manifest: str, directory: str) -> dict[str, str] | Finding:
    """Return the hashes by file name; names may be written with the directory before them."""
    lines = _lines(manifest)
    if isinstance(lines, Finding):
        return lines
    own = os.path.basename(directory.rstrip("/"))
    found: dict[str, str] = {}
    for digits, listed in lines:
        if listed is None:
            return Finding(f"{manifest} has a checksum without a file name", _MANIFEST_COMMAND.format(name=own))
        folder, name = os.path.split(listed.removeprefix("./"))
        if folder and os.path.basename(folder) != own:
            return Finding(f"{manifest} lists {listed}, which is not in {directory}", _MANIFEST_COMMAND.format(name=own))
        if name != MANIFEST:
            found[name] = digits
    return found
