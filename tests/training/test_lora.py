"""LoRA: it starts at nothing, merges to what it computes, and is read as the released one is."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from tests.support import checkpoint_factory
from tests.support.tiny_models import difference, noise, tiny_model
from tinysr.errors import CheckpointError, UnsupportedError
from tinysr.models import TinySR, load_checkpoint
from tinysr.models.checkpoints.lora import merge_lora
from tinysr.models.checkpoints.parts import read_transformer
from tinysr.models.layers.sd3 import Transformer
from tinysr.training.lora import (
    TARGETS,
    LowRank,
    list_lora_parameters,
    merge_adapters,
    save_adapters,
    with_lora,
)

RANK = 4


def trained_lora(transformer: Transformer, *, alpha: float | None = None) -> Transformer:
    """Return the transformer with a LoRA whose every value is set, as after training."""
    adapted = with_lora(transformer, RANK, alpha=alpha)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in list_lora_parameters(adapted):
            parameter.normal_(0, 0.1, generator=generator)
    return adapted


@torch.no_grad()
def velocity(transformer: Transformer) -> Tensor:
    z = noise(2, 16, 8, 8) * 2 - 1
    found: Tensor = transformer(z, torch.full((2,), 1000.0), noise(2, 8, seed=1))
    return found


def test_a_new_lora_changes_nothing_and_shares_the_weights() -> None:
    transformer = tiny_model().transformer
    adapted = with_lora(transformer, RANK)
    assert torch.equal(velocity(adapted), velocity(transformer))
    shared = {p.data_ptr() for p in transformer.parameters()}
    bases = {p.data_ptr() for p in adapted.parameters() if not p.requires_grad}
    assert bases == shared
    assert not any(isinstance(module, LowRank) for module in transformer.modules())


def test_a_merged_lora_is_the_same_function() -> None:
    transformer = tiny_model().transformer
    for alpha in (None, 2.0):
        adapted = trained_lora(transformer, alpha=alpha)
        merged = merge_adapters(adapted)
        assert merged.state_dict().keys() == transformer.state_dict().keys()
        assert difference(velocity(adapted), velocity(transformer)) > 0.05
        assert difference(velocity(merged), velocity(adapted)) < 1e-5


def test_merging_is_the_sum_over_ranks_to_the_last_bits() -> None:
    adapted = trained_lora(tiny_model().transformer)
    merged = merge_adapters(adapted)
    for name in ("pos_embed.proj", "transformer_blocks.1.ff.net.2", "norm_out.linear"):
        adapter = adapted.get_submodule(name)
        assert isinstance(adapter, LowRank)
        down, up = (part.weight.double().flatten(1) for part in (adapter.lora_A, adapter.lora_B))
        exact = adapter.base.weight.double() + (up @ down).view_as(adapter.base.weight)
        found = merged.get_submodule(name).get_parameter("weight")
        assert (found - exact).abs().max() < 1e-7 * exact.abs().max() * RANK


def test_gradients_reach_the_lora_and_nothing_else() -> None:
    adapted = trained_lora(tiny_model().transformer)
    z = noise(1, 16, 8, 8)
    adapted(z, torch.tensor([1000.0]), noise(1, 8)).square().mean().backward()
    trains = {id(p) for p in list_lora_parameters(adapted)}
    for parameter in adapted.parameters():
        assert (parameter.grad is not None) == (id(parameter) in trains)


def test_a_saved_lora_is_merged_by_the_loader_bit_for_bit(tmp_path: Path) -> None:
    torch.manual_seed(0)
    with torch.no_grad():
        checkpoint_factory.save_released(tmp_path)
    path = tmp_path / "checkpoint/tinysr/transformer.safetensors"
    base, weights = load_base(tmp_path)
    adapted = trained_lora(base.transformer)
    save_adapters(adapted, path)
    merged = merge_adapters(adapted).state_dict()
    loaded = load_checkpoint(tmp_path)
    assert loaded.source.lora_sha256 is not None
    for name, tensor in loaded.tinysr.transformer.state_dict().items():
        assert torch.equal(tensor, merged[name]), name
    assert merge_lora(weights, path).keys() == weights.keys()


def load_base(root: Path) -> tuple[TinySR, dict[str, Tensor]]:
    """Return the released checkpoint's model without its LoRA, and the base's own weights."""
    model = load_checkpoint(root).tinysr
    _, weights = read_transformer(root / "checkpoint/tinybackbone/prune-3-merge/transformer")
    own = model.transformer.state_dict()
    own |= {name: tensor for name, tensor in weights.items() if own[name].shape == tensor.shape}
    model.transformer.load_state_dict(own)
    return model, weights


def test_the_targets_are_those_of_the_released_checkpoint(tmp_path: Path) -> None:
    assert set(TARGETS) == set(checkpoint_factory.LORA_TARGETS)
    adapted = with_lora(tiny_model().transformer, RANK)
    names = {name for name, module in adapted.named_modules() if isinstance(module, LowRank)}
    blocks = 2 * len(("to_q", "to_k", "to_v", "to_out.0", "proj", "net.2", "linear"))
    tops = {
        "pos_embed.proj",
        "norm_out.linear",
        *(f"time_text_embed.{e}.linear_{k}" for e in ("timestep_embedder", "text_embedder")
          for k in (1, 2)),
    }  # fmt: skip
    assert tops < names
    assert len(names) == blocks + len(tops)
    assert "proj_out" not in names


def test_what_can_not_be_adapted_or_saved_is_refused(tmp_path: Path) -> None:
    transformer = tiny_model().transformer
    with pytest.raises(UnsupportedError, match="rank 1 or more, found 0"):
        with_lora(transformer, 0)
    with pytest.raises(UnsupportedError, match="is named add_k_proj"):
        with_lora(transformer, targets=("to_q", "add_k_proj"))
    with pytest.raises(CheckpointError, match="no LoRA to save"):
        save_adapters(transformer, tmp_path / "lora.safetensors")
    assert not list(tmp_path.iterdir())
