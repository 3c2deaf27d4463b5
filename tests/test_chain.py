"""A chain that contradicts itself is refused with what was expected."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from pydantic import ValidationError

from tests.support.chains import change_stage, make_chain
from tinysr.chain import Chain


def data() -> dict[str, Any]:
    return {"chain": make_chain(128, overlap=8, halos=(19, 19)).model_dump()}


def test_sizes_follow_from_the_stages() -> None:
    chain = make_chain(128, overlap=8, halos=(19, 19))
    assert (chain.multiple, chain.least) == (4, 128)
    assert chain.graphs == ("encoder", "transformer", "decoder", "upscale")
    assert chain.sides("upscale", 128) == (128, 512)
    assert chain.sides("transformer", 64) == (64, 64)  # a stage of tiles has its own
    assert chain.sides("decoder", 64) == (32, 256)
    assert [chain.is_fixed(name) for name in chain.graphs] == [False, True, False, True]
    assert chain.pixels(chain.stage("decoder"), 19) == 38


def set_field(change: dict[str, Any], place: int, **values: Any) -> None:
    change["chain"]["fields"][place].update(values)


CONTRADICTIONS: dict[str, Callable[[dict[str, Any]], object]] = {
    "stages with different names": lambda d: change_stage(d, "decoder", name="encoder"),
    "stages that lead through image → latents": lambda d: change_stage(d, "decoder", reads="image"),
    "expected 'image' of 3 channels": lambda d: set_field(d, 0, channels=4),
    "expected 'upscaled' of 3 channels, 1 pixels": lambda d: set_field(d, 3, pixels_per_cell=2),
    "cells that divide each other": lambda d: set_field(d, 1, pixels_per_cell=6),
    "tiles and overlaps that divide by 2": lambda d: change_stage(
        d, "transformer", division={"overlap": 7}
    ),
    "an overlap below 64 cells": lambda d: change_stage(d, "transformer", division={"overlap": 64}),
    "what restores to give what it reads": lambda d: set_field(d, 2, channels=4),
    "greater than 0": lambda d: set_field(d, 1, unit=0.0),
    "at least 1 item": lambda d: d["chain"].update(stages=[]),
    "no match|does not match|should match": lambda d: change_stage(d, "decoder", name="../x"),
}


@pytest.mark.parametrize("words", CONTRADICTIONS)
def test_contradictions_are_refused(words: str) -> None:
    changed = data()
    CONTRADICTIONS[words](changed)
    with pytest.raises(ValidationError, match=words):
        Chain.model_validate(changed["chain"])


def test_what_is_not_there_is_named_with_what_is() -> None:
    chain = make_chain(64)
    with pytest.raises(ValueError, match="no stage 'unet': expected one of encoder, transformer"):
        chain.stage("unet")
    with pytest.raises(ValueError, match="no field 'z': expected one of image, latents"):
        chain.field("z")
