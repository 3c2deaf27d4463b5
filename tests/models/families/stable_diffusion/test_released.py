"""PiSA-SR's and OSEDiff's released files: what is read of them, and what is refused."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from tests.support import spoiling, stable_diffusion
from tests.support.stable_diffusion import FILES, Reference, save_released
from tests.support.tiny_models import difference, noise
from tinysr.models.families.registry import detect
from tinysr.models.families.stable_diffusion.released import is_released, read_released
from tinysr.models.family import ReadOptions

pytestmark = pytest.mark.usefixtures("one_thread")

Saved = dict[str, tuple[Path, Reference]]


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory, one_thread: None) -> Saved:
    torch.manual_seed(80)
    roots = {family: tmp_path_factory.mktemp(family) for family in FILES}
    return {family: (root, save_released(root, family)) for family, root in roots.items()}


@pytest.fixture
def folder(saved: Saved, tmp_path: Path) -> Path:
    """Return a copy of OSEDiff's checkpoint, for a test to spoil."""
    return Path(shutil.copytree(saved["osediff"][0], tmp_path / "osediff"))


def edit(folder: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    """Change what the file of the adapters holds, in place."""
    path = folder / FILES["osediff"]
    state = dict(torch.load(path, weights_only=True))
    change(state)
    torch.save(state, path)


def refused(folder: Path, *words: str) -> None:
    spoiling.refused(folder, *words, by=read_released, family="osediff")


@pytest.mark.parametrize("family", FILES)
def test_it_is_the_model_that_was_saved(saved: Saved, family: str) -> None:
    root, reference = saved[family]
    layout = detect(root)
    assert layout.name == f"{family}-released"
    read = layout.read(root, ReadOptions())
    image = noise(1, 3, 32, 16)
    assert difference(read.model(image), reference.upscale(image)) <= 1e-5
    assert len(read.lora_sha256 or "") == 64
    assert (read.model.facts["family"], read.model.facts["tokens"]) == (family, 7)


@pytest.mark.parametrize("family", FILES)
def test_adapters_are_scaled_by_two(
    saved: Saved, family: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """peft's default alpha is 8, and all adapters have rank 4: taken for alpha 4, much is lost."""
    root, reference = saved[family]
    assert stable_diffusion.ALPHA / stable_diffusion.RANK == 2
    monkeypatch.setattr("tinysr.models.checkpoints.lora.merge._PEFT_ALPHA", 4.0)
    image = noise(1, 3, 32, 16)
    weak = read_released(root, family).model
    assert difference(weak(image), reference.upscale(image)) > 1e-2


def test_files_lie_where_the_authors_have_them(folder: Path) -> None:
    (folder / "preset/models").mkdir(parents=True)
    (folder / "osediff.pkl").rename(folder / "preset/models/osediff.pkl")
    assert is_released(folder, "osediff")
    assert not is_released(folder, "pisa-sr")
    assert read_released(folder, "osediff").model.facts["family"] == "osediff"


def test_the_file_of_adcsr_is_told_apart_by_its_keys(folder: Path) -> None:
    torch.save(
        {"vae": {"a": torch.zeros(1)}, "unet": {"a": torch.zeros(1)}}, folder / "osediff.pkl"
    )
    assert not is_released(folder, "osediff")
    refused(folder, "osediff.pkl", "found whole weights, which AdcSR's authors saved")


def test_adapters_of_the_other_family_are_refused(saved: Saved, folder: Path) -> None:
    shutil.copy(saved["pisa-sr"][0] / "pisa_sr.pkl", folder / "osediff.pkl")
    refused(folder, "expected adapters of osediff, found those of pisa-sr")


def _rename(state: dict[str, Any], old: str, new: str) -> None:
    unet = state["state_dict_unet"]
    unet[new] = unet.pop(old)


A = "mid_block.attentions.0.proj_in.lora_A.default_encoder.weight"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda s: s.update(rank_unet=8), "has rank 4, and the file says 8"),
        (lambda s: s.pop("state_dict_vae"), "expected 'state_dict_vae' with tensors"),
        (lambda s: s.pop("state_dict_unet"), "a file without 'state_dict_unet'"),
        (lambda s: s["state_dict_unet"].pop(A), f"the LoRA key '{A}' is missing"),
        (lambda s: _rename(s, A, f"more.{A}"), "is missing"),
        (lambda s: s["state_dict_unet"].update({A: 1}), "expected tensors alone"),
        (lambda s: s["state_dict_unet"].update({A: torch.zeros(4, 3)}), "does not fit a weight"),
        (
            lambda s: s["state_dict_unet"].update({"conv_in.base_layer.bias": torch.zeros(3)}),
            "replaces 'conv_in.bias' of the base by [3], found [64]",
        ),
        (lambda s: s["state_dict_unet"].update({"conv_out.bias": torch.zeros(4)}), "unexpected"),
        (lambda s: s["state_dict_vae"].update({"a.lora_A.b.weight": torch.ones(4, 4)}), "missing"),
    ],
)
def test_adapters_that_do_not_fit_are_refused(
    folder: Path, change: Callable[[dict[str, Any]], Any], words: str
) -> None:
    edit(folder, change)
    refused(folder, words)


def test_the_prompt_is_one_for_all_images(folder: Path) -> None:
    path = folder / "prompt_embeds.safetensors"
    for shape, words in (
        ((2, 7, 24), "expected floats [tokens, size] or [1, tokens, size]"),
        ((1, 7, 16), "the prompt has 16 channels, the UNet reads 24"),
    ):
        save_file({"prompt_embeds": torch.zeros(shape)}, path)
        refused(folder, words)
    path.unlink()
    refused(folder, "the prompt's embedding is missing")


@pytest.mark.parametrize(
    ("part", "changes", "words"),
    [
        ("unet", {"use_linear_projection": False}, "use_linear_projection is False"),
        ("unet", {"attention_head_dim": [1, 1, 2, 2]}, "all of one size"),
        ("unet", {"block_out_channels": [64, 128]}, "down_block_types"),
        ("unet", {"norm_num_groups": 10**4}, "groups is 10000"),
        ("vae", {"use_quant_conv": False}, "use_quant_conv is False"),
        ("vae", {"latent_channels": 8}, "do not fit the config"),
    ],
)
def test_configs_that_do_not_fit_are_refused(
    folder: Path, part: str, changes: dict[str, Any], words: str
) -> None:
    path = folder / part / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
    refused(folder, words)


def test_a_damaged_file_is_refused_and_not_overlooked(folder: Path) -> None:
    (folder / "osediff.pkl").write_bytes(b"PK\3\4 cut")
    assert detect(folder).name == "osediff-released"
    refused(folder, "osediff.pkl", "not a file of torch.save")
    (folder / "osediff.pkl").unlink()
    refused(folder, "osediff.pkl: the adapters are missing")
