"""Peak memory of this program."""

from __future__ import annotations

import sys

__all__ = ["peak_memory"]


def peak_memory() -> str:
    """Return the most memory that was held so far in this or one other process, in words."""
    if sys.platform == "win32":
        return "not measured"
    import resource

    unit = 1 if sys.platform == "darwin" else 1024  # bytes in what the system counts
    who = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)  # engines are built in children
    most = max(resource.getrusage(kind).ru_maxrss for kind in who)
    return f"{most * unit / 1e9:.1f} GB"
