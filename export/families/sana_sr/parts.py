"""Parts of SANA-SR's stages whose own operations have a type.

Each computes what the eager part does, and keeps its paths, by which plans know modules.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tinysr.models.layers.autoencoder_dc import DcResBlock, Raise, ViTBlock
from tinysr.models.layers.glumb import ChannelNorm, GluMbConv

from ...model.baked_transformer import MatMulLinear
from ...model.typed import Typed, TypedRMSNorm

__all__ = [
    "TYPED_PARTS",
    "BakedAttention",
    "BakedBlock",
    "BakedCrossAttention",
    "BakedMultiscale",
    "BakedRaise",
    "LinearCore",
]


class TypedChannelNorm(TypedRMSNorm, ChannelNorm):
    """A norm by the mean square of an image's channels."""

    def forward(self, x: Tensor) -> Tensor:
        """Map ``[N, C, H, W]`` to the same shape."""
        y = TypedRMSNorm.forward(self, x.permute(0, 2, 3, 1)) + self.bias
        return y.permute(0, 3, 1, 2)


class TypedGluMbConv(Typed, GluMbConv):
    """Gated convolutions."""

    def forward(self, x: Tensor) -> Tensor:
        """Map ``[N, width, H, W]`` to the same shape."""
        inner = self.conv_depth(F.silu(self.cast_input(self.conv_inverted(x))))
        value, gate = self.cast_input(inner).chunk(2, dim=1)
        y: Tensor = self.conv_point(value * F.silu(gate))
        return y if self.norm is None else self.norm(y)


class TypedDcResBlock(Typed, DcResBlock):
    """A residual block."""

    def forward(self, x: Tensor) -> Tensor:
        """Map ``[N, width, H, W]`` to the same shape."""
        y = self.norm(self.conv2(F.silu(self.cast_input(self.conv1(x)))))
        return self.cast_input(x) + self.cast_input(y)


class TypedViTBlock(Typed, ViTBlock):
    """Attention, then gated convolutions."""

    def forward(self, x: Tensor) -> Tensor:
        """Map ``[N, width, H, W]`` to the same shape."""
        x = self.attn(x)
        return self.cast_input(x) + self.cast_input(self.conv_out(x))


class TypedRaise(Typed, Raise):
    """Twice the size, beside a shortcut whose channels become pixels of both rows."""

    def forward(self, x: Tensor) -> Tensor:
        """Map ``[N, inputs, H, W]`` to ``[N, outputs, 2H, 2W]``."""
        y = self.conv(F.interpolate(x, scale_factor=2.0, mode="nearest"))
        return self.cast_input(y) + self.cast_input(self.shorten(x))


TYPED_PARTS = {
    ChannelNorm: TypedChannelNorm,
    DcResBlock: TypedDcResBlock,
    GluMbConv: TypedGluMbConv,
    Raise: TypedRaise,
    ViTBlock: TypedViTBlock,
}
"""Parts of the eager model, and the same with a type."""


class BakedRaise(nn.Module):
    """Twice the size; its shortcut is in the convolution."""

    def __init__(self, conv: nn.Conv2d) -> None:
        super().__init__()
        self.conv = conv

    def forward(self, x: Tensor) -> Tensor:
        """Map ``[N, inputs, H, W]`` to ``[N, outputs, 2H, 2W]``."""
        y: Tensor = self.conv(F.interpolate(x, scale_factor=2.0, mode="nearest"))
        return y


