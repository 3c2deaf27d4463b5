"""Eager model → bundle: baking, graphs, and the files around them."""

from .bake import BAKE_TOLERANCE, DEFAULT_TILE, bake, prove_baked
from .baked import BakedTinySR
from .bundle import TARGETS, export_bundle
from .options import PRECISIONS, ExportOptions

__all__ = [
    "BAKE_TOLERANCE",
    "DEFAULT_TILE",
    "PRECISIONS",
    "TARGETS",
    "BakedTinySR",
    "ExportOptions",
    "bake",
    "export_bundle",
    "prove_baked",
]
