"""TinySR being baked: constants in place of conditions, ready to be folded.

What a pass still has to fold away is an attribute that is not
``None``; a fully baked model has none left (:func:`list_unfolded` lists them).
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tinysr.chain import Chain
from tinysr.models import SCALE

from ...model.baked import Baked
from ...model.baked_transformer import BakedTransformer, SplitAttention
from ...model.typed import BORDER, Typed, as_type

__all__ = [
    "BakedDecoder",
    "BakedEncoder",
    "BakedTinySR",
    "InterpolatedResize",
    "list_unfolded",
]

TANH_LIMIT = 3.0
"""The decoder clamps its latents softly to ±3: 3·tanh(z / 3)."""


class InterpolatedResize(nn.Module):
    """×4 bicubic as PyTorch computes it; no other runtime computes quite the same."""

    def forward(self, lr: Tensor) -> Tensor:
        """Map ``[N, 3, H, W]`` to ``[N, 3, 4H, 4W]``."""
        return F.interpolate(lr, scale_factor=SCALE, mode="bicubic", align_corners=False)


class BakedEncoder(nn.Module):
    """Low-resolution image in [0, 1] → latents."""

    def __init__(self, resize: nn.Module, layers: nn.Sequential, *, gain: float | None) -> None:
        super().__init__()
        self.resize, self.layers = resize, layers
        self.range_map: bool | None = True
        """Whether the input is mapped to [-1, 1], as the model defines it, and back as its encoder
        wants it."""
        self.gain = gain
        """The VAE's scaling factor."""

    def forward(self, lr: Tensor) -> Tensor:
        """Map ``[N, 3, H, W]`` to ``[N, C, H/2, W/2]``."""
        x = self.resize(lr)
        if self.range_map:
            x = ((x * 2 - 1) + 1) / 2
        z: Tensor = self.layers(x)
        return as_type(z if self.gain is None else z * self.gain, BORDER)


class BakedDecoder(Typed):
    """Latents → image, about [0, 1]."""

    def __init__(self, layers: nn.Sequential, *, gain: float | None) -> None:
        super().__init__()
        self.layers = layers
        self.range_map: bool | None = True
        self.gain = gain
        """The VAE's scaling factor, divided by."""
        self.limit: float | None = TANH_LIMIT

    def forward(self, z: Tensor) -> Tensor:
        """Map ``[N, C, h, w]`` to ``[N, 3, 8h, 8w]``."""
        if self.gain is not None:
            z = z / self.gain
        z = self.cast_input(z)
        x = torch.tanh(z) if self.limit is None else self.limit * torch.tanh(z / self.limit)
        image: Tensor = self.layers(x)
        return as_type(((image * 2 - 1) + 1) / 2 if self.range_map else image, BORDER)


class BakedTinySR(Baked):
    """TinySR without time, text and modulation, for tiles of one size."""

    def __init__(
        self,
        chain: Chain,
        encoder: BakedEncoder,
        transformer: BakedTransformer,
        decoder: BakedDecoder,
    ) -> None:
        super().__init__(chain)
        self.encoder, self.transformer, self.decoder = encoder, transformer, decoder


_TO_FOLD = ("scale", "shift", "gate_attn", "gate_ff", "logit_scale", "range_map", "gain", "limit")


def list_unfolded(model: nn.Module) -> Iterator[str]:
    """Yield what no pass has folded yet, as dotted names."""
    for path, module in model.named_modules():
        for name in _TO_FOLD:
            if getattr(module, name, None) is not None:
                yield f"{path}.{name}"
        if isinstance(module, SplitAttention):
            yield f"{path}.to_q"
