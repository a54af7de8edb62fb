"""How long a run takes that finds nothing to do: single modules, and the whole playbook in the demo's world."""
from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from bench_restore import make_dump
from measuring import ROOT, Cluster, Row, arguments, cluster, fill_seed_tables, report, run_module, say, wait_for_quiet
from xero_sandbox.testing import SandboxServer

WORDS = """\
Modules: the wall time of the module's process, Python's start and imports included, when all is current: pg_refresh state=staged with the dump that
is in (it takes the dump's hash and looks at the databases), xero_seed where every row is linked (it reads both lists). "Through ansible" is the
command `ansible localhost -m <module>`; what `-m ping` takes is Ansible's own. Playbook: `ansible-playbook restore_dev.yml` for the second time in a
demo world of its own, with the share of each phase. The best of several runs counts."""


def ad_hoc(module: str, params: Mapping[str, Any]) -> float:
    """Run a module through Ansible; return the wall time."""
    bin_dir = Path(sys.executable).parent
    environment = {**os.environ, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "PATH": f"{bin_dir}:{os.environ['PATH']}"}
    given = json.dumps({key: value for key, value in params.items() if value is not None})
    command = [str(bin_dir / "ansible"), "localhost", "-i", "localhost,", "-c", "local", "-e", f"ansible_python_interpreter={sys.executable}", "-m", module]
    started = time.monotonic()
    done = subprocess.run([*command, *(["-a", given] if params else [])], cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=300)
    seconds = time.monotonic() - started
    if done.returncode:
        raise RuntimeError(f"{module}: {done.stdout[-2000:]}{done.stderr[-2000:]}")
    return seconds


def best_of(count: int, call: Callable[[], float]) -> float:
    """Return the shortest of several times."""
    found = []
    for _ in range(count):
        wait_for_quiet()
        found.append(call())
    return min(found)


def module_rows(where: Cluster, count: int) -> list[Row]:
    """Measure the modules."""
    rows: list[Row] = []
    ping = best_of(count, lambda: ad_hoc("ping", {}))
    say("pg_refresh")
    dump, size = make_dump(where, 5)
    run_id = "20260101T000000Z-abcdef"
    for state in ("staged", "ready", "live"):
        run_module("pg_refresh", where.refresh_params("bench_dev", dump, state=state, run_id=run_id))
    params = where.refresh_params("bench_dev", dump, state="staged")
    assert not run_module("pg_refresh", params).result["changed"]
    seconds = best_of(count, lambda: run_module("pg_refresh", params).seconds)
    rows.append(Row(f"pg_refresh, {size / 1_000_000:.0f} MB database", f"{seconds:.2f} s", "", seconds, 1.5, " s"))
    through = best_of(count, lambda: ad_hoc("pg_refresh", params))
    rows.append(Row("  through ansible, less ping", f"{through:.2f} s", f"{ping:.2f} s", through - ping, None, " s"))
    say("xero_seed")
    fill_seed_tables(where, "bench_seed", 400, 600)
    with SandboxServer(calls_per_minute=10**6, calls_per_day=10**7, app_calls_per_minute=10**6) as sandbox:
        params = where.seed_params("bench_seed", sandbox, calls_per_minute=10**6)
        run_module("xero_seed", params)
        seconds = best_of(count, lambda: run_module("xero_seed", params).seconds)
        rows.append(Row("xero_seed, 400 clients, 600 jobs", f"{seconds:.2f} s", "", seconds, None, " s"))
        through = best_of(count, lambda: ad_hoc("xero_seed", params))
        rows.append(Row("  through ansible, less ping", f"{through:.2f} s", f"{ping:.2f} s", through - ping, None, " s"))
    return rows


def playbook(environment: Mapping[str, str]) -> tuple[float, dict[str, Any]]:
    """Run the playbook; return its wall time and the report."""
    started = time.monotonic()
    command = [str(Path(sys.executable).with_name("ansible-playbook")), "restore_dev.yml"]
    done = subprocess.run(command, cwd=ROOT, env=dict(environment), capture_output=True, text=True, check=False, timeout=900)
    seconds = time.monotonic() - started
    if done.returncode:
        raise RuntimeError(f"The playbook failed: {done.stdout[-3000:]}{done.stderr[-2000:]}")
    return seconds, json.loads((Path(environment["DEV_REFRESH_WORLD"]) / "reports" / "dev1.json").read_text())


def playbook_rows(count: int) -> list[Row]:
    """Measure the second run of the playbook in a world of its own."""
    with tempfile.TemporaryDirectory(prefix="dev_refresh_bench_world_") as folder:
        environment = {
            **os.environ, "DEV_REFRESH_WORLD": folder, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "PYTHONPATH": str(ROOT / "demo"),
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        }  # fmt: skip
        world = [sys.executable, "-m", "world"]
        say("the demo's world")
        subprocess.run([*world, "start"], env=environment, check=True, stdout=subprocess.DEVNULL)
        try:
            first, _ = playbook(environment)
            runs = []
            for _ in range(count):
                wait_for_quiet()
                runs.append(playbook(environment))
        finally:
            subprocess.run([*world, "reset"], env=environment, check=True, stdout=subprocess.DEVNULL)
    seconds, found = min(runs, key=lambda run: run[0])
    rows = [Row("playbook, second run", f"{seconds:.1f} s", f"first run {first:.1f} s", seconds, 15, " s")]
    phases = [(phase["name"], phase["status"], float(phase["seconds"])) for phase in found["phases"]]
    rows += [Row(f"  {name} ({status})", f"{took:.2f} s", "", took / seconds * 100, None, " %") for name, status, took in phases]
    rest = seconds - sum(took for _, _, took in phases)
    rows.append(Row("  Ansible's start and end", f"{rest:.2f} s", "", rest / seconds * 100, None, " %"))
    return rows


def main() -> None:
    """Measure and print."""
    count = 2 if arguments(__doc__ or "").quick else 5
    with cluster() as where:
        rows = module_rows(where, count)
    report("Nothing to do", WORDS, [*rows, *playbook_rows(count)])


if __name__ == "__main__":
    main()
