"""A host reached by SSH, made for a test: on loopback, with keys and a home folder of its own."""
from __future__ import annotations

import contextlib
import json
import os
import pwd
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

START_SECONDS = 20
SYSTEM_PATH = "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin"


def plain_python() -> str:
    """Return a Python without the packages of the environment that the tests run in."""
    return os.path.realpath(getattr(sys, "_base_executable", sys.executable))


@dataclass(frozen=True)
class SshTarget:
    """An SSH server of our own in ``folder``."""

    folder: Path

    @property
    def home(self) -> Path:
        """Return the home folder of whoever logs in."""
        return self.folder / "home"

    @property
    def temporary(self) -> Path:
        """Return the host's folder for temporary files."""
        return self.folder / "tmp"

    def start(self) -> None:
        """Make keys and start the server."""
        import asyncssh

        self.home.mkdir(parents=True)
        self.temporary.mkdir()
        for name in ("host_key", "user_key"):
            key = asyncssh.generate_private_key("ssh-ed25519")
            key.write_private_key(str(self.folder / name))
            key.write_public_key(str(self.folder / f"{name}.pub"))
            (self.folder / name).chmod(0o600)
        environment = {"HOME": str(self.home), "PATH": SYSTEM_PATH, "LANG": "C.UTF-8", "TMPDIR": str(self.temporary)}
        # where this machine finds packages is the machine's business, not the login's
        environment |= {name: value for name, value in os.environ.items() if name.startswith("PIP_")}
        (self.folder / "environment.json").write_text(json.dumps(environment))
        self._launch()

    def _launch(self) -> None:
        with (self.folder / "server.log").open("ab") as log:
            server = subprocess.Popen(
                [sys.executable, Path(__file__).with_name("ssh_server.py"), self.folder],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        (self.folder / "pid").write_text(str(server.pid))
        deadline = time.monotonic() + START_SECONDS
        while not (self.folder / "port").exists():
            if server.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"The SSH server did not start: {(self.folder / 'server.log').read_text()[-1000:]}")
            time.sleep(0.05)
        port = (self.folder / "port").read_text()
        key = (self.folder / "host_key.pub").read_text().split()
        (self.folder / "known_hosts").write_text(f"[127.0.0.1]:{port} {key[0]} {key[1]}\n")

    def stop(self) -> None:
        """End the server and the connections that Ansible keeps open."""
        for socket in self.folder.glob("control-*"):
            subprocess.run(["ssh", "-o", f"ControlPath={socket}", "-O", "exit", "127.0.0.1"], capture_output=True, check=False)
        with contextlib.suppress(OSError, ValueError):
            os.kill(int((self.folder / "pid").read_text()), signal.SIGKILL)
        (self.folder / "port").unlink(missing_ok=True)

    def restart(self) -> None:
        """Cut every connection and serve again, on another port."""
        self.stop()
        self._launch()

    def host_vars(self) -> dict[str, Any]:
        """Return the inventory's variables for this host."""
        options = {
            "UserKnownHostsFile": self.folder / "known_hosts",
            "StrictHostKeyChecking": "yes",
            "ControlPath": f"{self.folder}/control-%C",
            "IdentitiesOnly": "yes",
        }
        return {
            "ansible_connection": "ssh",
            "ansible_host": "127.0.0.1",
            "ansible_port": int((self.folder / "port").read_text()),
            "ansible_user": pwd.getpwuid(os.geteuid()).pw_name,
            "ansible_ssh_private_key_file": str(self.folder / "user_key"),
            "ansible_ssh_common_args": "-F /dev/null " + " ".join(f"-o {name}={value}" for name, value in options.items()),
            "ansible_python_interpreter": plain_python(),
            "ansible_remote_tmp": str(self.home / ".ansible" / "tmp"),
        }


def missing() -> str | None:
    """Return what this machine lacks for an SSH target, or None."""
    if shutil.which("ssh") is None:
        return "there is no OpenSSH client (`ssh`) on this machine: install openssh-client, or nothing is tested over a connection"
    try:
        import asyncssh  # noqa: F401
    except ImportError:
        return "the package asyncssh is not installed: install requirements-dev.txt"
    return None
