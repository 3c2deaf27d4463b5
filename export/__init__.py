"""Eager model → bundle: baking, graphs, and the files around them."""

from .bake import BAKE_TOLERANCE, DEFAULT_TILE, bake, prove_baked
from .baked import BakedTinySR

__all__ = ["BAKE_TOLERANCE", "DEFAULT_TILE", "BakedTinySR", "bake", "prove_baked"]
