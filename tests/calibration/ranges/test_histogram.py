"""Histograms of values: their sizes, and samples that visit all channels."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from tinysr.calibration.ranges.histogram import percentile, see, share_between

pytestmark = pytest.mark.usefixtures("one_thread")


def test_a_histogram_knows_sizes_to_an_eighth() -> None:
    values = torch.tensor([0.0, 2.0**-26, 2.0**-20, -1.0, 1.0, 3.0, -7e4, 100.0])
    seen = see(values)
    assert seen.absmax == pytest.approx(7e4)
    assert seen.overflowing == 1
    assert seen.counts.sum() == len(values)
    assert 1 < percentile(seen.counts, 50) <= 1.125
    assert 7e4 < percentile(seen.counts, 100) <= 7e4 * 1.125
    tiny = float(np.finfo(np.float32).tiny)
    assert share_between(seen.counts, tiny, 2.0**-25) == 1 / 8
    assert share_between(seen.counts, 2.0**-25, 2.0**-14) == 1 / 8


def test_a_sample_visits_all_channels() -> None:
    values = torch.zeros(64, 96, 128)
    values[:, :, 5] = 1.0
    counts = see(values).counts
    assert counts.sum() >= 2**14
    assert share_between(counts, 1.0, 2.0) == pytest.approx(1 / 128, rel=0.1)
    assert math.isnan(see(torch.tensor([1.0, math.nan])).absmax)
