"""What a program said of its result, on a machine of any speed."""

from __future__ import annotations

import re

__all__ = ["said"]


def said(errors: str) -> list[str]:
    """Return lines of the error output without those of how far a slow run was."""
    lines = errors.strip().splitlines()
    return [line for line in lines if not re.match(r"after \d+ s: ", line)]
