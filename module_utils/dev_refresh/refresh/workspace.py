"""The databases of one refresh as they are, and the sessions to work on them."""
from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ..errors import RefreshError
from ..postgres import databases, marker
from ..postgres.connection import Login, NoRoomError, connect
from ..postgres.databases import Database
from ..postgres.lock import DatabaseLock
from ..postgres.sessions import Session
from ..progress import ProgressWriter
from ..run_id import may_take_over
from .decide import Found
from .request import Request

ROOM_SECONDS = 2.0
"""How long to wait for a free connection where a database or role has a connection limit."""
# rows that row-level security hides are an error, never passed over in silence
READ_ONLY = "-c default_transaction_read_only=on -c row_security=off"
WRITABLE = "-c row_security=off -c default_transaction_read_only=off -c statement_timeout=0 -c lock_timeout=0 -c idle_in_transaction_session_timeout=0"


class Workspace:
    """What one run of the module works with; ``admin`` is the session on the maintenance database (it holds the lock, if there is one)."""

    def __init__(self, request: Request, admin: Session, *, writing: bool, progress: ProgressWriter) -> None:
        self.request = request
        self.admin = admin
        self.writing = writing
        self.progress = progress
        self.repaired: list[str] = []
        self.warnings: list[str] = []
        self._deadline = time.monotonic() + request.deadline
        self.databases: dict[str, Database] = {}
        self.reload()

    def reload(self) -> None:
        """Read the databases again."""
        self.databases = databases.read_databases(self.admin, self.request.names.all)

    @property
    def seconds_left(self) -> float:
        """Return what is left of the deadline; raise RefreshError when it is over."""
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise RefreshError(f"The deadline of {self.request.deadline:.0f} seconds is over. Raise deadline, then run again.")
        return left

    @contextmanager
    def owner_session(self, name: str, *, read_only: bool = False) -> Iterator[Session]:
        """Open an autocommit session of the owner on a database."""
        session = self.open_owner(name, read_only=read_only)
        try:
            yield session
        finally:
            session.close()

    def open_owner(self, name: str, *, read_only: bool = False) -> Session:
        """Open an autocommit session of the owner, which the caller closes."""
        login: Login = self.request.owner
        until = time.monotonic() + ROOM_SECONDS
        while True:
            try:
                return connect(
                    login,
                    name,
                    application_name=f"dev_refresh pg_refresh {self.request.run_id}",
                    autocommit=True,
                    options=READ_ONLY if read_only or not self.writing else WRITABLE,
                )
            except NoRoomError:
                # a session of our own that was just closed still counts for a moment
                if time.monotonic() > until:
                    raise
                time.sleep(0.05)

    def find(self, name: str) -> Found:
        """Return whether a database exists, is ours, and what its marker says."""
        database = self.databases.get(name)
        if database is None:
            return Found()
        note = database.note
        said_ours = note is not None and not note.get("adopted")
        if not database.open:
            return Found(exists=True, ours=said_ours, was_closed=True)
        reserved = name != self.request.names.live
        if reserved and not said_ours and database.owner != self.request.owner.user:
            return Found(exists=True)
        with self.owner_session(name, read_only=True) as session:
            state = marker.read(session)
            fits = state is not None and marker.fits(session, state)
            ours = said_ours or (fits and not reserved) or (reserved and databases.is_empty(session))
        return Found(exists=True, ours=ours, fits=fits, marker=state)

    def check_fence(self, *found: Found) -> None:
        """Raise RefreshError if a newer run has taken over; its id is in the comments and in the markers."""
        names = self.request.names
        if not self.request.run_id_given and self.request.state != "staged":
            return
        seen = [note.get("run_id") for note in (database.note for name, database in self.databases.items() if name in (names.live, names.staging)) if note]
        seen += [each.marker.run_id for each in found if each.marker is not None and each.ours]
        newer = [str(run_id) for run_id in seen if run_id and not may_take_over(self.request.run_id, str(run_id))]
        if newer:
            raise RefreshError(
                f'Run {max(newer)} has taken over database "{names.live}" since run {self.request.run_id} began.'
                " This run stops here and changed nothing more; the newer one does the work.",
                details={"fenced": True},
            )

    def note(self, role: str, **more: Any) -> dict[str, Any]:
        """Return what the comment of a database in this role says."""
        return {"role": role, "run_id": self.request.run_id, "of": self.request.names.live, **more}


@contextmanager
def open_workspace(request: Request, *, writing: bool) -> Iterator[Workspace]:
    """Open the workspace: under the lock for working modes, read-only and without it for check mode."""
    progress = ProgressWriter(request.progress_file)
    try:
        if writing:
            holder = f"pg_refresh {request.state}, run {request.run_id}"
            with DatabaseLock(request.admin, request.names.live, holder=holder, maintenance=request.maintenance) as admin:
                yield Workspace(request, admin, writing=True, progress=progress)
        else:
            admin = connect(
                request.admin, request.maintenance, application_name=f"dev_refresh pg_refresh check {request.run_id}", autocommit=True, options=READ_ONLY
            )
            try:
                yield Workspace(request, admin, writing=False, progress=progress)
            finally:
                admin.close()
    finally:
        progress.close()
