"""A model whose layers a mask weighs, and the smaller model that a hard mask stands for."""

from __future__ import annotations

import dataclasses
import re

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tinysr.errors import UnsupportedError
from tinysr.models import OneStep, TinySR
from tinysr.models.layers.sd3 import Block, Transformer
from tinysr.training.pruning.space import KeptLayers

__all__ = ["MaskedTinySR", "block_influence", "predict_masked", "prune", "weigh"]

_BLOCK = re.compile(r"^transformer\.transformer_blocks\.(\d+)\.(.*)$")


def weigh(block: Block, x: Tensor, conditioning: Tensor, kept: Tensor, *, bypass: bool) -> Tensor:
    """Return x + m·(block(x) - x) (equation 1), exactly x or block(x) where m is 0 or 1.

    With ``bypass``, a layer whose m is 0 is not computed (appendix A): it is cheaper, and m gets no
    gradient there.
    """
    if bypass and not kept.detach().any():
        return x
    y: Tensor = block(x, conditioning)
    return kept * y + (1 - kept) * x


def predict_masked(
    transformer: Transformer,
    z: Tensor,
    timestep: Tensor,
    pooled: Tensor,
    mask: Tensor,
    *,
    bypass: bool,
) -> Tensor:
    """Return the velocity of z ``[N, C, h, w]`` with layers weighed by a mask ``[L]``."""
    conditioning = transformer.time_text_embed(timestep, pooled)
    x = transformer.pos_embed(z)
    for block, kept in zip(transformer.blocks, mask.unbind(), strict=True):
        x = weigh(block, x, conditioning, kept, bypass=bypass)
    rows, columns = (side // transformer.patch for side in z.shape[2:])
    return transformer.velocity(x, conditioning, rows, columns)


class MaskedTinySR(nn.Module):
    """A model that takes a mask beside its image; its weights are the plain model's own.

    Of a model with a text stream this is the image's alone.
    """

    def __init__(self, model: OneStep, *, bypass: bool = True) -> None:
        super().__init__()
        self.model, self.bypass = model, bypass

    def predict(self, z: Tensor, mask: Tensor) -> Tensor:
        """Return the velocity v of latents z, both ``[N, C, h, w]``, under a mask ``[L]``."""
        timestep = torch.full((z.shape[0],), self.model.config.timestep, device=z.device)
        pooled = self.model.pooled.expand(z.shape[0], -1)
        return predict_masked(self.model.transformer, z, timestep, pooled, mask, bypass=self.bypass)

    def forward(self, lr: Tensor, mask: Tensor) -> Tensor:
        """Map ``[N, 3, H, W]`` in [0, 1] to ``[N, 3, 4H, 4W]`` under a mask ``[L]``."""
        z = self.model.encode(lr)
        return self.model.decode(z - self.predict(z, mask))


def prune(model: TinySR, keep: KeptLayers) -> TinySR:
    """Return the model of the kept layers, with copies of their weights, in their order.

    Raises:
        UnsupportedError: the layers are none of the model's or don't rise, or the model has a
            LoRA, which must be merged first.
    """
    depth = model.config.transformer.depth
    if not keep or sorted(set(keep)) != list(keep) or not set(keep) <= set(range(depth)):
        raise UnsupportedError(
            f"expected layers to keep, rising and from 0 to {depth - 1}, found {list(keep)}"
        )
    transformer = dataclasses.replace(model.config.transformer, depth=len(keep))
    with torch.device("meta"):
        pruned = TinySR(dataclasses.replace(model.config, transformer=transformer))
    tensors = {
        renamed: tensor.detach().clone()
        for name, tensor in model.state_dict().items()
        if (renamed := _rename(name, keep)) is not None
    }
    if tensors.keys() != pruned.state_dict().keys():
        raise UnsupportedError("only a plain model can be pruned: merge its LoRA first")
    pruned.load_state_dict(tensors, assign=True)
    return pruned.requires_grad_(False).eval()


def _rename(name: str, keep: KeptLayers) -> str | None:
    """Return a tensor's name among the kept layers, or None if its layer goes."""
    block = _BLOCK.match(name)
    if block is None:
        return name
    layer = int(block[1])
    return (
        f"transformer.transformer_blocks.{keep.index(layer)}.{block[2]}" if layer in keep else None
    )


@torch.no_grad()
def block_influence(model: TinySR, z: Tensor) -> list[float]:
    """Return each layer's influence on latents ``[N, C, h, w]`` (ShortGPT).

    Result: 1 - the mean over all tokens of the cosine between the layer's input and its output.
    """
    transformer = model.transformer
    timestep = torch.full((z.shape[0],), model.config.timestep, device=z.device)
    conditioning = transformer.time_text_embed(timestep, model.pooled.expand(z.shape[0], -1))
    x, influence = transformer.pos_embed(z), []
    for block in transformer.blocks:
        y = block(x, conditioning)
        influence.append(1 - float(F.cosine_similarity(x, y, dim=-1).mean()))
        x = y
    return influence
