"""TSD-SR: our modules and loader against diffusers' own, and what is refused."""

from __future__ import annotations

import functools
import shutil
import zlib
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from tests.support import spoiling
from tests.support.checkpoint_factory import TsdSrReference, edit_json, make_kl, save_tsd_sr
from tests.support.spoiling import edit
from tests.support.tiny_adcsr import tiny_adcsr
from tests.support.tiny_models import as_loaded
from tinysr.errors import UnsupportedError
from tinysr.models import TinySR, load, load_checkpoint
from tinysr.models.families.tsd_sr import KlConfig, TsdSr
from tinysr.models.layers.autoencoder_kl import KlDecoder, KlEncoder

TOLERANCE = 1e-5  # relative to the largest value
SIZES = [(16, 16), (8, 24)]
LORA = "checkpoint/tsdsr/transformer.safetensors"
VAE_LORA = "checkpoint/tsdsr/vae.safetensors"
PROMPT = "dataset/default/prompt_embeds.pt"
POOLED = "dataset/default/pool_embeds.pt"

refused = functools.partial(spoiling.refused, by=load_checkpoint)


@pytest.fixture(autouse=True)
def _seed(request: pytest.FixtureRequest) -> None:
    torch.manual_seed(zlib.crc32(request.node.nodeid.encode()))


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, TsdSrReference]:
    torch.manual_seed(80)
    root = tmp_path_factory.mktemp("tsd-sr")
    return root, save_tsd_sr(root)


@pytest.fixture(scope="module")
def pair(saved: tuple[Path, TsdSrReference]) -> tuple[TsdSr, TsdSrReference]:
    teacher = load_checkpoint(saved[0]).model
    assert isinstance(teacher, TsdSr)
    return teacher, saved[1]


@pytest.fixture
def folder(saved: tuple[Path, TsdSrReference], tmp_path: Path) -> Path:
    """Return a copy of a good checkpoint, for a test to spoil."""
    return Path(shutil.copytree(saved[0], tmp_path / "tsd-sr"))


def assert_equal(found: Tensor, expected: Tensor) -> None:
    assert found.shape == expected.shape
    difference = (found - expected).abs().max() / expected.abs().max()
    assert difference <= TOLERANCE


@pytest.mark.parametrize("widths", [(8, 8, 16, 16), (8, 16, 16, 24)])
@pytest.mark.parametrize("size", SIZES)
def test_the_autoencoder_is_diffusers(widths: tuple[int, ...], size: tuple[int, int]) -> None:
    theirs = make_kl(widths)
    config = KlConfig(widths=widths, blocks=1, groups=4)
    ours = nn.ModuleDict({"encoder": KlEncoder(config), "decoder": KlDecoder(config)})
    ours.load_state_dict(theirs.state_dict())
    rows, columns = size
    image, z = torch.rand(2, 3, 8 * rows, 8 * columns) * 2 - 1, torch.randn(2, 16, *size)
    assert_equal(ours["encoder"](image), theirs.encode(image).latent_dist.mode())
    assert_equal(ours["decoder"](z), theirs.decode(z).sample)


@pytest.mark.parametrize("size", SIZES)
def test_both_streams_are_diffusers(
    pair: tuple[TsdSr, TsdSrReference], size: tuple[int, int]
) -> None:
    teacher, reference = pair
    z = torch.randn(2, 16, *size)
    assert_equal(teacher.predict(z), reference.velocity(z))


@pytest.mark.parametrize("size", SIZES)
def test_an_image_is_upscaled_as_by_tsd_sr(
    pair: tuple[TsdSr, TsdSrReference], size: tuple[int, int]
) -> None:
    teacher, reference = pair
    lr = torch.rand(1, 3, *size)
    assert_equal(teacher.encode(lr), reference.encode(lr))
    assert_equal(teacher(lr), reference.upscale(lr))


def test_the_prompt_s_tokens_matter_and_a_student_starts_without_them(
    pair: tuple[TsdSr, TsdSrReference],
) -> None:
    teacher, _ = pair
    z = torch.randn(1, 16, 8, 8)
    alone = teacher.transformer(z, torch.full((1,), 1000.0), teacher.pooled)
    assert (alone - teacher.predict(z)).abs().max() > 0.01


def test_what_the_resize_overshoots_is_clamped(pair: tuple[TsdSr, TsdSrReference]) -> None:
    teacher, _ = pair
    image = torch.rand(1, 3, 64, 64) * 3 - 1
    assert torch.equal(teacher.encode_image(image), teacher.encode_image(image.clamp(0, 1)))


def test_a_teacher_is_ready_to_run(pair: tuple[TsdSr, TsdSrReference]) -> None:
    teacher, _ = pair
    assert not teacher.training
    assert not any(p.requires_grad for p in teacher.parameters())
    assert {t.dtype for t in teacher.state_dict().values()} == {torch.float32}
    assert teacher.config.vae.scaling_factor == 1.5305


def test_any_other_model_may_teach_too() -> None:
    assert isinstance(load_checkpoint("tinysr-nano").teacher, TinySR)


