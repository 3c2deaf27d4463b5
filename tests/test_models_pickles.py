"""Embeddings come as pickles: they are read as plain tensors, and run nothing."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from spoiling import refused
from torch import Tensor

WEIGHTS = "checkpoint/tinybackbone/prune-3-merge/transformer/diffusion_pytorch_model.safetensors"
POOLED = "dataset/default/pool_embeds.pt"


class Hostile:
    """Pickles to a call of ``os.mkdir``, which a loader must not make."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[str]]:
        return os.mkdir, (str(self.trace),)


@pytest.fixture
def trace(tmp_path: Path) -> Iterator[Path]:
    path = tmp_path / "trace-of-code-that-ran"
    yield path
    assert not path.exists()


def test_a_pickle_with_code_is_refused_and_not_run(released: Path, trace: Path) -> None:
    for payload in (Hostile(trace), {"pooled": Hostile(trace)}, [torch.zeros(48), Hostile(trace)]):
        torch.save(payload, released / POOLED)
        refused(released, "pool_embeds.pt", "more than plain tensors")


def test_a_legacy_pickle_with_code_is_refused_and_not_run(released: Path, trace: Path) -> None:
    torch.save(Hostile(trace), released / POOLED, _use_new_zipfile_serialization=False)
    refused(released, "pool_embeds.pt", "more than plain tensors")


@pytest.mark.parametrize("payload", [b"", b"\x80", b"PK\x03\x04", b"(((", b"\x80\x02}q\x00."])
def test_a_damaged_embedding_is_refused(released: Path, payload: bytes) -> None:
    (released / POOLED).write_bytes(payload)
    refused(released, "pool_embeds.pt")


@pytest.mark.parametrize(
    "value",
    [torch.zeros(2, 48), torch.zeros(48).int(), torch.full((48,), torch.nan), torch.zeros(47)],
)
def test_an_embedding_of_another_shape_or_type_is_refused(released: Path, value: Tensor) -> None:
    torch.save(value, released / POOLED)
    refused(released, "pool")


@pytest.mark.parametrize("suffix", [".bin", ".pt", ".pth", ".ckpt"])
def test_pickled_weights_are_never_read(released: Path, trace: Path, suffix: str) -> None:
    weights = released / WEIGHTS
    pickled = weights.with_suffix(suffix)
    torch.save(Hostile(trace), pickled)
    refused(pickled, "only .safetensors")
    weights.unlink()
    refused(released, "no .safetensors weights here", "never read")
