"""The recipe from a TSD-SR checkpoint: stages, chain and command take it as their teacher."""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from tests.support.checkpoint_factory import TsdSrReference, save_tsd_sr
from tests.support.recipes import small_config
from tests.support.tiny_models import tiny_model
from tinysr.errors import UnsupportedError
from tinysr.models import PRESETS, ModelConfig, TinySR, load, load_checkpoint
from tinysr.models.families.tinysr import save_single_file
from tinysr.models.families.tsd_sr import TsdSrConfig
from tinysr.training import RecipeRun, StageRun, config_path, read_config, run_chain, run_stage
from tinysr.training.data import PatchBatches
from tinysr.training.engine import Batch, SessionSettings
from tinysr.training.losses import squared_error
from tinysr.training.pruning.masked import predict_masked
from tinysr.training.runner import PRODUCT, RECORD
from tinysr.training.stages import Context, build
from tinysr.training.stages.joined import with_autoencoder
from tinysr.training.stages.prune import PruneOptions, PruneStage
from tinysr.training.stages.shapes import Autoencoder
from tinysr.training.stages.vae import DecoderStage, EncoderStage

pytestmark = pytest.mark.usefixtures("one_core")

Cli = Callable[..., tuple[int, str, str]]

VAE = {
    "width": 26,
    "separable_encoder": True,
    "encoder_blocks": [1, 1, 1, 1],
    "decoder_blocks": [1, 1, 1, 1],
}
PRUNE = {
    "block": 2, "keep": 1, "rank": 2, "anneal": 6,
    "image": {"perceptual": 1.0, "perceptual_loss": "multi-scale-gradient"},
}  # fmt: skip


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, TsdSrReference]:
    torch.manual_seed(80)
    root = tmp_path_factory.mktemp("inputs") / "tsd-sr"
    return root, save_tsd_sr(root)


@pytest.fixture(scope="module")
def small(saved: tuple[Path, TsdSrReference]) -> Path:
    """Return an encoder's product, untrained, in the place of a decoder's."""
    config = small_config(stage="vae-encoder", options={"model": VAE})
    stage = build(config, context({"teacher": saved[0]}))
    path = saved[0].parent / "vae.safetensors"
    save_single_file(stage.product(), path)
    return path


@pytest.fixture(scope="module")
def batch() -> Batch:
    batches = PatchBatches(small_config())
    return batches.finish(batches.load(0))


def context(inputs: dict[str, Path]) -> Context:
    return Context(seed=80, device=torch.device("cpu"), inputs=inputs)


def close(found: torch.Tensor, expected: torch.Tensor) -> None:
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-6)


def test_an_encoder_learns_tsd_sr_s_latents_of_low_quality(
    saved: tuple[Path, TsdSrReference], batch: Batch
) -> None:
    path, reference = saved
    config = small_config(stage="vae-encoder", options={"model": VAE})
    stage = build(config, context({"teacher": path}))
    assert isinstance(stage, EncoderStage)
    student = stage.model
    expected = squared_error(student.encode(batch.low), reference.encode(batch.low))
    close(stage.loss(batch, 0)["latents"], expected)
    assert student.config.vae.scaling_factor == 1
    assert student.config.transformer == load_checkpoint(path).teacher.config.transformer
    assert stage.upscale(batch.low).shape == batch.high.shape


def test_an_encoder_learns_scaled_latents_of_a_tiny_teacher_too(
    tmp_path: Path, batch: Batch
) -> None:
    teacher = tiny_model()
    assert teacher.config.vae.scaling_factor == 0.7
    save_single_file(teacher, tmp_path / "teacher.safetensors")
    config = small_config(stage="vae-encoder", options={"model": VAE})
    stage = build(config, context({"teacher": tmp_path / "teacher.safetensors"}))
    assert isinstance(stage, EncoderStage)
    assert stage.model.config.vae.scaling_factor == 1
    expected = squared_error(stage.model.encode(batch.low), teacher.encode(batch.low))
    close(stage.loss(batch, 0)["latents"], expected)


@pytest.mark.parametrize("latents", ["encoded", "restored"])
def test_a_decoder_learns_from_tsd_sr_s_latents(
    saved: tuple[Path, TsdSrReference], small: Path, batch: Batch, latents: str
) -> None:
    path, reference = saved
    options = {"latents": latents, "loss": {"l2": 1.0}}
    config = small_config(stage="vae-decoder", options=options)
    stage = build(config, context({"teacher": path, "student": small}))
    assert isinstance(stage, DecoderStage)
    z = reference.encode(batch.low)
    z = z - reference.velocity(z) if latents == "restored" else reference.encode_image(batch.high)
    close(stage.loss(batch, 0)["l2"], squared_error(stage.model.decode(z), batch.high))


def test_a_search_is_held_against_both_streams_and_hands_on_the_image_s(
    saved: tuple[Path, TsdSrReference], small: Path, batch: Batch
) -> None:
    path, reference = saved
    config = small_config(stage="prune", options=PRUNE)
    stage = build(config, context({"teacher": path, "vae": small}))
    assert isinstance(stage, PruneStage)
    teacher, z = load_checkpoint(path).teacher, reference.encode(batch.low)
    mask, time = torch.tensor([1.0, 0.0, 1.0, 0.0]), torch.full((len(z),), 1000.0)
    pooled = reference.pooled.expand(len(z), -1)
    v = predict_masked(teacher.transformer, z, time, pooled, mask, bypass=True)
    close(stage.losses(batch, mask)["distillation"], squared_error(v, reference.velocity(z)))
    product = stage.product()
    assert isinstance(product, TinySR)
    assert product.config.vae == load(small).config.vae
    assert product.config.transformer.depth == 2
    kept = stage.decision[0]
    ours = product.transformer.blocks[0].state_dict()
    theirs = teacher.transformer.blocks[kept].state_dict()
    assert all(torch.equal(value, theirs[name]) for name, value in ours.items())


