"""Fidelity of a model's images, on photos that no training saw."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from tinysr.models import TinySR
from tinysr.records import StrictRecord
from tinysr.training.evaluate import PhotoPair, evaluate, psnr, upscale_array

__all__ = ["Fidelity", "fidelity_of"]


class Fidelity(StrictRecord):
    """Fidelity of a model's images, on photos that no training saw."""

    psnr: float
    """PSNR in dB, against the truth."""
    ssim: float
    teacher_psnr: float | None
    """PSNR in dB, against the teacher's image; None for the teacher."""


@torch.no_grad()
def fidelity_of(model: TinySR, teacher: TinySR, pairs: Sequence[PhotoPair]) -> Fidelity:
    """Measure any model against the truth, and against the teacher's images."""
    scores = evaluate(model, pairs)
    agreed = [
        psnr(upscale_array(model, pair.low), upscale_array(teacher, pair.low)) for pair in pairs
    ]
    return Fidelity(
        psnr=float(np.mean([score.psnr for score in scores])),
        ssim=float(np.mean([score.ssim for score in scores])),
        teacher_psnr=None if model is teacher else float(np.mean(agreed)),
    )
