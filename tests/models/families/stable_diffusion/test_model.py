"""PiSA-SR and OSEDiff in PyTorch: their steps, their sizes, and how an image is divided."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from diffusers import DDPMScheduler

from tests.support.stable_diffusion import SCHEDULE, enlarge_rgb
from tests.support.tiny_models import difference, noise
from tests.support.tiny_stable_diffusion import FAMILIES, SIDE, tiny_stable_diffusion
from tinysr.chain import Chain
from tinysr.enlarging import enlarge, prepare_image
from tinysr.errors import UnsupportedError
from tinysr.models.accounting import count_stage_costs
from tinysr.models.families.stable_diffusion import PRESETS, StableDiffusionSr
from tinysr.models.families.stable_diffusion.step import Step, find_factors
from tinysr.stages import Tiles

pytestmark = pytest.mark.usefixtures("one_thread")


def test_osediff_s_factors_are_those_of_the_schedule() -> None:
    latents, noise_factor = find_factors(PRESETS["osediff"])
    assert (round(latents, 5), round(noise_factor, 5)) == (14.64881, 14.61464)
    scheduler = DDPMScheduler(**SCHEDULE)
    scheduler.set_timesteps(timesteps=[999])
    z, predicted = (torch.randn(1, 4, 8, 8) for _ in range(2))
    expected = scheduler.step(predicted, 999, z).prev_sample
    assert difference(Step(PRESETS["osediff"])(z, predicted), expected) < 1e-5


def test_pisa_sr_subtracts() -> None:
    z, predicted = (torch.randn(1, 4, 8, 8) for _ in range(2))
    assert torch.equal(Step(PRESETS["pisa-sr"])(z, predicted), z - predicted)


def test_images_are_enlarged_as_pillow_does_it_in_8_bits() -> None:
    image = noise(1, 3, 12, 20) * 1.2 - 0.1
    found = torch.from_numpy(enlarge(image.numpy(), 4))
    assert torch.equal(found, enlarge_rgb(image.clamp(0, 1)))
    assert torch.equal(found * 255, (found * 255).round())
    assert image.min() < 0  # it is left as it is
    mild = noise(1, 3, 12, 20) * 0.4 + 0.3  # nothing to clip
    smooth = F.interpolate(mild, scale_factor=4, mode="bicubic", antialias=True)
    rounded = torch.from_numpy(enlarge(mild.numpy(), 4))
    assert 1e-3 < float((rounded - smooth).abs().max()) < 0.01  # it rounds twice


@pytest.mark.parametrize("family", FAMILIES)
def test_a_chain_says_that_images_are_enlarged(family: str) -> None:
    chain = tiny_stable_diffusion(family).chain(SIDE)
    assert chain.enlarges == "pillow-8-bit"
    assert Chain.model_validate_json(chain.model_dump_json()) == chain
    assert chain.with_units({}).enlarges == chain.enlarges
    image = noise(1, 3, 8, 8).numpy()
    assert prepare_image(chain, image).shape == (1, 3, 32, 32)
    plain = chain.model_copy(update={"enlarges": "none"})
    assert prepare_image(plain, image) is image
    with pytest.raises(ValueError, match="4 pixels per cell"):
        Chain.model_validate(plain.model_dump())


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("size", [(32, 32), (16, 24)])
def test_a_run_is_its_stages_in_their_order(family: str, size: tuple[int, int]) -> None:
    model, image = tiny_stable_diffusion(family), noise(2, 3, *size)
    x = torch.from_numpy(enlarge(image.numpy(), 4))
    for name in model.chain(SIDE).names:
        x = model.run_stage(name, x)
    assert torch.equal(x, model(image))
    assert x.shape == (2, 3, 4 * size[0], 4 * size[1])
    with pytest.raises(UnsupportedError, match="unknown stage 'transformer'"):
        model.run_stage("transformer", image)


def test_the_full_size_is_stable_diffusion_2_1_s() -> None:
    with torch.device("meta"):
        model = StableDiffusionSr(PRESETS["osediff"]).eval()
    costs = count_stage_costs(model.chain(128), model.get_submodule, 128).values()
    assert round(sum(cost.parameters for cost in costs) / 1e6, 1) == 949.6
    assert round(sum(cost.macs for cost in costs) / 1e9, 1) == 2120.3
    assert len(model.unet.net.state_dict()) == 686


def test_only_osediff_s_unet_needs_fp32() -> None:
    kept = {
        family: [stage.name for stage in tiny_stable_diffusion(family).chain(SIDE).stages if
                 stage.keep_fp32]
        for family in FAMILIES
    }  # fmt: skip
    assert kept == {"pisa-sr": ["decoder"], "osediff": ["unet", "decoder"], "toc-sr": ["decoder"]}


def test_the_chain_is_three_stages_of_blended_tiles() -> None:
    with torch.device("meta"):
        model = StableDiffusionSr(PRESETS["osediff"])
    chain = model.chain(128)
    assert (chain.names, chain.scale, chain.multiple) == (("encoder", "unet", "decoder"), 4, 16)
    divisions = {stage.name: stage.division for stage in chain.stages}
    tiles = Tiles(side=64, overlap=16)
    whole = tiles.model_copy(update={"whole": True})
    assert divisions == {"encoder": whole, "unet": tiles, "decoder": whole}
    assert [stage.bytes_per_pair for stage in chain.stages] == [8, 0, 8]
    assert chain.sides("upscale", 128) == chain.sides("encoder", 128)[:1] * 2 == (512, 512)
    encoder, unet, decoder = (stage.bytes_per_cell for stage in chain.stages)
    assert encoder == decoder == 4 * 4 * 256 * 64
    assert 4 * 2 * 5 * 64**2 < unet < 1.2 * 4 * 2 * 5 * 64**2


@pytest.mark.parametrize("tile", [0, 8, 32, 65, 72])
def test_tiles_that_do_not_fit_are_refused(tile: int) -> None:
    with torch.device("meta"):
        model = StableDiffusionSr(PRESETS["pisa-sr"])
    with pytest.raises(UnsupportedError, match=f"divides by 16, found {tile}"):
        model.chain(tile)


@pytest.mark.parametrize("family", FAMILIES)
def test_seeded_weights_give_images(family: str) -> None:
    model = tiny_stable_diffusion(family)
    found = model(noise(1, 3, SIDE, SIDE)).numpy()
    assert np.isfinite(found).all()
    assert 0.1 < found.std() < 0.6
    again = tiny_stable_diffusion(family).state_dict()
    assert all(torch.equal(again[name], tensor) for name, tensor in model.state_dict().items())
