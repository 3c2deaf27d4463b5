"""SANA-SR against diffusers' own classes, what it costs, and its seeded weights."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tests.support.tiny_models import difference, noise
from tests.support.tiny_sana_sr import CONFIG, tiny_sana_sr
from tinysr.errors import UnsupportedError
from tinysr.models.accounting import count_stage_costs
from tinysr.models.checkpoints import tensors_sha256
from tinysr.models.families.sana_sr import PRESETS, SanaSR, seed_sana_sr
from tinysr.models.layers.glumb import attend_linearly
from tinysr.stages import Tiles

pytestmark = pytest.mark.usefixtures("one_thread")


def test_linear_attention_is_attention_by_rectified_products() -> None:
    q, k, v = (noise(2, 3, 4, 9, seed=seed) - 0.2 for seed in range(3))
    weights = F.relu(q).transpose(2, 3) @ F.relu(k)
    weights /= weights.sum(3, keepdim=True)
    assert difference(attend_linearly(q, k, v), v @ weights.transpose(2, 3)) < 1e-5
    assert (attend_linearly(-q.abs(), k, v) == 0).all()


def test_the_unpruned_parts_cost_what_is_known_of_them() -> None:
    with torch.device("meta"):
        model = SanaSR(PRESETS["sana-sr"]).eval()
        costs = count_stage_costs(model.chain(128), model.get_submodule, 128)
    autoencoder = costs["encoder"] + costs["decoder"]
    assert round(autoencoder.macs / 1e9, 1) == 1690.8
    assert round(autoencoder.parameters / 1e6, 2) == 312.25
    assert round(costs["transformer"].parameters / 1e6, 2) == 591.75
    assert round(costs["transformer"].macs / 1e9, 1) == 152.3
    # What the paper says can't hold an autoencoder that was not pruned.
    assert autoencoder.macs > 407.95e9


def test_the_chain_is_three_stages_of_blended_tiles_in_cells_of_32_pixels() -> None:
    with torch.device("meta"):
        chain = SanaSR(PRESETS["sana-sr"]).chain(128)
    assert (chain.names, chain.multiple) == (("encoder", "transformer", "decoder"), 8)
    assert [field.pixels_per_cell for field in chain.fields] == [4, 32, 32, 1]
    assert all(stage.division == Tiles(side=16, overlap=4) for stage in chain.stages)
    assert [stage.restores for stage in chain.stages] == [False, True, False]


@pytest.mark.parametrize("tile", [0, 8, 12, 20])
def test_tiles_that_do_not_fit_are_refused(tile: int) -> None:
    with pytest.raises(UnsupportedError, match=f"16 pixels that divides by 8, found {tile}"):
        tiny_sana_sr().chain(tile)


def test_stages_of_other_names_are_refused() -> None:
    with pytest.raises(UnsupportedError, match="unknown stage 'unet'"):
        tiny_sana_sr().run_stage("unet", noise(1, 3, 8, 8))


def test_the_same_seed_gives_the_same_bytes() -> None:
    digests = {tensors_sha256(seed_sana_sr(CONFIG, seed).state_dict()) for seed in (80, 80, 81)}
    assert len(digests) == 2


def test_activations_stay_near_one() -> None:
    model, sizes = tiny_sana_sr(), []

    def note(_module: nn.Module, _inputs: object, given: Tensor) -> None:
        sizes.append(float(given.std()))

    for module in model.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            module.register_forward_hook(note)
    image = F.interpolate(noise(1, 3, 8, 8), size=64, mode="bicubic").clamp(0, 1)
    latents = model.encoder(image)
    change = model.transformer(latents) - latents
    result = model(image)
    assert min(sizes) > 0.05
    assert max(sizes) < 8
    assert 0.1 < change.std() / latents.std() < 1
    assert 0.1 < result.std() < 0.5
    assert 0.3 < result.mean() < 0.7
