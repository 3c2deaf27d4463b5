"""Limits of a quantization plan's cost, and its cost, measured on the suite and on photos."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from tinysr.export.model.baked import Baked, make_batch
from tinysr.export.model.equalise import equalise
from tinysr.export.model.integers import find_layers
from tinysr.export.plans.quantization import QuantizationPlan
from tinysr.metrics import measure
from tinysr.progress import Progress
from tinysr.stages import IMAGE, RESULT, WHOLE
from tinysr.suite import suite

from ..ranges.images import DegradedPhoto, degrade_photos
from ..schemes import Scheme
from ..traced.fake import fake_quantize
from .sensitivity import find_peak

__all__ = ["LOST_DB", "BudgetResult", "PlanJudge"]

LOST_DB = 0.3
"""PSNR against the ground truth of degraded photos that int8 may lose, on average."""

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


class PlanJudge:
    """The suite and degraded photos in fp32, to hold plans against."""

    def __init__(
        self,
        baked: Baked,
        scheme: Scheme,
        *,
        gate: float,
        tile: int,
        seed: int,
        tell: Progress,
    ) -> None:
        """Run everything in fp32.

        Args:
            baked: in the scheme's form.
            scheme: whose formats plans are in.
            gate: the precision's, in dB.
            tile: side in low-resolution pixels.
            seed: of the degradations.
            tell: told about every image.
        """
        self.gate, self._baked, self._tell, self._scheme = gate, baked, tell, scheme
        self._photos = degrade_photos(tile, seed, scale=baked.chain.scale)
        self._images = suite(tile)
        self._expected = [_fields(baked, image.pixels) for image in self._images]
        self._fp32 = self._truth(baked)

    def run_plan(self, plan: QuantizationPlan) -> BudgetResult:
        """Run everything under a plan; stages with the inputs that fp32 gives them."""
        model = equalise(self._baked, plan.equalise)
        formats = plan.formats(find_layers(model))
        fake = fake_quantize(model, formats, plan.ranges, self._scheme)
        worst, name = float("inf"), ""
        for done, (image, expected) in enumerate(zip(self._images, self._expected, strict=True)):
            self._tell(f"{plan.precision} of {image.name}", done, len(self._images))
            for what, found, truth, peak in _compare_stages(fake, expected):
                metrics = measure(found, truth, peak=peak)
                if metrics.rank < worst:
                    worst, name = metrics.rank, f"'{image.name}' ({what})"
            if worst < self.gate:  # what is left could only be worse
                break
        lost = self._fp32 - self._truth(fake) if worst >= self.gate else 0.0
        return BudgetResult(image=name, worst_db=worst, lost_db=lost, gate_db=self.gate)

    def _truth(self, model: Baked) -> float:
        return float(np.mean([_truth_db(model, photo) for photo in self._photos]))


def _truth_db(model: Baked, photo: DegradedPhoto) -> float:
    """Return the PSNR of a photo; minus infinity when the result is not finite."""
    with torch.inference_mode():
        found = model(make_batch(model.chain, photo.low.pixels))[0].numpy()
    if np.isfinite(found).all():  # clamping would make 1 of infinity
        found = found.clip(0, 1)
    return measure(found, photo.high, peak=1.0).rank


def _fields(model: Baked, pixels: Array) -> dict[str, Array]:
    """Return the values of all fields, by their names."""
    x = make_batch(model.chain, pixels)
    fields = {IMAGE: x.numpy()}
    with torch.inference_mode():
        for stage in model.chain.stages:
            x = model.get_submodule(stage.name)(x)
            fields[stage.gives] = x.numpy()
    return fields


def _compare_stages(
    fake: Baked, expected: Mapping[str, Array]
) -> list[tuple[str, Any, Any, float | None]]:
    """Return each stage's output, and the whole model's, with what it should be and its peak."""
    compared: list[tuple[str, Any, Any, float | None]] = []
    with torch.inference_mode():
        for stage in fake.chain.stages:
            given, wanted = expected[stage.reads][0], expected[stage.gives][0]
            found = fake.get_submodule(stage.name)(torch.from_numpy(given)[None])[0].numpy()
            compared.append((stage.name, found, wanted, find_peak(given, wanted, stage)))
        if WHOLE in fake.chain.names:  # it is the one stage
            return compared
        whole = fake(torch.from_numpy(expected[IMAGE]))[0].numpy()
    return [*compared, (WHOLE, whole, expected[RESULT][0], 1.0)]