class LinearCore(Typed):
    """Means of values, weighed by ReLU(q)·ReLU(k).

    Queries and keys are scaled by powers of two, which cancel: keys so that sums over places are
    nearly means, which fit into fp16 where the values do; queries by half as much as would make
    means of the sums over channels, for a head whose weights are small has none to give away.
    """

    def __init__(self, places: int, head_size: int) -> None:
        """Take what the sums run over: the places of a tile, and the channels of a head."""
        super().__init__()
        self.head_size = head_size
        self.scales = (2.0 ** -(math.log2(head_size) // 2), 2.0 ** -math.ceil(math.log2(places)))

    def forward(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """Map three ``[N, heads, D, L]`` to the same shape."""
        q, k = (
            F.relu(self.cast_input(x)) * scale for x, scale in zip((q, k), self.scales, strict=True)
        )
        ones = F.pad(self.cast_input(v), (0, 0, 0, 1), value=1.0)
        sums = (ones @ k.transpose(2, 3)) @ q
        weights = sums[:, :, -1:]
        # No epsilon is small enough for fp16: where all weights are zero, so is their mean.
        return sums[:, :, :-1] / weights.masked_fill(weights == 0, 1.0)


class BakedMultiscale(Typed):
    """Linear attention of all pixels at several scales, with one 1×1 convolution for q, k and v."""

    def __init__(
        self,
        to_qkv: nn.Conv2d,
        scales: nn.ModuleList,
        core: LinearCore,
        to_out: nn.Conv2d,
        norm_out: ChannelNorm,
    ) -> None:
        super().__init__()
        self.to_qkv, self.to_qkv_multiscale, self.core = to_qkv, scales, core
        self.to_out, self.norm_out = to_out, norm_out

    def forward(self, x: Tensor) -> Tensor:
        """Map ``[N, width, H, W]`` to the same shape."""
        own = self.to_qkv(x)
        parts = [self.cast_input(own), *(self.cast_input(m(own)) for m in self.to_qkv_multiscale)]
        scales = torch.cat(parts, dim=1)
        heads = scales.flatten(2).unflatten(1, (scales.shape[1] // self._joined, self._joined))
        y = self.core(*heads.chunk(3, dim=2)).flatten(1, 2)
        out = self.norm_out(self.to_out(y.reshape(-1, y.shape[1], *x.shape[2:])))
        return self.cast_input(x) + self.cast_input(out)

    @property
    def _joined(self) -> int:
        """Channels of a head's queries, keys and values."""
        return 3 * self.core.head_size


class BakedAttention(Typed):
    """Linear attention of tokens, with one linear for q, k and v."""

    def __init__(
        self, heads: int, to_qkv: MatMulLinear, core: LinearCore, out: MatMulLinear
    ) -> None:
        super().__init__()
        self.heads = heads
        self.to_qkv, self.core, self.to_out = to_qkv, core, out

    def forward(self, x: Tensor) -> Tensor:
        """Map ``[N, L, dim]`` to the same shape."""
        joined = self.to_qkv(x).transpose(1, 2)
        q, k, v = (part.unflatten(1, (self.heads, -1)) for part in joined.chunk(3, dim=1))
        y: Tensor = self.to_out(self.core(q, k, v).flatten(1, 2).transpose(1, 2))
        return y


class BakedCrossAttention(Typed):
    """Attention to a fixed prompt, whose keys and values are constants."""

    def __init__(self, to_q: MatMulLinear, keys: Tensor, values: Tensor, out: MatMulLinear) -> None:
        """Take the parts.

        Args:
            to_q: scaled already.
            keys: ``[heads, D, T]``.
            values: ``[heads, T, D]``.
            out: the last linear.
        """
        super().__init__()
        self.to_q, self.to_out = to_q, out
        self.keys = nn.Parameter(keys, requires_grad=False)
        self.values = nn.Parameter(values, requires_grad=False)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``[N, L, dim]`` to the same shape."""
        q = self.cast_input(self.to_q(x)).unflatten(2, (len(self.keys), -1)).transpose(1, 2)
        y = (q @ self.keys).softmax(dim=-1) @ self.values
        out: Tensor = self.to_out(y.transpose(1, 2).flatten(2))
        return out


class BakedBlock(Typed):
    """A block of the transformer without time and prompt."""

    def __init__(
        self, dim: int, eps: float, attn1: BakedAttention, attn2: BakedCrossAttention, ff: GluMbConv
    ) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(dim, eps, elementwise_affine=False)
        self.norm2 = nn.LayerNorm(dim, eps, elementwise_affine=False)
        self.attn1, self.attn2, self.ff = attn1, attn2, ff

    def forward(self, x: Tensor, sides: tuple[int, int]) -> Tensor:
        """Map tokens ``[N, L, dim]``, in rows and columns, to the same shape."""
        x = self.cast_input(x) + self.cast_input(self.attn1(self.norm1(x)))
        x = x + self.cast_input(self.attn2(x))
        y = self.ff(self.norm2(x).transpose(1, 2).unflatten(2, sides))
        return x + self.cast_input(y.flatten(2).transpose(1, 2))
