"""How the time of one command grows with the hosts: 1, 2, 5 and 10, each with a database and an organisation of its own."""
from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from measuring import ROOT, Row, arguments, report, say

sys.path.insert(0, str(ROOT / "tests" / "integration" / "hosts"))

from hosts_fleet import Fleet
from test_hosts_fleet import host, organisation_of_its_own
from world.lifecycle import World

WORDS = """\
Simulated hosts: ten names in one inventory, local connections, a database each on one PostgreSQL server and an organisation each in one sandbox, so that
all ten share this machine's CPUs, which real ones do not. Limits are Xero's own (60 calls a minute for each organisation) unless --quick is given; then
they are a hundred times as high and the CPUs are the bound. "CPU" is what Ansible, the modules and the app's commands used, the two servers not counted;
"alone" is that divided by the number of CPUs: no run can be faster than that on this machine."""
LIMIT = 60
QUICK_LIMIT = 6000


def set_limit(world: World, limit: int) -> None:
    """Give the sandbox a limit for each organisation."""
    import urllib.request

    url = json.loads(world.file.read_text())["xero"]["url"]
    request = urllib.request.Request(
        f"{url}/sandbox/settings", json.dumps({"calls_per_minute": limit}).encode(), {"Content-Type": "application/json"}, method="PATCH"
    )
    urllib.request.urlopen(request, timeout=10).close()


def timed(fleet: Fleet, count: int, extra: dict[str, Any]) -> tuple[float, float]:
    """Refresh all hosts; return wall time and CPU time."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    started = time.monotonic()
    done = subprocess.run(
        fleet.command("--forks", str(count), extra=extra), cwd=ROOT, env=fleet.environment, capture_output=True, text=True, check=False, timeout=7200
    )
    seconds = time.monotonic() - started
    if done.returncode:
        raise RuntimeError(done.stdout[-4000:] + done.stderr[-2000:])
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return seconds, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    """Measure and print."""
    given = arguments(__doc__ or "")
    limit = QUICK_LIMIT if given.quick else LIMIT
    rows: list[Row] = []
    notes: list[str] = []
    with tempfile.TemporaryDirectory(prefix="bench_fleet_") as folder:
        world = World(Path(folder) / "world")
        world.start()
        try:
            set_limit(world, limit)
            alone = 0.0
            first = 100
            for count in (1, 2, 5, 10):
                say(f"{count} hosts")
                hosts = {f"dev{first + at}": host(first + at, **organisation_of_its_own(world, f"Demo Company {first + at}")) for at in range(count)}
                first += count
                seconds, cpu = timed(Fleet(world, hosts), count, {"xero_seed_calls_per_minute": limit})
                alone = alone or seconds
                least = cpu / (os.cpu_count() or 1)
                measured = f"{seconds:.0f} s ({cpu:.0f} s CPU)"
                bound = "CPU" if least > 0.6 * seconds else "Xero's limit" if not given.quick else "waiting for servers and processes"
                # where the CPUs are too few for all at once, what is measured against is their time
                fair = max(alone, least)
                rows.append(Row(f"{count} hosts", measured, f"{fair:.0f} s", seconds / fair, 1.3))
                notes.append(f"{count} hosts: {seconds / alone:.2f} times the time of one; the CPUs alone would take {least:.0f} s; bound by {bound}.")
        finally:
            world.remove()
    report("Many hosts", WORDS, rows, notes)


if __name__ == "__main__":
    main()
