"""What can't be added to a bundle is refused before anything is built."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.bundles import make_bundle
from tinysr.errors import BundleError, UnsupportedError
from tinysr.export import Extension, extend_bundle
from tinysr.runtime import Bundle


def extend(folder: Path, target: str, precision: str) -> None:
    more = Extension(targets=(target,), precision=precision, settings={})
    extend_bundle(Bundle(folder), folder.with_name("new"), more)


@pytest.mark.parametrize("target", ["tensorrt", "openvino"])
def test_a_bundle_without_a_stage_is_refused(target: str, tmp_path: Path) -> None:
    folder = make_bundle(tmp_path / "bundle")  # it has no graph of the whole
    with pytest.raises(BundleError, match="a graph in fp32 of every stage, found none of upscale"):
        extend(folder, target, "fp32")
    assert [path.name for path in tmp_path.iterdir()] == ["bundle"]


@pytest.mark.parametrize(
    ("target", "precision", "said"),
    [
        ("tensorrt", "fp12", "unknown precision 'fp12'"),
        ("tensorrt", "", "unknown precision ''"),
        ("fp12", "fp32", "unknown target 'fp12'"),
        ("coreml", "fp32", "the target coreml is made from the model"),
    ],
)
def test_unknown_names_are_refused(target: str, precision: str, said: str, tmp_path: Path) -> None:
    folder = make_bundle(tmp_path / "bundle")
    with pytest.raises(UnsupportedError, match=said):
        extend(folder, target, precision)
