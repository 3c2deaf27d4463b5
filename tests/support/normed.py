"""Small networks whose norms and activations fp16 can, or can't, look inside of."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tinysr.export.model.typed import Typed

SIDE = 16
CHANNELS = 8


class OverChannels(nn.Module):
    """A norm over channels of ``[N, C, H, W]``, which lie last for it."""

    def __init__(self, norm: nn.Module) -> None:
        super().__init__()
        self.norm = norm

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.norm(x.permute(0, 2, 3, 1))
        return y.permute(0, 3, 1, 2)


class Attention(Typed):
    """Attention of every row to every row, in one operation."""

    def forward(self, x: Tensor) -> Tensor:
        x = self.cast_input(x)
        return F.scaled_dot_product_attention(x, x, x)


class Flat(nn.Module):
    """A fixed convolution before a part, and one after it."""

    def __init__(self, part: nn.Module, gain: float) -> None:
        """Take the size of the values that reach the part."""
        super().__init__()
        self.before = nn.Conv2d(3, CHANNELS, 1)
        self.part = part
        self.after = nn.Conv2d(CHANNELS, 3, 1)
        with torch.no_grad():
            self.before.weight *= gain
            self.after.weight.uniform_(-0.1, 0.1)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.after(self.part(self.before(x)))
        return y


def _affine(norm: nn.Module) -> nn.Module:
    for name, parameter in norm.named_parameters():
        nn.init.uniform_(parameter, *((0.5, 2) if name == "weight" else (-1, 1)))
    return norm


def _batch_norm() -> nn.Module:
    norm = nn.BatchNorm2d(CHANNELS)
    norm.running_mean = torch.rand(CHANNELS)
    norm.running_var = torch.rand(CHANNELS) + 0.5
    return _affine(norm)


PARTS: dict[str, Callable[[], nn.Module]] = {
    "group_norm": lambda: _affine(nn.GroupNorm(2, CHANNELS)),
    "group_norm plain": lambda: nn.GroupNorm(4, CHANNELS, affine=False),
    "instance_norm": lambda: _affine(nn.InstanceNorm2d(CHANNELS, affine=True)),
    "instance_norm plain": lambda: nn.InstanceNorm2d(CHANNELS),
    "layer_norm": lambda: OverChannels(_affine(nn.LayerNorm(CHANNELS))),
    "layer_norm plain": lambda: OverChannels(nn.LayerNorm(CHANNELS, elementwise_affine=False)),
    "layer_norm without bias": lambda: OverChannels(_affine(nn.LayerNorm(CHANNELS, bias=False))),
    "rms_norm": lambda: OverChannels(_affine(nn.RMSNorm(CHANNELS, eps=1e-6))),
    "rms_norm plain": lambda: OverChannels(nn.RMSNorm(CHANNELS, elementwise_affine=False)),
    "batch_norm": _batch_norm,
    "silu": nn.SiLU,
    "gelu": nn.GELU,
    "gelu by tanh": lambda: nn.GELU(approximate="tanh"),
    "sigmoid": nn.Sigmoid,
    "tanh": nn.Tanh,
    "means": lambda: nn.AvgPool2d(3, 1, 1),
    "mean": lambda: nn.AdaptiveAvgPool2d(1),
    "attention": Attention,
}
"""Parts with steps inside, of images ``[N, 8, H, W]``."""


def build(name: str, gain: float = 1.0) -> Flat:
    """Return a network around a part; its weights depend on the name alone."""
    torch.manual_seed(len(name))
    return Flat(PARTS[name](), gain).eval()
