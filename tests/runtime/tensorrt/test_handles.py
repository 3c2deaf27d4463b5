"""Whoever opens something on a GPU closes it: after work, and after an error anywhere."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.support import fake_gpu
from tests.support.bundles import TILE, edit_manifest, make_bundle
from tests.support.engines import LARGEST, add_engines, noise
from tests.support.fake_gpu import Device, Library, install
from tinysr.benchmarks.gpu_check.latency import EventTimer
from tinysr.errors import BundleError, TinySRError, UnsupportedError
from tinysr.runtime import Upscaler
from tinysr.runtime.tensorrt.cuda import Cuda


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return add_engines(make_bundle(tmp_path / "twin"))


@pytest.fixture
def machine(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Library]:
    """A make-believe GPU, on which nothing is left open after the test."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    library = Library(device=Device(), folder=folder, largest=LARGEST)
    install(library, monkeypatch)
    yield library
    assert_nothing_is_open(library)


def assert_nothing_is_open(library: Library) -> None:
    assert library.device.open == {}
    gc.collect()
    assert not list(library.alive)


def upscale(folder: Path) -> None:
    """One tile by the chain, then several by the single stages."""
    with Upscaler(folder, backend="tensorrt") as upscaler:
        for size in (TILE, 2 * TILE):
            upscaler.upscale(noise(size, size, 3))


def test_all_is_given_back_and_nothing_runs_afterwards(folder: Path, machine: Library) -> None:
    with Upscaler(folder, backend="tensorrt") as upscaler:
        upscaler.upscale(noise(TILE, TILE, 3))
        assert upscaler._network._joined is not None  # the chain was used
    assert_nothing_is_open(machine)
    with pytest.raises(UnsupportedError, match="closed"):
        upscaler.upscale(noise(TILE, TILE, 3))


def failures(device: Device, work: Callable[[], None]) -> Iterator[int]:
    """Let one call after the other fail, as long as there is one more; yield its number."""
    for number in range(1000):
        device.fails_at = number
        try:
            work()
            break
        except TinySRError:
            pass  # yielded below: an error at hand holds what its frames hold
        yield number
    device.fails_at = None


def test_whatever_call_fails_all_is_given_back(folder: Path, machine: Library) -> None:
    seen = 0
    for _ in failures(machine.device, lambda: upscale(folder)):
        assert machine.device.open == {}
        seen += 1
    assert seen > 50, "opening, capturing, copying and launching are more calls than that"


def test_a_timer_gives_its_events_back(machine: Library) -> None:
    def time_once() -> None:
        timer = EventTimer(Cuda(machine.device), 0)
        timer.close()

    assert len([machine.device.open == {} for _ in failures(machine.device, time_once)]) == 2


@pytest.mark.parametrize("refusal", ["set_tensor_address", "execute_async_v3", "set_input_shape"])
def test_whatever_the_library_refuses_all_is_given_back(
    folder: Path, machine: Library, monkeypatch: pytest.MonkeyPatch, refusal: str
) -> None:
    monkeypatch.setattr(fake_gpu._Context, refusal, lambda *_: False)
    with pytest.raises(TinySRError):
        upscale(folder)


def test_a_context_that_is_not_made_is_refused(
    folder: Path, machine: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fake_gpu._Engine, "create_execution_context", lambda *_: None)
    with pytest.raises(BundleError, match="can't prepare it"):
        upscale(folder)


def small_encoder(side: int) -> dict[str, tuple[int, ...]]:
    """Return what engines take that were built with a small largest --engine-sides."""
    half = side // 2
    return LARGEST | {"image H": (1, 3, side, side), "restored h": (1, 16, half, half)}


def test_engines_of_all_sizes_are_one_chain_and_run_by_themselves(
    folder: Path, machine: Library
) -> None:
    """The transformer takes two tiles, the encoder one: they share the larger buffer."""
    machine.largest = small_encoder(TILE)

    def shrink(data: dict[str, Any]) -> None:
        for artifact in data["artifacts"]:
            if artifact["target"] == "tensorrt":
                artifact["options"]["longest_side"] = (
                    TILE // 2 if artifact["stage"] == "decoder" else TILE
                )

    edit_manifest(folder, shrink)
    image = noise(2 * TILE + 5, TILE, 3)
    with (
        Upscaler(folder, backend="onnxruntime") as known,
        Upscaler(folder, backend="tensorrt") as found,
    ):
        for picture in (image, image[:TILE]):
            np.testing.assert_allclose(found.upscale(picture), known.upscale(picture), atol=2e-6)
        assert found._network._joined is not None
