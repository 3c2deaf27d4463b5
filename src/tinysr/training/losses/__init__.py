"""Losses that stages minimise."""

from tinysr.training.losses.gan import PatchCritic, UNetCritic, critic_hinge, fool
from tinysr.training.losses.perceptual import PerceptualName, make_perceptual
from tinysr.training.losses.pixels import (
    excess_error,
    log_squared_error,
    smooth_l1,
    squared_error,
)

__all__ = [
    "PatchCritic",
    "PerceptualName",
    "UNetCritic",
    "critic_hinge",
    "excess_error",
    "fool",
    "log_squared_error",
    "make_perceptual",
    "smooth_l1",
    "squared_error",
]
