"""A stage that takes an image as a whole: from its graph to images of any size."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from tinysr.chain import Chain
from tinysr.errors import ImageError
from tinysr.export import Baked, ExportOptions, export_bundle
from tinysr.export import bake as bake_module
from tinysr.manifest import Source
from tinysr.models import Loaded, OneStepModel
from tinysr.parity import ParityReport, compute_references, compute_seam_references, gate_bundle
from tinysr.runtime import Bundle, Upscaler, create
from tinysr.runtime.network.divide import Limits, divide
from tinysr.stages import IMAGE, RESULT, Field, Stage, Whole, Windows
from tinysr.suite import suite

pytestmark = pytest.mark.usefixtures("one_thread")

TILE, SCALE = 16, 2


class Levels(nn.Module):
    """Features at half the size, less their mean over the whole image."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(12, 8, 3, padding=1)

    def forward(self, image: Tensor) -> Tensor:
        x: Tensor = self.conv(nn.functional.pixel_unshuffle(image, 2))
        return x - x.mean((2, 3), keepdim=True)


class Model(OneStepModel):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.levels = Levels()
        self.picture = nn.Sequential(nn.Conv2d(8, 48, 3, padding=1), nn.PixelShuffle(4))
        self.eval().requires_grad_(False)

    @property
    def facts(self) -> dict[str, Any]:
        return {"family": "whole"}

    def chain(self, tile: int) -> Chain:
        held = {"bytes_per_cell": 64}
        return Chain(
            scale=SCALE,
            fields=(
                Field(name=IMAGE, channels=3, pixels_per_cell=2),
                Field(name="features", channels=8, pixels_per_cell=4),
                Field(name=RESULT, channels=3, pixels_per_cell=1),
            ),
            stages=(
                Stage(
                    name="levels",
                    reads=IMAGE,
                    gives="features",
                    division=Whole(most_cells=32 * 32),
                    **held,
                ),
                Stage(
                    name="picture",
                    reads="features",
                    gives=RESULT,
                    division=Windows(halo=1),
                    **held,
                ),
            ),
        )

    def run_stage(self, stage: str, x: Tensor) -> Tensor:
        y: Tensor = self.get_submodule(stage)(x)
        return y

    def forward(self, image: Tensor) -> Tensor:
        y: Tensor = self.picture(self.levels(image))
        return y


def bake(model: Model, tile: int) -> Baked:
    baked = Baked(model.chain(tile))
    for stage in baked.chain.names:
        baked.add_module(stage, model.get_submodule(stage))
    return baked.eval()


@pytest.fixture(scope="module")
def model() -> Model:
    return Model()


@pytest.fixture(scope="module")
def made(model: Model, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ParityReport]:
    folder = tmp_path_factory.mktemp("whole") / "bundle"
    source = Source(kind="single-file", name="whole", sha256="0" * 64, trained=False)
    with pytest.MonkeyPatch.context() as patch:
        bakers = {**bake_module.__globals__["BAKERS"], "whole": bake}
        patch.setitem(bake_module.__globals__, "BAKERS", bakers)
        export_bundle(Loaded(model=model, source=source), folder, ExportOptions(tile=TILE))
    references = compute_references(model, suite(TILE)[:4])
    seam = compute_seam_references(Bundle(folder), model)
    backends = [create("onnxruntime")]
    return folder, gate_bundle(folder, references, backends=backends, seam=seam)


@pytest.fixture(scope="module")
def bundle(made: tuple[Path, ParityReport]) -> Path:
    return made[0]


def test_it_passes_its_gate_and_leaves_no_seams(made: tuple[Path, ParityReport]) -> None:
    report = made[1]
    assert report.passed, report.failure
    (seam,) = report.seams
    assert (seam.tiles, seam.windows > 1) == (0, True)


@pytest.mark.parametrize("size", [(61, 37), (16, 64), (5, 3)])
def test_images_of_odd_sizes_are_one_image(bundle: Path, model: Model, size: Any) -> None:
    image = np.random.default_rng(3).random((*size, 3), np.float32)
    with Upscaler(bundle, color="none", window=TILE) as upscaler:
        found = upscaler.upscale(image)
    padded = np.pad(image, (*((0, side % 2) for side in size), (0, 0)), "edge")
    expected = model(torch.from_numpy(padded.transpose(2, 0, 1))[None])[0].clamp(0, 1)
    cropped = expected.numpy().transpose(1, 2, 0)[: SCALE * size[0], : SCALE * size[1]]
    assert found.shape == cropped.shape
    assert np.abs(found - cropped).max() < 1e-5


def test_an_image_of_too_many_cells_is_refused_in_one_line(bundle: Path) -> None:
    image = np.zeros((66, 63, 3), np.float32)
    words = (
        "the stage levels takes images as a whole, found 64×66 pixels: "
        "use an image of at most 4096 pixels, 4224 are here"
    )
    with Upscaler(bundle) as upscaler, pytest.raises(ImageError, match=words) as refused:
        upscaler.upscale(image)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("limits", "words"),
    [
        (Limits(longest=8), "use an image whose sides are at most 16 pixels"),
        (Limits(sides=(8, 16)), "use another format, as this one takes squares of 16, 32 alone"),
    ],
)
def test_a_graph_that_takes_few_sizes_says_which(model: Model, limits: Limits, words: str) -> None:
    chain = model.chain(TILE)
    with pytest.raises(ImageError, match=words):
        divide(chain, chain.stages[0], 32, 20, limits=limits, room=0)
    assert len(divide(chain, chain.stages[0], 16, 16, limits=limits, room=0)) == 1
