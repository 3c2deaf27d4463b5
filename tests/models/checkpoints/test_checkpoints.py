"""What the loaders accept, and what they refuse with one clear line."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from tests.support.released import BASE, LORA, VAE, WEIGHTS
from tests.support.spoiling import edit, refused
from tinysr.errors import CheckpointError, UnsupportedError
from tinysr.models import (
    DEFAULT_PRESET,
    PRESETS,
    ModelConfig,
    TransformerConfig,
    VaeConfig,
    load,
    load_checkpoint,
)
from tinysr.models.families.tinysr import save_single_file
from tinysr.models.families.tinysr.seeded import seed_model

SMALL = ModelConfig(
    vae=VaeConfig(width=8), transformer=TransformerConfig(depth=2, heads=1, pooled_size=16)
)


# Sources


def test_a_released_checkpoint_names_its_source(released: Path) -> None:
    source = load_checkpoint(released).source
    assert (source.kind, source.name, source.trained) == ("released", "released", True)
    assert source.lora_sha256
    edit(released / LORA, lambda t: next(iter(t.values())).add_(1e-3))
    changed = load_checkpoint(released / "checkpoint").source
    assert changed.sha256 != source.sha256
    assert changed.lora_sha256 != source.lora_sha256


def test_a_model_is_ready_to_run(released: Path) -> None:
    model = load(released)
    assert not model.training
    assert not any(p.requires_grad for p in model.parameters())
    assert {t.dtype for t in model.state_dict().values()} == {torch.float32}
    assert not any(t.is_meta for t in model.state_dict().values())


def test_a_small_position_cache_is_taken_as_it_is(released: Path) -> None:
    whole = load(released)
    table = load_file(released / WEIGHTS)["pos_embed.pos_embed"]
    small = table.reshape(1, 64, 64, -1)[:, 16:48, 16:48].reshape(1, 1024, -1)
    edit(released / WEIGHTS, lambda t: t.pop("pos_embed.pos_embed"))
    refused(released, "missing: transformer.pos_embed.pos_embed")
    (released / "dataset/cache").mkdir()
    torch.save(small.clone(), released / "dataset/cache/pos_embed.pt")
    cached = load(released)
    assert cached.config.transformer.position_grid == 32
    z = torch.randn(1, 16, 64, 64)
    assert torch.equal(cached.predict(z), whole.predict(z))


# Our own file


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_a_single_file_round_trips(tmp_path: Path, dtype: torch.dtype) -> None:
    model = seed_model(SMALL)
    save_single_file(model, tmp_path / "small.safetensors", dtype)
    loaded = load_checkpoint(tmp_path / "small.safetensors")
    assert loaded.source.kind == "single-file"
    assert loaded.model.config == SMALL
    assert "transformer.pos_embed.pos_embed" not in load_file(tmp_path / "small.safetensors")
    for name, tensor in model.state_dict().items():
        expected = tensor if "pos_embed.pos_embed" in name else tensor.to(dtype).float()
        assert torch.equal(loaded.model.state_dict()[name], expected)
    assert [file.name for file in tmp_path.iterdir()] == ["small.safetensors"]


def test_an_unusual_position_table_is_kept(tmp_path: Path) -> None:
    model = seed_model(SMALL)
    model.transformer.pos_embed.pos_embed[0, 0, 0] += 1
    save_single_file(model, tmp_path / "small.safetensors")
    table = load(tmp_path / "small.safetensors").transformer.pos_embed.pos_embed
    assert torch.equal(table, model.transformer.pos_embed.pos_embed)


def test_a_failed_save_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "small.safetensors"
    save_single_file(seed_model(SMALL), path)
    before = path.read_bytes()
    broken = seed_model(SMALL)
    broken.pooled.fill_(1e6)  # too large for float16
    with pytest.raises(CheckpointError, match="'pooled' has NaN or infinite"):
        save_single_file(broken, path, torch.float16)
    with pytest.raises(UnsupportedError, match="float32 or float16"):
        save_single_file(broken, path, torch.float64)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("part", "field", "value"),
    [
        ("transformer", "depth", 10**9),
        ("transformer", "heads", 10**9),
        ("transformer", "position_grid", 10**6),
        ("transformer", "depth", True),
        ("transformer", "depth", "2"),
        ("vae", "width", -1),
        ("vae", "encoder_blocks", [10**9] * 4),
        ("vae", "encoder_blocks", [1] * 30),
        ("vae", "encoder_blocks", 3),
        ("vae", "scaling_factor", 0),
        ("vae", "scaling_factor", float("inf")),
        ("vae", "scaling_factor", "1"),
        ("vae", "latent_channels", 4),
        ("vae", "surprise", 1),
        ("vae", "separable_encoder", "no"),
        ("transformer", "time_channels", 255),
    ],
)
def test_a_hostile_config_is_refused_before_anything_is_allocated(
    tmp_path: Path, part: str, field: str, value: object
) -> None:
    config = SMALL.to_dict()
    config[part][field] = value
    metadata = {"format": "tinysr", "config": json.dumps(config)}
    save_file({"pooled": torch.zeros(1, 16)}, tmp_path / "bad.safetensors", metadata=metadata)
    refused(tmp_path / "bad.safetensors", field.partition("_")[0])


@pytest.mark.parametrize("config", ["{", "[]", "[" * 100_000, '{"vae": 3, "transformer": {}}'])
def test_a_config_that_is_no_config_is_refused(tmp_path: Path, config: str) -> None:
    metadata = {"format": "tinysr", "config": config}
    save_file({"pooled": torch.zeros(1, 16)}, tmp_path / "bad.safetensors", metadata=metadata)
    refused(tmp_path / "bad.safetensors", "config")


def test_a_foreign_safetensors_file_is_refused(tmp_path: Path) -> None:
    save_file({"weight": torch.zeros(1)}, tmp_path / "other.safetensors")
    refused(tmp_path / "other.safetensors", "no TinySR config")


# Names


def test_unknown_names_list_the_presets(tmp_path: Path) -> None:
    refused(tmp_path / "nothing", "unknown model", "tinysr-nano", "nothing was found")
    refused(tmp_path, "released", "sd3", "single-file")
    with pytest.raises(UnsupportedError, match="layers can't be chosen"):
        load("tinysr-nano", layers=(0,))


def test_layers_are_for_full_checkpoints_only(released: Path) -> None:
    refused(released, "pruned already", layers=(0, 1))


@pytest.mark.parametrize("layers", [(), (0, 0), (3,), (-1,)])
def test_layers_that_are_not_there_are_refused(
    released: Path, tmp_path: Path, layers: tuple[int, ...]
) -> None:
    sd3 = tmp_path / "sd3"
    shutil.copytree(released / BASE, sd3 / "transformer")
    shutil.copytree(released / VAE, sd3 / "vae")
    refused(sd3, "from 0 to 2", layers=layers)


# Packaged weights


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a stand-in for the package's folder, with an empty folder of weights."""
    (tmp_path / "weights").mkdir()
    monkeypatch.setattr("importlib.resources.files", lambda _package: tmp_path)
    return tmp_path


def test_a_preset_takes_its_packaged_weights(package: Path) -> None:
    model = seed_model(PRESETS[DEFAULT_PRESET], seed=3)
    save_single_file(model, package / f"weights/{DEFAULT_PRESET}.safetensors", torch.float16)
    loaded = load_checkpoint(DEFAULT_PRESET)
    assert (loaded.source.kind, loaded.source.name) == ("preset", DEFAULT_PRESET)
    assert loaded.source.trained
    assert torch.equal(loaded.tinysr.pooled, model.pooled.half().float())


def test_packaged_weights_of_another_model_are_refused(package: Path) -> None:
    save_single_file(seed_model(SMALL), package / f"weights/{DEFAULT_PRESET}.safetensors")
    with pytest.raises(CheckpointError, match=f"not those of '{DEFAULT_PRESET}'"):
        load(DEFAULT_PRESET)
