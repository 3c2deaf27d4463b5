"""Core AI has attention as one operation, whose sums are exact over any number of tokens."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from torch import Tensor, nn

from tests.support.coreai import run, save
from tests.support.tiny_models import difference, noise

pytestmark = pytest.mark.usefixtures("one_thread")

NAME = 'composite_declaration<"scaled_dot_product_attention"'
TOKENS = 1024


class Attending(nn.Module):
    """Attention of tokens in fp16, written out."""

    def __init__(self, attend: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.attend = attend

    def forward(self, x: Tensor) -> Tensor:
        return self.attend(x.half())


def of_heads(x: Tensor) -> Tensor:
    q, k, v = x.reshape(1, TOKENS, 3, 2, 4).permute(2, 0, 3, 1, 4).unbind(0)
    return (q * 0.5 @ k.transpose(-1, -2)).softmax(dim=-1) @ v


def of_keys_turned(x: Tensor) -> Tensor:
    q, k, v = (part.reshape(1, TOKENS, 2, 4) for part in x.chunk(3, dim=2))
    q, v = q.transpose(1, 2), v.transpose(1, 2)
    return (q @ k.permute(0, 2, 3, 1)).softmax(dim=3) @ v


def of_one_head(x: Tensor) -> Tensor:
    q, k, v = x.chunk(3, dim=2)
    return (q @ k.transpose(-1, -2)).softmax(dim=-1) @ v


@pytest.mark.parametrize("attend", [of_heads, of_keys_turned, of_one_head])
def test_a_sum_over_tokens_that_are_alike_is_exact(
    attend: Callable[[Tensor], Tensor], tmp_path: Path
) -> None:
    """In fp16, what each of them adds is rounded alike, a thousand times."""
    tokens = 0.3 + 0.5 * noise(1, 1, 24).expand(1, TOKENS, 24) + 0.01 * noise(1, TOKENS, 24)
    text = save(Attending(attend), tokens, tmp_path / "net.aimodel")
    assert NAME in text
    assert difference(run(tmp_path / "net.aimodel", tokens), attend(tokens)) < 2e-3


def of_wide_values(x: Tensor) -> Tensor:
    return (x[..., :2] @ x[..., :2].transpose(-1, -2)).softmax(dim=-1) @ x


def of_masked(x: Tensor) -> Tensor:
    return (x @ x.transpose(-1, -2) + 1).softmax(dim=-1) @ x


def of_columns(x: Tensor) -> Tensor:
    return (x @ x.transpose(-1, -2)).softmax(dim=-2) @ x


@pytest.mark.parametrize("attend", [of_wide_values, of_masked, of_columns])
def test_other_products_are_left_as_they_are(
    attend: Callable[[Tensor], Tensor], tmp_path: Path
) -> None:
    tokens = noise(1, 16, 8)
    assert NAME not in save(Attending(attend), tokens, tmp_path / "net.aimodel")
    assert difference(run(tmp_path / "net.aimodel", tokens), attend(tokens)) < 3e-3
