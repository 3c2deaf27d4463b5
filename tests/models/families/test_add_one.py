"""A family in the six steps of CONTRIBUTING, from its config to a gated bundle."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from tests.support import contract
from tests.support.contract import check_family
from tinysr.chain import Chain
from tinysr.errors import CheckpointError
from tinysr.export import Baked, ExportOptions
from tinysr.export import bake as bake_module
from tinysr.models import FAMILIES
from tinysr.models.checkpoints.files import read_safetensors
from tinysr.models.checkpoints.keys import fill_model
from tinysr.models.checkpoints.writing import write_safetensors
from tinysr.models.families import registry
from tinysr.models.family import Family, Layout, OneStepModel, ReadModel, ReadOptions
from tinysr.stages import IMAGE, RESULT, Field, Stage, Windows
from tinysr.workflows.export import export_gated

WORD = "two-convolutions"


@dataclass(frozen=True)
class Config:  # 1
    family: str = WORD
    width: int = 8

    def __post_init__(self) -> None:
        if not 1 <= self.width <= 64:
            raise CheckpointError(f"width is {self.width}, expected an integer from 1 to 64")


class Model(OneStepModel):  # 2
    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        self.head = nn.Conv2d(3, config.width, 3, padding=1)
        self.tail = nn.Sequential(nn.Conv2d(config.width, 12, 3, padding=1), nn.PixelShuffle(2))

    @property
    def facts(self) -> dict[str, Any]:
        return asdict(self.config)

    def chain(self, tile: int) -> Chain:
        held = 4 * self.config.width
        one = {"division": Windows(halo=1), "bytes_per_cell": held}
        return Chain(
            scale=2,
            fields=(
                Field(name=IMAGE, channels=3, pixels_per_cell=2),
                Field(name="maps", channels=self.config.width, pixels_per_cell=2),
                Field(name=RESULT, channels=3, pixels_per_cell=1),
            ),
            stages=(
                Stage(name="head", reads=IMAGE, gives="maps", **one),
                Stage(name="tail", reads="maps", gives=RESULT, **one),
            ),
        )

    def run_stage(self, stage: str, x: Tensor) -> Tensor:
        y: Tensor = self.get_submodule(stage)(x)
        return y

    def forward(self, image: Tensor) -> Tensor:
        y: Tensor = self.tail(self.head(image))
        return y


def read(path: Path, options: ReadOptions) -> ReadModel:  # 3
    assert options.layers is None
    tensors, _ = read_safetensors(path)
    return ReadModel(model=fill_model(make(), tensors, path))


def make() -> Model:
    with torch.device("meta"):
        return Model(Config())


FAMILY = Family(  # 4
    name=WORD,
    licence="Apache-2.0",
    presets=(),
    untrained=frozenset(),
    load_preset=lambda _: make(),
    make_meta=lambda _: make(),
    layouts=(
        Layout(
            name=WORD,
            sign="a file two-convolutions.safetensors",
            matches=lambda path: path.stem == WORD,
            read=read,
        ),
    ),
)


def bake(model: Model, tile: int) -> Baked:  # 5
    baked = Baked(model.chain(tile))
    for stage in baked.chain.names:
        baked.add_module(stage, model.get_submodule(stage))
    return baked.eval()


@pytest.fixture
def checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    # A file of its own name would be TinySR's single file too: its metadata names no family.
    others = [family for family in FAMILIES if family.name != "tinysr"]
    for module in (registry, contract):
        monkeypatch.setattr(module, "FAMILIES", (*others, FAMILY))
    bakers = {**bake_module.__globals__["BAKERS"], WORD: bake}
    monkeypatch.setitem(bake_module.__globals__, "BAKERS", bakers)
    torch.manual_seed(0)
    path = tmp_path / f"{WORD}.safetensors"
    write_safetensors(Model(Config()).state_dict(), {}, path)
    return path


def test_it_keeps_the_contract(checkpoint: Path) -> None:  # 6
    check_family(read(checkpoint, ReadOptions()).model, checkpoint, 32)


def test_it_exports_and_passes_its_gate(checkpoint: Path, tmp_path: Path) -> None:
    made = export_gated(str(checkpoint), tmp_path / "bundle", ExportOptions(tile=32))
    assert made.report is not None
    assert made.report.passed
    assert [a.stage for a in made.manifest.artifacts] == ["head", "tail", "upscale"]
    (seam,) = made.report.seams
    assert seam.windows > 1
