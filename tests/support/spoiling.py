"""Spoiling a good checkpoint, and what must be said of it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file, save_file
from torch import Tensor

from tinysr.errors import TinySRError
from tinysr.models import load

__all__ = ["edit", "refused"]


def refused(path: Path, *words: str, by: Callable[..., object] = load, **options: Any) -> None:
    """Assert that loading gives one line that has all the words."""
    with pytest.raises(TinySRError) as caught:
        by(path, **options)
    message = str(caught.value)
    assert "\n" not in message.strip()
    for word in words:
        assert word in message


def edit(path: Path, change: Callable[[dict[str, Tensor]], Any]) -> None:
    """Change the tensors of a file of weights in place."""
    tensors = load_file(path)
    change(tensors)
    save_file({name: tensor.clone() for name, tensor in tensors.items()}, path)
