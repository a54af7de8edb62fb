"""Forty refreshes in a row with faults, kills and new dumps: nothing is left over, the disk stays flat, every final state is right."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
import urllib.request
from collections import Counter
from pathlib import Path

import psycopg2
import pytest
from world.lifecycle import World

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "hosts"))

from hosts_fleet import ROOT, Fleet

ROUNDS = int(os.environ.get("DEV_REFRESH_SOAK_ROUNDS", "40"))
SEED = int(os.environ.get("DEV_REFRESH_SOAK_SEED", "7"))
NEW_DUMP_EVERY = 4
FAULTS = ["drop_before", "drop_after", "http_500", "http_503", "limit_minute", "truncated", "html_body", "expired_token"]
LOCAL = {"ansible_connection": "local", "ansible_python_interpreter": "{{ ansible_playbook_python }}"}


def told(world):
    return json.loads(world.file.read_text())


def sandbox(world, method, path, body=None):
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(f"{told(world)['xero']['url']}/sandbox/{path}", data, {"Content-Type": "application/json"}, method=method)
    with urllib.request.urlopen(request, timeout=10) as reply:
        return json.load(reply)


def databases(world):
    server = told(world)["postgres"]
    session = psycopg2.connect(host=server["host"], port=server["port"], user=server["superuser"], password=server["superuser_password"], dbname="postgres")
    try:
        with session.cursor() as cursor:
            cursor.execute("SELECT datname FROM pg_database WHERE NOT datistemplate")
            names = {name for (name,) in cursor.fetchall()}
            cursor.execute("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'")
            return names, cursor.fetchone()[0]
    finally:
        session.close()


def processes(world):
    """Return what a run in this world has left running; its servers are not meant."""
    mark, servers, found = f"DEV_REFRESH_WORLD={world.folder}".encode(), set(told(world)["pids"].values()), []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) not in servers:
            try:
                if mark in (entry / "environ").read_bytes().split(b"\0"):
                    found.append((entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")[:200])
            except OSError:
                continue
    return found


def size(folder):
    done = subprocess.run(["du", "-sk", "--exclude=pg_wal", "--exclude=dumps", "--exclude=sandbox", folder], capture_output=True, text=True, check=False)
    return int(done.stdout.split()[0])


def temporary(folder):
    """Return what is left in the runs' folder for temporary files.

    Not what Ansible unpacks: a module of its own, or one of ours that is killed before it begins, leaves that. Of ours the next runs remove it in time.
    """
    return {path.name for path in folder.iterdir() if "_payload_" not in path.name and not path.name.startswith("dev_refresh_locks_")}


def disturbed(fleet, choose):
    """Start a run and end it from outside at some moment."""
    process = subprocess.Popen(fleet.command(), cwd=ROOT, env=fleet.environment, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    time.sleep(choose.uniform(1, 14))
    process.send_signal(choose.choice([signal.SIGKILL, signal.SIGINT, signal.SIGTERM]))
    process.wait(60)


@pytest.mark.full
def test_forty_refreshes_leave_nothing_behind(tmp_path, monkeypatch):
    choose = random.Random(SEED)
    world = World(tmp_path / "world")
    world.start()
    try:
        fleet = Fleet(world, {"dev1": dict(LOCAL)})
        sizes = []
        (tmp_path / "tmp").mkdir()
        monkeypatch.setenv("TMPDIR", str(tmp_path / "tmp"))
        for number in range(ROUNDS):
            if number % NEW_DUMP_EVERY == 0 and number:
                world.new_dump()
            trouble = choose.choice(["none", "kill", "fault", "kill", "both"])
            if trouble in ("fault", "both"):
                path, times = choose.choice(["/Contacts", "/Projects"]), choose.randrange(1, 4)
                sandbox(world, "POST", "faults", {"kind": choose.choice(FAULTS), "path": path, "skip": choose.randrange(20), "times": times})
            where = f"round {number} ({trouble}, seed {SEED})"
            if trouble in ("kill", "both"):
                disturbed(fleet, choose)
            elif trouble == "fault":
                met = fleet.run()
                assert met.code in (0, 2), f"{where}: {met.output}"
                assert "Traceback" not in met.output, f"{where}: {met.output}"
            sandbox(world, "DELETE", "faults")
            done = fleet.run()
            assert done.code == 0, f"{where}: {done.output}"
            assert world.disagreements() == [], where
            names, locks = databases(world)
            assert names - {"postgres"} <= {"jobs_demo", "jobs_demo_previous"}, where
            assert locks == 0, where
            deadline = time.monotonic() + 3
            while processes(world) and time.monotonic() < deadline:
                time.sleep(0.1)
            assert processes(world) == [], where
            organisation = sandbox(world, "GET", "state")["organisations"][0]
            assert max(Counter(each["ContactNumber"] for each in organisation["contacts"] if each.get("ContactNumber")).values()) == 1, where
            sizes.append(size(world.folder))
        assert temporary(tmp_path / "tmp") == set()
        # the first rounds make the previous database and fill the kept logs
        assert max(sizes[-5:]) < 1.3 * max(sizes[3:8] or sizes), sizes
    finally:
        world.remove()
