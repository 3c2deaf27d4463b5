"""LoRA: low-rank steps beside frozen weights, W + alpha / rank · B·A, and their merge.

The modules that get one, and the file it is saved to, are those of the released checkpoint: what
is written here, `tinysr.models.load` merges again.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TypeVar, cast

import torch
from safetensors.torch import save
from torch import Tensor, nn

from tinysr.atomic import write_atomically
from tinysr.errors import CheckpointError, UnsupportedError
from tinysr.models.checkpoints.lora import merge_weight
from tinysr.models.sharing import copy_tree

__all__ = [
    "RANK",
    "TARGETS",
    "LowRank",
    "list_lora_parameters",
    "merge_adapters",
    "save_adapters",
    "with_lora",
]

RANK = 64
"""The paper's rank, and its alpha (appendix A)."""

TARGETS = (
    "to_q", "to_k", "to_v", "to_out.0", "proj", "linear", "linear_1", "linear_2", "net.2",
)  # fmt: skip
"""Ends of the names of the modules that the released LoRA adapts: the time, text and modulation
linears too, and both modules named ``proj``."""

Module = TypeVar("Module", bound=nn.Module)


Base = nn.Linear | nn.Conv2d
"""Layers that can be adapted."""


class LowRank(nn.Module):
    """A frozen linear or convolution, and its low-rank step."""

    def __init__(self, base: Base, rank: int, alpha: float, generator: torch.Generator) -> None:
        super().__init__()
        self.base = base.requires_grad_(False)
        self.alpha, self.scale = alpha, alpha / rank
        self.lora_A, self.lora_B = _make_pair(base, rank)
        bound = 1 / math.sqrt(base.weight[0].numel())
        with torch.no_grad():
            # B is 0: training starts at the base's own result.
            self.lora_A.weight.copy_(
                torch.empty(self.lora_A.weight.shape).uniform_(-bound, bound, generator=generator)
            )
            self.lora_B.weight.zero_()

    def forward(self, x: Tensor) -> Tensor:
        """Map as the base does, plus the step."""
        y: Tensor = self.base(x) + self.scale * self.lora_B(self.lora_A(x))
        return y

    @torch.no_grad()
    def merge(self) -> nn.Module:
        """Return the base with the step in its weight; the base itself stays as it is."""
        merged = copy_tree(self.base)
        weight = merge_weight(self.base.weight, self.lora_A.weight, self.lora_B.weight, self.scale)
        merged.weight = nn.Parameter(weight, requires_grad=False)
        return merged


def _make_pair(base: Base, rank: int) -> tuple[Base, Base]:
    """Return A and B on the base's device, in fp32 whatever the base has."""
    device = base.weight.device
    if isinstance(base, nn.Linear):
        return (
            nn.Linear(base.in_features, rank, bias=False, device=device),
            nn.Linear(rank, base.out_features, bias=False, device=device),
        )
    if base.groups != 1:
        raise UnsupportedError("a LoRA of a grouped convolution is not supported")
    rows, columns = base.kernel_size
    down = nn.Conv2d(
        base.in_channels, rank, (rows, columns), stride=cast("tuple[int, int]", base.stride),
        padding=cast("tuple[int, int]", base.padding), bias=False, device=device,
    )  # fmt: skip
    return down, nn.Conv2d(rank, base.out_channels, 1, bias=False, device=device)


def with_lora(
    module: Module,
    rank: int = RANK,
    *,
    alpha: float | None = None,
    targets: Sequence[str] = TARGETS,
    seed: int = 80,
) -> Module:
    """Return a module that adapts its targets; its other weights are shared and frozen.

    Args:
        module: a transformer; names end in ``targets`` from its root on.
        rank: of each step.
        alpha: steps count alpha / rank times; the rank if None.
        targets: the ends of names, in whole parts.
        seed: of the first values.

    Raises:
        UnsupportedError: the rank is not positive, or a target fits no linear or convolution.
    """
    if rank < 1:
        raise UnsupportedError(f"expected a LoRA of rank 1 or more, found {rank}")
    adapted = copy_tree(module).requires_grad_(False)
    generator = torch.Generator().manual_seed(seed)
    names = [n for n, m in adapted.named_modules() if isinstance(m, nn.Linear | nn.Conv2d)]
    chosen = {name: target for name in names for target in targets if _fits(name, target)}
    if unused := [target for target in targets if target not in chosen.values()]:
        raise UnsupportedError(f"no linear or convolution is named {', '.join(unused)}")
    for name in chosen:
        owner, _, last = name.rpartition(".")
        base = adapted.get_submodule(name)
        assert isinstance(base, nn.Linear | nn.Conv2d)  # noqa: S101 - as chosen above
        setattr(
            adapted.get_submodule(owner), last,
            LowRank(base, rank, float(rank if alpha is None else alpha), generator),
        )  # fmt: skip
    return adapted


def _fits(name: str, target: str) -> bool:
    return name == target or name.endswith(f".{target}")


def list_adapters(module: nn.Module) -> Iterator[tuple[str, LowRank]]:
    """Yield the adapted modules with their names."""
    for name, found in module.named_modules():
        if isinstance(found, LowRank):
            yield name, found


def list_lora_parameters(module: nn.Module) -> list[nn.Parameter]:
    """Return what a LoRA trains."""
    return [
        parameter
        for _, adapter in list_adapters(module)
        for part in (adapter.lora_A, adapter.lora_B)
        for parameter in part.parameters()
    ]


def merge_adapters(module: Module) -> Module:
    """Return a module of the plain kind, every LoRA merged into its weight; the rest is shared."""
    merged = copy_tree(module)
    for name, adapter in list(list_adapters(merged)):
        owner, _, last = name.rpartition(".")
        setattr(merged.get_submodule(owner), last, adapter.merge())
    return merged


def save_adapters(transformer: nn.Module, path: Path) -> None:
    """Write a transformer's LoRA as the released checkpoint has it, atomically.

    Raises:
        CheckpointError: there is none, or it can't be written.
    """
    found = dict(list_adapters(transformer))
    if not found:
        raise CheckpointError(f"{path}: the transformer has no LoRA to save")
    tensors = {
        f"transformer.{name}.{end}.weight": part.weight.detach()
        .to("cpu", torch.float32)
        .contiguous()
        for name, adapter in found.items()
        for end, part in (("lora_A", adapter.lora_A), ("lora_B", adapter.lora_B))
    }
    alphas = {adapter.alpha for adapter in found.values()}
    if len(alphas) != 1:
        raise CheckpointError(f"{path}: expected one alpha for all modules, found {sorted(alphas)}")
    metadata = {"format": "pt", "lora_alpha": f"{alphas.pop():g}"}
    write_atomically(path, save(tensors, metadata), CheckpointError)
