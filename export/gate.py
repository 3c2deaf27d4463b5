"""The gate of an export: a bundle that fails it does not get its name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from tinysr import paths, places
from tinysr.errors import BundleError, GateError

from .files import replace_whole

__all__ = ["Gate", "hold"]

REJECTED = ".rejected"
"""Suffix of the name of a bundle that is turned away."""

Gate = Callable[[Path], None]
"""Callback, called with the bundle, still in its temporary place. Raising GateError keeps the
bundle from its name."""


def hold(gate: Gate, work: Path, target: Path) -> None:
    """Ask a gate; what it turns away is kept, for whoever must find out why.

    Args:
        gate: decides.
        work: the bundle in its temporary place.
        target: its name to be. A bundle that fails is kept as ``<target>.rejected``.

    Raises:
        GateError: the gate's, and what became of the bundle.
    """
    try:
        gate(work)
    except GateError as error:
        kept = _reject(work, places.fit_name(target, REJECTED))
        raise GateError(f"{error}; {kept}") from error


def _reject(work: Path, rejected: Path) -> str:
    """Move a bundle that failed its gate out of the way, in place of an older such one.

    Returns:
        What became of it, for the message: the failed gate is what matters.
    """
    try:
        with replace_whole(rejected, overwrite=True) as folder:
            for item in paths.list_folder(work, BundleError):
                item.rename(folder / item.name)
    except BundleError as error:
        return f"the bundle is not kept: {error}"
    return f"the bundle is kept as {rejected}"
