"""Runs that are watched while they go on, and what must hold after one that was ended from outside."""

from __future__ import annotations

import json
import subprocess
import threading
import time
import urllib.request
from collections import Counter
from pathlib import Path

from hosts_fleet import ROOT

SLOW = {"xero_seed_calls_per_minute": 900}
SEEDING = "xero_seed remote1 projects"


class Running:
    """A run whose output is read while it goes on."""

    def __init__(self, fleet, extra=None):
        self.process = subprocess.Popen(
            fleet.command(extra=extra), cwd=ROOT, env=fleet.environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        self.lines: list[str] = []
        self.thread = threading.Thread(target=self._read, daemon=True)
        self.thread.start()

    def _read(self):
        self.lines.extend(iter(self.process.stdout.readline, ""))

    def wait_for(self, text, seconds=240):
        deadline = time.monotonic() + seconds
        while not any(text in line for line in list(self.lines)):
            assert self.process.poll() is None, "the run ended before: " + "".join(self.lines[-40:])
            assert time.monotonic() < deadline, f"{text} did not come: " + "".join(self.lines[-40:])
            time.sleep(0.02)

    def end(self, seconds=120):
        self.process.wait(seconds)
        self.thread.join(5)
        return "".join(self.lines)


def sandbox(world, path, body=None):
    """Ask the sandbox, or with a body change it."""
    url = json.loads(world.file.read_text())["xero"]["url"]
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(f"{url}/sandbox/{path}", data, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=10) as reply:
        return json.load(reply)


def writes(world):
    """Return how many calls have tried to change the organisation."""
    return sum(call["method"] in ("POST", "PUT") and "xro" in call["path"] for call in sandbox(world, "journal")["requests"])


def modules_of(ssh_host):
    """Return the modules that run on the host, by the environment that its logins get."""
    mark, found = f"HOME={ssh_host.home}".encode(), []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                if mark in (entry / "environ").read_bytes().split(b"\0") and b"python" in (entry / "cmdline").read_bytes():
                    found.append(int(entry.name))
            except OSError:
                continue
    return found


def wait_until_gone(ssh_host, seconds=5):
    deadline = time.monotonic() + seconds
    while modules_of(ssh_host):
        assert time.monotonic() < deadline, "modules go on unseen on the host"
        time.sleep(0.05)


def wait_until_tidy(ssh_host, seconds=5):
    """Wait until no temporary file of ours is left on the host."""
    deadline = time.monotonic() + seconds
    while left := [path.name for path in ssh_host.temporary.iterdir()]:
        assert time.monotonic() < deadline, f"left on the host: {left}"
        time.sleep(0.05)


def converges(fleet, world, ssh_host):
    """Run again and compare everything with an undisturbed state."""
    # the server may be on another port now
    fleet.hosts["remote1"]["ansible_port"] = ssh_host.host_vars()["ansible_port"]
    again = fleet.run()
    assert again.code == 0, again.output
    assert world.disagreements() == []
    organisation = sandbox(world, "state")["organisations"][0]
    assert max(Counter(contact["ContactNumber"] for contact in organisation["contacts"] if contact.get("ContactNumber")).values()) == 1
    assert max(Counter((project["contactId"], project["name"]) for project in organisation["projects"]).values()) == 1


class ProcessListWatch:
    """Look at all command lines while the block runs; ``seen`` are the programs that showed a secret."""

    def __init__(self, secrets):
        self.secrets = [secret.encode() for secret in secrets]
        self.seen: set[str] = set()
        self.looks = 0
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._ended.set()
        self._thread.join(5)

    def _watch(self):
        while not self._ended.wait(0.02):
            self.looks += 1
            for entry in Path("/proc").iterdir():
                if entry.name.isdigit():
                    try:
                        line = (entry / "cmdline").read_bytes()
                    except OSError:
                        continue
                    if any(secret in line for secret in self.secrets):
                        self.seen.add(line.split(b"\0")[0].decode(errors="replace"))


def secrets_of(world):
    """Return the secrets that a run in this world uses."""
    told = json.loads(world.file.read_text())
    return [told["postgres"]["superuser_password"], told["postgres"]["owner_password"], told["xero"]["client_secret"], told["dev_login_password"]]
