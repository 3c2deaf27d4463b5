"""The example photos and the README's picture are made by one command."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.support.bundles import make_bundle
from tests.support.project import ROOT
from tinysr.runtime import Upscaler
from tinysr.training import showcase

EXAMPLES = ROOT / "examples"


def test_the_examples_and_the_picture_can_be_made_again(tmp_path: Path) -> None:
    pairs = showcase.write_examples(tmp_path)
    for name in showcase.EXAMPLES:
        made, kept = (np.asarray(Image.open(d / f"{name}.png"), int) for d in (tmp_path, EXAMPLES))
        assert made.shape == kept.shape
        assert np.abs(made - kept).max() <= 2  # the last bits of a resize differ between machines
    with Upscaler(make_bundle(tmp_path / "twin")) as upscaler:
        columns = [showcase.bundle_column(upscaler, tmp_path), showcase.ORIGINAL]
        picture = showcase.draw_showcase(columns, pairs)
    assert picture.width > 2 * 256
    assert picture.getextrema() != ((255, 255),) * 3


def test_each_example_has_its_origin_and_is_small() -> None:
    credits_ = (EXAMPLES / "README.md").read_text(encoding="utf-8")
    assert {path.stem for path in EXAMPLES.glob("*.png")} == set(showcase.EXAMPLES)
    for name in showcase.EXAMPLES:
        assert f"`{name}.png`" in credits_
        with Image.open(EXAMPLES / f"{name}.png") as image:
            assert max(image.size) <= 200


def test_a_bundle_of_other_weights_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bundle = make_bundle(tmp_path / "twin")
    places = ["--examples", str(tmp_path / "e"), "--picture", str(tmp_path / "p.png")]
    assert showcase.main([str(bundle), *places]) == 2
    assert "export it again" in capsys.readouterr().err
    assert not (tmp_path / "p.png").exists()
