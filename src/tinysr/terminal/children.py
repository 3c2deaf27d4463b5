"""Programs that this one starts, and what they print."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence

__all__ = ["run_child"]


def run_child(command: Sequence[str]) -> subprocess.CompletedProcess[str]:
    """Run a program to its end, and return what it printed, whatever encoding is asked of us."""
    return subprocess.run(  # noqa: S603  the callers' own words
        command,
        env={**os.environ, "PYTHONIOENCODING": "utf-8"},
        capture_output=True,
        encoding="utf-8",
        errors="replace",
        check=False,
    )
