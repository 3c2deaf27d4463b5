"""Cost of each layer's rounding alone, and the layers to keep so that the rest may round.

Errors of layers add up, as squares: what one layer does to an image alone is its share of what
all do together. That makes the choice a matter of sums, which are checked afterwards.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import TypeAdapter, ValidationError

from tinysr.atomic import write_atomically
from tinysr.decibels import psnr_of_mse
from tinysr.errors import CalibrationError
from tinysr.export.model.baked import Baked
from tinysr.export.plans.quantization import Format
from tinysr.metrics import value_range
from tinysr.stages import RESULT, Stage, StageName

from ..schemes import ONNX, Scheme
from ..traced.fake import fake_quantize

__all__ = ["Example", "Shares", "errors", "measure_shares", "promote", "worst_db"]

Array = NDArray[np.float32]

StoredBits = Callable[[str, Format, Format | None], float]
"""Cost of a larger format for a layer, by its path; None is the largest format."""

_CACHED = TypeAdapter(dict[str, dict[Format, list[float]]])


@dataclass(frozen=True, kw_only=True, slots=True)
class Example:
    """A stage's input, and what it makes of it in fp32."""

    image: str
    given: Array
    """Input of the stage, batch included."""
    expected: Array
    peak: float


Shares = Mapping[str, Mapping[Format, NDArray[np.float64]]]
"""Mean squared errors over peak², by layer and format: one for each example of the layer's
stage."""


def errors(model: Baked, stage: StageName, examples: Sequence[Example]) -> NDArray[np.float64]:
    """Return the mean squared error over peak², for each example."""
    part = model.get_submodule(stage)
    found = []
    for example in examples:
        with torch.inference_mode():
            out = part(torch.from_numpy(example.given)).numpy()
        error = np.mean(np.square(out.astype(np.float64) - example.expected))
        found.append(float(error) / example.peak**2 if np.isfinite(out).all() else math.inf)
    return np.array(found)


def worst_db(squares: NDArray[np.float64]) -> float:
    """Return the lowest PSNR of some errors."""
    return psnr_of_mse(max(float(squares.max()), 1e-30))


def measure_shares(
    model: Baked,
    ranges: Mapping[str, float],
    wanted: Mapping[str, Sequence[Format]],
    examples: Mapping[StageName, Sequence[Example]],
    *,
    tell: Callable[[str, int, int], None],
    cache: Path | None = None,
    scheme: Scheme = ONNX,
) -> dict[str, dict[Format, NDArray[np.float64]]]:
    """Quantize one layer at a time, in each of its formats.

    Args:
        model: baked, in fp32, and equalised.
        ranges: of the layers in int8.
        wanted: the formats to measure, by the layer.
        examples: of each stage.
        tell: told about every layer.
        cache: a file that keeps what was measured for just these arguments: its name says which.
        scheme: whose formats they are.

    Raises:
        CalibrationError: the file can't be written.
    """
    found = _read_cache(cache)
    for done, (path, formats) in enumerate(wanted.items()):
        if found.get(path, {}).keys() == set(formats):
            continue
        tell(f"rounding {path} alone", done, len(wanted))
        stage = stage_of(path)
        found[path] = {
            form: errors(fake_quantize(model, {path: form}, ranges, scheme), stage, examples[stage])
            for form in formats
        }
        if cache is not None:
            data = {p: {f: s.tolist() for f, s in own.items()} for p, own in found.items()}
            write_atomically(cache, json.dumps(data), CalibrationError)
    return {path: found[path] for path in wanted}


def _read_cache(file: Path | None) -> dict[str, dict[Format, NDArray[np.float64]]]:
    """Return what a file holds; one that is missing or damaged counts as empty."""
    try:
        data = _CACHED.validate_json(file.read_bytes()) if file else {}
    except (OSError, ValidationError):
        return {}
    return {p: {f: np.array(s) for f, s in own.items()} for p, own in data.items()}


def promote(
    measured: Shares, stage: StageName, target_db: float, cost: StoredBits = lambda *_: 1.0
) -> dict[str, Format | None]:
    """Return a format for each layer of a stage, so that the errors' sum is within the target.

    While it is not, the layer whose share in the worst example is largest for its cost takes its
    next format, after the last one none (None).

    Args:
        measured: for each layer its formats, from the smallest on.
        stage: whose layers.
        target_db: PSNR that the sum must keep.
        cost: what it costs that a layer takes its next format.
    """
    own = {path: list(formats) for path, formats in measured.items() if stage_of(path) == stage}
    if not own:
        return {}
    none = np.zeros_like(next(iter(measured[next(iter(own))].values())))
    allowed = 10 ** (-target_db / 10)

    def share(path: str) -> NDArray[np.float64]:
        return measured[path][own[path][0]] if own[path] else none

    def gain(path: str, worst: int) -> float:
        form, larger = [*own[path], None, None][:2]
        return float(share(path)[worst]) / cost(path, form, larger) if form else 0.0

    while (total := sum((share(path) for path in own), none)).max() > allowed:
        worst = int(total.argmax())
        own[max(own, key=lambda path: gain(path, worst))].pop(0)
    return {path: formats[0] if formats else None for path, formats in own.items()}


def stage_of(path: str) -> StageName:
    """Return the stage that a module is in: paths begin with it."""
    return path.split(".", maxsplit=1)[0]


def make_example(image: str, given: Array, expected: Array, stage: Stage) -> Example:
    """Return an example, with the peak that parity measures its PSNR with."""
    peak = find_peak(given, expected, stage)
    return Example(image=image, given=given, expected=expected, peak=peak)


def find_peak(given: Array, expected: Array, stage: Stage) -> float:
    """Return the peak of a stage's PSNR, as parity has it: of what restores, that of the change."""
    if stage.restores:
        return value_range(expected - given)
    return 1.0 if stage.gives == RESULT else value_range(expected)
