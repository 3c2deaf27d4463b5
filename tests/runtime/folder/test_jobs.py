"""Which image becomes which file."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

import tinysr
from tinysr.errors import BundleError, ImageError, UnsupportedError
from tinysr.runtime import default_bundle
from tinysr.runtime.folder import FolderWork, plan_work


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Go to a folder that has a folder with images and other files in it, all of them empty."""
    for name in ("b.png", "a.JPG", "notes.txt", "sub/c.tiff", "sub/deep/d.webp", "sub/e.bmp"):
        path = tmp_path / "in" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    monkeypatch.chdir(tmp_path)
    return tmp_path / "in"


def plan(*inputs: str, output: str | None = "out", **options: object) -> FolderWork:
    return plan_work(inputs, output, **options)  # type: ignore[arg-type]


def targets(*inputs: str, output: str | None = "out", **options: object) -> list[str]:
    return [str(job.target) for job in plan(*inputs, output=output, **options).jobs]


def test_one_file_becomes_the_file_that_was_named(tree: Path) -> None:
    assert targets("in/b.png", output="x.webp") == ["x.webp"]


def test_one_file_goes_into_a_folder_under_its_own_name(tree: Path) -> None:
    assert targets("in/b.png") == ["out/b.png"]


def test_folders_are_walked_in_order_and_keep_paths_and_formats(tree: Path) -> None:
    assert targets("in") == [
        "out/a.JPG", "out/b.png", "out/sub/c.tiff", "out/sub/deep/d.webp", "out/sub/e.png"
    ]  # fmt: skip


def test_names_are_those_below_the_input(tree: Path) -> None:
    assert [job.name for job in plan("in/sub", "in/b.png").jobs] == [
        "c.tiff", "deep/d.webp", "e.bmp", "b.png"
    ]  # fmt: skip


def test_a_format_is_for_all_and_keeps_suffixes_that_have_it(tree: Path) -> None:
    (tree / "sub" / "f.jpeg").touch()
    assert targets("in/sub", "in/b.png", file_format="jpg") == [
        "out/c.jpg", "out/deep/d.jpg", "out/e.jpg", "out/f.jpeg", "out/b.jpg"
    ]  # fmt: skip


