"""Named tensors → a model: every key accounted for, nothing allocated twice."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TypeVar

from torch import Tensor, nn

from tinysr.errors import CheckpointError

__all__ = ["MAX_LISTED", "fill_model"]

Model = TypeVar("Model", bound=nn.Module)

MAX_LISTED = 8
"""Keys of one kind that an error lists; the others are counted."""


def fill_model(model: Model, tensors: Mapping[str, Tensor], path: Path) -> Model:
    """Return a model without memory filled with these very tensors, in eval mode.

    Raises:
        CheckpointError: a tensor is missing, unexpected, or of another shape.
    """
    if problems := _find_problems(model.state_dict(), tensors):
        raise CheckpointError(f"{path}: the weights do not fit the config: {'; '.join(problems)}")
    model.load_state_dict(dict(tensors), assign=True)
    return model.requires_grad_(False).eval()


def _find_problems(expected: Mapping[str, Tensor], found: Mapping[str, Tensor]) -> list[str]:
    shapes = [
        f"{name} is {list(found[name].shape)}, expected {list(tensor.shape)}"
        for name, tensor in expected.items()
        if name in found and found[name].shape != tensor.shape
    ]
    kinds = {
        "missing": [name for name in expected if name not in found],
        "unexpected": sorted(found.keys() - expected.keys()),
        "wrong shape": shapes,
    }
    return [f"{kind}: {_join_names(names)}" for kind, names in kinds.items() if names]


def _join_names(names: list[str]) -> str:
    more = len(names) - MAX_LISTED
    return ", ".join(names[:MAX_LISTED]) + (f" and {more} more" if more > 0 else "")
