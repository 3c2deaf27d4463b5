"""Outputs of the eager model for every image: the reference that artifacts are compared with."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from tinysr.chain import Chain
from tinysr.enlarging import prepare_image
from tinysr.errors import CheckpointError
from tinysr.manifest import Artifact, Manifest
from tinysr.models.family import OneStepModel
from tinysr.progress import Progress
from tinysr.stages import IMAGE, Field
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
    fields: Mapping[str, Array]
    """Values of every field of the chain ``[C, H, W]``, by its name, in the model's own units."""

    def ends(self, graph: str, chain: Chain) -> tuple[Array, Array]:
        """Return the input and the expected output of a graph, both without batch.

        Every stage gets the eager model's own input, so that its error is its alone. Values are in
        the units of the chain, which are those of the graphs.
        """
        reads, gives = (self._take(field) for field in chain.ends(graph))
        return reads, gives

    def _take(self, field: Field) -> Array:
        return self.fields[field.name] * np.float32(field.unit)


def clamp_expected(artifact: Artifact, expected: Array) -> Array:
    """Return what an artifact would give if it were exact.

    Most leave it to their caller to clamp an image to [0, 1]. One that gives 8-bit images clamps
    in its graph, and says so.
    """
    return np.clip(expected, 0, 1) if artifact.options.clamped else expected


def compute_references(
    model: OneStepModel, images: Iterable[SuiteImage], progress: Progress | None = None
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
    model: OneStepModel,
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


def _reference(model: OneStepModel, image: SuiteImage) -> Reference:
    chain = model.chain(image.pixels.shape[-1])
    fields: dict[str, Array] = {IMAGE: prepare_image(chain, image.pixels)}
    x = torch.from_numpy(fields[IMAGE])[None]
    with torch.inference_mode():
        for stage in chain.stages:
            x = model.run_stage(stage.name, x)
            fields[stage.gives] = _array(x)
    if not torch.isfinite(x).all():
        raise CheckpointError(
            f"the eager model gives NaN or infinity on the image '{image.name}': "
            "its weights can't be used"
        )
    return Reference(image=image, fields=fields)


def _array(batch: torch.Tensor) -> Array:
    array: Array = batch[0].float().cpu().numpy()
    return array
