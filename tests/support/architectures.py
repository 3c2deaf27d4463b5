"""Small networks of the kinds that vision uses, none of them ours, for the interpreter."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

SIDE = 32


class ResNet(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(3, 8, 7, 2, 3, bias=False),
            nn.BatchNorm2d(8),
            nn.ReLU(),
            nn.MaxPool2d(3, 2, 1),
        )
        self.block = nn.Sequential(
            nn.Conv2d(8, 8, 3, padding=1),
            nn.BatchNorm2d(8),
            nn.ReLU6(),
            nn.Conv2d(8, 8, 3, padding=1),
        )
        self.down = nn.Conv2d(8, 16, 1, 2)
        self.head = nn.Linear(16, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        x = self.down(F.relu(x + self.block(x)))
        x = F.avg_pool2d(x, 3, 1, 1, count_include_pad=False)
        y: Tensor = self.head(F.adaptive_avg_pool2d(x, 1).flatten(1))
        return y.softmax(-1)


class UNet(nn.Module):
    """With GroupNorm, which Core ML has no operation for."""

    def __init__(self, gain: float = 1.0) -> None:
        super().__init__()
        self.gain = gain
        self.inside = nn.Conv2d(3, 16, 3, padding=1)
        self.norm = nn.GroupNorm(4, 16)
        self.down = nn.Conv2d(16, 32, 3, 2, 1)
        self.middle = nn.Sequential(nn.GroupNorm(8, 32), nn.SiLU(), nn.Conv2d(32, 32, 3, padding=1))
        self.up = nn.ConvTranspose2d(32, 16, 4, 2, 1)
        self.odd = nn.ConvTranspose2d(16, 16, 3, 2, 1, output_padding=1)
        self.out = nn.Conv2d(48, 3, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        first = F.silu(self.norm(self.inside(x) * self.gain))
        low = self.middle(self.down(first))
        up = self.up(low)
        odd = F.interpolate(self.odd(first), scale_factor=0.5, mode="bilinear", align_corners=False)
        large = F.interpolate(low, scale_factor=2, mode="bilinear", align_corners=True)
        y: Tensor = self.out(torch.cat([up, odd, F.max_pool2d(first, 1) + large[:, :16]], 1))
        return y


class ViT(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        dim = 32
        self.patch = nn.Conv2d(3, dim, 8, 8)
        self.token = nn.Parameter(torch.randn(1, 1, dim))
        self.places = nn.Parameter(torch.randn(1, 17, dim))
        self.norms = nn.ModuleList(nn.LayerNorm(dim) for _ in range(3))
        self.qkv, self.out = nn.Linear(dim, 3 * dim), nn.Linear(dim, dim)
        self.mlp = nn.Sequential(nn.Linear(dim, 64), nn.GELU(), nn.Linear(64, dim))

    def forward(self, x: Tensor) -> Tensor:
        x = self.patch(x).flatten(2).transpose(1, 2)
        x = torch.cat([self.token.expand(x.shape[0], -1, -1), x], 1) + self.places
        q, k, v = self.qkv(self.norms[0](x)).reshape(1, 17, 3, 4, 8).permute(2, 0, 3, 1, 4)
        y = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(1, 17, 32)
        x = x + self.out(y)
        tokens: Tensor = self.norms[2](x + self.mlp(self.norms[1](x)))
        return tokens[:, 0]


class MobileNet(nn.Module):
    """Depthwise convolutions, squeeze and excitation, hard activations."""

    def __init__(self) -> None:
        super().__init__()
        self.wide = nn.Conv2d(3, 16, 1)
        self.depth = nn.Conv2d(16, 16, 5, 2, 2, groups=16, bias=False)
        self.squeeze, self.excite = nn.Conv2d(16, 4, 1), nn.Conv2d(4, 16, 1)
        self.dilated = nn.Conv2d(16, 8, 3, padding=2, dilation=2, groups=4)
        self.slope = nn.PReLU(8)

    def forward(self, x: Tensor) -> Tensor:
        x = F.hardswish(self.depth(F.hardtanh(self.wide(x), -2.0, 2.0)))
        gate = F.hardsigmoid(self.excite(F.relu(self.squeeze(x.mean((2, 3), keepdim=True)))))
        y: Tensor = self.slope(self.dilated(x * gate))
        return y


class SuperResolution(nn.Module):
    """Pixel shuffle and its inverse, reflection, instance norm."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(12, 16, 3, padding=1, padding_mode="reflect")
        self.norm = nn.InstanceNorm2d(16, affine=True)
        self.last = nn.Conv2d(16, 48, 3)

    def forward(self, x: Tensor) -> Tensor:
        y = F.pixel_unshuffle(x, 2)
        y = F.leaky_relu(self.norm(self.first(y)), 0.2)
        y = self.last(F.pad(y, (1, 1, 1, 1), mode="replicate"))
        base = F.interpolate(x, scale_factor=2, mode="nearest")
        return torch.sigmoid(F.pixel_shuffle(y, 4) + base).clamp(0.1, 0.9)


