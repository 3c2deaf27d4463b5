"""AdcSR as a file of our own: round trips, and what is refused."""

from __future__ import annotations

import functools
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from tests.support import spoiling
from tests.support.tiny_adcsr import tiny_adcsr
from tests.support.tiny_models import noise, tiny_model
from tinysr.errors import CheckpointError, UnsupportedError
from tinysr.models.families.adcsr import is_single_file, read_single_file, save_single_file
from tinysr.models.families.tinysr import save_single_file as save_tinysr

pytestmark = pytest.mark.usefixtures("one_thread")

refused = functools.partial(spoiling.refused, by=read_single_file)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "model.safetensors"
    save_single_file(tiny_adcsr(), path)
    return path


def write(path: Path, *, drop: str = "", **changes: Any) -> None:
    """Write the tensors back with a config that has other values, one field less perhaps."""
    data = tiny_adcsr().facts | changes
    data.pop(drop, None)
    save_file(load_file(path), path, {"format": "tinysr", "config": json.dumps(data)})


def test_a_model_comes_back(path: Path) -> None:
    model, found = tiny_adcsr(), read_single_file(path)
    assert is_single_file(path)
    assert found.config == model.config
    image = noise(1, 3, 32, 16)
    assert torch.equal(found(image), model(image))


def test_the_same_model_gives_the_same_bytes(path: Path) -> None:
    before = path.read_bytes()
    save_single_file(read_single_file(path), path)
    assert path.read_bytes() == before


def test_half_precision_rounds_once(path: Path) -> None:
    save_single_file(tiny_adcsr(), path, torch.float16)
    found = read_single_file(path).state_dict()
    for name, tensor in tiny_adcsr().state_dict().items():
        assert torch.equal(found[name], tensor.half().float()), name
    with pytest.raises(UnsupportedError, match=r"not torch\.bfloat16"):
        save_single_file(tiny_adcsr(), path, torch.bfloat16)
    model = tiny_adcsr()
    model.decoder.conv_out.weight.fill_(1e6)
    with pytest.raises(CheckpointError, match=r"conv_out\.weight' has NaN or infinite"):
        save_single_file(model, path, torch.float16)


def test_files_of_others_are_told_apart(path: Path, tmp_path: Path) -> None:
    other = tmp_path / "tinysr.safetensors"
    save_tinysr(tiny_model(), other)
    assert not is_single_file(other)
    refused(other, "does not fit this version")
    save_file({"a": torch.zeros(1)}, other)
    assert not is_single_file(other)
    refused(other, "no TinySR config in its metadata")
    assert not is_single_file(tmp_path)
    assert not is_single_file(path.with_suffix(".pkl"))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"widths": [10**6]}, "widths is 1000000"),
        ({"widths": [16, 24, 32]}, "unexpected"),
        ({"widths": [16, 24, 32, 40]}, "wrong shape"),
        ({"drop": "blocks"}, "missing or unknown: blocks"),
        ({"decoder_blocks": 2}, "missing: decoder.up_blocks.0.resnets.1.norm1.weight"),
        ({"family": "other"}, "the family is 'other'"),
    ],
)
def test_a_config_that_does_not_fit_is_refused(
    path: Path, changes: dict[str, Any], words: str
) -> None:
    write(path, **changes)
    refused(path, str(path), words)


@pytest.mark.parametrize("config", ["{", "[]", "[" * 10**5, "1"])
def test_metadata_that_are_no_config_are_refused(path: Path, config: str) -> None:
    save_file(load_file(path), path, {"format": "tinysr", "config": config})
    assert not is_single_file(path)
    refused(path, "the config in its metadata is not")


def test_every_key_is_accounted_for(path: Path) -> None:
    metadata = {"format": "tinysr", "config": json.dumps(tiny_adcsr().facts)}
    tensors = load_file(path)
    wrapped = {f"_orig_mod.{name}": tensor for name, tensor in tensors.items()}
    save_file(wrapped, path, metadata)
    assert read_single_file(path).config == tiny_adcsr().config
    tensors["unet.more"] = tensors.pop("unet.net.conv_in.bias")
    save_file(tensors, path, metadata)
    refused(path, "missing: unet.net.conv_in.bias; unexpected: unet.more")
