"""Inputs and outputs of the stages that a search compares plans on, and measured ranges."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch

from tinysr.export.model.baked import Baked, make_batch
from tinysr.export.model.equalise import equalise, find_equalisable
from tinysr.export.plans.quantization import (
    Equalised,
)
from tinysr.progress import Progress
from tinysr.stages import StageName, Tiles
from tinysr.suite import suite

from ..ranges.images import calibration_images
from ..ranges.inputs import METHODS, exponents, measure_layer_inputs
from ..traced.fake import fake_quantize
from .sensitivity import (
    Example,
    errors,
    make_example,
)

__all__ = ["CROP", "EXAMPLES", "Ranges", "find_ranges", "make_examples"]


CROP = 48
"""Low-resolution pixels of the examples: enough to rank layers by."""


EXAMPLES = ("astronaut", "hubble", "black", "white", "grey", "text", "noise")


_CALIBRATION_IMAGES = 20


@dataclass(frozen=True, kw_only=True, slots=True)
class Ranges:
    """Ranges and equalisation that int8 is made with."""

    method: str
    values: Mapping[str, float]
    equalise: tuple[Equalised, ...]

    @classmethod
    def empty(cls) -> Ranges:
        """Return the ranges of a precision that has none."""
        return cls(method="", values={}, equalise=())


def find_ranges(baked: Baked, tile: int, seed: int, tell: Progress) -> Ranges:
    """Return the best method's ranges, with equalisation in the stages that it helps."""
    images = calibration_images(tile, seed=seed, limit=_CALIBRATION_IMAGES)
    examples = make_examples(baked, tile)
    seen = measure_layer_inputs(baked, images, tell)
    entries = tuple(
        Equalised(module=path, exponents=exponents(seen[path], baked.get_submodule(path)))
        for path in find_equalisable(baked)
        if path in seen
    )
    entries = tuple(e for e in entries if any(e.exponents))
    even = equalise(baked, entries)
    evenly_seen = measure_layer_inputs(even, images, tell)
    values: dict[str, float] = {}
    taken: list[Equalised] = []
    methods = []
    for stage in baked.chain.names:
        tried = {}
        for equal, model, inputs in ((False, baked, seen), (True, even, evenly_seen)):
            own = {path: i for path, i in inputs.items() if path.startswith(f"{stage}.")}
            for name, method in METHODS.items():
                ranges = {path: method(i) or 1.0 for path, i in own.items()}
                fake = fake_quantize(model, dict.fromkeys(ranges, "int8"), ranges)
                # The middle example and not the worst, which a single layer may decide.
                score = float(np.median(np.log(errors(fake, stage, examples[stage]) + 1e-30)))
                tried[name, equal] = score, ranges
        name, equal = min(tried, key=lambda key: tried[key][0])
        values |= tried[name, equal][1]
        if equal:
            taken += [e for e in entries if e.module.startswith(f"{stage}.")]
        methods.append(f"{stage}: {name}" + (", equalised" if equal else ""))
    return Ranges(method="; ".join(methods), values=values, equalise=tuple(taken))


def make_examples(model: Baked, tile: int) -> dict[StageName, list[Example]]:
    """Return what the stages read and make of some images; crops, but for tiles."""
    chain = model.chain
    found: dict[StageName, list[Example]] = {stage: [] for stage in chain.names}
    for image in suite(tile):
        if image.name not in EXAMPLES:
            continue
        x = make_batch(chain, image.pixels)
        for stage in chain.stages:
            part = model.get_submodule(stage.name)
            with torch.inference_mode():
                given, whole = x, part(x)
                if not isinstance(stage.division, Tiles):
                    side = min(tile, CROP) * chain.scale // chain.field(stage.reads).pixels_per_cell
                    given = x[..., :side, :side].contiguous()
                expected = whole if given is x else part(given)
            example = make_example(image.name, given.numpy(), expected.numpy(), stage)
            found[stage.name].append(example)
            x = whole
    return found
