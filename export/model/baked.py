"""The model being baked: constants in place of conditions, ready to be folded.

The module tree mirrors the eager model's, so that a value in an exported graph can be named
after the module that made it. What a pass still has to fold away is an attribute that is not
``None``; a fully baked model has none left (:func:`list_unfolded` lists them).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tinysr.models import HEAD_SIZE, SCALE
from tinysr.models.transformer import NORM_EPS, unpatchify

from .typed import BORDER, Typed, as_type

__all__ = [
    "Affine",
    "BakedBlock",
    "BakedDecoder",
    "BakedEncoder",
    "BakedFeedForward",
    "BakedPatchEmbed",
    "BakedTinySR",
    "BakedTransformer",
    "InterpolatedResize",
    "JoinedAttention",
    "MatMulLinear",
    "Modulated",
    "SplitAttention",
    "list_unfolded",
]

TANH_LIMIT = 3.0
"""The decoder clamps its latents softly to ±3: 3·tanh(z / 3)."""


class MatMulLinear(Typed):
    """A linear whose weight lies as MatMul reads it: a graph needs no transpose."""

    def __init__(self, weight: Tensor, bias: Tensor) -> None:
        super().__init__()
        self.weight = nn.Parameter(weight, requires_grad=False)
        """``[inputs, outputs]``."""
        self.bias = nn.Parameter(bias, requires_grad=False)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``[…, inputs]`` to ``[…, outputs]``."""
        return self.cast_input(x) @ self.weight + self.bias


Affine = nn.Linear | MatMulLinear


