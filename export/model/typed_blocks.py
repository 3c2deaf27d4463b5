"""Blocks of several families whose own operations have a type: sums, activations, attention.

Each class computes what its base does, casts what its own operations read, and keeps its base's
paths, by which plans know modules. Attention is written out, because exporters turn the scale of
the fused call into stray constants; its scale goes to the queries, which keeps products small.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tinysr.models.layers.autoencoder_kl import PixelAttention
from tinysr.models.layers.resnet import Resnet
from tinysr.models.layers.spatial_transformer import (
    Attention,
    GatedProjection,
    SpatialTransformer,
    TransformerBlock,
)
from tinysr.models.layers.unet2d import Unet2d, UpLevel
from tinysr.models.sharing import copy_tree

from .baked_transformer import MatMulLinear
from .typed import Typed

__all__ = [
    "TYPED_BLOCKS",
    "ConstantAttention",
    "UnbiasedLinear",
    "lay_out_every_linear",
    "type_blocks",
]

M = TypeVar("M", bound=nn.Module)


class UnbiasedLinear(MatMulLinear):
    """A linear without a bias whose weight lies as MatMul reads it."""

    def __init__(self, weight: Tensor) -> None:
        """Take the weight ``[inputs, outputs]``."""
        Typed.__init__(self)
        self.weight = nn.Parameter(weight, requires_grad=False)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``[…, inputs]`` to ``[…, outputs]``."""
        return self.cast_input(x) @ self.weight


class TypedResnet(Typed, Resnet):
    """A residual block without time."""

    def forward(self, x: Tensor, time: Tensor | None = None) -> Tensor:
        """Map ``[N, inputs, H, W]`` to ``[N, outputs, H, W]``."""
        if time is not None or self.time_emb_proj is not None:
            raise TypeError("expected a block whose time is folded into its biases")
        y = self.conv1(F.silu(self.cast_input(self.norm1(x))))
        y = self.conv2(F.silu(self.cast_input(self.norm2(y))))
        skip = x if self.conv_shortcut is None else self.conv_shortcut(x)
        return self.cast_input(skip) + self.cast_input(y)


class TypedPixelAttention(Typed, PixelAttention):
    """Self-attention of all pixels with one head."""

    def forward(self, x: Tensor) -> Tensor:
        """Map ``[N, width, H, W]`` to the same shape."""
        pixels = self.group_norm(x).flatten(2).transpose(1, 2)
        q, k, v = (self.cast_input(to(pixels)) for to in (self.to_q, self.to_k, self.to_v))
        y = self.cast_input(self.to_out(_attend(q, k, v)))
        return self.cast_input(x) + y.transpose(1, 2).reshape(x.shape)


