"""Seed thousands of clients and jobs without limits, and look at time a row and memory."""
from __future__ import annotations

from measuring import Cluster, Row, Stopwatch, Timed, arguments, best, cluster, fill_seed_tables, in_turn, listed, report, run_module, say
from xero_sandbox.testing import SandboxServer

WORDS = """\
The module xero_seed runs as a process on a real PostgreSQL with as many jobs as clients, none of them in the organisation, against the sandbox
without limits and without latency on the same machine: what is left is the work of the module, the database and the sandbox. Time a row is
compared with that of 1,000 clients (2,000 rows). Then each seed runs again with nothing to do. Peak memory is that of the module's process."""


def seeded(where: Cluster, count: int) -> Timed:
    """Seed ``count`` clients and jobs, and once more."""
    database = "bench_dev"
    fill_seed_tables(where, database, count, count)
    with SandboxServer(calls_per_minute=10**6, calls_per_day=10**7, app_calls_per_minute=10**6) as sandbox:
        params = where.seed_params(database, sandbox, calls_per_minute=10**6)
        with Stopwatch(where) as watch:
            run = run_module("xero_seed", params)
        assert run.result["contacts"]["created"] == run.result["projects"]["created"] == count, run.result
        again = run_module("xero_seed", params)
        assert not again.result["changed"], again.result
    where.drop_database(database)
    return watch.timed((run, again), run.seconds)


def main() -> None:
    """Measure and print."""
    quick = arguments(__doc__ or "").quick
    sizes = (1000, 5000) if quick else (1000, 5000, 10000)
    rows: list[Row] = []
    notes: list[str] = []
    with cluster(fsync="off") as where:
        say(f"sizes {sizes}")
        found = {}
        for size in sizes:
            name = f"{size} clients"
            found[size] = in_turn({name: lambda size=size: seeded(where, size)}, rounds=1, most=1 if quick else 3)[name]
    first = best(found[sizes[0]])
    for size, measured in found.items():
        timed = best(measured)
        again = timed.result[1]
        peak = max(each.peak_mb for one in measured for each in one.result)
        rows.append(Row(f"{size:,} clients and jobs", f"{timed.seconds:.1f} s", "", 2 * size / timed.seconds, None, " rows/s"))
        if size != sizes[0]:
            wall, cpu = ([seconds / rows_of * 500 for seconds, rows_of in pair] for pair in (
                ((timed.seconds, size), (first.seconds, sizes[0])), ((timed.cpu, size), (first.cpu, sizes[0])),
            ))  # fmt: skip
            rows.append(Row(f"  time a row against {sizes[0]:,} clients", f"{wall[0]:.2f} ms", f"{wall[1]:.2f} ms", wall[0] / wall[1], 1.1))
            rows.append(Row("  the same in processor time (without the sandbox)", f"{cpu[0]:.2f} ms", f"{cpu[1]:.2f} ms", cpu[0] / cpu[1]))
        rows.append(Row("  again, with nothing to do", f"{again.seconds:.1f} s", f"{timed.seconds:.1f} s", again.seconds / timed.seconds))
        rows.append(Row("  peak memory", f"{peak:.0f} MB", "", peak, 150, " MB"))
        notes.append(f"{size:,}: {listed(measured)} s (in brackets what others took of the machine, the sandbox among them)")
    report("Seed without limits", WORDS, rows, notes)


if __name__ == "__main__":
    main()
