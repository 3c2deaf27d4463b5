"""Joint blocks of two streams without conditions: the image's tokens and the text's.

The text that enters the first block is the same for every image, and so are its queries, keys and
values there. From then on it depends on the image. The last block only reads it.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ...model.baked_transformer import Affine, BakedFeedForward, Modulated, attend
from ...model.typed import Typed

__all__ = ["JointAttention", "JointBlock", "JointBlocks"]


class JointAttention(Typed):
    """Attention of all tokens of both streams; queries are already scaled."""

    def __init__(
        self,
        to_qkv: Affine,
        to_out: Affine,
        text: Affine | Tensor,
        to_add_out: Affine | None,
    ) -> None:
        """Take the linears of both streams.

        Args:
            to_qkv: of the image.
            to_out: of the image.
            text: the text's q, k and v, constant ``[1, T, 3·dim]`` or as a linear; of k and v
                alone where ``to_add_out`` is missing.
            to_add_out: of the text; None where it is only read.
        """
        super().__init__()
        constant = text if isinstance(text, Tensor) else None
        self.to_qkv, self.to_out, self.to_add_out = to_qkv, to_out, to_add_out
        self.add_qkv = None if isinstance(text, Tensor) else text
        self.text_qkv: Tensor | None
        self.register_buffer("text_qkv", constant)

    def forward(self, x: Tensor, text: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """Map ``[N, L, dim]`` and ``[N, T, dim]`` to the same shapes.

        The text is None where its q, k and v are constant, and comes back as None where it is
        only read.
        """
        ours = self.cast_input(self.to_qkv(x))
        theirs = self._read_text(text, x.shape[0])
        length, dim = x.shape[1:]
        if self.to_add_out is None:
            k, v = torch.cat([ours[..., dim:], theirs], 1).chunk(2, dim=2)
            return self.to_out(attend(ours[..., :dim], k, v)), None
        q, k, v = torch.cat([ours, theirs], 1).chunk(3, dim=2)
        y = attend(q, k, v)
        after = self.to_add_out(y[:, length:])
        return self.to_out(y[:, :length]), after

    def _read_text(self, text: Tensor | None, count: int) -> Tensor:
        if self.text_qkv is not None:
            return self.text_qkv.expand(count, -1, -1)
        if self.add_qkv is None or text is None:
            raise TypeError("expected a text that is constant, or one that is given")
        return self.cast_input(self.add_qkv(text))


class JointBlock(Typed):
    """A joint block without conditioning."""

    def __init__(
        self,
        attn: JointAttention,
        ff: BakedFeedForward,
        ff_text: BakedFeedForward | None,
        text: Tensor | None,
        *,
        dim: int,
    ) -> None:
        """Take the parts of a block; its norms have no weights.

        Args:
            attn: of both streams.
            ff: of the image.
            ff_text: of the text; None in the last block, which only reads it.
            text: that enters the first block, constant ``[1, T, dim]``; None in all others.
            dim: channels of a token.
        """
        super().__init__()
        self.norm_attn, self.norm_ff = _norm(dim), _norm(dim)
        self.attn, self.ff, self.ff_text = attn, ff, ff_text
        self.norm_text = None if attn.add_qkv is None else _norm(dim)
        self.norm_ff_text = None if ff_text is None else _norm(dim)
        self.text: Tensor | None
        self.register_buffer("text", text)

    def forward(self, x: Tensor, text: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """Map ``[N, L, dim]`` and ``[N, T, dim]`` to the same shapes.

        The first block takes None for the text, the last one returns None.
        """
        read = text if text is None or self.norm_text is None else self.norm_text(text)
        y, z = self.attn(self.norm_attn(x), read)
        before = self.text if text is None else text
        if z is None or before is None or self.ff_text is None or self.norm_ff_text is None:
            after = None
        else:
            after = self.cast_input(before) + self.cast_input(z)
            after = after + self.cast_input(self.ff_text(self.norm_ff_text(after)))
        x = self.cast_input(x) + self.cast_input(y)
        return x + self.cast_input(self.ff(self.norm_ff(x))), after


class JointBlocks(nn.Sequential):
    """All joint blocks, one after the other."""

    def forward(self, x: Tensor) -> Tensor:
        """Map the image's tokens ``[N, L, dim]`` to the same shape."""
        text: Tensor | None = None
        for block in self:
            x, text = block(x, text)
        return x


def _norm(dim: int) -> Modulated:
    return Modulated(dim, None, None)
