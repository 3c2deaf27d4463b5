"""An open Upscaler, and a folder of photos."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.support.bundles import make_bundle
from tinysr.runtime import Upscaler


@pytest.fixture(scope="module")
def upscaler(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Upscaler]:
    with Upscaler(make_bundle(tmp_path_factory.mktemp("bundle") / "twin")) as opened:
        yield opened


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Return a folder of five small images, the third one broken."""
    rng = np.random.default_rng(0)
    (tmp_path / "in" / "sub").mkdir(parents=True)
    for name in ("a.png", "b.jpg", "d.webp", "sub/e.tiff"):
        Image.fromarray(rng.integers(0, 256, (24, 32, 3), np.uint8)).save(tmp_path / "in" / name)
    (tmp_path / "in" / "c.png").write_bytes((tmp_path / "in" / "a.png").read_bytes()[:200])
    return tmp_path / "in"
