"""What services hand to `Upscaler.upscale`: views, other byte orders, and what is no image."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.support.bundles import make_bundle
from tinysr.errors import ImageError
from tinysr.runtime import Upscaler

NOISE = np.random.default_rng(0).integers(0, 256, (24, 32, 3), np.uint8)


@pytest.fixture(scope="module")
def upscaler(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Upscaler]:
    with Upscaler(make_bundle(tmp_path_factory.mktemp("bundle") / "twin")) as opened:
        yield opened


VIEWS = {
    "BGR": NOISE[..., ::-1],
    "Fortran order": np.asfortranarray(NOISE),
    "every second pixel": NOISE[::2, ::2],
    "big-endian uint16": (NOISE.astype(np.uint16) * 257).astype(">u2"),
    "big-endian float32": (NOISE / 255).astype(">f4"),
    "big-endian float64": (NOISE / 255).astype(">f8"),
}


@pytest.mark.parametrize("view", VIEWS.values(), ids=VIEWS)
def test_how_an_array_lies_in_memory_changes_nothing(upscaler: Upscaler, view: Any) -> None:
    plain = np.ascontiguousarray(view).astype(view.dtype.newbyteorder("="))
    found = upscaler.upscale(view)
    np.testing.assert_array_equal(found, upscaler.upscale(plain))
    assert found.dtype == view.dtype


@pytest.mark.parametrize(
    "thing", ["photo.png", Path("photo.png"), NOISE.tolist(), None, b"\x89PNG"]
)
def test_what_is_no_image_is_refused_by_its_type(upscaler: Upscaler, thing: Any) -> None:
    words = rf"expected a Pillow image or a NumPy array, found {type(thing).__name__}"
    with pytest.raises(ImageError, match=words):
        upscaler.upscale(thing)


@pytest.mark.parametrize(
    ("array", "found"),
    [
        (NOISE.astype(np.float32), "found 0 to 255"),
        (np.full((8, 8, 3), 1.0000001, np.float32), "found 1.00000012 to 1.00000012"),
        (NOISE.astype(np.int64), "in int64"),
        (NOISE.astype(np.float16), "in float16"),
        (NOISE[None], r"found \[1, 24, 32, 3\]"),
        (NOISE[:0], r"at least 1×1 pixels"),
    ],
    ids=["float to 255", "just over", "int64", "float16", "batch", "empty"],
)
def test_arrays_that_are_not_taken_are_refused_with_what_was_found(
    upscaler: Upscaler, array: Any, found: str
) -> None:
    with pytest.raises(ImageError, match=found):
        upscaler.upscale(array)
