"""Baking passes: each is a pure function from model to model that keeps the output."""

from .cancel_range_maps import cancel_range_maps
from .fix_resize import fix_resize
from .fold_attention_scale import fold_attention_scale
from .fold_gates import fold_gates
from .fold_latent_scale import fold_latent_scale
from .fold_modulation import fold_modulation, fold_norm_out
from .freeze_conditioning import freeze_conditioning
from .join_qkv import join_qkv
from .lay_out_linears import lay_out_linears

__all__ = [
    "cancel_range_maps",
    "fix_resize",
    "fold_attention_scale",
    "fold_gates",
    "fold_latent_scale",
    "fold_modulation",
    "fold_norm_out",
    "freeze_conditioning",
    "join_qkv",
    "lay_out_linears",
]
