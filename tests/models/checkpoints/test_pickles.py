"""Embeddings come as people save them; pickles are read as plain tensors, and run nothing."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from tests.support.checkpoint_factory import edit_json
from tests.support.spoiling import edit, refused
from tinysr.models import load

WEIGHTS = "checkpoint/tinybackbone/prune-3-merge/transformer/diffusion_pytorch_model.safetensors"
CONFIG = "checkpoint/tinybackbone/prune-3-merge/transformer/config.json"
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


@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
@pytest.mark.parametrize("shape", [(48,), (1, 48), (1, 1, 48)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16, torch.float64])
def test_an_embedding_comes_in_many_shapes_and_formats(
    released: Path, shape: tuple[int, ...], dtype: torch.dtype, suffix: str
) -> None:
    (released / POOLED).unlink()
    pooled = torch.randn(shape).to(dtype)
    path = (released / POOLED).with_suffix(suffix)
    if suffix == ".pt":
        torch.save(pooled, path)
    else:
        save_file({"pooled": pooled}, path)
    assert torch.equal(load(released).pooled, pooled.float().reshape(1, 48))


OTHERS = {"prompt_embeds": torch.zeros(5, 32), "negative_pooled_prompt_embeds": torch.ones(1, 48)}
WRAPPED: dict[str, Callable[[Tensor], object]] = {
    "a dict": lambda pooled: {"pooled_prompt_embeds": pooled},
    "a dict with a name of its own": lambda pooled: {"e": pooled},
    "one of several": lambda pooled: OTHERS | {"pooled_prompt_embeds": pooled[None]},
    "a parameter": nn.Parameter,
    "a view": lambda pooled: pooled.repeat_interleave(2)[::2],
}


@pytest.mark.parametrize("wrapped", WRAPPED)
def test_an_embedding_is_found_in_what_it_was_saved_in(released: Path, wrapped: str) -> None:
    pooled = torch.randn(48)
    torch.save(WRAPPED[wrapped](pooled), released / POOLED)
    assert torch.equal(load(released).pooled, pooled[None])


@pytest.mark.parametrize(
    "value",
    [
        torch.zeros(2, 48),
        torch.zeros(48).int(),
        torch.full((48,), torch.nan),
        torch.zeros(47),
        torch.tensor(0.0),
        torch.zeros(0),
        torch.zeros(1).expand(10**12),  # a small file that claims terabytes
        torch.zeros(48, device="meta"),
        torch.zeros(48).to_sparse(),
        torch.zeros(48).to(torch.complex64),
        {"prompt_embeds": torch.zeros(1, 48)},
        {"a": torch.zeros(48), "b": torch.zeros(48)},
        {"pooled": torch.zeros(48), "pool_embeds": torch.zeros(48)},
        {"pooled": [0.0] * 48},
        {},
        [torch.zeros(48)],
    ],
    ids=lambda value: str(value.shape if isinstance(value, Tensor) else type(value).__name__),
)
def test_what_is_not_one_embedding_is_refused(released: Path, value: object) -> None:
    torch.save(value, released / POOLED)
    refused(released, "pool")


def test_a_position_table_comes_from_its_cache(released: Path) -> None:
    whole = load(released)
    table = load_file(released / WEIGHTS)["pos_embed.pos_embed"]
    edit(released / WEIGHTS, lambda tensors: tensors.pop("pos_embed.pos_embed"))
    cache = released / "dataset/cache/pos_embed.pt"
    cache.parent.mkdir()
    large = torch.zeros(1, 192**2, table.shape[2])  # SD3's own size, over the bound of embeddings
    large[:, :] = torch.randn(192**2, table.shape[2])
    large.reshape(1, 192, 192, -1)[:, 64:128, 64:128] = table.reshape(1, 64, 64, -1)
    for saved in (table, table[0], {"pos_embed": table}, nn.Parameter(table), large.double()):
        torch.save(saved, cache)
        edit_json(released / CONFIG, pos_embed_max_size=192)
        for name, tensor in load(released).state_dict().items():
            assert torch.equal(tensor, whole.state_dict()[name]), name
    for wrong in (table.int(), table[0, 0], {"a": table, "b": table}):
        torch.save(wrong, cache)
        refused(released, "pos_embed")


@pytest.mark.parametrize("suffix", [".bin", ".pt", ".pth", ".ckpt"])
def test_pickled_weights_are_never_read(released: Path, trace: Path, suffix: str) -> None:
    weights = released / WEIGHTS
    pickled = weights.with_suffix(suffix)
    torch.save(Hostile(trace), pickled)
    refused(pickled, "only .safetensors")
    weights.unlink()
    refused(released, "no .safetensors weights here", "never read")
