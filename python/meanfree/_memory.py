"""Refuse what does not fit in memory before it is allocated."""

from __future__ import annotations

import os
from pathlib import Path

_SMALL = 2**20  # bytes that are not asked for: to ask takes as long as a small Hessian


def available_memory() -> int | None:
    """Return how many bytes may still be allocated, or None if the system does not say."""
    found = []
    try:
        for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines():
            if line.startswith("MemAvailable:"):
                found.append(1024 * int(line.split()[1]))
    except (OSError, ValueError, IndexError):
        pass
    try:  # of a container
        group = Path("/sys/fs/cgroup")
        limit = int((group / "memory.max").read_text(encoding="ascii"))
        used = int((group / "memory.current").read_text(encoding="ascii"))
        found.append(max(0, limit - used))
    except (OSError, ValueError):
        pass
    if not found:
        try:
            found.append(os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
        except (AttributeError, OSError, ValueError):
            return None
    return min(found)


def require_memory(what: str, wanted: int, instead: str) -> None:
    """Raise MemoryError if fewer bytes than wanted are available."""
    available = available_memory() if wanted > _SMALL else None
    if available is not None and wanted > available:
        msg = f"{what} {wanted} bytes, {available} are available: {instead}"
        raise MemoryError(msg)
