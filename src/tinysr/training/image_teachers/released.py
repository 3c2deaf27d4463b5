"""RRDBNets as they are released: a ``.pth`` of tensors, safetensors, or ncnn's two files."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from tinysr.errors import CheckpointError
from tinysr.models.checkpoints.tensors import read_tensors
from tinysr.training.image_teachers.ncnn_files import read_ncnn
from tinysr.training.image_teachers.rrdbnet import RRDBNet, RRDBNetConfig

__all__ = ["load_image_teacher"]

_WITHIN = ("params_ema", "params")
"""Names under which releases keep the tensors: the averaged weights before the others."""

_BLOCK = re.compile(r"^body\.(\d+)\.")
_MOST_BLOCKS = 64


def load_image_teacher(path: Path) -> RRDBNet:
    """Return the network of a file, in eval mode, without gradients.

    Raises:
        CheckpointError: the file is missing or damaged, or not of an RRDBNet for ×4.
    """
    if path.suffix in (".param", ".bin"):
        network = read_ncnn(path)
    elif path.suffix in (".pth", ".pt", ".safetensors"):
        network = _fill_network(read_tensors(path, _WITHIN), path)
    else:
        raise CheckpointError(
            f"{path}: expected an RRDBNet as .pth, .safetensors or ncnn's .param and .bin, "
            f"found '{path.suffix}'"
        )
    return network.requires_grad_(False).eval()


def _fill_network(tensors: Mapping[str, Tensor], path: Path) -> RRDBNet:
    with torch.device("meta"):
        network = RRDBNet(_shape(tensors, path))
    wanted = {name: tuple(value.shape) for name, value in network.state_dict().items()}
    found = {name: tuple(value.shape) for name, value in tensors.items()}
    odd = sorted(name for name in wanted | found if wanted.get(name) != found.get(name))
    if odd:
        name = odd[0]
        raise CheckpointError(
            f"{path}: expected '{name}' to be {_size(wanted.get(name))}, found "
            f"{_size(found.get(name))} ({len(odd)} such tensors)"
        )
    network.load_state_dict(dict(tensors), assign=True)
    return network


def _size(shape: tuple[int, ...] | None) -> str:
    return "nothing" if shape is None else str(list(shape))


def _shape(tensors: Mapping[str, Tensor], path: Path) -> RRDBNetConfig:
    blocks = {int(match[1]) for name in tensors if (match := _BLOCK.match(name))}
    first, dense = (tensors.get(name) for name in ("conv_first.weight", "body.0.rdb1.conv1.weight"))
    if first is None or dense is None or first.dim() != 4 or len(blocks) > _MOST_BLOCKS:
        raise CheckpointError(
            f"{path}: expected an RRDBNet's tensors (conv_first, body.0.rdb1.conv1 …), found others"
        )
    if first.shape[1] != 3:
        raise CheckpointError(
            f"{path}: expected a network for ×4, which reads 3 channels; this one reads "
            f"{first.shape[1]}, as those for ×2 and ×1 do"
        )
    return RRDBNetConfig(features=first.shape[0], growth=dense.shape[0], blocks=len(blocks))
