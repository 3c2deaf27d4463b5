"""Inputs that get in each other's way: each is reported, the others are made."""

from __future__ import annotations

from pathlib import Path

import pytest

from tinysr.errors import ImageError, UnsupportedError
from tinysr.runtime.files import OUTPUT_SUFFIXES
from tinysr.runtime.folder import plan_work


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def touch(*names: str) -> None:
    for name in names:
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).touch()


def planned(*inputs: str, output: str | None = None, **options: object) -> dict[str, str]:
    """Return what becomes of each input: its output, or why there is none."""
    jobs = plan_work(inputs, output, **options).jobs  # type: ignore[arg-type]
    return {str(job.source): job.problem or str(job.target) for job in jobs}


def test_of_two_that_become_one_file_the_first_is_made_and_the_other_reported(desk: Path) -> None:
    touch("in/a.jpg", "in/a.png", "in/b.png")
    assert planned("in", file_format="webp", output="out") == {
        "in/a.jpg": "out/a.webp",
        "in/a.png": "in/a.png: would become out/a.webp, as in/a.jpg does, which comes first; "
        "rename one, or upscale it into another folder",
        "in/b.png": "out/b.webp",
    }


def test_the_same_input_twice_is_made_once(desk: Path) -> None:
    touch("in/a.png", "in/b.png")
    assert planned("in", "in/a.png", "./in/b.png", output="out") == {
        "in/a.png": "out/a.png",
        "in/b.png": "out/b.png",
    }


def test_results_beside_their_inputs_are_not_enlarged_again(desk: Path) -> None:
    touch("a.png", "a-x4.png", "a-x4-x4.png", "b.png")
    found = planned("a-x4-x4.png", "a-x4.png", "a.png", "b.png")
    assert found["a.png"] == "a-x4.png"
    assert found["b.png"] == "b-x4.png"
    assert found["a-x4.png"].startswith("a-x4.png: is the result of a.png, and is not enlarged")
    assert found["a-x4-x4.png"].startswith("a-x4-x4.png: is the result of a-x4.png")
    assert planned("a-x4.png") == {"a-x4.png": "a-x4-x4.png"}


def test_what_is_an_input_is_not_written(desk: Path) -> None:
    touch("a.png", "sub/a.png", "sub/b.png")
    found = planned("a.png", "sub", output=".")
    assert found["sub/b.png"] == "b.png"
    for name in ("a.png", "sub/a.png"):
        assert found[name] == "a.png: is an input; choose another output"


def test_what_is_missing_is_reported_and_the_rest_is_made(desk: Path) -> None:
    touch("a.png")
    Path("empty").mkdir()
    Path("broken.png").symlink_to("nowhere.png")
    found = planned("a.png", "typo.png", "empty", "broken.png", "a.png/b.png", output="out")
    assert found.pop("a.png") == "out/a.png"
    assert found.pop("empty").startswith("empty: expected at least one image")
    assert found == {
        name: f"{name}: there is no such file or folder"
        for name in ("typo.png", "broken.png", "a.png/b.png")
    }


@pytest.mark.parametrize("name", ["a.bmp", "a.heic", "a.gif", "a.pgn", "a.HEIC", "out/a.psd"])
def test_one_image_is_not_put_into_a_folder_called_like_an_image(desk: Path, name: str) -> None:
    touch("in.png")
    with pytest.raises(UnsupportedError, match="can't be written: name a file that ends in") as e:
        plan_work(["in.png"], name)
    assert all(suffix in str(e.value) for suffix in OUTPUT_SUFFIXES)
    assert planned("in.png", output=f"{name}/") == {"in.png": f"{name}/in.png"}
    Path(name).mkdir(parents=True)
    assert planned("in.png", output=name) == {"in.png": f"{name}/in.png"}


def test_several_images_go_into_a_folder_with_a_dot_but_into_no_picture(desk: Path) -> None:
    touch("in/a.png", "in/b.png")
    assert planned("in", output="results.v2")["in/a.png"] == "results.v2/a.png"
    for name in ("all.gif", "all.heic"):
        with pytest.raises(UnsupportedError, match="can't be written"):
            plan_work(["in"], name)
    with pytest.raises(ImageError, match="is one image"):
        plan_work(["in"], "all.png")


@pytest.mark.parametrize("name", ["a.jfif", "a.jpe", "a.jif", "a.JPEG", "a.TIF"])
def test_every_name_of_a_format_is_a_file(desk: Path, name: str) -> None:
    touch("in.png")
    assert planned("in.png", output=name) == {"in.png": name}


@pytest.mark.parametrize(
    ("name", "suffix"),
    [("jpeg", "jpg"), ("JPG", "jpg"), ("tif", "tiff"), ("PNG", "png"), (".webp", "webp")],
)
def test_formats_are_known_by_all_their_names(desk: Path, name: str, suffix: str) -> None:
    touch("in.bmp")
    assert planned("in.bmp", file_format=name) == {"in.bmp": f"in-x4.{suffix}"}
    touch("in.jfif")
    assert planned("in.jfif", file_format="jpeg") == {"in.jfif": "in-x4.jfif"}
