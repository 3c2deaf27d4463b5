"""Group norms whose statistics are given: what makes windows of an autoencoder exact.

A GroupNorm averages over the whole image, so a window of it has statistics of its own, and windows
leave seams. Measured once and given to every window, the statistics make the stage a chain of
convolutions: windows with their surroundings then compute what the whole computes.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

import torch
from torch import Tensor, nn

from .rewrite import replace_modules

__all__ = ["GivenGroupNorm", "Statistics", "give_statistics", "measure_statistics"]

Statistics = dict[str, Tensor]
"""Means and reciprocal deviations ``[2, channels]`` of each norm's input, by the norm's path."""


class GivenGroupNorm(nn.Module):
    """GroupNorm of statistics that are given."""

    def __init__(self, norm: nn.GroupNorm) -> None:
        super().__init__()
        self.weight, self.bias = norm.weight, norm.bias
        self.given: Tensor
        """Means and reciprocal deviations, ``[2, channels]``: an input of the exported graph."""
        shape = (2, norm.num_channels)
        self.register_buffer("given", torch.zeros(shape, device=norm.weight.device))

    def forward(self, x: Tensor) -> Tensor:
        """Map ``[N, channels, H, W]`` to the same shape."""
        mean, scale = (self.given[row].reshape(-1, 1, 1) for row in (0, 1))
        weight, bias = (tensor.reshape(-1, 1, 1) for tensor in (self.weight, self.bias))
        return (x - mean) * scale * weight + bias


@torch.no_grad()
def measure_statistics(stage: nn.Module, x: Tensor) -> Statistics:
    """Return what all group norms of a stage measure on an input ``[1, C, H, W]``."""
    found: Statistics = {}
    hooks = [
        norm.register_forward_pre_hook(partial(_keep, found, path))
        for path, norm in stage.named_modules()
        if isinstance(norm, nn.GroupNorm)
    ]
    try:
        stage(x)
    finally:
        for hook in hooks:
            hook.remove()
    return found


def _keep(found: Statistics, path: str, norm: nn.GroupNorm, given: tuple[Tensor, ...]) -> None:
    found[path] = _measure(norm, given[0])


def _measure(norm: nn.GroupNorm, x: Tensor) -> Tensor:
    columns = []
    for group in x.reshape(norm.num_groups, -1):  # one by one: in float64 they take twice as much
        variance, mean = torch.var_mean(group.double(), unbiased=False)
        columns.append(torch.stack((mean, (variance + norm.eps).rsqrt())))
    rows = torch.stack(columns, dim=1)
    return rows.repeat_interleave(norm.num_channels // norm.num_groups, dim=1).float()


def give_statistics(stage: nn.Module, statistics: Mapping[str, Tensor]) -> nn.Module:
    """Return a copy of a stage whose group norms take these statistics.

    Raises:
        KeyError: a norm has none.
    """
    given = replace_modules(stage, nn.GroupNorm, GivenGroupNorm)
    for path, norm in given.named_modules():
        if isinstance(norm, GivenGroupNorm):
            norm.given.copy_(statistics[path])
    return given
