"""Baking of PiSA-SR and OSEDiff."""

from .bake import bake_stable_diffusion

__all__ = ["bake_stable_diffusion"]