def test_a_model_without_latents_can_t_teach() -> None:
    with pytest.raises(UnsupportedError, match="expected a teacher with latents"):
        _ = as_loaded(tiny_adcsr()).teacher


@pytest.mark.parametrize("shape", [(5, 32), (1, 5, 32)])
def test_a_prompt_comes_in_two_shapes_and_formats(folder: Path, shape: tuple[int, ...]) -> None:
    prompt = torch.randn(shape)
    save_file({"prompt": prompt}, (folder / PROMPT).with_suffix(".safetensors"))
    teacher = load_checkpoint(folder).model
    assert isinstance(teacher, TsdSr)
    assert torch.equal(teacher.prompt, prompt.reshape(1, 5, 32))


# What is refused


def test_training_s_student_is_no_tsd_sr(folder: Path) -> None:
    refused(folder, "expected a TinySR model, found one of the family tsd-sr", by=load)


def test_layers_can_t_be_chosen(folder: Path) -> None:
    with pytest.raises(UnsupportedError, match="layers can't be chosen from a checkpoint of TSD"):
        load_checkpoint(folder, layers=(0,))


@pytest.mark.parametrize("file", [LORA, VAE_LORA])
def test_sd3_without_its_lora_is_no_teacher(folder: Path, file: str) -> None:
    (folder / file).unlink()
    refused(folder, file, "LoRA is missing", "copy it here")


@pytest.mark.parametrize("file", [PROMPT, POOLED])
def test_a_missing_or_hostile_embedding_is_refused(folder: Path, file: str) -> None:
    torch.save({"code": print}, folder / file)
    refused(folder, file, "more than plain tensors")
    torch.save(torch.randn(2, 3, 4), folder / file)
    refused(folder, file, "expected floats [", "found torch.float32 [2, 3, 4]")
    torch.save(torch.zeros(1, 5, 32).long(), folder / file)
    refused(folder, file, "expected floats [")
    (folder / file).unlink()
    refused(folder, file, "is missing")


def test_a_prompt_of_another_model_is_refused(folder: Path) -> None:
    torch.save(torch.randn(5, 16), folder / PROMPT)
    refused(folder, "the prompt has 16 channels, the transformer takes 32")


@pytest.mark.parametrize("file", [LORA, VAE_LORA])
def test_an_empty_lora_is_refused(folder: Path, file: str) -> None:
    save_file({}, folder / file)
    refused(folder, file, "expected a LoRA, found no tensor")


@pytest.mark.parametrize("file", [LORA, VAE_LORA])
def test_every_lora_key_has_its_module(folder: Path, file: str) -> None:
    stray = {"lora_A": torch.zeros(2, 8), "lora_B": torch.zeros(8, 2)}
    edit(
        folder / file,
        lambda t: t.update({f"transformer.nowhere.{k}.weight": v for k, v in stray.items()}),
    )
    refused(folder, file, "'transformer.nowhere' has no module")


@pytest.mark.parametrize("part", ["vae", "transformer"])
def test_every_key_is_accounted_for(folder: Path, part: str) -> None:
    path = folder / part / "diffusion_pytorch_model.safetensors"
    name = {"vae": "decoder.conv_in.bias", "transformer": "context_embedder.bias"}[part]
    edit(path, lambda t: (t.pop(name), t.update(quant_conv=torch.zeros(1))))
    refused(folder, "missing", name, "unexpected", "quant_conv")


@pytest.mark.parametrize(
    "file", ["vae/diffusion_pytorch_model.safetensors", LORA, VAE_LORA, "vae/config.json"]
)
def test_damaged_files_are_refused(folder: Path, file: str) -> None:
    path = folder / file
    path.write_bytes(path.read_bytes()[:40])
    refused(folder, path.name)


@pytest.mark.parametrize(
    ("part", "values"),
    [
        ("vae", {"act_fn": "gelu"}),
        ("vae", {"use_quant_conv": True}),
        ("vae", {"mid_block_add_attention": False}),
        ("vae", {"latents_mean": [0.0] * 16}),
        ("vae", {"down_block_types": ["AttnDownEncoderBlock2D"] * 4}),
        ("vae", {"block_out_channels": [8, 8, 16]}),
        ("vae", {"block_out_channels": [8, 8, 16, 10**9]}),
        ("vae", {"block_out_channels": [8, 8, 16, "16"]}),
        ("vae", {"layers_per_block": 10**4}),
        ("vae", {"norm_num_groups": 3}),
        ("vae", {"norm_num_groups": 0}),
        ("vae", {"latent_channels": 8}),
        ("vae", {"scaling_factor": 0}),
        ("transformer", {"caption_projection_dim": 32}),
        ("transformer", {"joint_attention_dim": None}),
        ("transformer", {"num_layers": 5}),
        ("transformer", {"num_attention_heads": 60000}),
    ],
)
def test_a_config_that_does_not_fit_is_refused(
    folder: Path, part: str, values: dict[str, Any]
) -> None:
    edit_json(folder / part / "config.json", **values)
    refused(folder)