def test_a_folder_goes_before_the_preset_of_its_name(
    saved: tuple[Path, TsdSrReference], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(saved[0].parent)
    teacher = context({"teacher": Path("tsd-sr")}).teacher()
    assert teacher.config.transformer.depth == 4


def test_a_search_in_tsd_sr_needs_a_small_autoencoder(saved: tuple[Path, TsdSrReference]) -> None:
    with pytest.raises(UnsupportedError, match=r"can't be a student's: give .* --input vae=PATH"):
        build(small_config(stage="prune", options=PRUNE), context({"teacher": saved[0]}))


def test_an_autoencoder_of_other_latents_is_refused(saved: tuple[Path, TsdSrReference]) -> None:
    other = load("tinysr-nano")
    object.__setattr__(other.config.vae, "latent_channels", 4)
    with pytest.raises(UnsupportedError, match="'vae' has 4 latent channels, expected 16"):
        with_autoencoder(load_checkpoint(saved[0]).teacher, other)


def test_a_restoration_learns_what_tsd_sr_restores(
    saved: tuple[Path, TsdSrReference], small: Path, batch: Batch
) -> None:
    path, reference = saved
    config = small_config(stage="restore", options={"latents": 1.0})
    stage = build(config, context({"teacher": path, "student": small, "vae": small}))
    z = reference.encode(batch.low)
    student = load(small)
    ours = student.encode(batch.low)
    expected = squared_error(ours - student.predict(ours), z - reference.velocity(z))
    close(stage.loss(batch, 0)["latents"], expected)


def test_a_student_of_tsd_sr_is_the_papers_model() -> None:
    teacher = TsdSrConfig()
    shape = Autoencoder.model_validate(
        read_config(config_path("tinysr/vae-encoder")).options["model"]
    )
    search = PruneOptions.model_validate(read_config(config_path("tinysr/prune")).options)
    kept = teacher.transformer.depth // search.block * search.keep
    student = ModelConfig(
        vae=shape.vae(teacher.vae.latent_channels),
        transformer=dataclasses.replace(teacher.transformer, depth=kept),
        timestep=teacher.timestep,
    )
    assert student == PRESETS["tinysr"]


PERCEPTUAL = '{l1 = 1.0, perceptual = 1.0, perceptual_loss = "wavelet", gan = 1.0}'
TINY = (
    "optim.steps=1", "optim.warmup=0", 'phases=[{patch = 32, batch = 1, precision = "bf16"}]',
    "data.photos=0.0", "data.image_side=64", "data.pool=1",
)  # fmt: skip
MODEL = f"options.model={json.dumps(VAE).replace(':', ' =')}"


def test_the_whole_recipe_runs_from_a_tsd_sr_checkpoint(
    saved: tuple[Path, TsdSrReference], tmp_path: Path
) -> None:
    changes = (
        f"vae-encoder/{MODEL}", f"vae-decoder/options.loss={PERCEPTUAL}",
        "prune/options.block=2", "prune/options.keep=1", "prune/options.rank=2",
        'prune/options.image={perceptual = 1.0, perceptual_loss = "wavelet"}',
        "restore-1/options.lora_rank=2", "restore-2/options.lora_rank=2",
        f"restore-2/options.image={PERCEPTUAL}",
    )  # fmt: skip
    chain = RecipeRun(
        recipe="tinysr",
        folder=tmp_path,
        inputs={"teacher": saved[0]},
        changes=(*TINY, *changes),
    )
    last = run_chain(chain, session=SessionSettings(watch_every=0))
    assert last is not None
    student = load(last / PRODUCT)
    assert (student.config.transformer.depth, student.config.vae.width) == (2, 26)
    record = json.loads((tmp_path / "prune" / RECORD).read_text())
    assert record["inputs"].keys() == {"teacher", "vae"}


def test_the_command_trains_a_stage_from_a_tsd_sr_checkpoint(
    run: Cli, saved: tuple[Path, TsdSrReference], tmp_path: Path
) -> None:
    settings = [word for change in (*TINY, MODEL) for word in ("--set", change)]
    stage, out = "tinysr/vae-encoder", tmp_path / "run"
    words = (stage, "--teacher", saved[0], "-o", out, "--device", "cpu", "--watch-every", "0")
    code, _, error = run("train", *words, *settings)
    assert code == 0, error
    assert load(out / PRODUCT).config.transformer.depth == 4


def test_the_record_tells_a_teacher_whose_sd3_is_linked(
    saved: tuple[Path, TsdSrReference], tmp_path: Path
) -> None:
    linked = tmp_path / "linked"
    shutil.copytree(saved[0], tmp_path / "sd3")
    shutil.copytree(saved[0], linked, ignore=shutil.ignore_patterns("transformer", "vae"))
    for part in ("transformer", "vae"):
        (linked / part).symlink_to(tmp_path / "sd3" / part)
    hashes = []
    for name in ("a", "b"):
        config = read_config(config_path("tinysr/vae-encoder"), (*TINY, MODEL))
        job = StageRun(config=config, folder=tmp_path / name, inputs={"teacher": linked})
        run_stage(job, session=SessionSettings(watch_every=0))
        hashes.append(json.loads((tmp_path / name / RECORD).read_text())["inputs"]["teacher"])
        weights = tmp_path / "sd3" / "vae" / "diffusion_pytorch_model.safetensors"
        tensors = load_file(weights)
        tensors["encoder.conv_in.bias"] += 1
        save_file(tensors, weights)
    assert hashes[0] != hashes[1]
