"""Configs of TSD-SR: round trips, and what is refused before anything is allocated."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.support.tiny_tsd_sr import CONFIG, tiny_tsd_sr
from tinysr.errors import CheckpointError, UnsupportedError
from tinysr.models.checkpoints.metadata import write_single_file
from tinysr.models.families.tsd_sr import PRESETS, TsdSrConfig, read_single_file


@pytest.mark.parametrize("config", [*PRESETS.values(), CONFIG])
def test_a_config_comes_back_from_json(config: TsdSrConfig) -> None:
    assert TsdSrConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config


HOSTILE: list[tuple[str, Any, str]] = [
    ("family", "tinysr", "the family is 'tinysr'"),
    ("colour", "sepia", "expected one of wavelet, adain, none"),
    ("colour", ["wavelet"], "expected one of"),
    ("timestep", 0, "timestep is 0"),
    ("timestep", "1000", "timestep is '1000'"),
    ("prompt_tokens", 0, "prompt_tokens is 0"),
    ("prompt_tokens", 10**9, "prompt_tokens is 1000000000"),
    ("prompt_channels", 10**9, "prompt_channels is 1000000000"),
    ("vae", None, "does not fit this version"),
    ("vae.widths", [16] * 3, "expected 4 integers"),
    ("vae.widths", 16, "does not fit this version"),
    ("vae.widths", [16, 16, 16, 10**9], "is 1000000000"),
    ("vae.widths", [16, 16, 16, 18], "do not divide into 4 groups"),
    ("vae.blocks", 10**4, "is 10000"),
    ("vae.groups", 0, "is 0"),
    ("vae.latent_channels", 8, "they must agree"),
    ("vae.scaling_factor", float("inf"), "scaling_factor is inf"),
    ("vae.more", 1, "does not fit this version"),
    ("transformer.depth", 10**6, "depth is 1000000"),
    ("transformer.heads", 10**6, "heads is 1000000"),
    ("transformer.position_grid", 10**6, "position_grid is 1000000"),
    ("transformer.time_channels", 15, "time_channels is odd"),
    ("more", 1, "does not fit this version"),
]


@pytest.mark.parametrize(("name", "value", "said"), HOSTILE)
def test_a_hostile_config_is_refused(tmp_path: Path, name: str, value: Any, said: str) -> None:
    data = json.loads(json.dumps(CONFIG.to_dict()))
    part, _, field = name.rpartition(".")
    (data[part] if part else data)[field] = value
    path = tmp_path / "hostile.safetensors"
    write_single_file({}, data, path, torch.float32)
    with pytest.raises(CheckpointError, match=said):
        read_single_file(path)


@pytest.mark.parametrize("tile", [8, 18, 33])
def test_a_tile_that_does_not_divide_into_tokens_is_refused(tile: int) -> None:
    with pytest.raises(UnsupportedError, match="at least 16 pixels that divides by 4, found"):
        tiny_tsd_sr().chain(tile)
