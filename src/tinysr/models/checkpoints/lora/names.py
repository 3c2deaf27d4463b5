"""Names of a LoRA's tensors, as peft, diffusers and kohya's scripts write them.

::

    base_model.model.<module>.lora_A.<adapter>.weight    peft
    transformer.<module>.lora_A.weight                   diffusers, and the released LoRA
    transformer.<module>.lora.down.weight                diffusers, formerly
    lora_unet_<module, '_' for '.'>.lora_down.weight     kohya

``lora_B`` and ``up`` are the other half; ``<module>.alpha`` may state the strength.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from tinysr.errors import CheckpointError
from tinysr.models.checkpoints.prefixes import WRAPPERS

__all__ = ["LowRankPair", "group_adapters", "is_alpha", "pairs_by_module"]

_PARTNERS = {"lora_A": "lora_B", "lora_down": "lora_up", "lora.down": "lora.up"}
_PARTNERS |= {up: down for down, up in _PARTNERS.items()}
_DOWN = frozenset({"lora_A", "lora_down", "lora.down"})
_KEY = re.compile(
    rf"(?P<stem>.+)\.(?P<part>{'|'.join(map(re.escape, _PARTNERS))})"
    r"(?:\.(?P<adapter>[^.]+))?\.weight"
)
_ALPHA = ".alpha"
_FLAT = ("lora_unet_", "lora_transformer_", "lycoris_")

_FOREIGN = {  # parts of keys that mean something else than two factors
    "lora_magnitude_vector": "a DoRA",
    "dora_scale": "a DoRA",
    "hada_w": "a LoHa",
    "lokr_w": "a LoKr",
    "lora_mid": "a LoCon with Tucker factors",
    "oft_": "an OFT",
    "lora_embedding_": "a LoRA of an embedding",
    "base_layer": "a LoRA that replaces weights of its base",
    "modules_to_save": "a LoRA that replaces weights of its base",
}
_BIAS = re.compile(r".*lora.*\.bias")
_TEXT_ENCODERS = ("lora_te", "text_encoder")


_Parts = dict[str, tuple[str, Tensor]]  # keys and tensors, by "down", "up" and "alpha"


@dataclass(frozen=True, kw_only=True, slots=True)
class LowRankPair:
    """Low-rank step of one module."""

    key: str
    """The module as the file names it."""
    down: Tensor
    """A, ``[rank, I]`` or ``[rank, I, kH, kW]``."""
    up: Tensor
    """B, ``[O, rank]`` or ``[O, rank, 1, 1]``."""
    alpha: Tensor | None
    """Alpha that the file states beside the two, of any shape; None if it states none."""


def is_alpha(key: str) -> bool:
    """Tell a tensor that states a strength, which may be an integer."""
    return key.endswith(_ALPHA)


def group_adapters(tensors: Mapping[str, Tensor], path: Path) -> dict[str, dict[str, Tensor]]:
    """Return tensors by the adapters that they name; "" for those that name none.

    Raises:
        CheckpointError: a key is none of a LoRA's.
    """
    found: dict[str, dict[str, Tensor]] = {}
    for key, tensor in tensors.items():
        _, _, adapter = _split(key, path)
        found.setdefault(adapter or "", {})[key] = tensor
    return found


def pairs_by_module(
    tensors: Mapping[str, Tensor],
    modules: Collection[str],
    dropped: Callable[[str], bool],
    path: Path,
) -> dict[str, LowRankPair]:
    """Return a LoRA's pairs under the names of the base's own modules.

    Args:
        tensors: all that the file holds.
        modules: those of the base that have a weight.
        dropped: tells a module that the base leaves out on purpose.
        path: the LoRA, for messages.

    Raises:
        CheckpointError: a key is of another kind of adapter, has no partner or no module, or
            several adapters or keys are of one module.
    """
    resolve = _Resolver(modules, dropped, path)
    found: dict[str, LowRankPair] = {}
    for stem, parts in _parts_by_stem(tensors, path).items():
        pair = _pair(stem, parts, path)
        module = resolve(stem)
        if module in found:
            twice = found[module].key
            raise CheckpointError(
                f"{path}: {twice!r} and {stem!r} are one module: keep one of them"
            )
        found[module] = pair
    return found


def _parts_by_stem(tensors: Mapping[str, Tensor], path: Path) -> dict[str, _Parts]:
    """Return a file's tensors by what stands before the names of their parts."""
    found: dict[str, _Parts] = {}
    adapters: dict[str | None, None] = {}  # an ordered set
    for key, tensor in tensors.items():
        stem, part, adapter = _split(key, path)
        parts = found.setdefault(stem, {})
        if part in parts:
            raise CheckpointError(
                f"{path}: {parts[part][0]!r} and {key!r} are the same part: keep one of them"
            )
        parts[part] = (key, tensor)
        if part != "alpha":
            adapters[adapter] = None
    if len(adapters) > 1:
        names = ", ".join(repr((name or "")[:60]) for name in adapters)
        raise CheckpointError(f"{path}: expected one adapter, found {names}: save the one to merge")
    return found


