"""AdcSR against its authors' surgery on diffusers' classes, and what it costs."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tests.support.adcsr import CUT, Reference, make_reference
from tests.support.tiny_adcsr import CONFIG, tiny_adcsr
from tests.support.tiny_models import difference, noise
from tinysr.chain import Chain
from tinysr.errors import UnsupportedError
from tinysr.models.accounting import Cost, count_cost
from tinysr.models.checkpoints import tensors_sha256
from tinysr.models.families.adcsr import PRESETS, AdcSR, seed_adcsr
from tinysr.models.layers.spatial_transformer import Attention
from tinysr.stages import Tiles

TOLERANCE = 3e-5

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def reference(one_thread: None) -> Reference:
    torch.manual_seed(80)
    return make_reference()


@pytest.fixture(scope="module")
def model(reference: Reference) -> AdcSR:
    ours = AdcSR(CUT).eval().requires_grad_(False)
    ours.unet.net.load_state_dict(reference.unet.state_dict())
    ours.unet.mid_block.load_state_dict(reference.decoder.mid_block.state_dict())
    rest = reference.decoder.state_dict()
    tail = {n: t for n, t in rest.items() if not n.startswith(("conv_in.", "mid_block."))}
    ours.decoder.load_state_dict(tail)
    return ours


@pytest.mark.parametrize("size", [(32, 32), (16, 48)])
def test_it_is_the_authors_model(model: AdcSR, reference: Reference, size: tuple[int, int]) -> None:
    image = noise(2, 3, *size)
    assert difference(model.unet(image), reference.features(image)) <= TOLERANCE
    assert difference(model(image), reference.upscale(image)) <= TOLERANCE


def test_attention_s_scale_is_that_of_heads_of_48(model: AdcSR) -> None:
    attention = next(m for m in model.modules() if isinstance(m, Attention))
    x = torch.randn(1, 9, 48, generator=torch.Generator().manual_seed(1)) * 3

    def attend(scale: float) -> Tensor:
        q, k, v = (to(x) for to in (attention.to_q, attention.to_k, attention.to_v))
        y: Tensor = attention.to_out((q @ k.transpose(1, 2) * scale).softmax(-1) @ v)
        return y

    assert difference(attention(x), attend(1 / math.sqrt(48))) < 1e-5
    assert difference(attention(x), attend(1 / 8)) > 1e-3


@pytest.mark.parametrize("size", [(32, 32), (16, 64)])
def test_a_run_is_its_stages_in_their_order(size: tuple[int, int]) -> None:
    model = tiny_adcsr()
    image = noise(2, 3, *size)
    x = image
    chain = model.chain(64)
    for name in chain.names:
        reads, gives = chain.ends(name)
        assert x.shape[1] == reads.channels
        before = x.shape[2] * reads.pixels_per_cell
        x = model.run_stage(name, x)
        assert (x.shape[1], x.shape[2] * gives.pixels_per_cell) == (gives.channels, before)
    assert torch.equal(x, model(image))
    assert x.shape[2:] == (4 * size[0], 4 * size[1])
    with pytest.raises(UnsupportedError, match="unknown stage 'encoder'"):
        model.run_stage("encoder", image)


def test_the_full_size_costs_what_its_authors_and_its_layers_say() -> None:
    with torch.device("meta"):
        model = AdcSR(PRESETS["adcsr"]).eval()
        cost = count_cost(model, model, torch.empty(1, 3, 128, 128))
        stages = Cost(parameters=0, macs=0)
        x = torch.empty(1, 3, 128, 128)
        for name in model.chain(128).names:
            part = model.get_submodule(name)
            stages += count_cost(part, part, x)
            x = part(x)
    assert round(cost.parameters / 1e6, 2) == 456.07
    assert round(cost.macs / 1e9, 2) == 494.97
    assert round(cost.attention_macs / 1e9, 1) == 54.5
    assert stages == cost
    assert x.shape == (1, 3, 512, 512)


def test_the_chain_is_two_stages_of_blended_tiles() -> None:
    with torch.device("meta"):
        model = AdcSR(PRESETS["adcsr"])
    chain = model.chain(128)
    assert (chain.names, chain.scale, chain.multiple) == (("unet", "decoder"), 4, 16)
    assert [stage.keep_fp32 for stage in chain.stages] == [False, True]
    tiles = Tiles(side=64, overlap=16)
    whole = tiles.model_copy(update={"whole": True})
    assert [stage.division for stage in chain.stages] == [tiles, whole]
    # The scores of five heads, before and after their softmax, are most of it.
    unet, decoder = (stage.bytes_per_cell for stage in chain.stages)
    assert 4 * 2 * 5 * 64**2 < unet < 1.1 * 4 * 2 * 5 * 64**2
    assert decoder == 4 * 4 * 128 * 64
    assert Chain.model_validate(chain.model_dump(mode="json")) == chain


@pytest.mark.parametrize("tile", [64, 80, 96, 112, 256])
def test_tiles_and_overlaps_are_whole_steps(tile: int) -> None:
    (tiles, _) = [stage.division for stage in tiny_adcsr().chain(tile).stages]
    assert isinstance(tiles, Tiles)
    assert (tiles.side * 2, tiles.overlap % 8) == (tile, 0)
    assert tiles.side / 4 <= tiles.overlap < tiles.side / 2


@pytest.mark.parametrize("tile", [0, 16, 48, 65, 72])
def test_tiles_that_do_not_fit_are_refused(tile: int) -> None:
    with pytest.raises(UnsupportedError, match=f"divides by 16, found {tile}"):
        tiny_adcsr().chain(tile)


def test_an_image_whose_sides_do_not_divide_gives_no_result() -> None:
    with pytest.raises(RuntimeError):
        tiny_adcsr()(noise(1, 3, 24, 24))


# Seeded weights


def test_the_same_seed_gives_the_same_bytes() -> None:
    digests = {tensors_sha256(seed_adcsr(CONFIG, seed).state_dict()) for seed in (80, 80, 81)}
    assert len(digests) == 2


def test_activations_stay_near_one_and_small_changes_small() -> None:
    model = tiny_adcsr()
    sizes: list[float] = []

    def note(_module: nn.Module, _inputs: object, given: Tensor) -> None:
        sizes.append(float(given.std()))

    for module in model.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            module.register_forward_hook(note)
    image = F.interpolate(noise(1, 3, 8, 8), size=32, mode="bicubic").clamp(0, 1)
    result = model(image)
    assert min(sizes) > 0.05
    assert max(sizes) < 5
    assert 0.1 < result.std() < 0.5
    assert 0.2 < result.mean() < 0.8
    step = noise(1, 3, 32, 32, seed=1) * 1e-3
    assert (model(image + step) - result).norm() / result.norm() < 5 * step.norm() / image.norm()
