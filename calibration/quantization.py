"""From a model to its quantization plan: ranges, equalisation, and the layers to keep.

1. Ranges (int8): every method's are tried on all layers at once, and the best are taken.
2. Equalisation (int8): taken for the stages that it helps.
3. Each layer's share of the error is measured alone, and the fewest layers are kept for the sum
   of the others to stay within the target, which is the precision's gate and some room.
4. The plan is held against the whole budget; while it fails, the target is raised.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from tinysr.errors import GateError
from tinysr.export import bake
from tinysr.export.baked import BakedTinySR
from tinysr.export.equalise import equalisable, equalised
from tinysr.export.quantization import KEPT_IN, Equalised, Format, KeptLayer, QuantizationPlan
from tinysr.export.quantize import layers
from tinysr.manifest import Stage
from tinysr.models import Loaded
from tinysr.parity import Progress, gate_db, measure, suite

from .fake import fake_quantized
from .images import SEED, DegradedPhoto, calibration_images, degraded_photos
from .inputs import METHODS, exponents, layer_inputs
from .sensitivity import STAGES, Example, Shares, errors, example, promote, shares, worst_db

__all__ = ["LOST_DB", "BudgetResult", "find_quantization", "held_to_budget"]

LOST_DB = 0.3
"""PSNR against the ground truth of degraded photos that int8 may lose, on average."""

ROOM_DB = 2.0
"""What the first plan leaves under the gate: errors of stages add up, and examples are few."""

_STEP_DB = 1.5
_MOST_TRIES = 12

_CROP = 48
"""Low-resolution pixels of the examples: enough to rank layers by."""

_EXAMPLES = ("astronaut", "hubble", "black", "white", "grey", "text", "noise")

_CALIBRATION_IMAGES = 20

_FORMATS: dict[Format, tuple[Format, ...]] = {"int8": ("int8",), "w8": ("w8",), "w4": ("w4", "w8")}
"""What a layer may have, from the smallest on; the last resort is fp32."""

Array = NDArray[np.float32]


@dataclass(frozen=True, kw_only=True, slots=True)
class BudgetResult:
    """A plan, held against its budget.

    What int8 leaves in fp16 is taken in fp32 here: the error is far under that of integers.
    Whether it overflows is the precision plan's business, and the gate's.
    """

    image: str
    worst_db: float
    """Lowest PSNR against fp32, of any stage's or the whole model's output."""
    lost_db: float
    """Mean PSNR against the ground truth that is lost."""
    gate_db: float

    @property
    def passed(self) -> bool:
        """All of the budget is kept."""
        return self.worst_db >= self.gate_db and self.lost_db <= LOST_DB

    @property
    def said(self) -> str:
        """The result in a few words."""
        return (
            f"{self.worst_db:.1f} dB on {self.image} (at least {self.gate_db:g}), "
            f"{self.lost_db:.2f} dB lost on degraded photos (at most {LOST_DB:g})"
        )


def find_quantization(
    loaded: Loaded,
    precision: Format,
    *,
    tile: int,
    seed: int = SEED,
    state: Path | None = None,
    progress: Progress | None = None,
) -> tuple[QuantizationPlan, BudgetResult]:
    """Find the plan of a model for a precision, and what it makes of its budget.

    Args:
        loaded: the model.
        precision: what its layers are to be in.
        tile: side in low-resolution pixels.
        seed: of the degradations.
        state: a folder that keeps the sensitivities, so that an interrupted search goes on.
        progress: told what is being measured.

    Raises:
        CalibrationError: the state can't be written.
        GateError: no plan holds the budget.
    """
    tell = progress or (lambda *_: None)
    baked = bake(loaded.model, tile)
    found = _Ranges.none() if precision != "int8" else _ranges(baked, tile, seed, tell)
    model = equalised(baked, found.equalise)
    examples = _examples(model, tile)
    wanted = dict.fromkeys(layers(model), _FORMATS[precision])
    cache = state and state / _cache_name(loaded.source.sha256, precision, tile, found)
    measured = shares(model, found.values, wanted, examples, tell=tell, cache=cache)
    budget = _Budget(baked, tile, seed, gate_db(precision), tell)
    target = gate_db(precision) + ROOM_DB
    for _ in range(_MOST_TRIES):
        formats = {p: f for stage in STAGES for p, f in promote(measured, stage, target).items()}
        plan = QuantizationPlan(
            model_sha256=loaded.source.sha256,
            tile=tile,
            precision=precision,
            method=found.method,
            keep=tuple(_kept(precision, formats, measured, examples)),
            ranges={p: found.values[p] for p, f in formats.items() if f == "int8"},
            equalise=tuple(e for e in found.equalise if formats[e.module] == "int8"),
        )
        tell(f"holding the plan for {precision} against its budget", 0, 1)
        result = budget.result(plan)
        if result.passed:
            return plan, result
        target += max(_STEP_DB, budget.gate - result.worst_db)
    raise GateError(f"no plan for {precision} holds: {result.said}")


def held_to_budget(
    loaded: Loaded, plan: QuantizationPlan, *, seed: int = SEED, progress: Progress | None = None
) -> BudgetResult:
    """Say what a plan, perhaps edited by hand, makes of the suite and of degraded photos.

    Raises:
        CalibrationError: the plan is another model's, or names layers that this one lacks.
    """
    plan.for_model(loaded.source.sha256)
    baked = bake(loaded.model, plan.tile)
    tell = progress or (lambda *_: None)
    return _Budget(baked, plan.tile, seed, gate_db(plan.precision), tell).result(plan)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Ranges:
    """How int8 is made."""

    method: str
    values: Mapping[str, float]
    equalise: tuple[Equalised, ...]

    @classmethod
    def none(cls) -> _Ranges:
        return cls(method="", values={}, equalise=())


def _ranges(baked: BakedTinySR, tile: int, seed: int, tell: Progress) -> _Ranges:
    """Return the best method's ranges, with equalisation in the stages that it helps."""
    images = calibration_images(tile, seed=seed, limit=_CALIBRATION_IMAGES)
    examples = _examples(baked, tile)
    seen = layer_inputs(baked, images, tell)
    entries = tuple(
        Equalised(module=path, exponents=exponents(seen[path], baked.get_submodule(path)))
        for path in equalisable(baked)
        if path in seen
    )
    entries = tuple(e for e in entries if any(e.exponents))
    even = equalised(baked, entries)
    evenly_seen = layer_inputs(even, images, tell)
    values: dict[str, float] = {}
    taken: list[Equalised] = []
    methods = []
    for stage in STAGES:
        tried = {}
        for equal, model, inputs in ((False, baked, seen), (True, even, evenly_seen)):
            own = {path: i for path, i in inputs.items() if path.startswith(f"{stage}.")}
            for name, method in METHODS.items():
                ranges = {path: method(i) or 1.0 for path, i in own.items()}
                fake = fake_quantized(model, dict.fromkeys(ranges, "int8"), ranges)
                # The middle example and not the worst, which a single layer may decide.
                score = float(np.median(np.log(errors(fake, stage, examples[stage]) + 1e-30)))
                tried[name, equal] = score, ranges
        name, equal = min(tried, key=lambda key: tried[key][0])
        values |= tried[name, equal][1]
        if equal:
            taken += [e for e in entries if e.module.startswith(f"{stage}.")]
        methods.append(f"{stage}: {name}" + (", equalised" if equal else ""))
    return _Ranges(method="; ".join(methods), values=values, equalise=tuple(taken))


