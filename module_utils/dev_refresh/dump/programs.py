"""Find PostgreSQL's client programs of the right major version."""
from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from glob import glob

from ..errors import Finding, GuardError
from ..processes.children import clean_environment, run_child

_PLACES = ("/usr/lib/postgresql/*/bin", "/usr/pgsql-*/bin", "/usr/local/pgsql/bin", "/opt/homebrew/opt/postgresql@*/bin")
_VERSION = re.compile(r"\(PostgreSQL\) (\d+)(?:\.(\d+))?")
VERSION_SECONDS = 20


@dataclass(frozen=True, slots=True)
class ClientPrograms:
    """The client programs in one folder; ``version`` is what pg_restore says, for example ``15.18``."""

    bin_dir: str
    pg_restore: str
    major: int
    version: str


def find_programs(bin_dir: str | None, *, server_major: int | None = None, environment: Mapping[str, str] | None = None) -> ClientPrograms:
    """Return the client programs in ``bin_dir``, or those on PATH and in the usual places.

    Their major version must be the server's: a newer pg_restore sends settings that an older server does not know (``transaction_timeout``)
    and then restores nothing. Without ``server_major`` the newest is taken. Raises GuardError saying what was found and what to install.
    """
    environment = os.environ if environment is None else environment
    found: list[ClientPrograms] = []
    for folder in [bin_dir] if bin_dir else _folders(environment):
        programs = _look(folder, environment)
        if programs is not None:
            found.append(programs)
    if not found:
        if bin_dir:
            remedy = "Correct database_restore_bin_dir, or leave it out so that it is searched for"
            raise GuardError([Finding(f"There is no working pg_restore in {bin_dir}", remedy)])
        raise GuardError([Finding("This host has no PostgreSQL client programs (pg_restore)", _install(server_major))])
    if server_major is None:
        return max(found, key=lambda programs: programs.major)
    for programs in found:
        if programs.major == server_major:
            return programs
    listed = ", ".join(f"{programs.version} in {programs.bin_dir}" for programs in found)
    remedy = f"Set database_restore_bin_dir to the folder of pg_restore {server_major}, or leave it out" if bin_dir else _install(server_major)
    raise GuardError([Finding(f"The server is PostgreSQL {server_major}, and the pg_restore found is of another major version ({listed})", remedy)])


def _folders(environment: Mapping[str, str]) -> Iterator[str]:
    """Yield the folders to look in, each once."""
    seen: set[str] = set()
    places = [folder for pattern in _PLACES for folder in sorted(glob(pattern), reverse=True)]
    for folder in [*environment.get("PATH", os.defpath).split(os.pathsep), *places]:
        if folder and (real := os.path.realpath(folder)) not in seen:
            seen.add(real)
            yield folder


def _look(folder: str, environment: Mapping[str, str]) -> ClientPrograms | None:
    """Return the programs in ``folder`` if pg_restore is there and runs."""
    path = os.path.join(folder, "pg_restore")
    # Debian's wrapper chooses a version by clusters and options of its own; the real ones are in the usual places
    if not os.access(path, os.X_OK) or os.path.isdir(path) or os.path.basename(os.path.realpath(path)) == "pg_wrapper":
        return None
    answer = run_child([path, "--version"], deadline=VERSION_SECONDS, env=clean_environment(environment))
    match = _VERSION.search(answer.stdout)
    if answer.returncode != 0 or match is None:
        return None
    return ClientPrograms(folder, path, int(match[1]), match[0].removeprefix("(PostgreSQL) "))


def _install(major: int | None) -> str:
    if major is None:
        return "Install them (Debian: postgresql-client) or set database_restore_bin_dir"
    return f"Install those of PostgreSQL {major} (Debian: postgresql-client-{major}) or set database_restore_bin_dir"
