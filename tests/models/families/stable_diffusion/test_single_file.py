"""PiSA-SR and OSEDiff as single files of our own."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from tests.support.spoiling import refused
from tests.support.tiny_stable_diffusion import FAMILIES, tiny_stable_diffusion
from tinysr.models.families.registry import detect
from tinysr.models.families.stable_diffusion import (
    is_single_file,
    read_single_file,
    save_single_file,
)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_file_is_of_the_family_that_it_states(family: str, tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    model = tiny_stable_diffusion(family)
    save_single_file(model, path)
    assert detect(path).name == f"{family}-single-file"
    assert [other for other in FAMILIES if is_single_file(path, other)] == [family]
    state = read_single_file(path).state_dict()
    assert all(torch.equal(state[name], tensor) for name, tensor in model.state_dict().items())
    before = path.read_bytes()
    save_single_file(read_single_file(path), path)
    assert path.read_bytes() == before


def test_tensors_that_do_not_fit_the_config_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    model = tiny_stable_diffusion("osediff")
    save_single_file(model, path)
    tensors = load_file(path)
    facts = model.facts
    for changes, words in (
        ({"tokens": 6}, "unet.prompt is [1, 5, 12], expected [1, 6, 12]"),
        ({"widths": [10**6]}, "widths is 1000000"),
        ({"family": "adcsr"}, "expected 'pisa-sr' or 'osediff'"),
    ):
        save_file(tensors, path, {"format": "tinysr", "config": json.dumps(facts | changes)})
        refused(path, str(path), words, by=read_single_file)
