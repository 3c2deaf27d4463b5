"""TOC-SR: its published size by one config, lists of blocks, and hostile ones refused."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from tests.support.tiny_models import difference, noise
from tests.support.tiny_stable_diffusion import tiny_config, tiny_stable_diffusion
from tinysr.errors import CheckpointError
from tinysr.models.accounting import Cost, count_cost
from tinysr.models.families.registry import find_preset
from tinysr.models.families.stable_diffusion import (
    PRESETS,
    StableDiffusionConfig,
    StableDiffusionSr,
    read_single_file,
    save_single_file,
)
from tinysr.models.layers.unet2d import Unet2d, UnetConfig

pytestmark = pytest.mark.usefixtures("one_thread")

NAME = "toc-sr"


def count(config: UnetConfig) -> Cost:
    with torch.device("meta"):
        unet = Unet2d(config)
        text = torch.empty(1, 77, 768)
        return count_cost(unet, unet, torch.empty(1, 16, 64, 64), torch.empty(1), text)


def test_the_preset_has_the_published_size() -> None:
    expanded = count(UnetConfig(inputs=16, outputs=16, heads=(8, 8, 8, 8), text=768))
    compact = count(PRESETS[NAME].unet)
    family = find_preset(NAME)
    assert family is not None
    published = family.published[NAME]
    assert published.parameters is not None
    assert published.macs is not None
    assert compact.parameters / 1e6 == pytest.approx(published.parameters, rel=0.05)
    assert compact.macs / 1e9 == pytest.approx(published.macs, rel=0.05)
    # The paper's own two ratios, to what they are of.
    assert expanded.parameters / compact.parameters == pytest.approx(6.6, rel=0.05)
    assert expanded.macs / compact.macs == pytest.approx(2.8, rel=0.05)


def test_a_file_brings_back_the_lists(tmp_path: Path) -> None:
    model, path = tiny_stable_diffusion(NAME), tmp_path / "model.safetensors"
    save_single_file(model, path)
    found = read_single_file(path)
    assert found.config == model.config
    assert json.loads(json.dumps(model.facts))["down"][1] == [True, False]
    names = found.state_dict()
    assert "unet.net.up_blocks.0.attentions.0.norm.weight" in names
    assert "unet.net.up_blocks.0.attentions.1.norm.weight" not in names
    assert not [name for name in names if "mid_block.attentions" in name and name[:4] == "unet"]


def test_the_step_has_the_config_s_factors() -> None:
    model = tiny_stable_diffusion(NAME)
    z = noise(1, 8, 16, 16)
    net = model.unet.net(z, torch.ones(1), model.unet.prompt)
    assert difference(model.unet(z), 0.9 * z + 0.5 * net) < 1e-6


HOSTILE: list[tuple[str, Any, str]] = [
    ("down", None, "both down and up, or neither"),
    ("down", [[True]], "expected a list for each of 4 levels"),
    ("down", [[True], [True, False], [False], [True] * 10**5], "expected 1 to 9 blocks"),
    ("down", [[True], [True, False], [False], [1]], "true if a transformer follows it"),
    ("down", [[True], [True], [False], [True]], "one block more on each level's way up"),
    ("middle", 10**6, "middle is 1000000"),
    ("factors", None, "expected two numbers for toc-sr"),
    ("factors", [1.0], "expected two numbers"),
    ("factors", [1.0, 0.0], "one of factors"),
    ("factors", [float("nan"), 1.0], "one of factors is nan"),
]


@pytest.mark.parametrize(("name", "value", "words"), HOSTILE)
def test_hostile_lists_are_refused(name: str, value: Any, words: str) -> None:
    data = tiny_config(NAME).to_dict() | {name: value}
    with pytest.raises(CheckpointError) as caught:
        StableDiffusionConfig.from_dict(json.loads(json.dumps(data)))
    message = str(caught.value)
    assert words in message
    assert len(message) < 300


def test_others_have_no_factors_of_their_own() -> None:
    with pytest.raises(CheckpointError, match="and null for the others"):
        replace(tiny_config("pisa-sr"), factors=(1.0, 1.0))


def test_the_whole_preset_is_built_without_memory() -> None:
    with torch.device("meta"):
        model = StableDiffusionSr(PRESETS[NAME])
    assert model.chain(128).names == ("encoder", "unet", "decoder")
    assert all(isinstance(m, nn.Module) for m in model.children())
