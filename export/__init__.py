"""Eager model → bundle: baking, graphs, and the files around them."""

from .bake import BAKE_TOLERANCE, DEFAULT_TILE, bake, prove_baked
from .baked import BakedTinySR
from .bundle import TARGETS, Gate, check_targets, export_bundle
from .files import check_target
from .options import PRECISIONS, ExportOptions

__all__ = [
    "BAKE_TOLERANCE",
    "DEFAULT_TILE",
    "PRECISIONS",
    "TARGETS",
    "BakedTinySR",
    "ExportOptions",
    "Gate",
    "bake",
    "check_target",
    "check_targets",
    "export_bundle",
    "prove_baked",
]
