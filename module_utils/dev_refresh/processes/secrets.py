"""Keep secrets out of output, and hand passwords to PostgreSQL's programs without a file that outlives us."""
from __future__ import annotations

import json
import os
import re
import tempfile
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from urllib.parse import quote, quote_plus, unquote, urlsplit

MASK = "********"
MIN_SECRET = 8
"""A shorter value is never taken for a secret: masking it would cut it out of names and numbers."""

_HARMLESS_NAME = re.compile(
    r"PATH|HOME|USER|LOGNAME|SHELL|LANG|LANGUAGE|LC_\w+|TZ|TMPDIR|TERM|PWD|VIRTUAL_ENV|DJANGO_SETTINGS_MODULE|DJANGO_ENV|DEBUG"
    r"|PYTHON(?:PATH|UNBUFFERED|DONTWRITEBYTECODE|IOENCODING|WARNINGS)"
    r"|PG(?:HOST|HOSTADDR|PORT|DATABASE|USER|SSLMODE|PASSFILE|OPTIONS|APPNAME)"
    r"|(?:\w+_)?(?:DB|DATABASE|POSTGRES|PG)_?(?:NAME|HOST|PORT|USER|SCHEMA|ENGINE|SSLMODE)"
)


def scrub(text: str, secrets: Collection[str]) -> str:
    """Return ``text`` with each secret, also where it is percent-encoded or escaped as in JSON, replaced by asterisks."""
    forms: set[str] = set()
    for secret in secrets:
        if secret.strip():
            forms |= {secret, quote(secret, safe=""), quote(secret), quote_plus(secret), json.dumps(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1]}
    # the longest first: a secret may contain another one
    for form in sorted(forms, key=len, reverse=True):
        text = text.replace(form, MASK)
    return text


def secret_values(environment: Mapping[str, str], harmless: Collection[str] = ()) -> set[str]:
    """Return the values of ``environment`` that must not be shown.

    These are all of 8 and more characters, but for variables that are known to hold no secret (PATH, PGHOST, DB_NAME, ...), for the values
    in ``harmless``, and for paths that exist here. Of a URL with a password the password counts too.
    """
    found: set[str] = set()
    for name, value in environment.items():
        password = _url_password(value)
        if password:
            found |= {value, password, unquote(password)}
        elif len(value) < MIN_SECRET or value in harmless or _HARMLESS_NAME.fullmatch(name.upper()):
            continue
        elif not (value.startswith("/") and os.path.exists(value)):
            found.add(value)
    return found


def _url_password(value: str) -> str | None:
    """Return the password in a URL such as ``postgres://user:password@host/database``."""
    if "://" not in value:
        return None
    try:
        return urlsplit(value).password
    except ValueError:
        return None


@contextmanager
def password_file(entries: Iterable[tuple[str, int | str, str, str, str]]) -> Iterator[str]:
    """Yield the path of a password file (mode 0600) for PGPASSFILE; entries are host, port, database, user and password, ``*`` is any.

    Where the kernel can, the file is in memory only, so that nothing stays behind even if we are killed. It is gone when the block ends.
    """
    lines = "".join(":".join(str(part).replace("\\", "\\\\").replace(":", "\\:") for part in entry) + "\n" for entry in entries).encode()
    fd = _memory_file()
    if fd is not None:
        try:
            os.fchmod(fd, 0o600)
            os.write(fd, lines)
            yield f"/proc/{os.getpid()}/fd/{fd}"
        finally:
            os.close(fd)
        return
    fd, path = tempfile.mkstemp(prefix="dev_refresh_")
    try:
        with os.fdopen(fd, "wb") as file:
            file.write(lines)
        yield path
    finally:
        os.unlink(path)


def _memory_file() -> int | None:
    """Return a file in memory that has a path below /proc, or None where there is none."""
    try:
        fd = os.memfd_create("pgpass")
    except (AttributeError, OSError):
        return None
    if os.access(f"/proc/{os.getpid()}/fd/{fd}", os.R_OK):
        return fd
    os.close(fd)
    return None
