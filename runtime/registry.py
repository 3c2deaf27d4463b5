"""The backends, in the order in which `auto` prefers them, and how one of them is chosen."""

from __future__ import annotations

from dataclasses import dataclass, replace

from tinysr.errors import (
    BundleError,
    MissingBackendError,
    TinySRError,
    UnsupportedError,
    choice_error,
)
from tinysr.manifest import Verdict

from .backends.coreai import CoreAIBackend
from .backends.coreml import CoreMLBackend
from .backends.eager import EagerBackend
from .backends.onnxruntime import OnnxRuntimeBackend
from .backends.openvino import OpenVinoBackend
from .backends.tensorrt import TensorRTBackend
from .bundle import Bundle
from .session import Backend, RunOptions

__all__ = ["AUTO", "BACKENDS", "Choice", "choose", "create"]

AUTO = "auto"
"""The name that leaves the choice to :func:`choose`."""

BACKENDS: tuple[type[Backend], ...] = (
    TensorRTBackend,  # the fastest where there is an NVIDIA GPU
    OpenVinoBackend,  # on a CPU the fastest
    OnnxRuntimeBackend,  # runs everywhere
    CoreMLBackend,  # on a Mac; elsewhere it only tells whether a package is right
    CoreAIBackend,  # likewise
    EagerBackend,  # the reference: only by name
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Choice:
    """The backend that was chosen, and why."""

    backend: str
    precision: str
    reason: str
    others: tuple[str, ...] = ()
    """Reasons why the backends before it were not chosen, each as "name: reason"."""

    def __str__(self) -> str:
        skipped = f" (not {'; not '.join(self.others)})" if self.others else ""
        return f"{self.backend} {self.precision}: {self.reason}{skipped}"


def create(name: str, options: RunOptions | None = None) -> Backend:
    """Return a backend by name.

    Raises:
        UnsupportedError: there is none of this name, or it does not offer an option.
    """
    for backend in BACKENDS:
        if backend.name == name:
            return backend(options)
    raise choice_error("backend", name, (AUTO, *(backend.name for backend in BACKENDS)))


def choose(
    bundle: Bundle,
    name: str = AUTO,
    precision: str | None = None,
    options: RunOptions | None = None,
) -> tuple[Backend, Choice]:
    """Choose a backend for a bundle.

    `auto` takes the first one that this machine has and whose artifacts passed parity. A backend
    asked for by name is taken or refused; one whose artifacts were never compared is taken, and
    the choice says so.

    Args:
        bundle: the bundle to run.
        name: `auto` or a backend's name.
        precision: of the artifacts; None takes the bundle's first that passed.
        options: how the backend is to run.

    Raises:
        BundleError: the bundle has no such artifacts, or they failed their gate.
        MissingBackendError: this machine lacks what is needed.
        UnsupportedError: an unknown name or option.
    """
    options = options or RunOptions()
    if name == AUTO:
        return _choose_automatically(bundle, precision, options)
    backend = create(name, options)
    found, verdict = _find_best(bundle, backend, precision)
    if verdict.result == "fail":
        raise BundleError(
            f"{bundle.folder}: {name} {found} {_describe_verdict(verdict)}: "
            "export it again, or choose another backend or precision"
        )
    said = "it is the reference" if backend.reference else f"it {_describe_verdict(verdict)}"
    reason = f"asked for by name; {said}"
    backend.demand()
    return backend, Choice(
        backend=name, precision=found, reason=_describe_provider(backend, reason)
    )


def _choose_automatically(
    bundle: Bundle, precision: str | None, options: RunOptions
) -> tuple[Backend, Choice]:
    if options.model is not None:
        raise UnsupportedError("a model of your own needs the backend eager, asked for by name")
    everything = [kind for kind in BACKENDS if not kind.reference]
    # What the bundle has nothing for is not a choice that was not taken.
    candidates = [kind for kind in everything if bundle.artifacts(kind.target)] or everything
    providers = {provider for kind in everything for provider in kind.providers}
    if options.provider is not None and options.provider not in providers:
        raise choice_error("provider", options.provider, providers)
    others: list[str] = []
    missing = False
    for kind in candidates:
        try:
            backend, choice = _qualify(bundle, kind(options), precision)
        except TinySRError as error:
            others.append(f"{kind.name}: {error}")
            missing |= isinstance(error, MissingBackendError)
        else:
            return backend, replace(choice, others=tuple(others))
    kind_of_error = MissingBackendError if missing else BundleError
    raise kind_of_error(
        f"{bundle.folder}: no backend works here with artifacts that passed parity: "
        f"{'; '.join(others)}"
    )


def _qualify(bundle: Bundle, backend: Backend, precision: str | None) -> tuple[Backend, Choice]:
    """Return the choice of a backend that `auto` may take, or raise why it may not."""
    found, verdict = _find_best(bundle, backend, precision)
    if verdict.result != "pass":
        raise BundleError(f"{found} {_describe_verdict(verdict)}")
    backend.demand()
    reason = f"the first that works here and {_describe_verdict(verdict)}"
    return backend, Choice(
        backend=backend.name, precision=found, reason=_describe_provider(backend, reason)
    )


def _find_best(bundle: Bundle, backend: Backend, precision: str | None) -> tuple[str, Verdict]:
    """Return a precision and its stages' worst verdict: the one asked for, or the best."""
    stages = bundle.manifest.chain.names
    have = backend.precisions(bundle, stages)
    wanted = have if precision is None else (precision,)
    if not wanted or any(name not in have for name in wanted):
        asked = f"{backend.target} artifacts" + (f" in {precision}" if precision else "")
        found = ", ".join(have) or "none"
        raise BundleError(
            f"{bundle.folder}: the backend {backend.name} needs {asked} of the stages "
            f"{', '.join(stages)}: found {found}; make them with `tinysr export`"
        )
    verdicts = {name: _find_worst(bundle, backend, name) for name in wanted}
    best = min(wanted, key=lambda name: _RANK[verdicts[name].result])
    return best, verdicts[best]


_RANK = {"pass": 0, "not run": 1, "fail": 2}


def _find_worst(bundle: Bundle, backend: Backend, precision: str) -> Verdict:
    """Return the worst verdict of the stages; among equals, that of the lowest PSNR."""
    verdicts = [
        backend.artifact(bundle, stage, precision).parity for stage in bundle.manifest.chain.names
    ]

    def badness(verdict: Verdict) -> tuple[int, float]:
        worst = float("inf") if verdict.worst_db is None else verdict.worst_db
        return -_RANK[verdict.result], worst

    return min(verdicts, key=badness)


def _describe_verdict(verdict: Verdict) -> str:
    if verdict.result == "not run":
        return "was never checked by `tinysr parity`"
    words = f"{verdict.result}ed parity"
    if verdict.gate_db is None:
        return words
    worst = "equal bit for bit" if verdict.worst_db is None else f"{verdict.worst_db:.1f} dB"
    image = f" on {verdict.worst_image}" if verdict.worst_image else ""
    return f"{words} ({worst}{image}, the gate is {verdict.gate_db:g} dB)"


def _describe_provider(backend: Backend, reason: str) -> str:
    return f"on {backend.provider}; {reason}" if backend.provider else reason
