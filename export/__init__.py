"""Eager model → bundle: baking, graphs, and the files around them."""

from .bake import BAKE_TOLERANCE, DEFAULT_TILE, bake, prove_baked
from .bundle import export_bundle
from .extend import Extension, extend_bundle
from .families.tinysr.baked import BakedTinySR
from .files import check_target
from .gate import Gate
from .model.baked import Baked
from .options import PRECISIONS, ExportOptions
from .targets import TARGETS, find_targets

__all__ = [
    "BAKE_TOLERANCE",
    "DEFAULT_TILE",
    "PRECISIONS",
    "TARGETS",
    "Baked",
    "BakedTinySR",
    "ExportOptions",
    "Extension",
    "Gate",
    "bake",
    "check_target",
    "export_bundle",
    "extend_bundle",
    "find_targets",
    "prove_baked",
]
