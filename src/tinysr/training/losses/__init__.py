"""Losses that stages minimise."""

from tinysr.training.losses.gan import PatchCritic, UNetCritic, critic_hinge, fool
from tinysr.training.losses.perceptual import PerceptualName, perceptual
from tinysr.training.losses.pixels import log_squared, smooth_l1, squared

__all__ = [
    "PatchCritic",
    "PerceptualName",
    "UNetCritic",
    "critic_hinge",
    "fool",
    "log_squared",
    "perceptual",
    "smooth_l1",
    "squared",
]
