"""Dynamic inter-block activation: trades of a layer between blocks, by expansion and corrosion.

Everything here is differentiable with respect to the masks, whose values stay exactly 0 and 1 if
they came so. Paper, section 3.1: the transformation is sampled, and the layer that comes or goes
follows from the marginal probabilities (equation 7).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

__all__ = ["corrode", "expand", "trade"]


def expand(mask: Tensor, marginals: Tensor) -> Tensor:
    """Return a block's mask with one layer more: the likeliest of those that were out.

    Given masks of 0 and 1, ``[N]``, and each layer's probability to be kept, ``[N]``.
    Result: the union of the mask with a candidate: the layers in falling order of their
    probability, as far as the union has one layer more. A product stands in the union's place
    (equation 8), so that gradients pass: m ∪ c = m + c - m·c.
    """
    active = mask.detach() > 0.5
    candidate = _keep_ranked(marginals, stop_after=torch.nonzero(~active[_order(marginals)])[0])
    return mask + candidate - mask * candidate


def corrode(mask: Tensor, marginals: Tensor) -> Tensor:
    """Return a block's mask with one layer less: the unlikeliest of those that were in.

    Given as for :func:`expand`. Result: the intersection with a candidate, the layers in falling
    order of their probability as far as the intersection lacks one layer of the mask, as the
    product m ∩ c = m·c (equation 8).
    """
    active = mask.detach() > 0.5
    last = torch.nonzero(active[_order(marginals)])[-1]
    return mask * _keep_ranked(marginals, stop_after=last - 1)


def _order(marginals: Tensor) -> Tensor:
    """Return the layers by falling probability; of equal ones, the first comes first."""
    return torch.argsort(marginals.detach(), descending=True, stable=True)


def _keep_ranked(marginals: Tensor, *, stop_after: Tensor) -> Tensor:
    """Return the mask of the layers up to a rank, that one included."""
    order = _order(marginals)
    ranks = torch.empty_like(order)
    ranks[order] = torch.arange(len(order), device=order.device)
    return (ranks <= stop_after).to(marginals.dtype)


def trade(
    masks: Tensor, marginals: Tensor, moves: Tensor, pairs: Sequence[tuple[int, int]]
) -> Tensor:
    """Apply the moves of all borders, one after the other.

    Args:
        masks: the blocks' masks, ``[B, N]``.
        marginals: each layer's probability to be kept, ``[B, N]``.
        moves: for each pair a choice, ``[P, 3]``: stay, the first block grows and the second
            shrinks, the reverse. One-hot, or straight-through samples that are.
        pairs: the blocks at each border.

    Returns:
        Masks ``[B, N]`` with as many layers in all as before.
    """
    rows = list(masks.unbind())
    for move, (first, second) in zip(moves.unbind(), pairs, strict=True):
        stay, forward, backward = move.unbind()
        a, b = rows[first], rows[second]
        pa, pb = marginals[first], marginals[second]
        rows[first] = stay * a + forward * expand(a, pa) + backward * corrode(a, pa)
        rows[second] = stay * b + forward * corrode(b, pb) + backward * expand(b, pb)
    return torch.stack(rows)
