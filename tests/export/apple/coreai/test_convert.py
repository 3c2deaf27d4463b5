"""What Core AI's tools lack is written in parts, or refused by its name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tests.support.coreai import run, save
from tests.support.tiny_models import difference, noise
from tinysr.errors import UnsupportedError

pytestmark = pytest.mark.usefixtures("one_thread")


class Function(nn.Module):
    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x)


@pytest.mark.parametrize("function", [F.elu, F.selu])
def test_operations_that_are_lacking_are_written_in_parts(
    function: Callable[[Tensor], Tensor], tmp_path: Path
) -> None:
    image = 2 * noise(1, 3, 8, 8) - 1
    save(Function(function), image, tmp_path / "net.aimodel")
    assert difference(run(tmp_path / "net.aimodel", image), function(image)) < 1e-5


def test_others_are_refused_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(UnsupportedError, match=r"coreai/main: Core AI has no .*cummax") as refused:
        save(Function(lambda x: torch.cummax(x, 3).values), noise(1, 3, 8, 8), tmp_path / "x")
    assert "\n" not in str(refused.value)
