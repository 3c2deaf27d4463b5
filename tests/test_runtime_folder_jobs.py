"""Which image becomes which file."""

from __future__ import annotations

from pathlib import Path

import pytest

from tinysr.errors import BundleError, ImageError, UnsupportedError
from tinysr.runtime import default_bundle
from tinysr.runtime.batch import jobs


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Return a folder with images, folders and other files, all of them empty."""
    for name in ("b.png", "a.JPG", "notes.txt", "sub/c.tiff", "sub/deep/d.webp", ".thumbs"):
        path = tmp_path / "in" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return tmp_path / "in"


def targets(tree: Path, *inputs: Path, output: str = "out", file_format: str | None = None) -> list:
    found = jobs(inputs, tree.parent / output, file_format)
    return [str(job.target.relative_to(tree.parent)) for job in found]


def test_one_file_becomes_the_file_that_was_named(tree: Path) -> None:
    assert targets(tree, tree / "b.png", output="x.webp") == ["x.webp"]


def test_one_file_goes_into_a_folder_under_its_own_name(tree: Path) -> None:
    assert targets(tree, tree / "b.png") == ["out/b.png"]


def test_folders_are_walked_in_order_and_keep_their_paths(tree: Path) -> None:
    assert targets(tree, tree) == ["out/a.JPG", "out/b.png", "out/sub/c.png", "out/sub/deep/d.webp"]


def test_a_format_is_for_all(tree: Path) -> None:
    assert targets(tree, tree / "sub", tree / "b.png", file_format="jpg") == [
        "out/c.jpg", "out/deep/d.jpg", "out/b.jpg"
    ]  # fmt: skip


def test_a_folder_named_like_an_image_is_a_folder(tree: Path) -> None:
    (tree.parent / "x.png").mkdir()
    assert targets(tree, tree / "b.png", output="x.png") == ["x.png/b.png"]


def test_outputs_inside_the_input_folder_are_not_read_again(tree: Path) -> None:
    (tree / "done").mkdir()
    (tree / "done" / "b.png").touch()
    assert len(targets(tree, tree, output="in/done")) == 4


@pytest.mark.parametrize(
    ("inputs", "output", "words"),
    [
        (["none.png"], "out", "no such file"),
        (["notes.txt", "sub"], "x.png", "names one file"),
        (["sub"], "x.png", "names one file"),
        (["b.png"], "in/b.png", "is an input"),
        (["b.png"], "in", "is an input"),
        (["."], "in", "is an input"),
        (["b.png", "b.png"], "out", "would both become"),
    ],
)
def test_contradictions_are_refused(tree: Path, inputs: list[str], output: str, words: str) -> None:
    with pytest.raises(ImageError, match=words):
        jobs([tree / name for name in inputs], tree.parent / output)


def test_two_suffixes_of_one_name_collide_in_one_format(tree: Path) -> None:
    (tree / "b.bmp").touch()
    with pytest.raises(ImageError, match=r"b\.bmp and .*b\.png would both become .*b\.png"):
        jobs([tree], tree.parent / "out")


def test_folders_without_images_are_refused(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "notes.txt").touch()
    with pytest.raises(ImageError, match="expected at least one image"):
        jobs([tmp_path / "in"], tmp_path / "out")


def test_formats_are_checked(tree: Path) -> None:
    with pytest.raises(UnsupportedError, match="expected one of jpg, png, webp"):
        jobs([tree], tree.parent / "out", "gif")
    with pytest.raises(ImageError, match="contradict"):
        jobs([tree / "b.png"], tree.parent / "x.png", "webp")


def test_the_local_bundle_comes_before_the_packaged_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    package = tmp_path / "package"
    monkeypatch.setattr(default_bundle.tinysr, "__file__", str(package / "__init__.py"))
    with pytest.raises(BundleError, match="tinysr export tinysr-nano -o bundles/tinysr-nano"):
        default_bundle.find_bundle()
    for folder in (package / "_bundle", Path("bundles/tinysr-nano")):
        folder.mkdir(parents=True)
        (folder / "manifest.json").touch()
        assert default_bundle.find_bundle() == folder
    assert default_bundle.find_bundle(Path("named")) == Path("named")
