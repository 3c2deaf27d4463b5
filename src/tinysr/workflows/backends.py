"""Backends that hold a bundle's artifacts against the eager model."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from tinysr.errors import BundleError, MissingBackendError, UnsupportedError
from tinysr.runtime.bundle import Bundle
from tinysr.runtime.registry import BACKENDS, create
from tinysr.runtime.session import Backend

__all__ = ["backends_of_targets", "choose_backends"]


def choose_backends(bundle: Bundle, names: Sequence[str] = ()) -> list[Backend]:
    """Return the backends of some names; without names, all that can run the bundle here.

    Raises:
        UnsupportedError: an unknown backend, or the reference itself.
        MissingBackendError: one that this machine lacks.
        BundleError: no names were given, and no backend fits.
    """
    chosen = [create(name) for name in dict.fromkeys(names)]
    for backend in chosen:
        ready = backend.status()
        if backend.reference:
            raise UnsupportedError(f"the backend {backend.name} is the reference: choose another")
        if not ready.ready:
            raise MissingBackendError(
                f"the backend {backend.name} can't run here ({ready.detail}): {ready.remedy}"
            )
    if chosen:
        return chosen
    every = [kind() for kind in BACKENDS if not kind.reference]
    fitting = [b for b in every if bundle.artifacts(b.target) and _can_run(b, bundle)]
    if not fitting:
        raise BundleError(
            f"{bundle.folder}: no backend of this machine can open its artifacts: "
            "see `tinysr doctor`"
        )
    return fitting


def backends_of_targets(bundle: Bundle, targets: Iterable[str]) -> list[Backend]:
    """Return the backends that can run a bundle's artifacts of some targets here."""
    wanted = set(targets)
    kinds = [kind() for kind in BACKENDS if kind.target in wanted]
    return [kind for kind in kinds if _can_run(kind, bundle)]


def _can_run(backend: Backend, bundle: Bundle) -> bool:
    own = bundle.artifacts(backend.target)
    return backend.status().ready and not any(backend.explain_unfit(bundle, a) for a in own)
