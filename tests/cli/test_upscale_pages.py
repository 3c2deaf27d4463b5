"""`tinysr upscale --page`: one page or frame of a file, or each as a file of its own."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pillow_heif
import pytest
import tifffile
import typer
from PIL import Image
from typer.testing import CliRunner, Result

from tests.support.bundles import make_bundle
from tinysr.cli.upscale import upscale
from tinysr.errors import ImageError, TinySRError, UnsupportedError
from tinysr.runtime.folder import LOG_NAME, plan_work

COLOURS = [(200, 0, 0), (0, 160, 0), (0, 0, 220)]
FRAMES = [np.full((16, 24, 3), colour, np.uint8) for colour in COLOURS]


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_bundle(tmp_path_factory.mktemp("bundle") / "twin")


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Go to a folder with a file of several pictures of each kind, and one with a single one."""
    (tmp_path / "in").mkdir()
    first, *rest = (Image.fromarray(frame) for frame in FRAMES)
    first.save(tmp_path / "in" / "film.gif", save_all=True, append_images=rest)
    first.save(tmp_path / "in" / "film.webp", save_all=True, append_images=rest, lossless=True)
    first.save(tmp_path / "in" / "one.png")
    with tifffile.TiffWriter(tmp_path / "in" / "scan.tif") as writer:
        for frame in FRAMES:
            writer.write(frame, photometric="rgb")
            writer.write(frame[::4, ::4].copy(), photometric="rgb", subfiletype=1)
    several = pillow_heif.HeifFile()  # type: ignore[no-untyped-call]
    for frame in FRAMES[:2]:
        several.add_from_pillow(Image.fromarray(np.tile(frame, (4, 4, 1))))
    several.save(tmp_path / "in" / "burst.heic", quality=100, chroma=444)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(*words: object) -> Result:
    app = typer.Typer()
    app.command()(upscale)
    return CliRunner().invoke(app, [str(word) for word in words])


def colour(path: Path) -> list[int]:
    """Return the mean colour of a file, as Pillow sees it."""
    with Image.open(path) as image:
        return [round(value) for value in np.asarray(image.convert("RGB")).mean((0, 1))]


def near(path: Path, index: int) -> bool:
    return bool(np.abs(np.subtract(colour(path), COLOURS[index])).max() < 30)


@pytest.mark.parametrize("name", ["scan.tif", "film.gif", "film.webp"])
def test_one_page_is_made(bundle: Path, desk: Path, name: str) -> None:
    result = run(f"in/{name}", "-o", "out.png", "--page", "2", "--bundle", bundle)
    assert result.exit_code == 0, result.output
    assert near(desk / "out.png", 1)


def test_every_page_is_made_and_a_single_picture_keeps_its_name(bundle: Path, desk: Path) -> None:
    words = ("in", "-o", "out", "--page", "all", "--json", "--bundle", bundle)
    report = json.loads(run(*words).stdout)
    assert (report["summary"]["asked"], report["summary"]["made"]) == (12, 12)
    made = {Path(file["target"]).name: (Path(file["source"]).name, file["page"])
            for file in report["files"]}  # fmt: skip
    assert made == {
        **{f"burst-{n}.png": ("burst.heic", n) for n in (1, 2)},
        **{f"film-{n}.png": ("film.gif", n) for n in (1, 2, 3)},
        **{f"film-{n}.webp": ("film.webp", n) for n in (1, 2, 3)},
        **{f"scan-{n}.tif": ("scan.tif", n) for n in (1, 2, 3)},
        "one.png": ("one.png", None),
    }
    for name in ("film-{}.png", "film-{}.webp", "scan-{}.tif"):
        assert all(near(desk / "out" / name.format(n + 1), n) for n in range(3)), name
    lines = [json.loads(line) for line in (desk / "out" / LOG_NAME).read_text().splitlines()]
    assert {(line["target"], line["page"]) for line in lines} == {
        (name, page) for name, (_, page) in made.items()
    }
    (desk / "out" / "scan-2.tif").unlink()
    report = json.loads(run(*words).stdout)["summary"]
    assert (report["made"], report["up_to_date"], report["failed"]) == (1, 11, 0)


def test_pages_are_made_beside_their_file_and_under_the_name_of_an_output(
    bundle: Path, desk: Path
) -> None:
    assert run("in/scan.tif", "--page", "all", "--bundle", bundle).exit_code == 0
    assert near(desk / "in" / "scan-x4-3.tif", 2)
    named = run("in/film.gif", "-o", "frame.webp", "--page", "all", "--bundle", bundle)
    assert named.exit_code == 0, named.output
    assert [near(desk / f"frame-{n + 1}.webp", n) for n in range(3)] == [True] * 3


def test_numbers_are_as_long_as_the_last(desk: Path) -> None:
    with tifffile.TiffWriter("long.tif") as writer:
        for value in range(12):
            writer.write(np.full((8, 8), value, np.uint8), photometric="minisblack")
    jobs = plan_work(["long.tif"], "out", all_pages=True).jobs
    names = [job.target.name for job in jobs if job.target is not None]
    assert names == sorted(names) == [f"long-{n:02}.tif" for n in range(1, 13)]
    assert str(jobs[10]) == "long.tif, page 11"


def test_a_page_that_would_take_anothers_name_is_reported(desk: Path) -> None:
    Image.fromarray(FRAMES[0]).save("in/scan-2.tif")
    problems = [job.problem for job in plan_work(["in"], "out", all_pages=True).jobs if job.problem]
    (problem,) = problems
    assert "scan" in problem
    assert "would become out/scan-2.tif" in problem


def test_a_broken_file_is_reported_once(bundle: Path, desk: Path) -> None:
    (desk / "in" / "scan.tif").write_bytes((desk / "in" / "scan.tif").read_bytes()[:20])
    result = run("in", "-o", "out", "--page", "all", "--bundle", bundle)
    assert result.exit_code == 2
    assert sum(line.startswith("error") for line in result.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    ("words", "kind", "message"),
    [
        (("in/scan.tif", "-o", "-"), ImageError, "standard output: is one image, and --page all"),
        (("-", "-o", "out.png"), ImageError, "standard input: is one image, and --page all makes"),
    ],
)
def test_pages_go_through_no_pipe(
    desk: Path, words: tuple[str, ...], kind: type[TinySRError], message: str
) -> None:
    error = run(*words, "--page", "all").exception
    assert isinstance(error, kind)
    assert message in str(error)


@pytest.mark.parametrize("page", ["0", "-1", "every", "1.5", ""])
def test_what_is_no_page_is_refused(desk: Path, page: str) -> None:
    error = run("in/scan.tif", "-o", "out.png", "--page", page).exception
    assert isinstance(error, UnsupportedError)
    assert str(error).startswith("--page: expected a whole number of at least 1, or all, found")


def test_a_header_that_tells_of_too_many_makes_no_jobs(desk: Path) -> None:
    file = io.BytesIO()
    first, second, *_ = (Image.fromarray(frame) for frame in FRAMES)
    first.save(file, "GIF", save_all=True, append_images=[second] * 3)
    Path("in/film.gif").write_bytes(file.getvalue())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tinysr.runtime.files.counting.MOST_PICTURES", 1)
        assert len(plan_work(["in/film.gif"], "out", all_pages=True).jobs) == 1
