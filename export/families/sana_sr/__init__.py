"""SANA-SR's baking: its conditions become constants, its shortcuts parts of convolutions."""

from .bake import bake_sana_sr

__all__ = ["bake_sana_sr"]
