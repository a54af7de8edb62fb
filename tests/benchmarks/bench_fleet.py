"""How the time of one command grows with the hosts: 1, 2, 5 and 10, each with a database and an organisation of its own."""
from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from measuring import ROOT, Row, arguments, report, say

sys.path.insert(0, str(ROOT / "tests"))
sys.path.insert(0, str(ROOT / "tests" / "integration" / "hosts"))

from hosts_fleet import Fleet
from test_hosts_fleet import host, organisation_of_its_own
from world.lifecycle import World

WORDS = """\
Simulated hosts: names in one inventory, local connections, a database each on one PostgreSQL server and an organisation each in one sandbox, so that all
of them share this machine's {cpus} processors with the servers; real hosts bring their own. Each host restores, migrates, seeds and verifies, with
{limit} calls a minute for each organisation, in windows that count the last 60 seconds. "CPU" is what Ansible, the modules and the app's commands used, the
servers not counted. What it is measured against is the time of one host, or if that is more, the time that the processors alone need for so many."""
LIMIT = 60
QUICK_LIMIT = 6000
# about 250 of the demo's projects, so that a seed takes 268 calls or so
SOME_JOBS = "job_number % 12 < 5"
FIELDS = {"number": "job_number", "name": "name", "deadline": "delivery_date", "estimate": "estimate"}


@dataclass(frozen=True)
class Measured:
    """One command on ``count`` hosts."""

    count: int
    seconds: float
    cpu: float
    calls: int
    waited: float

    @property
    def least(self) -> float:
        """Return how long the processors alone need."""
        return self.cpu / (os.cpu_count() or 1)

    def bound(self) -> str:
        """Return what the time consists of mostly."""
        if self.least > 0.6 * self.seconds:
            return "the processors"
        return "Xero's limit" if self.waited > 0.5 * self.seconds else "waiting for servers and processes"


def set_limit(world: World, limit: int) -> None:
    """Give the sandbox a limit for each organisation."""
    url = json.loads(world.file.read_text())["xero"]["url"]
    body = json.dumps({"calls_per_minute": limit, "minute_mode": "rolling"}).encode()
    request = urllib.request.Request(f"{url}/sandbox/settings", body, {"Content-Type": "application/json"}, method="PATCH")
    urllib.request.urlopen(request, timeout=10).close()


def measure(world: World, count: int, first: int, *, quick: bool) -> Measured:
    """Refresh ``count`` hosts that were never refreshed before."""
    limit = QUICK_LIMIT if quick else LIMIT
    set_limit(world, limit)
    hosts = {f"dev{first + at}": host(first + at, **organisation_of_its_own(world, f"Demo Company {first + at}")) for at in range(count)}
    extra: dict[str, Any] = {"xero_seed_calls_per_minute": limit}
    if not quick:
        extra["xero_seed_mapping"] = {"projects": {"order_by": "created_at", "fields": FIELDS, "where": SOME_JOBS}}
    fleet = Fleet(world, hosts)
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    started = time.monotonic()
    done = subprocess.run(
        fleet.command("--forks", str(count), extra=extra), cwd=ROOT, env=fleet.environment, capture_output=True, text=True, check=False, timeout=7200
    )
    seconds = time.monotonic() - started
    if done.returncode:
        raise RuntimeError(done.stdout[-4000:] + done.stderr[-2000:])
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    reports = [world.folder / "reports" / f"{name}.json" for name in hosts]
    if not all(path.exists() for path in reports):
        raise RuntimeError(f"There is no report of some hosts. {done.stdout[-4000:]}")
    api = [json.loads(path.read_text())["xero"]["api"] for path in reports]
    refused = sum(each["rate_limited"] for each in api)
    if refused:
        raise RuntimeError(f"{refused} calls were refused by the limit")
    return Measured(count, seconds, cpu, max(each["calls"] for each in api), max(each["seconds_waited"] for each in api))


def rows_of(found: list[Measured]) -> tuple[list[Row], list[str]]:
    """Return the table and what is to be said of it; the first measurement is what the others are compared with."""
    one = found[0]
    rows, notes = [], []
    for each in found:
        fair = max(one.seconds, each.least)
        hosts = f"{each.count} host{'s' if each.count > 1 else ''}"
        rows.append(Row(hosts, f"{each.seconds:.0f} s ({each.cpu:.0f} s CPU)", f"{fair:.0f} s", each.seconds / fair, 1.3))
        notes.append(
            f"{hosts}: {each.seconds / one.seconds:.2f} times the time of {one.count}; "
            f"a seed has {each.calls} calls and waits {each.waited:.0f} s for the limit; "
            f"{each.cpu / each.count:.1f} s CPU a host, so the processors alone take {each.least:.0f} s; bound by {each.bound()}."
        )
    return rows, notes


def options(parser: argparse.ArgumentParser) -> None:
    """Add which numbers of hosts are measured."""
    parser.add_argument("--hosts", type=int, nargs="+", default=[1, 2, 5, 10], help="how many hosts, the first is what the others are compared with")


def main() -> None:
    """Measure and print."""
    given = arguments(__doc__ or "", options)
    found: list[Measured] = []
    with tempfile.TemporaryDirectory(prefix="bench_fleet_") as folder:
        world = World(Path(folder) / "world")
        world.start()
        try:
            first = 100
            for count in given.hosts:
                say(f"{count} hosts")
                found.append(measure(world, count, first, quick=given.quick))
                say(f"{found[-1].seconds:.0f} s, {found[-1].cpu:.0f} s CPU")
                first += count
        finally:
            world.remove()
    report("Many hosts", WORDS.format(cpus=os.cpu_count(), limit=QUICK_LIMIT if given.quick else LIMIT), *rows_of(found))


if __name__ == "__main__":
    main()