class Modulated(Typed):
    """LayerNorm without affine, then constant scale and shift while they are not folded."""

    def __init__(self, dim: int, scale: Tensor | None, shift: Tensor | None) -> None:
        super().__init__()
        self.dim = dim
        self.scale: Tensor | None
        """1 + scale, ``[dim]``."""
        self.shift: Tensor | None
        self.register_buffer("scale", scale)
        self.register_buffer("shift", shift)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``[N, L, dim]`` to the same shape."""
        x = F.layer_norm(self.cast_input(x), (self.dim,), eps=NORM_EPS)
        if self.scale is not None:
            x = x * self.scale
        return x if self.shift is None else x + self.shift


class BakedFeedForward(Typed):
    """dim → 4·dim → dim, with the tanh form of GELU between."""

    def __init__(self, proj_in: Affine, proj_out: Affine) -> None:
        super().__init__()
        self.proj_in, self.proj_out = proj_in, proj_out

    def forward(self, x: Tensor) -> Tensor:
        """Map ``[N, L, dim]`` to the same shape."""
        y: Tensor = self.proj_out(F.gelu(self.cast_input(self.proj_in(x)), approximate="tanh"))
        return y


class SplitAttention(nn.Module):
    """Self-attention with separate q, k and v, and the scale of its logits."""

    def __init__(self, to_q: nn.Linear, to_k: nn.Linear, to_v: nn.Linear, to_out: Affine) -> None:
        super().__init__()
        self.to_q, self.to_k, self.to_v, self.to_out = to_q, to_k, to_v, to_out
        self.logit_scale: float | None = HEAD_SIZE**-0.5

    def forward(self, x: Tensor) -> Tensor:
        """Map ``[N, L, dim]`` to the same shape."""
        q, k, v = self.to_q(x), self.to_k(x), self.to_v(x)
        out: Tensor = self.to_out(_attend(q, k, v, self.logit_scale))
        return out


class JoinedAttention(Typed):
    """Self-attention with one linear for q, k and v, q already scaled."""

    def __init__(self, to_qkv: Affine, to_out: Affine) -> None:
        super().__init__()
        self.to_qkv, self.to_out = to_qkv, to_out

    def forward(self, x: Tensor) -> Tensor:
        """Map ``[N, L, dim]`` to the same shape."""
        q, k, v = self.cast_input(self.to_qkv(x)).chunk(3, dim=2)
        out: Tensor = self.to_out(_attend(q, k, v, None))
        return out


class BakedBlock(Typed):
    """A transformer block without conditioning."""

    def __init__(
        self,
        norm_attn: Modulated,
        attn: SplitAttention | JoinedAttention,
        norm_ff: Modulated,
        ff: BakedFeedForward,
        gates: tuple[Tensor, Tensor],
    ) -> None:
        super().__init__()
        self.norm_attn, self.attn, self.norm_ff, self.ff = norm_attn, attn, norm_ff, ff
        self.gate_attn: Tensor | None
        self.gate_ff: Tensor | None
        self.register_buffer("gate_attn", gates[0])
        self.register_buffer("gate_ff", gates[1])

    def forward(self, x: Tensor) -> Tensor:
        """Map ``[N, L, dim]`` to the same shape."""
        y = _gate(self.attn(self.norm_attn(x)), self.gate_attn)
        x = self.cast_input(x) + self.cast_input(y)
        return x + self.cast_input(_gate(self.ff(self.norm_ff(x)), self.gate_ff))


class BakedPatchEmbed(Typed):
    """Latents → tokens, with the positions of one tile."""

    def __init__(self, proj: nn.Conv2d, positions: Tensor) -> None:
        super().__init__()
        self.proj = proj
        self.positions: Tensor
        self.register_buffer("positions", positions)

    def forward(self, z: Tensor) -> Tensor:
        """Map ``[N, C, h, w]`` to ``[N, h/patch · w/patch, dim]``."""
        tokens: Tensor = self.proj(z)
        length, dim = self.positions.shape[1:]
        return self.cast_input(tokens.reshape(-1, dim, length).transpose(1, 2)) + self.positions


class BakedTransformer(nn.Module):
    """One tile of latents → velocity."""

    def __init__(
        self,
        pos_embed: BakedPatchEmbed,
        blocks: list[BakedBlock],
        norm_out: Modulated,
        proj_out: Affine,
        *,
        patch: int,
        grid: int,
    ) -> None:
        super().__init__()
        self.patch, self.grid = patch, grid
        self.pos_embed = pos_embed
        self.transformer_blocks = nn.ModuleList(blocks)
        self.norm_out = norm_out
        self.proj_out = proj_out

    @property
    def blocks(self) -> list[BakedBlock]:
        """The blocks, with their type."""
        return cast("list[BakedBlock]", list(self.transformer_blocks))

    def forward(self, z: Tensor) -> Tensor:
        """Map ``[N, C, t, t]``, t the latent tile, to the same shape."""
        x = self.pos_embed(z)
        for block in self.transformer_blocks:
            x = block(x)
        v = self.proj_out(self.norm_out(x))
        return as_type(unpatchify(v, self.grid, self.grid, self.patch), BORDER)


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


class BakedTinySR(nn.Module):
    """The whole model without conditions; only the image is left as its input."""

    def __init__(
        self, encoder: BakedEncoder, transformer: BakedTransformer, decoder: BakedDecoder
    ) -> None:
        super().__init__()
        self.encoder, self.transformer, self.decoder = encoder, transformer, decoder
        self.latent_scale = 1.0
        """Latents here are the eager model's z times this."""

    def forward(self, lr: Tensor) -> Tensor:
        """Map one tile ``[N, 3, T, T]`` in [0, 1] to ``[N, 3, 4T, 4T]``, unclamped."""
        z = self.encoder(lr)
        image: Tensor = self.decoder(z - self.transformer(z))
        return image


_TO_FOLD = ("scale", "shift", "gate_attn", "gate_ff", "logit_scale", "range_map", "gain", "limit")


def list_unfolded(model: nn.Module) -> Iterator[str]:
    """Yield what no pass has folded yet, as dotted names."""
    for path, module in model.named_modules():
        for name in _TO_FOLD:
            if getattr(module, name, None) is not None:
                yield f"{path}.{name}"
        if isinstance(module, SplitAttention):
            yield f"{path}.to_q"


def _attend(q: Tensor, k: Tensor, v: Tensor, scale: float | None) -> Tensor:
    # Written out, because exporters turn the fused call's scale into stray constants; and with
    # the batch as the only open size, so that a graph computes no shapes.
    length, dim = q.shape[1:]
    shape = (-1, length, dim // HEAD_SIZE, HEAD_SIZE)
    q = q.reshape(shape).transpose(1, 2)  # [N, heads, L, 64]
    k = k.reshape(shape).permute(0, 2, 3, 1)  # [N, heads, 64, L]
    v = v.reshape(shape).transpose(1, 2)
    logits = q @ k if scale is None else (q @ k) * scale
    return (logits.softmax(dim=-1) @ v).transpose(1, 2).reshape(-1, length, dim)


def _gate(x: Tensor, gate: Tensor | None) -> Tensor:
    return x if gate is None else x * gate
