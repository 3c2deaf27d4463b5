"""A small image teacher, in all the forms that files have."""

from __future__ import annotations

import struct
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import nn

from tinysr.training.image_teachers.rrdbnet import RRDBNet, RRDBNetConfig

SHAPE = RRDBNetConfig(features=4, growth=2, blocks=1)

HALF = 0x01306B47


def small_teacher(seed: int = 3) -> RRDBNet:
    """Return a random network of one block."""
    torch.manual_seed(seed)
    return RRDBNet(SHAPE).requires_grad_(False).eval()


def save_pth(network: nn.Module, path: Path, key: str = "params_ema") -> Path:
    """Write the weights as Real-ESRGAN's authors release theirs."""
    torch.save({key: network.state_dict()}, path)
    return path


def save_plain(network: nn.Module, path: Path) -> Path:
    """Write the weights as safetensors."""
    save_file(network.state_dict(), path)
    return path


def save_ncnn(network: RRDBNet, path: Path, *, half: bool = False) -> Path:
    """Write ``.param`` and ``.bin`` as ncnn's converter does, splits included."""
    path.with_suffix(".param").write_text("\n".join(_lines(network)) + "\n")
    data = b""
    for name, tensor in network.state_dict().items():
        values = tensor.numpy().ravel()
        if name.endswith(".weight"):
            content = values.astype("<f2" if half else "<f4").tobytes()
            data += struct.pack("<I", HALF if half else 0) + content + b"\0" * (-len(content) % 4)
        else:
            data += values.astype("<f4").tobytes()
    path.with_suffix(".bin").write_bytes(data)
    return path.with_suffix(".param")


def _lines(network: RRDBNet) -> list[str]:
    rows: list[tuple[str, str]] = [("Input", ""), _conv(network.conv_first)]
    add = "0=1 -23301=2,2.000000e-01,1.000000e+00"
    for block in network.body:
        for dense in block.children():
            for conv in list(dense.children())[:-1]:
                rows += [_conv(conv, leaky=True), ("Concat", "")]
            rows += [_conv(list(dense.children())[-1]), ("Eltwise", add)]
        rows.append(("Eltwise", add))
    rows += [_conv(network.conv_body), ("BinaryOp", "")]
    for conv in (network.conv_up1, network.conv_up2):
        rows += [("Interp", "0=1 1=2.000000e+00 2=2.000000e+00"), _conv(conv, leaky=True)]
    rows += [_conv(network.conv_hr, leaky=True), _conv(network.conv_last)]
    rows.insert(2, ("Split", ""))
    lines = [
        f"{kind} layer{index} 1 1 in out {words}".strip()
        for index, (kind, words) in enumerate(rows)
    ]
    return ["7767517", f"{len(rows)} {len(rows)}", *lines]


def _conv(conv: nn.Module, *, leaky: bool = False) -> tuple[str, str]:
    assert isinstance(conv, nn.Conv2d)
    words = f"0={conv.out_channels} 1=3 4=1 5=1 6={conv.weight.numel()}"
    return "Convolution", words + (" 9=2 -23310=1,2.000000e-01" if leaky else "")