def _cache_name(sha256: str, precision: Format, tile: int, ranges: _Ranges) -> str:
    told = [e.model_dump() for e in ranges.equalise]
    key = json.dumps([sha256, tile, _EXAMPLES, _CROP, dict(ranges.values), told])
    return f"shares-{precision}-{hashlib.sha256(key.encode()).hexdigest()[:16]}.json"


def _examples(model: BakedTinySR, tile: int) -> dict[Stage, list[Example]]:
    """Return what the stages read and make of some images; crops, but for the transformer."""
    side = min(tile, _CROP)
    found: dict[Stage, list[Example]] = {stage: [] for stage in STAGES}
    for image in suite(tile):
        if image.name not in _EXAMPLES:
            continue
        with torch.inference_mode():
            pixels = torch.from_numpy(image.pixels)[None]
            z = model.encoder(pixels)
            v = model.transformer(z)
            crop = pixels[..., :side, :side].contiguous()
            latents = (z - v)[..., : side // 2, : side // 2].contiguous()
            ends: dict[Stage, tuple[torch.Tensor, torch.Tensor]] = {
                "encoder": (crop, model.encoder(crop)),
                "transformer": (z, v),
                "decoder": (latents, model.decoder(latents)),
            }
        for stage, (given, expected) in ends.items():
            found[stage].append(example(image.name, given.numpy(), expected.numpy(), stage))
    return found


def _kept(
    precision: Format,
    formats: Mapping[str, Format | None],
    measured: Shares,
    examples: Mapping[Stage, Sequence[Example]],
) -> list[KeptLayer]:
    """Return the layers that are not in the plan's precision, most sensitive first, with why."""
    kept = [path for path, form in formats.items() if form != precision]
    kept.sort(key=lambda path: -float(measured[path][precision].max()))
    entries = []
    for path in kept:
        squares = measured[path][precision]
        image = next(iter(examples.values()))[int(squares.argmax())].image
        entries.append(
            KeptLayer(
                module=path,
                precision="w8" if formats[path] == "w8" else KEPT_IN[precision][0],
                reason=f"{worst_db(squares):.1f} dB on '{image}' when it alone is in {precision}",
            )
        )
    return entries


class _Budget:
    """The suite and degraded photos in fp32, to hold plans against."""

    def __init__(
        self, baked: BakedTinySR, tile: int, seed: int, gate: float, tell: Progress
    ) -> None:
        self.gate, self._baked, self._tell = gate, baked, tell
        self._photos = degraded_photos(tile, seed)
        self._images = suite(tile)
        self._expected = [_stages(baked, image.pixels) for image in self._images]
        self._fp32 = self._truth(baked)

    def result(self, plan: QuantizationPlan) -> BudgetResult:
        """Run everything under a plan; stages with the inputs that fp32 gives them."""
        model = equalised(self._baked, plan.equalise)
        formats = plan.formats(layers(model))
        fake = fake_quantized(model, formats, plan.ranges)
        worst, name = float("inf"), ""
        for done, (image, expected) in enumerate(zip(self._images, self._expected, strict=True)):
            self._tell(f"{plan.precision} of {image.name}", done, len(self._images))
            for what, found, truth, peak in _held(fake, image.pixels, expected):
                metrics = measure(found, truth, peak=peak)
                if metrics.rank < worst:
                    worst, name = metrics.rank, f"'{image.name}' ({what})"
            if worst < self.gate:  # what is left could only be worse
                break
        lost = self._fp32 - self._truth(fake) if worst >= self.gate else 0.0
        return BudgetResult(image=name, worst_db=worst, lost_db=lost, gate_db=self.gate)

    def _truth(self, model: BakedTinySR) -> float:
        return float(np.mean([_truth_db(model, photo) for photo in self._photos]))


def _truth_db(model: BakedTinySR, photo: DegradedPhoto) -> float:
    """Return the PSNR of a photo; minus infinity when the result is not finite."""
    with torch.inference_mode():
        found = model(torch.from_numpy(photo.low.pixels)[None])[0].numpy()
    if np.isfinite(found).all():  # clamping would make 1 of infinity
        found = found.clip(0, 1)
    return measure(found, photo.high, peak=1.0).rank


def _stages(model: BakedTinySR, pixels: Array) -> dict[str, Array]:
    with torch.inference_mode():
        z = model.encoder(torch.from_numpy(pixels)[None])
        v = model.transformer(z)
        image = model.decoder(z - v)
    return {"z": z.numpy(), "v": v.numpy(), "image": image.numpy()}


def _held(
    fake: BakedTinySR, pixels: Array, expected: Mapping[str, Array]
) -> list[tuple[str, Any, Any, float | None]]:
    """Return each stage's output, and the whole model's, with what it should be."""
    given = torch.from_numpy(pixels)[None]
    z, v = (torch.from_numpy(expected[name]) for name in "zv")
    with torch.inference_mode():
        own = fake.encoder(given)
        found: dict[str, tuple[Callable[[], torch.Tensor], str, float | None]] = {
            "encoder": (lambda: own, "z", None),
            "transformer": (lambda: fake.transformer(z), "v", None),
            "decoder": (lambda: fake.decoder(z - v), "image", 1.0),
            "upscale": (lambda: fake.decoder(own - fake.transformer(own)), "image", 1.0),
        }
        return [
            (what, run()[0].numpy(), expected[name][0], peak)
            for what, (run, name, peak) in found.items()
        ]
