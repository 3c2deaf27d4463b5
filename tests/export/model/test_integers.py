"""Weights are rounded to the nearest integers, and zeros stay zeros."""

from __future__ import annotations

import pytest
import torch

from tests.support.tiny_models import noise
from tinysr.export.model.integers import quantize

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.mark.parametrize(("axis", "block", "bits"), [(0, 0, 8), (1, 0, 8), (0, 16, 8), (1, 8, 4)])
def test_rounded_weights_are_near_and_symmetric(axis: int, block: int, bits: int) -> None:
    weight = noise(32, 24) - 0.5
    found = quantize(weight, axis=axis, block=block, bits=bits)
    largest = 127 if bits == 8 else 7
    assert int(found.integers.abs().max()) <= largest
    error = (found.dequantize() - weight).abs().max()
    # In 4 bits the largest values of a block may be cut off, by three tenths at most.
    assert error <= float(found.scales.max()) * (0.5001 if bits == 8 else 0.3 * largest + 0.5)
    assert torch.equal(
        quantize(-weight, axis=axis, block=block, bits=bits).integers, -found.integers
    )


def test_zeros_stay_zeros() -> None:
    found = quantize(torch.zeros(4, 8), axis=1, block=4, bits=4)
    assert torch.equal(found.dequantize(), torch.zeros(4, 8))