def test_without_an_output_results_are_put_beside_their_inputs(
    tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert targets("in/b.png", "in/a.JPG", output=None) == ["in/b-x4.png", "in/a-x4.JPG"]
    assert targets("in/sub/e.bmp", output=None, scale=1.5) == ["in/sub/e-x1.5.png"]
    assert targets("in/b.png", output=None, file_format="webp") == ["in/b-x4.webp"]
    assert targets("in", output=None, scale=2)[-1] == "in-x2/sub/e.png"
    monkeypatch.chdir(tree / "sub")
    assert targets(".", output=None)[0] == str(tree / "sub-x4" / "c.tiff")
    with pytest.raises(ImageError, match="name one with -o"):
        plan("/", output=None)


def test_a_folder_named_like_an_image_is_a_folder(tree: Path) -> None:
    (tree.parent / "x.png").mkdir()
    assert targets("in/b.png", output="x.png") == ["x.png/b.png"]


def test_outputs_inside_the_input_folder_are_not_read_again(tree: Path) -> None:
    (tree / "done").mkdir()
    (tree / "done" / "b.png").touch()
    assert len(targets("in", output="in/done")) == 5


def test_hidden_files_are_left_out_and_ours_among_them(tree: Path) -> None:
    (tree / ".trash").mkdir()
    for name in (".b.png.0123abcd", "._b.png", ".trash/z.png"):
        (tree / name).touch()
    assert len(targets("in")) == 5


def test_what_is_no_image_is_counted(tree: Path) -> None:
    (tree / "x.psd").touch()
    (tree / "sub" / "y.PSD").touch()
    assert plan("in").left_out == {".psd": 2, ".txt": 1}


def test_links_in_circles_end(tree: Path) -> None:
    (tree / "again").symlink_to(tree, target_is_directory=True)
    (tree / "self.png").symlink_to(tree / "self.png")
    assert targets("in")[2:4] == ["out/self.png", "out/sub/c.tiff"]


def test_pipes_in_a_folder_are_not_waited_for(tree: Path) -> None:
    os.mkfifo(tree / "pipe.png")
    assert "out/pipe.png" not in targets("in")


def test_a_folder_that_cant_be_listed_is_one_failed_job(
    tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scan = os.scandir

    def denied(path: str) -> object:
        if str(path).endswith("deep"):
            raise PermissionError(13, "Permission denied", path)
        return scan(path)

    monkeypatch.setattr(os, "scandir", denied)
    *_, last = plan("in").jobs
    assert last.problem == "in/sub/deep: the folder can't be listed: Permission denied"


def test_one_image_goes_through_standard_input_and_output(tree: Path) -> None:
    (job,) = plan("-", output="-").jobs
    assert (job.source, job.target, job.file_format) == (None, None, None)
    assert plan("-", output=None) == plan("-", output="-")
    (job,) = plan("in/b.png", output="-", file_format="webp").jobs
    assert (job.source, job.target, job.file_format) == (Path("in/b.png"), None, "webp")
    (job,) = plan("-", output="x.tif").jobs
    assert (job.source, job.target) == (None, Path("x.tif"))


@pytest.mark.parametrize(
    ("inputs", "output", "words"),
    [
        (["none.png"], "out", "no such file"),
        (["in/notes.txt", "in/sub"], "x.png", "expected one input file"),
        (["in/sub"], "x.png", "expected one input file"),
        (["in/b.png"], "in/b.png", "is an input"),
        (["in/b.png"], "in", "is an input"),
        (["in/sub/deep"], "in/sub/deep", "is an input"),
        (["-", "in/b.png"], "out", "is one image"),
        (["-", "-"], "-", "is one image"),
        (["in"], "-", "is one image"),
        (["in/b.png", "in/a.JPG"], "-", "is one image"),
        (["-"], "in", "with an image's suffix for standard input"),
    ],
)
def test_contradictions_are_refused(tree: Path, inputs: list[str], output: str, words: str) -> None:
    with pytest.raises(ImageError, match=words):
        plan(*inputs, output=output)


def test_folders_without_images_are_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").touch()
    with pytest.raises(ImageError, match="expected at least one image"):
        plan(str(tmp_path))


def test_formats_are_checked(tree: Path) -> None:
    with pytest.raises(UnsupportedError, match="expected one of avif, jpg, jxl, png, tiff, webp"):
        plan("in", file_format="gif")
    with pytest.raises(ImageError, match="contradict"):
        plan("in/b.png", output="x.png", file_format="webp")


def test_the_local_bundle_comes_before_the_packaged_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    package = tmp_path / "package"
    monkeypatch.setattr(tinysr, "__file__", str(package / "__init__.py"))
    with pytest.raises(BundleError, match="tinysr export tinysr-nano -o bundles/tinysr-nano"):
        default_bundle.find_bundle()
    for folder in (package / "_bundles" / "tinysr-nano", Path("bundles/tinysr-nano")):
        folder.mkdir(parents=True)
        (folder / "manifest.json").touch()
        assert default_bundle.find_bundle() == folder
    assert default_bundle.find_bundle(Path("my/named")) == Path("my/named")


def test_a_bundle_is_found_by_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    package, name = tmp_path / "package", Path("tinysr-nano-faithful")
    monkeypatch.setattr(tinysr, "__file__", str(package / "__init__.py"))
    with pytest.raises(BundleError, match=r"no folder 'tinysr-nano-faithful', .* export tinysr"):
        default_bundle.find_bundle(name)
    for folder in (package / "_bundles" / name, Path("bundles") / name):
        folder.mkdir(parents=True)
        (folder / "manifest.json").touch()
        assert default_bundle.find_bundle(name) == folder
    name.mkdir()  # a folder of that name is what was meant
    assert default_bundle.find_bundle(name) == name
