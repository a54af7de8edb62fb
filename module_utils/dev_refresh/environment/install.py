"""Make a virtual environment with pinned packages, once; an interrupted installation is made anew."""
from __future__ import annotations

import fcntl
import hashlib
import os
import re
import shutil
import stat
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import RefreshError
from ..processes.children import ChildResult, clean_environment, run_child

STAMP = "installed"
_NAME = "venv-"
_DIGITS = 12
_LAST_LINES = 8
_IMPORT_SECONDS = 60
_OTHERS_MAY_WRITE = stat.S_IWGRP | stat.S_IWOTH


@dataclass(frozen=True, slots=True)
class Wanted:
    """An environment as it should be: which packages, for which Python, in which folder."""

    folder: Path
    requirements: str
    imports: Sequence[str] = ()
    pip_options: Sequence[str] = ()
    deadline: float = 900
    python: str = sys.executable

    @property
    def packages(self) -> list[str]:
        """Return the pinned packages, without comments."""
        lines = (line.split("#", 1)[0].strip() for line in self.requirements.splitlines())
        return [line for line in lines if line]

    @property
    def digest(self) -> str:
        """Return what tells this environment from another: a hash of the packages and of the Python that they are for."""
        named = "\n".join([*sorted(self.packages), "python " + ".".join(map(str, sys.version_info[:2])), sys.implementation.name, os.uname().machine])
        return hashlib.sha256(named.encode()).hexdigest()

    @property
    def path(self) -> Path:
        """Return the environment's folder; its name changes with the packages, so that a run under way keeps what it uses."""
        return self.folder / f"{_NAME}{self.digest[:_DIGITS]}"

    @property
    def interpreter(self) -> Path:
        """Return the environment's Python."""
        return self.path / "bin" / "python"


def ensure_environment(wanted: Wanted, *, check_mode: bool) -> dict[str, Any]:
    """Make the environment if it is not there and whole; return the module's result.

    Raises RefreshError where it cannot be made; what was half made is made anew by the next call.
    """
    before = _installed(wanted)
    result = {"changed": not before, "interpreter": str(wanted.interpreter), "packages": wanted.packages, "digest": wanted.digest, "removed": []}
    result["diff"] = {"before": "" if not before else _listing(wanted), "after": _listing(wanted), "after_header": str(wanted.path)}
    if before or check_mode:
        return result
    started = time.monotonic()
    # others read it, whatever the login's umask says
    mask = os.umask(0o022)
    try:
        _make_folder(wanted.folder)
        with _lock(wanted):
            if not _installed(wanted):
                _install(wanted)
            result["removed"] = _prune(wanted)
    finally:
        os.umask(mask)
    result["seconds"] = round(time.monotonic() - started, 1)
    return result


def _listing(wanted: Wanted) -> str:
    return "".join(f"{package}\n" for package in wanted.packages)


def _installed(wanted: Wanted) -> bool:
    """Tell whether the environment is whole: finished by its stamp, of our hands, and its packages can be imported."""
    try:
        if (wanted.path / STAMP).read_text().strip() != wanted.digest:
            return False
    except OSError:
        return False
    _check_owner(wanted.folder)
    return not wanted.imports or _import(wanted).returncode == 0


def _make_folder(folder: Path) -> None:
    """Make the folder, which others may read (the database's administrator and the app's user work from it) and only we may write."""
    try:
        folder.mkdir(mode=0o755, parents=True, exist_ok=True)
    except OSError as exc:
        raise RefreshError(
            f"The folder {folder} for the Python environment cannot be made: {exc.strerror}. "
            f"Make it once as root (`install -d -o {_user()} -m 0755 {folder}`), or set host_environment_dir to a folder of {_user()}'s."
        ) from None
    _check_owner(folder)
    if not os.access(folder, os.W_OK):
        raise RefreshError(f"{_user()} may not write to {folder}. Make it theirs (`chown {_user()} {folder}`), or set host_environment_dir.")


def _check_owner(folder: Path) -> None:
    """Refuse a folder in which somebody else could put code that we would run."""
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode):
        raise RefreshError(f"{folder} is not a folder. Remove it, or set host_environment_dir.")
    if found.st_uid not in (0, os.geteuid()) or found.st_mode & _OTHERS_MAY_WRITE:
        raise RefreshError(
            f"{folder} belongs to another user, or others may write to it, so that they could put code there that this run would execute. "
            f"Remove it, or set host_environment_dir to a folder that only {_user()} may write to."
        )


