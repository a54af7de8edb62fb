"""A host as Debian sets it up: OpenSSH's own server, an unprivileged login with sudo, PostgreSQL 15 reached by peer authentication.

Everything is in a mount namespace of its own, so that no account is made and nothing outside the test's folder is written. That takes root.
"""
from __future__ import annotations

import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from world.postgres_server import free_port

BIN = Path("/usr/lib/postgresql/15/bin")
START_SECONDS = 40
LOGIN, LOGIN_ID = "deploy", 4001
APP, APP_ID = "jobs", 4002
POSTGRES_ID = 4003
SUDOERS = """\
Defaults !requiretty
deploy ALL=(postgres) NOPASSWD: ALL
deploy ALL=(jobs) NOPASSWD: ALL
"""
PROGRAMS = {"sshd": "/usr/sbin/sshd", "ssh": "ssh", "sudo": "sudo", "unshare": "unshare", "setpriv": "setpriv", "PostgreSQL 15": str(BIN / "initdb")}


def missing() -> str | None:
    """Return what this machine lacks for such a host, or None."""
    if os.geteuid() != 0:
        return "a host as Debian sets it up takes root (a mount namespace): not tested are sudo to postgres, peer authentication and OpenSSH's server"
    lacking = [name for name, program in PROGRAMS.items() if shutil.which(program) is None]
    if not Path("/usr/bin/python3").exists() or subprocess.run(["/usr/bin/python3", "-c", "import ensurepip"], capture_output=True, check=False).returncode:
        lacking.append("python3-venv")
    if lacking:
        return f"a host as Debian sets it up takes {', '.join(lacking)}, not installed here: not tested are sudo to postgres, peer authentication, sshd"
    if subprocess.run(["unshare", "-m", "true"], capture_output=True, check=False).returncode:
        return "this kernel or container allows no mount namespace: not tested are sudo to postgres, peer authentication and OpenSSH's server"
    return None