def _split(key: str, path: Path) -> tuple[str, str, str | None]:
    """Return a key's module as it is written, its part, and the adapter it names."""
    if match := _KEY.fullmatch(key):
        return match["stem"], "down" if match["part"] in _DOWN else "up", match["adapter"]
    if is_alpha(key):
        return key.removesuffix(_ALPHA), "alpha", None
    kind = next((kind for sign, kind in _FOREIGN.items() if sign in key), None)
    if kind is None and _BIAS.fullmatch(key):
        kind = "a LoRA with biases"
    if kind is not None:
        raise CheckpointError(
            f"{path}: {key[:200]!r} is of {kind}, only plain LoRAs are merged: merge it with the "
            f"tool it was made with, and save the base"
        )
    raise CheckpointError(
        f"{path}: unexpected LoRA key {key[:200]!r}, expected <module>.lora_A.weight and "
        f"<module>.lora_B.weight, or the names of diffusers or kohya"
    )


def _pair(stem: str, parts: _Parts, path: Path) -> LowRankPair:
    """Return the pair of a module; neither half may be missing, and both are matrices."""
    half = parts.get("down") or parts.get("up")
    if half is None:
        raise CheckpointError(
            f"{path}: unexpected LoRA key {parts['alpha'][0]!r}: no LoRA is named like it"
        )
    if not parts.keys() >= {"down", "up"}:
        key = half[0]
        match = _KEY.fullmatch(key)
        assert match is not None  # noqa: S101 - as split before
        partner = key[: match.start("part")] + _PARTNERS[match["part"]] + key[match.end("part") :]
        raise CheckpointError(f"{path}: the LoRA key {partner!r} is missing")
    (_, down), (_, up) = parts["down"], parts["up"]
    if min(down.dim(), up.dim()) < 2:
        raise CheckpointError(f"{path}: the LoRA of {stem!r} has no matrices: save it again")
    return LowRankPair(
        key=stem, down=down, up=up, alpha=parts["alpha"][1] if "alpha" in parts else None
    )


class _Resolver:
    """Finds the module that a key means."""

    def __init__(
        self, modules: Collection[str], dropped: Callable[[str], bool], path: Path
    ) -> None:
        self._modules, self._dropped, self._path = modules, dropped, path
        self._flat: dict[str, list[str]] = {}
        for module in modules:
            self._flat.setdefault(module.replace(".", "_"), []).append(module)

    def __call__(self, stem: str) -> str:
        """Return the name of a module of the base, or of one that the base leaves out."""
        flat = next((stem.removeprefix(w) for w in _FLAT if stem.startswith(w)), None)
        names = list(_unwrap_names(stem)) if flat is None else self._flat.get(flat, [flat])
        found = [name for name in names if name in self._modules or self._dropped(name)]
        if len(found) > 1:
            raise CheckpointError(
                f"{self._path}: {stem!r} may be {' or '.join(found)}: rename it to the one meant"
            )
        if found:
            return found[0]
        what = f"the LoRA key {stem[:200]!r} has no module in the base"
        if stem.startswith(_TEXT_ENCODERS):
            raise CheckpointError(
                f"{self._path}: {what}: it is of the text encoder, which the model does not run; "
                f"save the LoRA without it, and embeddings that were made with it"
            )
        like = next(iter(self._modules), "none")
        raise CheckpointError(
            f"{self._path}: {what}, whose modules are named like '{like}': is it the LoRA of "
            f"another model?"
        )


def _unwrap_names(stem: str) -> Iterable[str]:
    """Yield a name without its first 0, 1, 2 … wrappers."""
    name = stem
    yield name
    while wrapper := next((w for w in WRAPPERS if name.startswith(w)), None):
        name = name.removeprefix(wrapper)
        yield name
