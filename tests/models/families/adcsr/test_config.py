"""Configs of AdcSR: round trips, and what is refused before anything is allocated."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import pytest

from tests.support.tiny_adcsr import CONFIG
from tinysr.errors import CheckpointError
from tinysr.models.families.adcsr import PRESETS, AdcSrConfig


@pytest.mark.parametrize("config", [*PRESETS.values(), CONFIG])
def test_a_config_comes_back_from_json(config: AdcSrConfig) -> None:
    assert AdcSrConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config


def test_the_preset_is_the_authors() -> None:
    config = PRESETS["adcsr"]
    assert config.unet.heads == (5, 10, 20, 20)
    assert config.unet.attended == (True, True, True, False)
    assert (config.unet.inputs, config.unet.outputs, config.features) == (12, 256, 256)
    assert config.scale == 4


def test_a_scale_follows_from_the_levels() -> None:
    assert dataclasses.replace(CONFIG, unshuffle=4).scale == 2
    assert dataclasses.replace(CONFIG, unshuffle=8).scale == 1
    assert dataclasses.replace(CONFIG, decoder_widths=(16, 16, 8)).scale == 2


HOSTILE: list[tuple[str, Any, str]] = [
    ("family", "tinysr", "the family is 'tinysr'"),
    ("family", ["adcsr"], "the family is"),
    ("unshuffle", 0, "unshuffle is 0"),
    ("unshuffle", True, "unshuffle is True"),
    ("unshuffle", 3, "expected a multiple of unshuffle"),
    ("widths", 240, "expected a list"),
    ("widths", [], "expected a list"),
    ("widths", [48] * 7, "expected a list of 1 to 6"),
    ("widths", [48, 10**9], "widths is 1000000000"),
    ("widths", [48, "96"], "widths is '96'"),
    ("widths", [48, 100], "widths has 100, expected what head_size divides"),
    ("widths", [-48], "widths is -48"),
    ("head_size", 0, "head_size is 0"),
    ("head_size", 10**6, "head_size is 1000000"),
    ("blocks", 10**4, "blocks is 10000"),
    ("blocks", 1.5, "blocks is 1.5"),
    ("decoder_blocks", 0, "decoder_blocks is 0"),
    ("decoder_groups", 0, "decoder_groups is 0"),
    ("decoder_groups", None, "decoder_groups is None"),
    ("decoder_widths", [64], "expected a multiple of unshuffle"),
    ("decoder_widths", [64] * 7, "expected a list of 1 to 6"),
    ("decoder_widths", [64, 40], "decoder_widths has 40"),
    ("decoder_widths", {"a": 1}, "expected a list"),
    ("more", 1, "missing or unknown: more"),
    ("widths" * 1000, 1, "missing or unknown: "),
]


@pytest.mark.parametrize(("name", "value", "words"), HOSTILE)
def test_hostile_configs_are_refused(name: str, value: Any, words: str) -> None:
    with pytest.raises(CheckpointError) as caught:
        AdcSrConfig.from_dict(AdcSrConfig().to_dict() | {name: value})
    message = str(caught.value)
    assert words in message
    assert "\n" not in message
    assert len(message) < 300


def test_a_missing_field_is_named() -> None:
    data = CONFIG.to_dict()
    del data["blocks"], data["unshuffle"]
    with pytest.raises(CheckpointError, match="missing or unknown: blocks, unshuffle"):
        AdcSrConfig.from_dict(data)
