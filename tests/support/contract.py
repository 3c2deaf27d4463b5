"""Contract that every family keeps: a family's own test is a call of this."""

from __future__ import annotations

import json
from pathlib import Path

import torch

from tests.support.tiny_models import difference, noise
from tinysr.chain import Chain
from tinysr.enlarging import prepare_image
from tinysr.export import bake, prove_baked
from tinysr.models import FAMILIES, OneStepModel
from tinysr.models.families.registry import detect
from tinysr.models.family import ReadOptions
from tinysr.stages import IMAGE, RESULT, WHOLE, Tiles


def check_family(model: OneStepModel, checkpoint: Path, tile: int) -> None:
    """Hold a small model and its checkpoint against all that is promised of families."""
    facts = model.facts
    assert json.loads(json.dumps(facts)).keys() == facts.keys()
    assert facts["family"] in {family.name for family in FAMILIES}
    check_chain(model, tile)
    check_layout(model, checkpoint, tile)
    check_baking(model, tile)


def check_chain(model: OneStepModel, tile: int) -> None:
    chain = model.chain(tile)
    assert Chain.model_validate_json(chain.model_dump_json()) == chain
    assert (chain.fields[0].name, chain.fields[-1].name) == (IMAGE, RESULT)
    image = noise(1, 3, tile, tile)
    x = torch.from_numpy(prepare_image(chain, image.numpy()))
    with torch.no_grad():
        for stage in chain.stages:
            assert stage.name in dict(model.named_children())
            assert x.shape[1] == chain.field(stage.reads).channels
            x = model.run_stage(stage.name, x)
            assert x.shape[1:] == (
                chain.field(stage.gives).channels,
                *[chain.sides(stage.name, tile)[1]] * 2,
            )
        assert torch.equal(x, model(image))
    tiles = [s.division for s in chain.stages if isinstance(s.division, Tiles)]
    assert all(division.side <= tile * chain.scale for division in tiles)


def check_layout(model: OneStepModel, checkpoint: Path, tile: int) -> None:
    everything = [layout for family in FAMILIES for layout in family.layouts]
    assert len([layout for layout in everything if layout.matches(checkpoint)]) == 1
    read = detect(checkpoint).read(checkpoint, ReadOptions()).model
    assert read.facts == model.facts
    image = noise(1, 3, tile, tile, seed=1)
    assert difference(read(image), model(image)) < 1e-5
    assert not any(parameter.requires_grad for parameter in read.parameters())


def check_baking(model: OneStepModel, tile: int) -> None:
    baked, before = bake(model, tile), model.state_dict()
    side = baked.chain.sides(WHOLE, tile)[0]
    image = noise(1, 3, side, side, seed=2)
    assert prove_baked(model, baked, image).difference < 1e-4
    after = model.state_dict()
    assert all(torch.equal(after[name], tensor) for name, tensor in before.items())
    x = image
    with torch.no_grad():
        for stage in baked.chain.names:
            x = baked.get_submodule(stage)(x)
        assert difference(x, baked(image)) == 0
