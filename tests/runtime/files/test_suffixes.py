"""Which ends of names are an image's suffix; whatever else is behind a dot is part of the name."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from tinysr.runtime.files import IMAGE_SUFFIXES, image_suffix, with_format, with_mark
from tinysr.runtime.folder import plan_work

NAMES = {
    "photo.jpg": "photo-x4.jpg",
    "photo.JPG": "photo-x4.JPG",
    "photo.bmp": "photo-x4.png",
    "photo.jfif": "photo-x4.jfif",
    "photo.heic": "photo-x4.png",
    "photo": "photo-x4.png",
    "scan.2024-05-01": "scan.2024-05-01-x4.png",
    "v1.2.png": "v1.2-x4.png",
    "v1.2": "v1.2-x4.png",
    "mr. smith": "mr. smith-x4.png",
    "photo.jpg.bak": "photo.jpg.bak-x4.png",
    "photo.": "photo.-x4.png",
    ".hidden": ".hidden-x4.png",
    ".png": ".png-x4.png",
    "画.2": "画.2-x4.png",
}


@pytest.mark.parametrize(("name", "expected"), NAMES.items(), ids=NAMES)
def test_a_file_keeps_all_of_its_name_but_an_images_suffix(
    name: str, expected: str, tmp_path: Path
) -> None:
    (tmp_path / name).touch()
    (job,) = plan_work([str(tmp_path / name)], None).jobs
    assert job.target == tmp_path / expected


@pytest.mark.parametrize("output", [None, "out"])
def test_files_that_differ_only_behind_a_dot_do_not_collide(
    output: str | None, tmp_path: Path
) -> None:
    names = ("scan.2024-05-01", "scan.2024-05-02", "scan")
    for name in names:
        Image.new("RGB", (8, 8)).save(tmp_path / name, "PNG")
    place = None if output is None else str(tmp_path / output)
    jobs = plan_work([str(tmp_path / name) for name in names], place).jobs
    assert len({job.target for job in jobs}) == len(names)
    assert all(job.target is not None and job.target.suffix == ".png" for job in jobs)


@pytest.mark.parametrize("file_format", [None, "png", "jpg", "webp", "tiff"])
@pytest.mark.parametrize("name", NAMES)
def test_a_format_never_takes_more_than_the_suffix(name: str, file_format: str | None) -> None:
    made = with_format(Path(name), file_format)
    stem = name.removesuffix(image_suffix(Path(name)))
    assert made.name.startswith(stem)
    assert with_format(made, file_format) == made
    assert with_mark(made, "-x4").name.startswith(f"{stem}-x4.")


def test_every_suffix_is_lower_case_and_begins_with_a_dot() -> None:
    assert all(suffix.startswith(".") and suffix == suffix.lower() for suffix in IMAGE_SUFFIXES)
