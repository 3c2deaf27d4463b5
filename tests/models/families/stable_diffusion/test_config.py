"""Configs of PiSA-SR and OSEDiff: round trips, and what is refused before anything is allocated."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.support.tiny_stable_diffusion import FAMILIES, tiny_config
from tinysr.errors import CheckpointError
from tinysr.models.families.stable_diffusion import PRESETS, StableDiffusionConfig


@pytest.mark.parametrize("config", [*PRESETS.values(), *map(tiny_config, FAMILIES)])
def test_a_config_comes_back_from_json(config: StableDiffusionConfig) -> None:
    data = json.loads(json.dumps(config.to_dict()))
    assert StableDiffusionConfig.from_dict(data) == config


def test_the_presets_are_the_authors() -> None:
    assert [config.timestep for config in PRESETS.values()] == [1, 999, 1]
    for config in (PRESETS["pisa-sr"], PRESETS["osediff"]):
        assert config.unet.heads == (5, 10, 20, 20)
        assert config.unet.attended == (True, True, True, False)
        assert (config.unet.inputs, config.unet.outputs, config.downscale) == (4, 4, 8)


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("family", "tinysr", "expected 'pisa-sr' or 'osediff'"),
        ("family", ["osediff"], "the family is"),
        ("timestep", 1000, "timestep is 1000"),
        ("timestep", 1.5, "timestep is 1.5"),
        ("widths", [320, 10**9], "widths is 1000000000"),
        ("widths", [320, 330], "widths has 330, expected what head_size and groups divides"),
        ("widths", [320] * 7, "expected a list of 1 to 6"),
        ("head_size", 0, "head_size is 0"),
        ("blocks", 10**4, "blocks is 10000"),
        ("tokens", 10**9, "tokens is 1000000000"),
        ("text", -1, "text is -1"),
        ("vae_widths", 128, "expected a list"),
        ("vae_widths", [128, 128], "expected a multiple of scale"),
        ("vae_groups", None, "vae_groups is None"),
        ("latent_channels", 10**6, "latent_channels is 1000000"),
        ("scaling_factor", float("nan"), "scaling_factor is nan"),
        ("scaling_factor", 0, "scaling_factor is 0"),
        ("scale", 3, "expected a multiple of scale"),
        ("more", 1, "missing or unknown: more"),
    ],
)
def test_hostile_configs_are_refused(name: str, value: Any, words: str) -> None:
    with pytest.raises(CheckpointError, match=r".*") as caught:
        StableDiffusionConfig.from_dict(PRESETS["osediff"].to_dict() | {name: value})
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)
