"""How much memory a restore may take for building indexes."""
from __future__ import annotations

SHARE = 8
"""All jobs together take at most such a part of the memory that is available."""
MOST = 256 << 20
"""The keys of some million rows are sorted in it without a file: 4 % of the processor time of a restore of 1 GB, 18 % in another run on a busy machine."""
_MEMINFO = "/proc/meminfo"


def available_memory() -> int:
    """Return the bytes of memory that can be had without swapping, 0 where the system does not say."""
    try:
        with open(_MEMINFO, encoding="ascii") as file:
            for line in file:
                if line.startswith("MemAvailable:"):
                    return int(line.split()[1]) * 1024
    except (OSError, ValueError, IndexError):
        return 0
    return 0


def sort_memory(available: int, *, jobs: int) -> int:
    """Return the bytes that each of ``jobs`` jobs may sort with."""
    return min(MOST, available // (SHARE * max(jobs, 1)))
