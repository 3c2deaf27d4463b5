"""Configs of SANA-SR: round trips, and what is refused before anything is allocated."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.support.tiny_sana_sr import CONFIG
from tinysr.errors import CheckpointError
from tinysr.models.families.sana_sr import PRESETS, SanaSrConfig


@pytest.mark.parametrize("config", [*PRESETS.values(), CONFIG])
def test_a_config_comes_back_from_json(config: SanaSrConfig) -> None:
    assert SanaSrConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config


HOSTILE: list[tuple[str, Any, str]] = [
    ("family", "tinysr", "the family is 'tinysr'"),
    ("encoder", 3, "encoder is 3, expected an object"),
    ("encoder.widths", 240, "expected a list of 3 to 7 integers"),
    ("encoder.widths", [8] * 8, "expected a list of 3 to 7 integers"),
    ("encoder.widths", [8, 10**9, 8, 8, 8, 8], "encoder.widths is 1000000000"),
    ("encoder.widths", [8, 16, 16, 16, 36, 16], "what head_size does not divide"),
    ("decoder.widths", [8, 16, 16, 16, 48, 16], "shortcuts average or repeat whole channels"),
    ("decoder.latent_channels", 3, "shortcuts average or repeat whole channels"),
    ("decoder.widths", [8, 16, 16, 16], "decoder.blocks is"),
    ("decoder.blocks", [1, 1, 1, 1, 1, 10**6], "decoder.blocks is 1000000"),
    ("decoder.attended", 7, "decoder.attended is 7"),
    ("decoder.latent_channels", 16, "the same channels of latents"),
    ("decoder.kernels", [4], "expected odd ones"),
    ("decoder.kernels", [10**6 + 1], "decoder.kernels is 1000001"),
    ("decoder.more", 1, "missing or unknown: more"),
    ("transformer.dim", 10**9, "transformer.dim is 1000000000"),
    ("transformer.heads", [3] * 100, "expected a list of 1 to 64 integers"),
    ("transformer.heads", [3, 10**6], "transformer.heads is 1000000"),
    ("transformer.hidden", [32], "expected a list of 2 integers"),
    ("transformer.hidden", [32, "20"], "transformer.hidden is '20'"),
    ("transformer.patch", 0, "transformer.patch is 0"),
    ("scaling_factor", 0, "scaling_factor is 0"),
    ("scaling_factor", float("nan"), "scaling_factor is nan"),
    ("timestep", "now", "timestep is 'now'"),
    ("step", True, "step is True"),
    ("step", float("inf"), "step is inf"),
    ("tokens", 10**6, "tokens is 1000000"),
    ("more", 1, "missing or unknown: more"),
]


@pytest.mark.parametrize(("name", "value", "words"), HOSTILE)
def test_hostile_configs_are_refused(name: str, value: Any, words: str) -> None:
    data = json.loads(json.dumps(CONFIG.to_dict()))
    part, _, key = name.rpartition(".")
    (data[part] if part else data)[key] = value
    with pytest.raises(CheckpointError) as caught:
        SanaSrConfig.from_dict(data)
    message = str(caught.value)
    assert words in message
    assert "\n" not in message
    assert len(message) < 300


def test_a_missing_field_is_named() -> None:
    data = CONFIG.to_dict()
    del data["step"], data["tokens"]
    with pytest.raises(CheckpointError, match="missing or unknown: step, tokens"):
        SanaSrConfig.from_dict(data)
