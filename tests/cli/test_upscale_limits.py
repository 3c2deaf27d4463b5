"""Large images: what is made by default, what is refused and why, and how long it takes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.support.bundles import make_bundle
from tinysr.errors import ImageError, UnsupportedError
from tinysr.runtime import Upscaler, upscaler
from tinysr.runtime.folder import stages
from tinysr.runtime.headroom import Headroom
from tinysr.runtime.network.pace import Pace, measure_seconds

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_bundle(tmp_path_factory.mktemp("bundle") / "twin")


@pytest.fixture
def roomy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the machine have memory, whichever it is."""
    room = Headroom(memory=10**12, with_swap=10**12)
    monkeypatch.setattr(upscaler, "measure_headroom", lambda: room)


@pytest.fixture
def opened(bundle: Path, roomy: None) -> Iterator[Upscaler]:
    with Upscaler(bundle) as found:
        yield found


CAMERAS = {
    "phone": (4032, 3024),
    "24 MP": (6000, 4000),
    "50 MP": (8160, 6120),
    "61 MP": (9504, 6336),
}


@pytest.mark.parametrize("size", CAMERAS.values(), ids=CAMERAS)
def test_photos_of_todays_cameras_need_no_option(opened: Upscaler, size: tuple[int, int]) -> None:
    opened.check_size(*size)


def test_the_limit_is_the_results_and_the_error_says_what_to_type(
    opened: Upscaler, bundle: Path
) -> None:
    words = (
        r"10000×8000 pixels would become 40000×32000, 1280 megapixels: results of at most 1024 are "
        r"made; --max-megapixels 1280 \(max_megapixels\) allows it"
    )
    with pytest.raises(ImageError, match=words):
        opened.check_size(10_000, 8000)
    with Upscaler(bundle, max_megapixels=1280) as allowed:
        allowed.check_size(10_000, 8000)
    with Upscaler(bundle, max_megapixels=24, scale=1) as small:
        small.check_size(6000, 4000)  # what the network makes on the way does not count
        with pytest.raises(ImageError, match="6000×4004 pixels would become 6000×4004"):
            small.check_size(6000, 4004)


def test_what_the_error_says_to_type_is_enough(opened: Upscaler, bundle: Path) -> None:
    for width, height, limit in ((1001, 997, 10), (333, 77, 0.1), (40, 31, 0.001)):
        with Upscaler(bundle, max_megapixels=limit) as small:
            with pytest.raises(ImageError) as caught:
                small.check_size(width, height)
            typed = float(str(caught.value).split("--max-megapixels ")[1].split()[0])
        with Upscaler(bundle, max_megapixels=typed) as enough:
            enough.check_size(width, height)


@pytest.mark.parametrize("value", [float("nan"), 0.0, -1.0])
def test_limits_that_make_no_sense_are_refused_in_python_too(bundle: Path, value: float) -> None:
    for name in ("max_megapixels", "memory_mb", "scale"):
        with pytest.raises(UnsupportedError, match="expected a number"):
            Upscaler(bundle, **{name: value})  # type: ignore[arg-type]


def test_a_format_that_cant_hold_the_result_is_refused_before_the_network_runs(
    run: Run, bundle: Path, roomy: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Upscaler, "infer", None)
    Image.new("L", (4096, 8)).save("wide.png")
    code, _, err = run("upscale", "wide.png", "-o", "wide.webp", "--bundle", bundle)
    assert code == 2
    assert (
        "at most 16383 pixels in a webp file, found 16384×32: "
        "write png or jpg or avif or jxl or tiff" in err
    )
    Image.new("L", (16_384, 8)).save("wider.png")
    _, _, err = run("upscale", "wider.png", "-o", "-", "--format", "jpeg", "--bundle", bundle)
    assert "at most 65500 pixels in a jpg file, found 65536×32: write png or jxl or tiff" in err


def test_a_large_image_says_first_how_long_it_will_take(
    run: Run, bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stages, "LARGE", 0.01)
    monkeypatch.setattr(Upscaler, "estimate_seconds", lambda *_, **__: 3 * 3600.0)
    for name, size in {"a": (40, 36), "b": (8, 8)}.items():
        Image.new("RGB", size, "teal").save(f"{name}.png")
    code, out, err = run("upscale", "a.png", "-o", "out.png", "--bundle", bundle)
    assert code == 0
    assert err == ("a.png: 40×36 → 160×144 takes about 3 hours at the machine's present speed\n")
    assert "takes about" not in out


def test_the_estimate_is_of_all_windows_and_tiles(opened: Upscaler) -> None:
    opened._pace = Pace(cell={"encoder": 4e-4, "transformer": 2e-3, "decoder": 6e-4})
    size = (64, 64)  # 32×32 latents, one window; with an overlap of 4, three by three tiles
    tiles = 9 * 16**2 * 2e-3
    assert opened.estimate_seconds(*size) == pytest.approx(1024e-3 + tiles)
    assert opened.estimate_seconds(*size, channels=4) == pytest.approx(2 * (1024e-3 + tiles))


def test_a_run_is_timed_after_one_that_warms_it_up(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [0.0]
    monkeypatch.setattr("tinysr.runtime.network.pace.time.perf_counter", lambda: clock[0])
    costs = iter([100.0, 3.0])

    def stage(array: np.ndarray) -> np.ndarray:
        clock[0] += next(costs)
        return array + 1

    found, seconds = measure_seconds(stage, np.zeros(1, np.float32))
    assert (found.item(), seconds) == (1.0, 3.0)
