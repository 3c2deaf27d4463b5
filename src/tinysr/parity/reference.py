"""Outputs of the eager model for every image: the reference that artifacts are compared with."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from tinysr.errors import CheckpointError
from tinysr.manifest import Artifact, Manifest, Stage
from tinysr.models import TinySR
from tinysr.progress import Progress
from tinysr.suite.images import SuiteImage

__all__ = [
    "Reference",
    "clamp_expected",
    "compute_further_references",
    "compute_references",
    "list_further_sides",
]

Array = NDArray[np.floating[Any]]


@dataclass(frozen=True, kw_only=True, slots=True)
class Reference:
    """One image, and the eager model's value at every border between its stages, in fp32."""

    image: SuiteImage
    z: Array
    """The encoder's latents ``[C, t, t]``."""
    v: Array
    """The transformer's velocity at z, shaped as z."""
    restored: Array
    """z − v: what the decoder takes."""
    upscaled: Array
    """``[3, 4·tile, 4·tile]``, about [0, 1], not clamped."""

    def ends(self, stage: Stage, latent_scale: float) -> tuple[Array, Array]:
        """Return the input and the expected output of a stage's graph, both without batch.

        Every stage gets the eager model's own input, so that its error is its alone.
        Latents come scaled, as the graphs take and give them.
        """
        scale = np.float32(latent_scale)
        return {
            "encoder": (self.image.pixels, self.z * scale),
            "transformer": (self.z * scale, self.v * scale),
            "decoder": (self.restored * scale, self.upscaled),
            "upscale": (self.image.pixels, self.upscaled),
        }[stage]


def clamp_expected(artifact: Artifact, expected: Array) -> Array:
    """Return what an artifact would give if it were exact.

    Most leave it to their caller to clamp an image to [0, 1]. One that gives 8-bit images clamps
    in its graph, and says so.
    """
    return np.clip(expected, 0, 1) if artifact.options.clamped else expected


def compute_references(
    model: TinySR, images: Iterable[SuiteImage], progress: Progress | None = None
) -> tuple[Reference, ...]:
    """Run the eager model once per image.

    Nothing of the model is kept: drop it before artifacts are opened, and a large model is
    never in memory twice.

    Raises:
        CheckpointError: the model's own output is not finite.
    """
    images = tuple(images)
    references = []
    for done, image in enumerate(images):
        if progress:
            progress("eager model", done, len(images))
        references.append(_reference(model, image))
    if progress:
        progress("eager model", len(images), len(images))
    return tuple(references)


def list_further_sides(manifest: Manifest, artifacts: Iterable[Artifact]) -> tuple[int, ...]:
    """Return the sides of tiles that graphs take beside the bundle's, in low-resolution pixels."""
    named = {side for artifact in artifacts for side in artifact.options.tiles}
    return tuple(sorted(named - {manifest.tile}))


def compute_further_references(
    model: TinySR,
    manifest: Manifest,
    images: Callable[[int], Iterable[SuiteImage]],
    progress: Progress | None = None,
) -> dict[int, tuple[Reference, ...]]:
    """Run the eager model at every size that some graph takes beside the bundle's.

    Args:
        model: the eager model.
        manifest: the bundle's.
        images: the images of a side, such as :func:`suite`.
        progress: told about every image.

    Returns:
        References by the side of their images.
    """
    sides = list_further_sides(manifest, manifest.artifacts)
    return {side: compute_references(model, images(side), progress) for side in sides}


def _reference(model: TinySR, image: SuiteImage) -> Reference:
    with torch.inference_mode():
        z = model.encode(torch.from_numpy(image.pixels)[None])
        v = model.predict(z)
        restored = z - v
        upscaled = model.decode(restored)
    if not torch.isfinite(upscaled).all():
        raise CheckpointError(
            f"the eager model gives NaN or infinity on the image '{image.name}': "
            "its weights can't be used"
        )
    return Reference(
        image=image,
        z=_array(z),
        v=_array(v),
        restored=_array(restored),
        upscaled=_array(upscaled),
    )


def _array(batch: torch.Tensor) -> Array:
    array: Array = batch[0].float().cpu().numpy()
    return array
