"""A release is gated: its constants must stand for its conditions."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from tests.support.tiny_models import tiny_model
from tinysr.errors import GateError, UnsupportedError
from tinysr.export import BAKE_TOLERANCE
from tinysr.models import TinySR, load
from tinysr.training.evaluate import PhotoPair, photo_pairs
from tinysr.training.lora import list_lora_parameters, merge_adapters, with_lora
from tinysr.training.proof import count_removed_parameters, proof_lines, prove_release
from tinysr.training.pruning.masked import prune


@pytest.fixture(scope="module")
def pairs() -> list[PhotoPair]:
    whole = photo_pairs(("camera", "rocket"))
    return [dataclasses.replace(pair, low=pair.low[:64, :64]) for pair in whole]


def test_the_shipped_model_s_conditions_are_constants(pairs: list[PhotoPair]) -> None:
    model = load("tinysr-nano")
    proof = prove_release(model, pairs)
    assert 0 < proof.difference < BAKE_TOLERANCE
    text = " ".join(proof_lines(model, proof, len(pairs)))
    assert f"{proof.difference:.1e} of its largest value at most" in text
    assert f"{count_removed_parameters(model) / 1e6:.2f} M parameters" in text
    assert count_removed_parameters(model) > 0.3 * sum(p.numel() for p in model.parameters())


def test_so_are_those_of_a_model_with_a_merged_lora_and_fewer_layers(
    pairs: list[PhotoPair],
) -> None:
    model = tiny_model()
    adapted = with_lora(model.transformer, 4)
    with torch.no_grad():
        for parameter in list_lora_parameters(adapted):
            parameter.normal_(0, 0.1, generator=torch.Generator().manual_seed(3))
    trained = tiny_model()
    trained.transformer = merge_adapters(adapted)
    assert prove_release(trained, pairs).difference < BAKE_TOLERANCE
    assert prove_release(prune(trained, (1,)), pairs).difference < BAKE_TOLERANCE


def test_a_model_that_reads_its_input_in_its_modulation_is_refused(pairs: list[PhotoPair]) -> None:
    """The kind of mistake that the gate is for: modulation that depends on the image."""

    class Conditioned(TinySR):
        def predict(self, z: torch.Tensor) -> torch.Tensor:
            self.pooled += z.mean()
            return super().predict(z)

    plain = tiny_model()
    model = Conditioned(plain.config).requires_grad_(False)
    model.load_state_dict(plain.state_dict())
    with pytest.raises(GateError, match="differs from the eager one"):
        prove_release(model, pairs)


def test_a_proof_needs_photos(pairs: list[PhotoPair]) -> None:
    with pytest.raises(UnsupportedError, match="expected photos"):
        prove_release(tiny_model(), [])
    small = [dataclasses.replace(pair, low=pair.low[:8, :8]) for pair in pairs]
    with pytest.raises(UnsupportedError, match="expected a tile"):
        prove_release(tiny_model(), small)
