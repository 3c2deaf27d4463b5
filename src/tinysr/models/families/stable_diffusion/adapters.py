"""Files of ``torch.save`` with the adapters of PiSA-SR or OSEDiff.

::

    {"rank_unet": 4, "rank_vae": 4, "unet_lora_encoder_modules": […], …,
     "state_dict_unet": {"<module>.lora_A.<adapter>.weight": …,
                         "conv_in.base_layer.weight": …},
     "state_dict_vae": {…}}

OSEDiff has adapters ``default_encoder``, ``default_decoder`` and ``default_others`` in its UNet and
one in its autoencoder. PiSA-SR has each of the three twice, with ``_pix`` and ``_sem`` behind their
names, and leaves the autoencoder alone. All of them are merged: none is left out at the authors'
default strength. What stands under ``base_layer`` replaces the base's: it was trained as a whole.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from tinysr.errors import CheckpointError
from tinysr.models.checkpoints.lora import merge_adapters
from tinysr.models.checkpoints.pickles import PickledTensor
from tinysr.models.checkpoints.torch_files import TorchFile, open_torch_file
from tinysr.models.families.stable_diffusion.config import OSEDIFF, PISA_SR

__all__ = ["Adapters", "find_family", "read_adapters"]

_MOST = 2**30  # bytes: those of the released files have some 30 MB

_STATES = {"unet": "state_dict_unet", "vae": "state_dict_vae"}
_MERGED = frozenset({"unet", "vae"})
"""Keys of AdcSR's file of the same name, which holds merged weights."""

_PIXELS, _SEMANTICS = "_pix.", "_sem."
"""Ends of the names of PiSA-SR's adapters, as they stand in keys."""

_DOWN = ".lora_A."
_BASE = ".base_layer."


@dataclass(frozen=True, kw_only=True, slots=True)
class Adapters:
    """The tensors of a file."""

    path: Path
    unet: Mapping[str, Tensor]
    vae: Mapping[str, Tensor]
    """Empty where the autoencoder has none."""

    def merge(self, weights: Mapping[str, Tensor], part: str) -> dict[str, Tensor]:
        """Return the weights of a part, ``unet`` or ``vae``, with all its adapters in them.

        Raises:
            CheckpointError: a key has no module or no partner, or the shapes don't fit.
        """
        found = self.unet if part == "unet" else self.vae
        merged = dict(weights)
        for key in [key for key in found if _BASE in key]:
            name = key.replace(_BASE, ".")
            if name not in weights or weights[name].shape != found[key].shape:
                have = list(weights[name].shape) if name in weights else "none"
                raise CheckpointError(
                    f"{self.path}: '{key}' replaces '{name}' of the base by "
                    f"{list(found[key].shape)}, found {have}: is it of another base?"
                )
            merged[name] = found[key]
        pairs = {key: tensor for key, tensor in found.items() if _BASE not in key}
        return merge_adapters(merged, pairs, self.path)


def find_family(path: Path) -> str | None:
    """Return the family that a file's adapters are of, by its keys; None if they are of none.

    Raises:
        CheckpointError: it is damaged, hostile or too large.
    """
    with open_torch_file(path, _MOST) as file:
        root = file.root
        state = root.get(_STATES["unet"]) if isinstance(root, Mapping) else None
    if not isinstance(state, Mapping):
        return None
    names = [str(name) for name in state]
    marked = [any(mark in name for name in names) for mark in (_PIXELS, _SEMANTICS)]
    if any(marked):
        return PISA_SR if all(marked) else None
    return OSEDIFF


def read_adapters(path: Path, family: str) -> Adapters:
    """Return the adapters of a file, fp32.

    Raises:
        CheckpointError: the file is missing, damaged or hostile, or of another family.
    """
    if (found := find_family(path)) != family:
        raise CheckpointError(f"{path}: expected adapters of {family}, {_describe(path, found)}")
    with open_torch_file(path, _MOST) as file:
        parts = {part: _read_state(file, part, path) for part in _STATES}
    if family == OSEDIFF and not parts["vae"]:
        raise CheckpointError(f"{path}: expected '{_STATES['vae']}' with tensors, found none")
    return Adapters(path=path, **parts)


def _describe(path: Path, family: str | None) -> str:
    if family is not None:
        return f"found those of {family}: give it the name of that family's file"
    with open_torch_file(path, _MOST) as file:
        keys = set(file.root) if isinstance(file.root, Mapping) else set()
    if keys == _MERGED:
        return (
            "found whole weights, which AdcSR's authors saved under this name to start from: take "
            "the file that OSEDiff's authors release"
        )
    return f"found a file without '{_STATES['unet']}', or with a part of its adapters"


def _read_state(file: TorchFile, part: str, path: Path) -> dict[str, Tensor]:
    root = file.root
    state = root.get(_STATES[part], {}) if isinstance(root, Mapping) else {}
    if not isinstance(root, Mapping) or not isinstance(state, Mapping):
        raise CheckpointError(f"{path}: expected tensors by name in '{_STATES[part]}'")
    ranks = {value for key, value in root.items() if _is_rank(key, part)}
    tensors: dict[str, Tensor] = {}
    for name, value in state.items():
        if not isinstance(name, str) or not isinstance(value, PickledTensor):
            raise CheckpointError(
                f"{path}: expected tensors alone in '{_STATES[part]}', found another object at "
                f"{str(name)[:80]!r}"
            )
        if _DOWN in name and ranks and value.shape[:1] and value.shape[0] not in ranks:
            raise CheckpointError(
                f"{path}: '{name[:120]}' has rank {value.shape[0]}, and the file says "
                f"{' and '.join(sorted(map(str, ranks)))}: download it again"
            )
        tensors[name] = file.read(name, value)
    return tensors


def _is_rank(key: object, part: str) -> bool:
    return isinstance(key, str) and "rank" in key and part in key
