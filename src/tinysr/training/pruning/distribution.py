"""The learnable distribution over masks: logits per block and per border, sampled and decided."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tinysr.training.pruning.activation import trade
from tinysr.training.pruning.space import STAY, KeptLayers, SearchSpace

__all__ = ["MaskDistribution", "list_kept", "sample_straight_through"]


def sample_straight_through(
    logits: Tensor, temperature: float, generator: torch.Generator | None = None
) -> Tensor:
    """Sample one of the choices in the last dimension: Gumbel-softmax (equation 3).

    Result: exactly one-hot, drawn from softmax(logits) at every temperature; its gradient is that
    of the soft sample softmax((logits + gumbel) / temperature).
    """
    # Drawn on the CPU, so that a seed is the same mask on every device.
    waits = torch.empty(logits.shape, dtype=logits.dtype).exponential_(generator=generator)
    waits = waits.to(logits.device)
    soft = ((logits - waits.log()) / temperature).softmax(-1)
    hard = F.one_hot(soft.argmax(-1), soft.shape[-1]).to(soft)
    return hard + (soft - soft.detach())  # the bracket is exactly 0


def list_kept(mask: Tensor) -> KeptLayers:
    """Return the numbers of the layers that a mask ``[L]`` keeps."""
    return tuple(torch.nonzero(mask > 0.5).flatten().tolist())


class MaskDistribution(nn.Module):
    """p(mask): independent choices of each block's mask and of each border's move."""

    def __init__(self, space: SearchSpace, *, trades: bool = True, scale: float = 1.0) -> None:
        """Start uniform.

        Args:
            space: the blocks and their borders.
            trades: whether layers cross borders; without it this is TinyFusion's search.
            scale: factor of the logits. Adam moves every parameter by about the learning rate,
                so that a scale of 100 learns masks at the rate at which a LoRA learns weights.
        """
        super().__init__()
        self.space, self.trades, self.scale = space, trades, scale
        self.mask_logits = nn.Parameter(torch.zeros(space.blocks, len(space.options)))
        self.move_logits = nn.Parameter(
            torch.zeros(len(space.pairs), 3), requires_grad=trades and bool(space.pairs)
        )
        self.options: Tensor
        """A block's masks, ``[C(N, K), N]``."""
        options = torch.zeros(len(space.options), space.block)
        for row, places in zip(options, space.options, strict=True):
            row[list(places)] = 1
        self.register_buffer("options", options, persistent=False)

    def marginals(self) -> Tensor:
        """Return each layer's probability to be kept before any trade, ``[B, N]``."""
        return (self.scale * self.mask_logits).softmax(-1) @ self.options

    def sample(self, temperature: float, generator: torch.Generator | None = None) -> Tensor:
        """Draw a mask ``[L]`` of exact zeros and ones through which gradients reach the logits."""
        picks = sample_straight_through(self.scale * self.mask_logits, temperature, generator)
        masks = picks @ self.options
        if not self.trades or not self.space.pairs:
            return masks.flatten()
        moves = sample_straight_through(self.scale * self.move_logits, temperature, generator)
        return trade(masks, self.marginals().detach(), moves, self.space.pairs).flatten()

    @torch.no_grad()
    def decide(self) -> KeptLayers:
        """Return the layers of the likeliest moves, applied to the likeliest masks."""
        masks = self.options[self.mask_logits.argmax(-1)]
        if self.trades and self.space.pairs:
            moves = F.one_hot(self.move_logits.argmax(-1), 3).to(masks)
            masks = trade(masks, self.marginals(), moves, self.space.pairs)
        return list_kept(masks.flatten())

    @torch.no_grad()
    def confidence(self, draws: int = 256) -> float:
        """Return the share of samples that are the decision: near 1 once the search is over.

        Many choices lead to one mask, so that the likeliest choices say less.
        """
        decision, generator = self.decide(), torch.Generator().manual_seed(0)
        samples = [self.sample(1.0, generator) for _ in range(draws)]
        return sum(list_kept(sample) == decision for sample in samples) / draws

    @torch.no_grad()
    def moves(self) -> tuple[int, ...]:
        """Return the likeliest move of each border; all stay where there are no trades."""
        if not self.trades:
            return (STAY,) * len(self.space.pairs)
        return tuple(self.move_logits.argmax(-1).tolist())