@dataclass(frozen=True)
class DebianHost:
    """The host whose files are in ``folder``."""

    folder: Path
    port: int
    database_port: int
    owner_password: str

    @classmethod
    def new(cls, folder: Path) -> DebianHost:
        """Choose ports and a password."""
        return cls(folder, free_port(), free_port(), secrets.token_hex(12))

    @property
    def shared(self) -> Path:
        """Return where every user of the host may read."""
        return Path(tempfile.gettempdir()) / f"shared_{self.folder.name}"

    def start(self) -> None:
        """Write the host's files and start its servers."""
        for name in ("home", "jobs", "data", "sudoers.d"):
            (self.folder / name).mkdir()
        self.folder.chmod(0o711)
        for name in ("host_key", "user_key"):
            subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", self.folder / name], check=True)
        os.chown(self.folder / "home", LOGIN_ID, LOGIN_ID)
        # as adduser makes it since Debian 11
        (self.folder / "home").chmod(0o700)
        os.chown(self.folder / "jobs", APP_ID, APP_ID)
        os.chown(self.folder / "data", POSTGRES_ID, POSTGRES_ID)
        self._accounts()
        sudoers = self.folder / "sudoers.d" / "deploy"
        sudoers.write_text(SUDOERS)
        sudoers.chmod(0o440)
        (self.folder / "sshd_config").write_text(
            f"ListenAddress 127.0.0.1\nPort {self.port}\nHostKey {self.folder}/host_key\nAuthorizedKeysFile {self.folder}/user_key.pub\n"
            f"StrictModes no\nUsePAM no\nPasswordAuthentication no\nPidFile {self.folder}/sshd.pid\nSubsystem sftp internal-sftp\nAllowUsers {LOGIN}\n"
        )
        (self.folder / "start").write_text(self._script())
        with (self.folder / "log").open("ab") as log:
            server = subprocess.Popen(
                ["unshare", "-m", "--propagation", "private", "sh", "-e", self.folder / "start"],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"},
            )
        deadline = time.monotonic() + START_SECONDS
        while not (self.folder / "sshd.pid").exists():
            if server.poll() is not None or time.monotonic() > deadline:
                self.stop()
                raise RuntimeError(f"The host did not start: {(self.folder / 'log').read_text()[-2000:]}")
            time.sleep(0.1)
        key = (self.folder / "host_key.pub").read_text().split()
        (self.folder / "known_hosts").write_text(f"[127.0.0.1]:{self.port} {key[0]} {key[1]}\n")

    def _accounts(self) -> None:
        """Write the host's accounts."""
        people = {LOGIN: (LOGIN_ID, "home"), APP: (APP_ID, "jobs"), "postgres": (POSTGRES_ID, "data")}
        system = "root:x:0:0:root:/root:/bin/bash\nsshd:x:105:65534::/run/sshd:/usr/sbin/nologin\nnobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n"
        passwd = "".join(f"{name}:x:{number}:{number}::{self.folder / home}:/bin/sh\n" for name, (number, home) in people.items())
        (self.folder / "passwd").write_text(system + passwd)
        (self.folder / "group").write_text("root:x:0:\nshadow:x:42:\nnogroup:x:65534:\n" + "".join(f"{name}:x:{n}:\n" for name, (n, _) in people.items()))
        (self.folder / "shadow").write_text("".join(f"{name}:*:19000:0:99999:7:::\n" for name in ("root", "sshd", "nobody", *people)))

    def _script(self) -> str:
        """Return what makes the host out of this machine; it sees other files in a few places, and no one else does."""
        as_postgres = f"setpriv --reuid={POSTGRES_ID} --regid={POSTGRES_ID} --clear-groups env HOME={self.folder}/data"
        seen = [Path(sys.executable).resolve(), Path(sys.executable)]
        root = Path("/root")
        behind = sorted({root / path.relative_to(root).parts[0] for path in seen if path.is_relative_to(root)})
        shown = "".join(f"mkdir -p {self.folder}/root/{path.name}; mount --bind {path} {self.folder}/root/{path.name}\n" for path in behind)
        # the Python of the demo's app may be below /root, where nobody else gets in
        open_root = f"mkdir {self.folder}/root\n{shown}mount --rbind {self.folder}/root /root\n" if behind else ""
        return (
            f"{open_root}"
            + "".join(f"mount --bind {self.folder}/{name} /etc/{name}\n" for name in ("passwd", "group", "shadow", "sudoers.d"))
            + "mount -t tmpfs -o mode=755 tmpfs /run\nmkdir /run/sshd /run/postgresql\n"
            f"chown {POSTGRES_ID}:{POSTGRES_ID} /run/postgresql\n"
            f"cd {self.folder}/data\n"
            f"{as_postgres} {BIN}/initdb -D {self.folder}/data/main -U postgres --auth-local=peer --auth-host=scram-sha-256"
            " --encoding=UTF8 --locale=C.UTF-8 --no-sync\n"
            f"{as_postgres} {BIN}/postgres -D {self.folder}/data/main -p {self.database_port} -c listen_addresses=127.0.0.1 -c fsync=off"
            " -c unix_socket_directories=/run/postgresql &\n"
            f"echo $! > {self.folder}/postgres.pid\n"
            f"for i in $(seq 100); do {as_postgres} {BIN}/psql -h /run/postgresql -p {self.database_port} -U postgres -qc"
            f" \"CREATE ROLE jobs_app LOGIN PASSWORD '{self.owner_password}'\" postgres && break; sleep 0.1; done\n"
            f"exec /usr/sbin/sshd -D -e -f {self.folder}/sshd_config\n"
        )

    def stop(self) -> None:
        """End both servers; the namespace ends with them."""
        for socket in self.folder.glob("control-*"):
            subprocess.run(["ssh", "-o", f"ControlPath={socket}", "-O", "exit", "127.0.0.1"], capture_output=True, check=False)
        for name, number in (("sshd.pid", signal.SIGTERM), ("postgres.pid", signal.SIGQUIT)):
            try:
                pid = int((self.folder / name).read_text())
                os.kill(pid, number)
            except (OSError, ValueError):
                continue
            deadline = time.monotonic() + 10
            while Path(f"/proc/{pid}").exists() and time.monotonic() < deadline:
                time.sleep(0.05)

    def host_vars(self) -> dict[str, Any]:
        """Return the inventory's variables for this host: as little as Debian's defaults ask for."""
        options = {"UserKnownHostsFile": self.folder / "known_hosts", "ControlPath": f"{self.folder}/control-%C", "IdentitiesOnly": "yes"}
        return {
            "ansible_connection": "ssh",
            "ansible_host": "127.0.0.1",
            "ansible_port": self.port,
            "ansible_user": LOGIN,
            "ansible_ssh_private_key_file": str(self.folder / "user_key"),
            "ansible_ssh_common_args": "-F /dev/null " + " ".join(f"-o {name}={value}" for name, value in options.items()),
            "ansible_python_interpreter": "/usr/bin/python3",
            "host_environment_dir": str(self.shared),
            "database_restore_host": "",
            "database_restore_port": self.database_port,
            "database_restore_admin_user": "postgres",
            "database_restore_admin_password": "",
            "database_restore_owner": "jobs_app",
            "database_restore_owner_password": self.owner_password,
            "database_restore_owner_host": "",
            "database_restore_bin_dir": "",
            "database_restore_dump_source": "controller",
            "database_restore_incoming_dir": f"{self.shared}_incoming",
            "app_migrate_become_user": APP,
            "xero_seed_log_dir": "",
        }