@contextmanager
def _lock(wanted: Wanted) -> Iterator[None]:
    """Keep a second run waiting until this one has installed."""
    descriptor = os.open(wanted.folder / "lock", os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        until = time.monotonic() + wanted.deadline
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except OSError:
                if time.monotonic() > until:
                    raise RefreshError(f"Another run has been installing in {wanted.folder} for {wanted.deadline:.0f} s. Look at it, then run again.") from None
                time.sleep(0.2)
        yield
    finally:
        os.close(descriptor)


def _install(wanted: Wanted) -> None:
    """Install from nothing; the stamp, written last, says that it is whole."""
    until = time.monotonic() + wanted.deadline
    shutil.rmtree(wanted.path, ignore_errors=True)
    python = _outside_environment(wanted.python)
    made = _run([python, "-m", "venv", str(wanted.path)], until)
    if made.returncode != 0:
        raise RefreshError(_explain(f"{python} cannot make a virtual environment in {wanted.path}", made, _venv_remedy(made, python)))
    listed = wanted.path / "requirements.txt"
    listed.write_text(_listing(wanted))
    pip = [str(wanted.interpreter), "-m", "pip", "install", "--quiet", "--no-input", "--no-compile", "--no-cache-dir", "--disable-pip-version-check"]
    installed = _run([*pip, *wanted.pip_options, "-r", str(listed)], until)
    if installed.returncode != 0:
        remedy = "Let the host reach a package index, or name one in host_environment_pip_options (--index-url, --find-links)"
        raise RefreshError(_explain("The packages could not be installed on this host", installed, remedy))
    # also writes the bytecode of what is imported, since other users who work from here may not
    tried = _import(wanted)
    if tried.returncode != 0:
        remedy = f"If {wanted.folder} is mounted noexec, set host_environment_dir to another folder"
        raise RefreshError(_explain("The packages were installed, but cannot be imported", tried, remedy))
    stamp = wanted.path / f"{STAMP}.part"
    stamp.write_text(wanted.digest + "\n")
    stamp.rename(wanted.path / STAMP)


def _import(wanted: Wanted) -> ChildResult:
    return _run([str(wanted.interpreter), "-c", "".join(f"import {name}\n" for name in wanted.imports)], time.monotonic() + _IMPORT_SECONDS)


def _prune(wanted: Wanted) -> list[str]:
    """Remove the environments of earlier requirements but the newest, which a run under way may use."""
    others = [path for path in wanted.folder.glob(f"{_NAME}*") if path != wanted.path]
    others.sort(key=lambda path: path.stat().st_mtime)
    for path in others[:-1]:
        shutil.rmtree(path, ignore_errors=True)
    return [str(path) for path in others[:-1]]


def _outside_environment(python: str) -> str:
    """Return the Python that ``python`` was made from: an environment made from another one would need that one for good."""
    base = getattr(sys, "_base_executable", None)
    return str(base) if base and python == sys.executable else python


def _run(argv: list[str], until: float) -> ChildResult:
    return run_child(argv, deadline=max(1.0, until - time.monotonic()), env=_environment(os.environ), cwd="/")


def _environment(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the environment without what leads Python elsewhere."""
    return {name: value for name, value in clean_environment(environment).items() if name not in ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV", "PIP_USER")}


def _venv_remedy(made: ChildResult, python: str) -> str:
    if re.search("ensurepip|No module named venv", made.stdout + made.stderr):
        version = ".".join(map(str, sys.version_info[:2]))
        return f"Install its venv module there (Debian: apt install python{version}-venv)"
    return f"Correct what {python} says, or name another Python in ansible_python_interpreter"


def _explain(what: str, done: ChildResult, remedy: str) -> str:
    said = [line for line in (done.stderr + "\n" + done.stdout).splitlines() if line.strip()][-_LAST_LINES:]
    how = "it did not end in time (host_environment_deadline)" if done.timed_out else " / ".join(said) or f"return code {done.returncode}"
    return f"{what}: {how.rstrip('.')}. {remedy}."


def _user() -> str:
    import pwd

    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return str(os.geteuid())
