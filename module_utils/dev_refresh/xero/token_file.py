"""The file that holds the refresh token: only its owner reads it, and what Xero rotated is safe on disk before it is used."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import stat
from types import TracebackType

from .clock import Clock, SystemClock
from .errors import NotConnected, XeroError

LOCK_WAIT = 90.0
"""Seconds to wait for another process that is refreshing."""


class TokenFile:
    """The stored refresh token, held alone between processes while inside the ``with`` block.

    Raises XeroError if others can read the file or a rotated token could not be stored; NotConnected if there is none.
    """

    def __init__(self, path: str, *, clock: Clock | None = None) -> None:
        self._path = os.path.realpath(os.path.expanduser(path))
        self._clock = clock or SystemClock()
        self._lock = -1
        self._aside = ""
        self.refresh_token = ""

    def __enter__(self) -> TokenFile:
        """Take the lock, check the file and make sure that it can be replaced."""
        if not os.path.lexists(self._path):
            raise NotConnected(f"There is no token file {self._path} on this host", "Make it with playbooks/connect_xero.yml")
        self._take_lock()
        try:
            self.refresh_token = self._read()
            self._prepare()
        except BaseException:
            self._release()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._release()

    def replace(self, refresh_token: str) -> None:
        """Store ``refresh_token``: written aside, synced, renamed over the file."""
        try:
            write_all(self._aside, refresh_token, owner=os.stat(self._path))
            os.replace(self._aside, self._path)
            sync_folder(self._path)
        except OSError as error:
            raise XeroError(
                f"The rotated refresh token could not be stored in {self._path} ({error.strerror})",
                "Make room or correct the folder's rights and run again within half an hour; after that connect the app again with playbooks/connect_xero.yml",
            ) from None
        self._aside = ""
        self.refresh_token = refresh_token

    def create(self, refresh_token: str) -> None:
        """Make the file, or replace it whatever it holds; raises OSError."""
        os.makedirs(os.path.dirname(self._path), mode=0o700, exist_ok=True)
        self._take_lock()
        try:
            self._aside = f"{self._path}.new"
            write_all(self._aside, refresh_token, owner=os.stat(self._path) if os.path.exists(self._path) else None)
            os.replace(self._aside, self._path)
            self._aside = ""
            sync_folder(self._path)
        finally:
            self._release()

    def _take_lock(self) -> None:
        """Lock a file beside it, since the file itself is replaced."""
        name = f"{self._path}.lock"
        try:
            self._lock = os.open(name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        except OSError as error:
            raise XeroError(f"{name} cannot be made ({error.strerror})", f"Let the user of this module write to {os.path.dirname(name)}") from None
        give_up = self._clock.now() + LOCK_WAIT
        while True:
            try:
                fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                if error.errno not in (errno.EAGAIN, errno.EACCES):
                    raise XeroError(f"{name} cannot be locked ({error.strerror})", "Put the token file on a local file system") from None
            else:
                return
            if self._clock.now() >= give_up:
                os.close(self._lock)
                self._lock = -1
                raise XeroError(
                    f"Another process has been refreshing the token in {self._path} for {LOCK_WAIT:.0f} seconds", "Wait until it ends, then run again"
                )
            self._clock.sleep(0.1)

    def _read(self) -> str:
        """Return the token; the file must be a regular one that nobody else can read."""
        try:
            with open(os.open(self._path, os.O_RDONLY | os.O_CLOEXEC), encoding="utf-8") as file:
                mode = os.fstat(file.fileno()).st_mode
                if not stat.S_ISREG(mode):
                    raise XeroError(f"{self._path} is not a file", "Correct xero_seed_token_file")
                if mode & 0o077:
                    raise XeroError(f"Others can read {self._path} (mode {stat.S_IMODE(mode):04o})", f"Run chmod 600 {self._path}")
                text = file.read(65536)
        except OSError as error:
            raise XeroError(f"{self._path} cannot be read ({error.strerror})", "Correct xero_seed_token_file, or the file's owner") from None
        except UnicodeDecodeError:
            text = ""
        try:
            token = json.loads(text).get("refresh_token")
        except (ValueError, AttributeError):
            token = None
        if not isinstance(token, str) or not token.strip():
            raise NotConnected(f"{self._path} holds no refresh token", "Make it again with playbooks/connect_xero.yml")
        return token.strip()

    def _prepare(self) -> None:
        """Make the file to write aside now: after the rotation it would be too late to find the folder read-only."""
        aside = f"{self._path}.new"
        try:
            os.close(open_private(aside))
            write_all(aside, self.refresh_token, owner=os.stat(self._path))
        except OSError as error:
            raise XeroError(
                f"A rotated refresh token could not be stored beside {self._path} ({error.strerror})", "Let the user of this module write to that folder"
            ) from None
        self._aside = aside

    def _release(self) -> None:
        """Remove what was written aside and let others in."""
        if self._aside:
            try:
                os.unlink(self._aside)
            except OSError:
                self._aside = ""
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1


def open_private(path: str) -> int:
    """Open ``path`` for writing as a new or emptied file that only its owner can read."""
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    os.fchmod(handle, 0o600)
    os.ftruncate(handle, 0)
    return handle


def write_all(path: str, refresh_token: str, *, owner: os.stat_result | None = None) -> None:
    """Write the token to ``path`` and wait until it is on disk; root keeps the owner that the file had."""
    with open(open_private(path), "w", encoding="utf-8") as file:
        if owner is not None and os.geteuid() == 0:
            os.fchown(file.fileno(), owner.st_uid, owner.st_gid)
        file.write(json.dumps({"refresh_token": refresh_token}) + "\n")
        file.flush()
        os.fsync(file.fileno())


def sync_folder(path: str) -> None:
    """Make a rename in the folder of ``path`` survive a power cut."""
    handle = os.open(os.path.dirname(path) or ".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def create_token_file(path: str, refresh_token: str) -> None:
    """Write a token file, new or in place of another, in one step, as playbooks/connect_xero.yml does after the consent.

    A folder that is missing is made for its owner alone. Raises XeroError, with whatever was there untouched.
    """
    file = TokenFile(path)
    try:
        file.create(refresh_token)
    except OSError as error:
        raise XeroError(f"The token could not be stored in {path} ({error.strerror})", "Correct xero_seed_token_file or the folder's rights") from None
