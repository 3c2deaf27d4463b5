"""AdcSR as its authors release it: two pickles, of which nothing is run.

::

    weight/net_params_200.pkl              the UNet, and the decoder's middle block
    weight/pretrained/halfDecoder.ckpt     a decoder, whose levels and last layers are taken

The first was saved from a model that has the UNet's blocks under two names each: both must hold
the same numbers. The second is a checkpoint of Lightning's, which holds more than weights. It may
lie beside the first as well.
"""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Mapping
from pathlib import Path

import torch
from torch import Tensor

from tinysr import paths
from tinysr.errors import CheckpointError
from tinysr.models.checkpoints.damage import describe_absence
from tinysr.models.checkpoints.pickles import PickledTensor
from tinysr.models.checkpoints.prefixes import common_prefix
from tinysr.models.checkpoints.torch_files import TorchFile, open_torch_file
from tinysr.models.checkpoints.weights import list_visible
from tinysr.models.families.adcsr.build import build_adcsr, build_config
from tinysr.models.families.adcsr.config import AdcSrConfig
from tinysr.models.families.adcsr.model import AdcSR

__all__ = ["is_released", "read_released"]

_NETWORK = re.compile(r"^net_params_\d+\.pkl$")
_DECODERS = (Path("pretrained/halfDecoder.ckpt"), Path("halfDecoder.ckpt"))

_MOST_NETWORK = 4 * 2**30  # bytes: the released file has 1.8 GB
_MOST_DECODER = 4 * 2**30  # bytes: Lightning adds what training needs

_UNET, _MIDDLE = "body.1.", "body.2."
_DOUBLE = re.compile(r"^body\.1\.body\.(\d{1,3})\.(.+)$")
_DECODER = "decoder."
_BEFORE_TAIL = ("decoder.conv_in.", "decoder.mid_block.")
"""Parts of the decoder that are not read: the network has a middle block of its own."""

_Described = dict[str, PickledTensor]


def is_released(path: Path) -> bool:
    """Tell whether a folder holds the authors' network, from names alone."""
    return any(map(_list_networks, _list_folders(path)))


def read_released(path: Path) -> AdcSR:
    """Return the model of a folder: eval mode, fp32, no gradients.

    Raises:
        CheckpointError: a file is missing, damaged or hostile, or does not fit the other.
    """
    network, decoder = _find_files(path)
    with (
        open_torch_file(network, _MOST_NETWORK) as ours,
        open_torch_file(decoder, _MOST_DECODER) as theirs,
    ):
        body = _describe_network(ours.root, network)
        tail = _describe_tail(theirs.root, decoder)
        config = _find_config(body, tail, path)
        tensors = {name: theirs.read(name, found) for name, found in tail.items()}
        tensors |= _read_network(ours, body, config, network)
    return build_adcsr(config, tensors, path)


def _list_folders(path: Path) -> list[Path]:
    folders = [path, path / "weight"]
    return [folder for folder in folders if paths.is_folder(folder, CheckpointError)]


def _list_networks(folder: Path) -> list[Path]:
    return [found for found in list_visible(folder) if _NETWORK.match(found.name)]


def _find_files(path: Path) -> tuple[Path, Path]:
    networks = [found for folder in _list_folders(path) for found in _list_networks(folder)]
    if len(networks) != 1:
        names = ", ".join(found.name for found in networks[:4]) or "none"
        raise CheckpointError(
            f"{path}: expected one net_params_….pkl here or in 'weight', found {names}: keep one"
        )
    candidates = [networks[0].parent / name for name in _DECODERS]
    decoder = next((one for one in candidates if paths.is_file(one, CheckpointError)), None)
    if decoder is None:
        reason = describe_absence(candidates[0])
        raise CheckpointError(f"{candidates[0]}: the decoder is missing: {reason}")
    return networks[0], decoder


def _describe_network(root: object, path: Path) -> _Described:
    """Return the network's tensors by their names in the file, without DataParallel's prefix."""
    found = _describe_tensors(root, path)
    prefix = common_prefix(found, ("body",), path)
    return {name.removeprefix(prefix): tensor for name, tensor in found.items()}


