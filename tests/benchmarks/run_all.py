"""Run all benchmarks one after the other; with ``--quick`` in about eight minutes on two cores."""
from __future__ import annotations

import os
import platform
import subprocess
import sys
import time
from pathlib import Path

SCRIPTS = ("bench_nothing_to_do", "bench_downtime", "bench_seed_scale", "bench_restore", "bench_seed_limits", "bench_fleet")


def main() -> int:
    """Run them; return 1 if one could not be run to its end, or showed a fault that is not a matter of speed."""
    print(f"Python {platform.python_version()}, {os.cpu_count()} processors, load {os.getloadavg()[0]:.1f}. A missed goal fails nothing.", flush=True)
    failed = []
    for script in SCRIPTS:
        started = time.monotonic()
        done = subprocess.run([sys.executable, str(Path(__file__).with_name(f"{script}.py")), *sys.argv[1:]], check=False)
        if done.returncode:
            failed.append(script)
        print(f"({script}: {time.monotonic() - started:.0f} s)", flush=True)
    if failed:
        print(f"Failed: {', '.join(failed)}", file=sys.stderr)
    return int(bool(failed))


if __name__ == "__main__":
    sys.exit(main())
