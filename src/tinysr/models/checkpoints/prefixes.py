"""Prefixes that training and saving put before a model's own names, and how they are removed."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from pathlib import Path

from tinysr.errors import CheckpointError

__all__ = ["WRAPPERS", "common_prefix"]

WRAPPERS = (
    "base_model.model.",  # peft
    "_orig_mod.",  # torch.compile
    "module.",  # DataParallel and DistributedDataParallel
    "model.diffusion_model.",  # Stability's code
    "diffusion_model.",
    "transformer.",  # diffusers' pipelines
    "vae.",
    "model.",  # Lightning
)
"""Prefixes that hold no part of a model's own names, in the order in which they are tried."""

_Example = dict[str, str]


def common_prefix(names: Collection[str], roots: Collection[str], where: Path) -> str:
    """Return the wrappers that all of a model's names begin with, maybe none.

    Names that belong to no root are left to whoever accounts for every key.

    Args:
        names: of all tensors of a model.
        roots: first parts of the model's own names.
        where: the file or folder that the names are from.

    Raises:
        CheckpointError: only a part of the names has a prefix, or no name is the model's.
    """
    counts: dict[str, int] = {}
    examples: _Example = {}
    for name in names:
        prefix = _prefix(name, roots)
        if prefix is not None:
            counts[prefix] = counts.get(prefix, 0) + 1
            examples.setdefault(prefix, name)
    if len(counts) > 1:
        raise CheckpointError(f"{where}: {_describe_mixture(counts, examples)}")
    if not counts:
        raise CheckpointError(f"{where}: {_describe_strangers(names, roots)}")
    return next(iter(counts))


def _prefix(name: str, roots: Collection[str]) -> str | None:
    """Return the wrappers before a name's root, None if they don't lead to a root."""
    rest = name
    while rest.partition(".")[0] not in roots:
        wrapper = next((w for w in WRAPPERS if rest.startswith(w)), None)
        if wrapper is None:
            return None
        rest = rest.removeprefix(wrapper)
    return name[: len(name) - len(rest)]


def _describe_mixture(counts: dict[str, int], examples: _Example) -> str:
    kinds = ", ".join(
        f"{count} like {examples[prefix][:100]!r}" for prefix, count in counts.items()
    )
    return (
        f"only a part of the tensors' names has a prefix ({kinds}): expected the same for all; "
        f"save the model again, without its wrapper"
    )


def _describe_strangers(names: Iterable[str], roots: Collection[str]) -> str:
    found = next(iter(sorted(names)), None)
    like = "there is no tensor" if found is None else f"found names like {found[:100]!r}"
    return (
        f"no tensor here is the model's: expected names that begin with "
        f"{', '.join(sorted(roots))}, {like}; save the model under its own names"
    )
