"""Small super-resolution networks of the kinds that people bring, with random weights."""

from __future__ import annotations

import contextlib
import io
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tinysr.quiet import load

WIDTH = 8


class Dense(nn.Module):
    """A dense block, whose convolutions read all that came before them."""

    def __init__(self) -> None:
        super().__init__()
        self.convs = nn.ModuleList(
            nn.Conv2d(WIDTH + 4 * i, 4 if i < 4 else WIDTH, 3, padding=1) for i in range(5)
        )

    def forward(self, x: Tensor) -> Tensor:
        parts = [x]
        for conv in self.convs:
            parts.append(F.leaky_relu(conv(torch.cat(parts, 1)), 0.2))
        return x + 0.2 * parts[-1]


class Rrdb(nn.Module):
    """Residual-in-residual dense blocks, as Real-ESRGAN's: nearest upsampling, ×2 each."""

    def __init__(self, blocks: int = 2, doublings: int = 2) -> None:
        super().__init__()
        self.conv_first = nn.Conv2d(3, WIDTH, 3, padding=1)
        self.body = nn.Sequential(*(Dense() for _ in range(blocks)))
        self.ups = nn.ModuleList(nn.Conv2d(WIDTH, WIDTH, 3, padding=1) for _ in range(doublings))
        self.conv_last = nn.Conv2d(WIDTH, 3, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv_first(x)
        x = x + self.body(x)
        for up in self.ups:
            x = F.leaky_relu(up(F.interpolate(x, scale_factor=2, mode="nearest")), 0.2)
        y: Tensor = self.conv_last(x)
        return y


class Srvgg(nn.Module):
    """A plain stack with PReLU and a pixel shuffle, beside the repeated image."""

    def __init__(self, scale: int) -> None:
        super().__init__()
        self.scale = scale
        self.body = nn.Sequential(
            nn.Conv2d(3, WIDTH, 3, padding=1),
            nn.PReLU(WIDTH),
            nn.Conv2d(WIDTH, WIDTH, 3, padding=1),
            nn.PReLU(WIDTH),
            nn.Conv2d(WIDTH, 3 * scale**2, 3, padding=1),
        )

    def forward(self, x: Tensor) -> Tensor:
        y = F.pixel_shuffle(self.body(x), self.scale)
        return y + F.interpolate(x, scale_factor=self.scale, mode="nearest")


class Span(nn.Module):
    """Attention without parameters: each block's sigmoid gates it; convolutions are settled."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, WIDTH, 3, padding=1)
        self.blocks = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(WIDTH, WIDTH, 3, padding=1),
                nn.BatchNorm2d(WIDTH),
                nn.SiLU(),
                nn.Conv2d(WIDTH, WIDTH, 3, padding=1),
            )
            for _ in range(2)
        )
        self.last = nn.Conv2d(3 * WIDTH, 12, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x)
        parts = [x]
        for block in self.blocks:
            y = block(x)
            x = (y + x) * (torch.sigmoid(y) - 0.5)
            parts.append(x)
        return F.pixel_shuffle(self.last(torch.cat(parts, 1)), 2)


class Squeeze(nn.Module):
    """A squeeze-and-excite block: each channel's mean over the whole image gates it."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, WIDTH, 3, padding=1)
        self.down, self.up = nn.Conv2d(WIDTH, 4, 1), nn.Conv2d(4, WIDTH, 1)
        self.last = nn.ConvTranspose2d(WIDTH, 3, 4, 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = F.gelu(self.first(x))
        gate = torch.sigmoid(self.up(F.relu(self.down(F.adaptive_avg_pool2d(x, 1)))))
        y: Tensor = self.last(x * gate)
        return y


class Unshuffled(nn.Module):
    """Works at a quarter of the size, and needs sides that divide by four."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(48, WIDTH, 3, padding=1, padding_mode="reflect")
        self.down = nn.Conv2d(WIDTH, WIDTH, 3, 2, 1)
        self.last = nn.Conv2d(WIDTH, 48, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        y = F.elu(self.first(F.pixel_unshuffle(x, 4)))
        y = y + F.interpolate(self.down(y), scale_factor=2, mode="bilinear", align_corners=False)
        return x + F.pixel_shuffle(self.last(y), 4)


class Tokens(nn.Module):
    """Attention over all places, with norms of both kinds."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, WIDTH, 3, padding=1)
        self.group = nn.GroupNorm(2, WIDTH)
        self.norm, self.qkv = nn.LayerNorm(WIDTH), nn.Linear(WIDTH, 3 * WIDTH)
        self.out = nn.Linear(WIDTH, WIDTH)
        self.last = nn.Conv2d(WIDTH, 12, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.group(self.first(x))
        b, c, h, w = x.shape
        tokens = self.norm(x.flatten(2).transpose(1, 2))
        q, k, v = self.qkv(tokens).reshape(b, h * w, 3, 2, c // 2).permute(2, 0, 3, 1, 4).unbind(0)
        seen = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(b, h * w, c)
        x = x + self.out(seen).transpose(1, 2).reshape(b, c, h, w)
        return F.pixel_shuffle(self.last(x), 2)


def seed(network: nn.Module) -> nn.Module:
    """Give a network weights under which every pixel in reach counts."""
    generator = torch.Generator().manual_seed(11)
    with torch.no_grad():
        for name, tensor in [*network.named_parameters(), *network.named_buffers()]:
            if tensor.is_floating_point():
                low, high = (0.5, 1.5) if "var" in name else (-0.5, 0.5)
                tensor.uniform_(low, high, generator=generator)
    return network.eval()


def export(
    network: nn.Module,
    path: Path,
    *,
    side: tuple[int, int] = (16, 24),
    fixed: bool = False,
    **options: Any,
) -> Path:
    """Write a network as an ONNX file, of any size unless it is fixed."""
    axes = None if fixed else {"image": {0: "n", 2: "h", 3: "w"}, "out": {0: "n", 2: "h", 3: "w"}}
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        torch.onnx.export(
            seed(network),
            (torch.zeros(1 if fixed else 2, 3, *side),),
            str(path),
            dynamo=False,
            opset_version=20,
            input_names=["image"],
            output_names=["out"],
            dynamic_axes=axes,
            **options,
        )
    return path


def compute(path: Path, image: Tensor, **others: np.ndarray) -> Tensor:
    """Return what ONNX Runtime computes of a file as it is."""
    runtime: Any = load("onnxruntime")
    options = runtime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = 1
    session = runtime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    return torch.from_numpy(session.run(None, {"image": image.numpy(), **others})[0])


def difference(found: Tensor, expected: Tensor) -> float:
    """Return the largest difference, relative to the largest value."""
    assert found.shape == expected.shape
    return float((found - expected).abs().max() / expected.abs().max())
