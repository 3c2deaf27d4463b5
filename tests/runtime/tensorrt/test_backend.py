"""The backend for TensorRT: its logic on a make-believe GPU, its refusals on the real machine."""

from __future__ import annotations

import json
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.support.bundles import NOT_RUN, TILE, make_bundle
from tests.support.engines import LARGEST, LONGEST, add_engines, noise
from tests.support.fake_gpu import Device, Library, install
from tests.support.project import ROOT
from tinysr.errors import BundleError, MissingBackendError, UnsupportedError
from tinysr.manifest import Artifact
from tinysr.runtime import Bundle, Upscaler, create
from tinysr.runtime.backends.tensorrt import TensorRTBackend
from tinysr.runtime.tensorrt import device as device_module
from tinysr.runtime.tensorrt.inspection import layer_types


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return add_engines(make_bundle(tmp_path / "twin"))


@pytest.fixture
def machine(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Library:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    library = Library(device=Device(), folder=folder, largest=LARGEST)
    install(library, monkeypatch)
    return library


@pytest.fixture
def no_driver(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        device_module, "look", lambda: "no NVIDIA driver that can be used: cudaErrorNoDevice"
    )


def engine(bundle: Bundle, stage: str = "transformer") -> Artifact:
    return bundle.artifact("tensorrt", stage, "fp32")


@pytest.mark.parametrize("size", [(TILE, TILE), (3 * TILE + 7, 2 * TILE + 1)], ids=str)
def test_images_are_those_of_onnxruntime(
    folder: Path, machine: Library, size: tuple[int, int]
) -> None:
    image = noise(*size, 3)
    with Upscaler(folder, backend="onnxruntime") as known, Upscaler(folder) as found:
        assert found.choice.backend == "tensorrt"
        expected = known.upscale(image)
        for _ in range(2):  # the second time from recorded graphs
            np.testing.assert_allclose(found.upscale(image), expected, atol=2e-6)


def test_one_tile_and_many_may_take_turns(folder: Path, machine: Library) -> None:
    """The chain of one tile reads latents elsewhere than the transformer's own runs do."""
    small, large = noise(TILE, TILE, 3), noise(2 * TILE, 2 * TILE, 3)
    with Upscaler(folder, backend="onnxruntime") as known, Upscaler(folder) as found:
        for image in (small, large, small):
            np.testing.assert_allclose(found.upscale(image), known.upscale(image), atol=2e-6)


def test_one_tile_makes_no_way_through_the_host(folder: Path, machine: Library) -> None:
    calls = machine.device.calls
    with Upscaler(folder) as upscaler:
        upscaler.upscale(noise(TILE, TILE, 3))
        calls.clear()
        upscaler.upscale(noise(TILE, TILE, 3))
    used = calls[: calls.index("cudaStreamSynchronize") + 1]
    assert [name for name in used if not name.endswith("Default")] == [
        "cudaMemcpyAsync",
        "cudaGraphLaunch",
        "cudaMemcpyAsync",
        "cudaStreamSynchronize",
    ]


def test_a_shape_is_recorded_once_and_everything_is_given_back(
    folder: Path, machine: Library
) -> None:
    device = machine.device
    bundle = Bundle(folder)
    with create("tensorrt").open(bundle, engine(bundle)) as session:
        for count in (1, 2, 1, 2, 1):
            session.run({"latents": noise(count, 16, TILE // 2, TILE // 2)})
        assert device.calls.count("cudaGraphInstantiate") == 2
        assert len(device.graphs) == 2
    assert not device.held
    assert not device.graphs
    assert not device.queues


def test_no_more_graphs_are_kept_than_needed(folder: Path, machine: Library) -> None:
    bundle = Bundle(folder)
    with create("tensorrt").open(bundle, engine(bundle, "encoder")) as session:
        for side in range(4, 4 + 2 * 12, 2):
            session.run({"image": noise(1, 3, side, side)})
        assert len(machine.device.graphs) == 8


def test_compiled_kernels_are_kept_for_the_next_time(
    folder: Path, machine: Library, tmp_path: Path
) -> None:
    bundle = Bundle(folder)
    for expected in ([], [b"kernels"]):
        with create("tensorrt").open(bundle, engine(bundle)):
            assert machine.compiled == expected
    (kept,) = (tmp_path / "cache").rglob("*.bin")
    assert kept.stem == engine(bundle).file.sha256


def test_larger_images_than_the_engines_take_are_run_in_windows(
    folder: Path, machine: Library
) -> None:
    with Upscaler(folder) as upscaler:
        assert upscaler.upscale(noise(TILE, 5 * TILE, 3)).shape == (4 * TILE, 20 * TILE, 3)
        session = upscaler.sessions["encoder"]
        with pytest.raises(BundleError, match=r"in the shapes .*, found \[1, 3, 66, 66\]"):
            session.run({"image": noise(1, 3, LONGEST + 2, LONGEST + 2)})
    with pytest.raises(UnsupportedError, match="sides up to 64 pixels"):
        Upscaler(folder, window=LONGEST + 2)


def test_too_little_memory_of_the_gpu_is_said_and_given_back(
    folder: Path, machine: Library
) -> None:
    machine.device.memory = 100_000
    bundle = Bundle(folder)
    with pytest.raises(
        MissingBackendError, match=r"cudaErrorMemoryAllocation: the GPU has too little memory"
    ):
        create("tensorrt").open(bundle, engine(bundle, "encoder"))
    assert not machine.device.held
    assert not machine.device.queues


INVALID = {
    1: "another version of TensorRT-RTX",
    2: "built for other GPUs",
    4: "driver here is too old",
    32: "not an engine, or it was cut short",
    0x12: "other GPUs; the GPU has too little memory",
}


@pytest.mark.parametrize("bits", INVALID)
def test_an_engine_that_is_not_valid_here_says_why(
    folder: Path, machine: Library, bits: int
) -> None:
    machine.invalid = bits
    bundle = Bundle(folder)
    with pytest.raises(BundleError, match=INVALID[bits]):
        create("tensorrt").open(bundle, engine(bundle))
    assert INVALID[bits] in TensorRTBackend().explain_unfit(bundle, engine(bundle))


def test_an_engine_of_another_version_is_refused_before_it_is_loaded(
    tmp_path: Path, machine: Library
) -> None:
    bundle = Bundle(add_engines(make_bundle(tmp_path / "old"), version="1.0.0.1"))
    with pytest.raises(BundleError, match=r"built with TensorRT-RTX 1\.0\.0\.1, found 1\."):
        create("tensorrt").open(bundle, engine(bundle))


def test_a_corrupted_engine_is_refused(folder: Path, machine: Library) -> None:
    bundle = Bundle(folder)
    machine.broken = True
    with pytest.raises(BundleError, match="magic tag does not match"):
        create("tensorrt").open(bundle, engine(bundle))
    (folder / "tensorrt" / "transformer.fp32.engine").write_text("onnx/Transformer.onnx")
    with pytest.raises(BundleError, match="the file was changed"):
        create("tensorrt").open(Bundle(folder), engine(bundle))


def test_an_engine_of_an_unknown_library_is_refused(tmp_path: Path, machine: Library) -> None:
    bundle = Bundle(add_engines(make_bundle(tmp_path / "odd"), flavor="other"))
    with pytest.raises(BundleError, match="a flavor among tensorrt, rtx, found 'other'"):
        create("tensorrt").open(bundle, engine(bundle))


def test_the_inspectors_layers_are_counted_by_type() -> None:
    """In the forms that versions of TensorRT print; the text is made up, like the engine."""
    half = {"Outputs": [{"Name": "y", "Format/Datatype": "Half"}]}
    row_major = {"Outputs": [{"Format/Datatype": "Row major linear FP32"}, {"Datatype": "Float"}]}
    text = json.dumps({"Layers": [half, half, row_major, "only a name"]})
    inspector = types.SimpleNamespace(get_engine_information=lambda form: text)
    pretend: Any = types.SimpleNamespace(
        engine=types.SimpleNamespace(create_engine_inspector=lambda: inspector),
        module=types.SimpleNamespace(LayerInformationFormat=types.SimpleNamespace(JSON=1)),
    )
    assert layer_types(pretend) == {"fp16": 2, "fp32": 1, "unknown": 1}


def test_auto_leaves_engines_that_never_passed(tmp_path: Path, machine: Library) -> None:
    folder = add_engines(make_bundle(tmp_path / "new"), verdict=NOT_RUN)
    with Upscaler(folder) as upscaler:
        assert upscaler.choice.backend == "onnxruntime"
        assert "never checked by `tinysr parity`" in str(upscaler.choice)


class TestOnThisMachine:
    """Nothing is make-believe here but the missing driver, on machines that have one."""

    def test_without_a_driver_the_command_says_so(
        self, folder: Path, no_driver: None, run: Callable[..., tuple[int, str, str]]
    ) -> None:
        photo = ROOT / "examples" / "camera.png"
        code, _, err = run("upscale", photo, "-o", "x.png", "--bundle", folder, "-b", "tensorrt")
        assert code == 3
        assert err.strip().count("\n") == 0
        assert "install the NVIDIA driver" in err

    def test_without_a_driver_another_backend_is_taken(self, folder: Path, no_driver: None) -> None:
        with Upscaler(folder) as upscaler:
            assert upscaler.choice.backend == "onnxruntime"
            assert "not tensorrt: the backend tensorrt can't run here" in str(upscaler.choice)

    def test_doctor_names_what_is_missing(
        self, no_driver: None, run: Callable[..., tuple[int, str, str]]
    ) -> None:
        _, out, _ = run("doctor", "--json")
        (row,) = (r for r in json.loads(out)["backends"] if r["name"] == "tensorrt")
        assert not row["ready"]
        assert "TensorRT-RTX" in row["detail"]
        assert "NVIDIA driver" in row["remedy"]

    def test_bytes_that_are_no_engine_are_known_for_it(self, tmp_path: Path) -> None:
        """TensorRT-RTX's own judgement, which needs no GPU for this."""
        bundle = Bundle(add_engines(make_bundle(tmp_path / "junk")))
        found = TensorRTBackend().explain_unfit(bundle, engine(bundle))
        assert "the file is not an engine, or it was cut short" in found
