"""Run one module as a process of its own: ``module_process.py <name> <file for figures>``, its parameters as JSON on standard input.

It is what Ansible does on a host, without the packing. At the end the process notes its own peak memory: of a parent's view of its
children the kernel says too much (a child begins with its parent's peak).
"""
from __future__ import annotations

import re
import runpy
import sys
from pathlib import Path

import ansible.module_utils

ROOT = Path(__file__).resolve().parents[2]


def main() -> None:
    """Run the module; it ends the process."""
    name, figures = sys.argv[1:3]
    ansible.module_utils.__path__.append(str(ROOT / "module_utils"))
    # without arguments a module reads standard input
    sys.argv = [name]
    try:
        runpy.run_path(str(ROOT / "library" / f"{name}.py"), run_name="__main__")
    finally:
        found = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
        Path(figures).write_text(found[1] if found else "0")


if __name__ == "__main__":
    main()