def _describe_tail(root: object, path: Path) -> _Described:
    """Return the decoder's tensors behind its middle block, by their names in the file."""
    state = root.get("state_dict") if isinstance(root, Mapping) else None
    if not isinstance(state, Mapping):
        raise CheckpointError(f"{path}: expected a checkpoint with a 'state_dict', found none")
    named = {name: state[name] for name in state if str(name).startswith(_DECODER)}
    if not named:
        raise CheckpointError(f"{path}: expected tensors named 'decoder.…', found none")
    found = _describe_tensors(named, path)
    return {name: found[name] for name in found if not name.startswith(_BEFORE_TAIL)}


def _describe_tensors(values: object, path: Path) -> _Described:
    if not isinstance(values, Mapping):
        raise CheckpointError(f"{path}: expected tensors by name, found another object")
    for name, value in values.items():
        if not isinstance(name, str) or not isinstance(value, PickledTensor):
            raise CheckpointError(
                f"{path}: expected tensors alone, found another object at {str(name)[:80]!r}"
            )
    return dict(values)


def _find_config(body: _Described, tail: _Described, path: Path) -> AdcSrConfig:
    """Return the config that the tensors' shapes tell; the rest is as the authors have it."""
    down, up = _UNET + "down_blocks", "decoder.up_blocks"
    squares = _find_side(body, _UNET + "conv_in.weight", 1, path) // 3
    found = AdcSrConfig().to_dict() | {
        "unshuffle": math.isqrt(squares),
        "widths": _find_widths(body, down, path),
        "blocks": _count(body, f"{down}.0.resnets"),
        "decoder_widths": _find_widths(tail, up, path),
        "decoder_blocks": _count(tail, f"{up}.0.resnets"),
    }
    return build_config(found, path)


def _find_widths(tensors: _Described, levels: str, path: Path) -> tuple[int, ...]:
    count = min(_count(tensors, levels), 64)
    names = (f"{levels}.{number}.resnets.0.conv1.weight" for number in range(count))
    return tuple(_find_side(tensors, name, 0, path) for name in names)


def _find_side(tensors: _Described, name: str, axis: int, path: Path) -> int:
    tensor = tensors.get(name)
    if tensor is None or len(tensor.shape) != 4:
        found = "none" if tensor is None else str(list(tensor.shape))
        raise CheckpointError(
            f"{path}: expected a convolution's weights at '{name}', found {found}"
        )
    return tensor.shape[axis]


def _count(names: Collection[str], parent: str) -> int:
    """Return how many children of a list of modules have tensors."""
    begin = parent + "."
    return len({name.removeprefix(begin).split(".")[0] for name in names if name.startswith(begin)})


def _read_network(
    file: TorchFile, found: _Described, config: AdcSrConfig, path: Path
) -> dict[str, Tensor]:
    """Return the first stage's tensors by our names, those with two names once."""
    blocks = _name_blocks(len(config.widths))
    tensors: dict[str, Tensor] = {}
    owners: dict[str, str] = {}
    for name, described in found.items():
        own = _name_tensor(name, blocks)
        if own not in tensors:
            owners[own], tensors[own] = name, file.read(name, described)
        elif described != found[owners[own]] and not torch.equal(
            tensors[own], file.read(name, described)
        ):
            raise CheckpointError(
                f"{path}: '{owners[own]}' and '{name}' are one weight of the model and differ: "
                f"expected the same numbers; download the file again"
            )
    return tensors


def _name_blocks(levels: int) -> dict[int, str]:
    """Return the UNet's parts by their places in the list that names them a second time."""
    down = [f"down_blocks.{number}" for number in range(levels)]
    up = [f"up_blocks.{number}" for number in range(levels)]
    activation = ""  # has no tensors
    parts = [*down, "mid_block", *up, "conv_norm_out", activation, "conv_out"]
    return {place: part for place, part in enumerate(parts) if part}


def _name_tensor(name: str, blocks: Mapping[int, str]) -> str:
    """Return our name of a tensor; one that is not the network's keeps its own, and is refused."""
    double = _DOUBLE.match(name)
    if double is not None:
        part = blocks.get(int(double[1]))
        return name if part is None else f"unet.net.{part}.{double[2]}"
    if name.startswith(_UNET):
        return f"unet.net.{name.removeprefix(_UNET)}"
    return f"unet.mid_block.{name.removeprefix(_MIDDLE)}" if name.startswith(_MIDDLE) else name