class TypedAttention(Typed, Attention):
    """Self-attention with several heads."""

    def forward(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        """Map ``[N, L, dim]`` to the same shape."""
        if context is not None:
            raise TypeError("expected self-attention, or one whose text is folded")
        tos = (self.to_q, self.to_k, self.to_v)
        q, k, v = (self.split_heads(self.cast_input(to(x))) for to in tos)
        y: Tensor = self.to_out(_attend(q, k, v).transpose(1, 2).flatten(2))
        return y


class TypedGatedProjection(Typed, GatedProjection):
    """A linear with a gate."""

    def forward(self, x: Tensor) -> Tensor:
        """Map ``[N, L, inputs]`` to ``[N, L, outputs]``."""
        value, gate = self.cast_input(self.proj(x)).chunk(2, dim=2)
        return value * F.gelu(gate)


class ConstantAttention(Typed):
    """Attention to a text that is always the same: its keys and values are constants."""

    def __init__(
        self, to_q: nn.Module, to_out: nn.Module, key: Tensor, value: Tensor, *, heads: int
    ) -> None:
        """Take the layers.

        Args:
            to_q: of the tokens that look.
            to_out: of what they see.
            key: ``[1, heads, C, T]``, times the scale of the logits.
            value: ``[1, heads, T, C]``.
            heads: their number.
        """
        super().__init__()
        self.heads, self.to_q, self.to_out = heads, to_q, to_out
        self.key = nn.Parameter(key, requires_grad=False)
        self.value = nn.Parameter(value, requires_grad=False)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``[N, L, dim]`` to the same shape."""
        q = self.cast_input(self.to_q(x))
        q = q.reshape(*q.shape[:2], self.heads, -1).transpose(1, 2)
        seen = (q @ self.key).softmax(dim=-1) @ self.value
        y: Tensor = self.to_out(seen.transpose(1, 2).flatten(2))
        return y


class TypedTransformerBlock(Typed, TransformerBlock):
    """A transformer block without text, or with one that is folded."""

    def forward(self, x: Tensor, text: Tensor | None = None) -> Tensor:
        """Map ``[N, L, dim]`` to the same shape."""
        if text is not None or isinstance(self.attn2, Attention):
            raise TypeError("expected a block whose text is folded")
        x = self.cast_input(x) + self.cast_input(self.attn1(self.norm1(x)))
        if self.norm2 is not None and self.attn2 is not None:
            x = x + self.cast_input(self.attn2(self.norm2(x)))
        return x + self.cast_input(self.ff(self.norm3(x)))


class TypedSpatialTransformer(Typed, SpatialTransformer):
    """A transformer over all pixels."""

    def forward(self, x: Tensor, text: Tensor | None = None) -> Tensor:
        """Map ``[N, width, H, W]`` to the same shape."""
        y = self.proj_in(self.norm(x).flatten(2).transpose(1, 2))
        for block in self.transformer_blocks:
            y = block(y, text)
        y = self.cast_input(self.proj_out(y))
        return self.cast_input(x) + y.transpose(1, 2).reshape(x.shape)


class TypedUnet2d(Typed, Unet2d):
    """A UNet without time and text, or with ones that are folded."""

    def forward(self, x: Tensor, time: Tensor | None = None, text: Tensor | None = None) -> Tensor:
        """Map ``[N, inputs, H, W]`` to ``[N, outputs, H, W]``."""
        if time is not None or text is not None or self.time_embedding is not None:
            raise TypeError("expected a UNet whose time and text are folded")
        x = self.conv_in(x)
        skips = [x]
        for down in self.down_blocks:
            skips += down(x, None, None)
            x = skips[-1]
        x = self.mid_block(x, None, None)
        for up in cast("list[UpLevel]", list(self.up_blocks)):
            x = up(x, [skips.pop() for _ in up.resnets], None, None)
        y: Tensor = self.conv_out(F.silu(self.cast_input(self.conv_norm_out(x))))
        return y


TYPED_BLOCKS: Mapping[type[nn.Module], type[Typed]] = {
    Attention: TypedAttention,
    GatedProjection: TypedGatedProjection,
    PixelAttention: TypedPixelAttention,
    Resnet: TypedResnet,
    SpatialTransformer: TypedSpatialTransformer,
    TransformerBlock: TypedTransformerBlock,
    Unet2d: TypedUnet2d,
}
"""Blocks of :mod:`tinysr.models.layers`, and the same with a type."""


@torch.no_grad()
def type_blocks(model: M, own: Mapping[type[nn.Module], type[nn.Module]] | None = None) -> M:
    """Give blocks a type.

    Given: a model without time and text.
    Result: the same function; modules keep their paths, and share the model's tensors.

    Args:
        model: or a stage of it.
        own: further classes, a family's own.
    """
    model = copy_tree(model)
    kinds = {**TYPED_BLOCKS, **(own or {})}
    for module in model.modules():
        if type(module) in kinds:
            module.__class__ = kinds[type(module)]
    return model


@torch.no_grad()
def lay_out_every_linear(model: M) -> M:
    """x·Wᵀ = x·V, with V stored, in every linear.

    Given: linears with weights ``[outputs, inputs]``.
    Result: the same function; weights are ``[inputs, outputs]``, graphs' own inputs, and nothing
    transposes them.
    """
    model = copy_tree(model)
    for path, layer in list(model.named_modules()):
        if type(layer) is nn.Linear:
            weight = layer.weight.t()  # a view: it is put in this order when it is written
            bias = layer.bias
            new = UnbiasedLinear(weight) if bias is None else MatMulLinear(weight, bias)
            owner, _, name = path.rpartition(".")
            setattr(model.get_submodule(owner), name, new)
    return model


def _attend(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Weigh values ``[…, L, C]``."""
    scale: float = q.shape[-1] ** -0.5
    logits: Tensor = (q * scale) @ k.transpose(-1, -2)
    return logits.softmax(dim=-1) @ v
