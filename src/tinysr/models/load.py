"""A preset's name or a checkpoint's path → the eager model."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tinysr import paths
from tinysr.errors import CheckpointError, UnsupportedError
from tinysr.manifest import Source
from tinysr.models.checkpoints import tensors_sha256
from tinysr.models.families.registry import detect, find_preset
from tinysr.models.families.tinysr.model import TinySR
from tinysr.models.family import OneStepModel, ReadOptions
from tinysr.models.one_step import OneStep

__all__ = ["Loaded", "load", "load_checkpoint"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Loaded:
    """A model and where it came from."""

    model: OneStepModel
    """Model in eval mode, fp32, no gradients."""
    source: Source

    @property
    def tinysr(self) -> TinySR:
        """The model of what only TinySR has: training, and pruning.

        Raises:
            UnsupportedError: it is of another family.
        """
        return _require_tinysr(self.model, self.source.name)

    @property
    def teacher(self) -> OneStep:
        """The model of what a student learns from: latents, and the velocity in them.

        Raises:
            UnsupportedError: it has none.
        """
        if not isinstance(self.model, OneStep):
            raise UnsupportedError(
                f"{self.source.name}: expected a teacher with latents and a velocity, as TSD-SR or "
                f"TinySR, found a model of the family {self.model.facts['family']}"
            )
        return self.model


def load(name_or_folder: str | Path, *, layers: Sequence[int] | None = None) -> TinySR:
    """Return a TinySR model of a preset or a checkpoint: eval mode, fp32, no gradients.

    Args:
        name_or_folder: a preset, or the path of a checkpoint's folder or .safetensors file.
        layers: the transformer layers to keep of a full SD3 checkpoint; all if None.

    Raises:
        UnsupportedError: there is no such preset or path, or layers can't be chosen here.
        CheckpointError: the checkpoint can't be used; the message names what is wrong.
    """
    kept = None if layers is None else tuple(layers)
    opened = _open(name_or_folder, ReadOptions(layers=kept))  # its hash takes seconds
    return _require_tinysr(opened.model, opened.name)


def load_checkpoint(
    name_or_folder: str | Path, *, layers: Sequence[int] | None = None, trust: bool = False
) -> Loaded:
    """Return a model of any family, and the source that a manifest records.

    Args:
        name_or_folder: a preset, or the path of a checkpoint.
        layers: the transformer layers to keep of a full SD3 checkpoint; all if None.
        trust: whether a file may be opened that can run any code.

    Raises:
        UnsupportedError: there is no such preset or path, or an option has no effect here.
        CheckpointError: the checkpoint can't be used; the message names what is wrong.
    """
    kept = None if layers is None else tuple(layers)
    opened = _open(name_or_folder, ReadOptions(layers=kept, trust=trust))
    source = Source(
        kind=opened.kind,
        name=opened.name,
        sha256=opened.model.sha256 or tensors_sha256(opened.model.state_dict()),
        lora_sha256=opened.lora_sha256,
        layers=kept,
        trained=opened.trained,
    )
    return Loaded(model=opened.model, source=source)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Opened:
    """A source whose hash, which takes seconds at full size, is not computed yet."""

    model: OneStepModel
    kind: str
    name: str
    lora_sha256: str | None = None
    trained: bool = True


def _open(name_or_folder: str | Path, options: ReadOptions) -> _Opened:
    name = str(name_or_folder)
    family = find_preset(name)
    if family is None:
        return _open_path(Path(name_or_folder), options)
    if options.layers is not None:
        raise UnsupportedError(f"layers can't be chosen from the preset '{name}'")
    model, trained = family.load_preset(name), name not in family.untrained
    return _Opened(model=model, kind="preset", name=name, trained=trained)


def _open_path(path: Path, options: ReadOptions) -> _Opened:
    with _report_unreachable(path):
        layout = detect(path)
        found = layout.read(path, options)
    # Not where a link leads: in the caches of other tools, that is named after a hash.
    own = path if path.name not in ("", "..") else paths.follow_links(path)
    return _Opened(
        model=found.model,
        kind=layout.name,
        name=paths.show_name(own),
        lora_sha256=found.lora_sha256,
    )


def _require_tinysr(model: OneStepModel, name: str) -> TinySR:
    if not isinstance(model, TinySR):
        raise UnsupportedError(
            f"{name}: expected a TinySR model, found one of the family {model.facts['family']}: "
            "it can be exported, not trained or pruned"
        )
    return model


@contextmanager
def _report_unreachable(path: Path) -> Iterator[None]:
    """Turn what the system says of a checkpoint's files into one line.

    Raises:
        CheckpointError: a file can't be looked at or read.
    """
    try:
        yield
    except OSError as problem:
        where = problem.filename or path
        raise CheckpointError(f"{where}: can't be accessed: {paths.reason(problem)}") from problem
