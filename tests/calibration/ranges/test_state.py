"""Measurements that are kept: an interrupted calibration goes on from them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from tests.support.calibrating import options
from tests.support.tiny_models import TILE, noise
from tinysr.calibration import MeasuredFolder, Trace, calibrate
from tinysr.calibration.ranges import measure as measuring
from tinysr.calibration.ranges.histogram import ImageRanges, see
from tinysr.errors import CalibrationError
from tinysr.models import Loaded
from tinysr.suite import suite

pytestmark = pytest.mark.usefixtures("one_thread")


def test_an_interrupted_calibration_goes_on(
    loaded: Loaded, traced: Trace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    measured: list[str] = []
    run = measuring._measure_image

    def counted(of: Trace, image: torch.Tensor, name: str) -> tuple[ImageRanges, NDArray[Any]]:
        if len(measured) == 2:
            raise KeyboardInterrupt
        measured.append(name)
        return run(of, image, name)

    monkeypatch.setattr(measuring, "_measure_image", counted)
    with pytest.raises(KeyboardInterrupt):
        calibrate(loaded, options(limit=4, state=tmp_path / "state"))
    monkeypatch.setattr(measuring, "_measure_image", run)
    names = [image.name for image in suite(TILE)]
    assert measured == names[:2]
    whole = calibrate(loaded, options(limit=4))

    measured.clear()
    monkeypatch.setattr(measuring, "_measure_image", counted)
    resumed = calibrate(loaded, options(limit=4, state=tmp_path / "state"))
    assert measured == names[2:4]
    assert resumed.ranges == whole.ranges


def test_a_damaged_measurement_is_made_again(traced: Trace, tmp_path: Path) -> None:
    state = MeasuredFolder(tmp_path, traced.ops, model_sha256="0" * 64, tile=TILE)
    measured = ImageRanges.empty(len(traced.ops))
    measured.put(3, see(noise(8)))
    state.put("a" * 64, measured)
    again = state.get("a" * 64)
    assert again is not None
    assert np.array_equal(again.absmax, measured.absmax)
    assert np.array_equal(again.counts, measured.counts)
    (file,) = (tmp_path / "measured").iterdir()
    file.write_bytes(file.read_bytes()[:100])
    assert state.get("a" * 64) is None


@pytest.mark.parametrize(
    ("changes", "problem"),
    [({"model_sha256": "1" * 64}, "SHA-256 111111111111"), ({"tile": 32}, "tiles of 32")],
)
def test_the_state_of_another_calibration_is_refused(
    changes: dict[str, object], problem: str, traced: Trace, tmp_path: Path
) -> None:
    settings: dict[str, object] = {"model_sha256": "0" * 64, "tile": TILE}
    MeasuredFolder(tmp_path, traced.ops, **settings)  # type: ignore[arg-type]
    with pytest.raises(CalibrationError, match=f"{problem}.*choose another --output"):
        MeasuredFolder(tmp_path, traced.ops, **(settings | changes))  # type: ignore[arg-type]
