"""A systemd of its own as the first process of a namespace, so that units are stopped and started for real without touching the machine's.

It has only the units that the test gives it; files, network and users are the machine's. That takes root and Linux's control groups.
"""
from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

SYSTEMD = Path("/lib/systemd/systemd")
START_SECONDS = 20
BOOT = """
set -e
echo $$ > "$1/cgroup.procs"
exec unshare --fork --pid --mount --cgroup --uts --ipc --kill-child --mount-proc sh -c '
set -e
mount --make-rprivate /
umount -R /sys/fs/cgroup
mount -t cgroup2 none /sys/fs/cgroup
mount -t tmpfs none /run
exec env -i PATH="$PATH" container=test SYSTEMD_UNIT_PATH="$1" SYSTEMD_GENERATOR_PATH="$1/none" SYSTEMD_LOG_TARGET=console /lib/systemd/systemd --system
' sh "$2"
"""
NOT_TESTED = "not tested is whether units are stopped and started by a real systemd"


def group_root() -> Path | None:
    """Return where the machine's control groups of version 2 are, if they can be written to."""
    for folder in (Path("/sys/fs/cgroup/unified"), Path("/sys/fs/cgroup")):
        if (folder / "cgroup.procs").exists() and os.access(folder / "cgroup.procs", os.W_OK):
            return folder
    return None


def missing() -> str | None:
    """Return what this machine lacks for a systemd of its own, or None."""
    if os.geteuid() != 0:
        return f"a systemd in a namespace takes root: {NOT_TESTED}"
    lacking = [name for name in ("unshare", "nsenter", "systemctl", "mount") if shutil.which(name) is None]
    if not SYSTEMD.exists():
        lacking.append("systemd")
    if lacking:
        return f"a systemd in a namespace takes {', '.join(lacking)}, not installed here: {NOT_TESTED}"
    if group_root() is None:
        return f"this machine's control groups cannot be written to: {NOT_TESTED}"
    if subprocess.run(["unshare", "--pid", "--mount", "--cgroup", "--fork", "true"], capture_output=True, check=False).returncode:
        return f"this kernel or container allows no namespaces: {NOT_TESTED}"
    return None


class SystemdMachine:
    """The systemd whose units are in ``folder``."""

    def __init__(self, folder: Path) -> None:
        root = group_root()
        assert root is not None
        self.units = folder
        self._group = root / f"dev_refresh_{os.getpid()}"
        self._starter: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it and wait until it has come up."""
        (self.units / "default.target").write_text("[Unit]\nDescription=Nothing but what the test starts\n")
        self._group.mkdir()
        with (self.units / "boot.log").open("wb") as log:
            self._starter = subprocess.Popen(
                ["sh", "-c", BOOT, "sh", str(self._group), str(self.units)], stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT
            )
        deadline = time.monotonic() + START_SECONDS
        while self._first() is None or self.systemctl("is-system-running").stdout.strip() not in ("running", "degraded"):
            assert self._starter.poll() is None, (self.units / "boot.log").read_text()
            assert time.monotonic() < deadline, f"systemd did not come up: {(self.units / 'boot.log').read_text()}"
            time.sleep(0.1)

    def stop(self) -> None:
        """End it with all that runs in it, and remove its control groups."""
        first = self._first()
        if first is not None:
            os.kill(first, signal.SIGKILL)
        if self._starter is not None:
            self._starter.wait(10)
        deadline = time.monotonic() + 10
        while self._group.exists() and time.monotonic() < deadline:
            for folder in sorted((path for path in self._group.rglob("*") if path.is_dir()), reverse=True):
                try_to_remove(folder)
            try_to_remove(self._group)
            time.sleep(0.05)

    def inside(self, *argv: str) -> list[str]:
        """Return the command line that runs ``argv`` on that machine."""
        return ["nsenter", f"--target={self._first()}", "--mount", "--pid", "--cgroup", "--ipc", "--uts", f"--wd={os.getcwd()}", *argv]

    def systemctl(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run systemctl there."""
        return subprocess.run(self.inside("systemctl", *words), capture_output=True, text=True, check=False, timeout=60)

    def show(self, unit: str, name: str = "ActiveState") -> str:
        """Return a property of a unit."""
        return self.systemctl("show", f"--property={name}", "--value", unit).stdout.strip()

    def _first(self) -> int | None:
        """Return the first process of the namespace, as seen from outside."""
        if self._starter is None:
            return None
        children = Path(f"/proc/{self._starter.pid}/task/{self._starter.pid}/children")
        words = children.read_text().split() if children.exists() else []
        return int(words[0]) if words else None


def try_to_remove(folder: Path) -> None:
    """Remove a control group, if its last process has gone."""
    try:
        folder.rmdir()
    except OSError:
        return