class Swin(nn.Module):
    """Shifted windows: rolls, six-dimensional reshapes, a relative bias by index."""

    index: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.inside, self.norm = nn.Conv2d(3, 16, 2, 2), nn.LayerNorm(16)
        self.bias = nn.Parameter(torch.randn(49, 2))
        self.register_buffer("index", torch.randint(0, 49, (16, 16)))
        self.qkv, self.out = nn.Linear(16, 48), nn.Linear(16, 16)

    def forward(self, x: Tensor) -> Tensor:
        x = self.norm(self.inside(x).permute(0, 2, 3, 1))
        shifted = torch.roll(x, (-2, -2), (1, 2))
        windows = shifted.reshape(1, 4, 4, 4, 4, 16).permute(0, 1, 3, 2, 4, 5).reshape(16, 16, 16)
        q, k, v = self.qkv(windows).reshape(16, 16, 3, 2, 8).permute(2, 0, 3, 1, 4).unbind(0)
        bias = self.bias[self.index.reshape(-1)].reshape(16, 16, 2).permute(2, 0, 1)
        weights = (torch.einsum("bhqc,bhkc->bhqk", q, k) * 8**-0.5 + bias).softmax(-1)
        y = self.out((weights @ v).transpose(1, 2).reshape(16, 16, 16))
        whole = y.reshape(1, 4, 4, 4, 4, 16).permute(0, 1, 3, 2, 4, 5).reshape(1, 16, 16, 16)
        return x + torch.roll(whole, (2, 2), (1, 2))


class Mixture(nn.Module):
    """Arithmetic, reductions and indexing that vision models use now and then."""

    def forward(self, x: Tensor) -> Tensor:
        red, rest = x.split([1, 2], 1)
        length = torch.linalg.vector_norm(rest, dim=1, keepdim=True)
        rank = torch.topk(x.flatten(2).mean(1), 5).values.sum()
        best = F.one_hot(x.argmax(1), 3).permute(0, 3, 1, 2).float()
        wave = torch.sin(red) * torch.cos(rest) + torch.exp(-rest.abs()) + torch.sqrt(red + 1)
        chosen = torch.where(x > 0.5, x.square(), x**3) / (length + 1)
        stack = torch.stack([chosen.flip(3), best], 0).amax(0)
        tail = torch.log(x + 1).cumsum(2).floor() + torch.erf(x).round() + F.softplus(x)
        return (
            torch.cat([wave.repeat(1, 2, 1, 1), stack, tail[..., ::2].repeat(1, 1, 1, 2)], 1) + rank
        )


ARCHITECTURES = (ResNet, UNet, ViT, MobileNet, SuperResolution, Swin, Mixture)


def seeded(kind: type[nn.Module], **options: float) -> nn.Module:
    """Return a network with random weights and statistics that differ from the defaults."""
    torch.manual_seed(7)
    network = kind(**options).eval()
    with torch.no_grad():
        for module in network.modules():
            if isinstance(module, nn.BatchNorm2d):
                assert module.running_mean is not None
                assert module.running_var is not None
                module.running_mean.uniform_(-0.5, 0.5)
                module.running_var.uniform_(0.5, 2)
            if isinstance(module, nn.GroupNorm | nn.LayerNorm | nn.InstanceNorm2d):
                module.weight.uniform_(0.5, 2)
    return network
