"""Origin of a bundle: the checkpoint, the proof of its baking, and the machine."""

from __future__ import annotations

from tinysr.entries import Sha256
from tinysr.records import StrictRecord

__all__ = ["BakeProof", "Host", "Source"]


class Source(StrictRecord):
    """The checkpoint a bundle was made from."""

    kind: str
    """The layout that was detected: preset, released, sd3 or single-file."""
    name: str
    """A preset's name, or the checkpoint folder's own name."""
    sha256: Sha256
    """Hash over every tensor of the checkpoint, names and shapes included, LoRA merged."""
    lora_sha256: Sha256 | None = None
    layers: tuple[int, ...] | None = None
    """The transformer layers that were kept of a full SD3 checkpoint; null when all were."""
    trained: bool
    """False for a preset that has a seed in place of weights."""


class BakeProof(StrictRecord):
    """The baked model held against the eager one, in fp32."""

    difference: float
    """Largest absolute difference over the largest absolute value of the eager output."""
    tolerance: float
    passes: tuple[str, ...]
    """The passes that were run, in order."""


class Host(StrictRecord):
    """The machine that made the bundle."""

    system: str
    machine: str
    python: str
