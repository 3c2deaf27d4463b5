"""OpenVINO: the ONNX graphs' function, weights once, in the type asked for or not at all."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.support.bundles import entry
from tests.support.quantization import make_plan
from tests.support.tiny_models import TILE
from tinysr.benchmarks.latency.work import count_work
from tinysr.calibration.ranges.images import calibration_images
from tinysr.calibration.ranges.inputs import METHODS, measure_layer_inputs
from tinysr.errors import BundleError, MissingBackendError, UnsupportedError
from tinysr.export import PRECISIONS, BakedTinySR, ExportOptions, export_bundle
from tinysr.export.openvino.target import OPENVINO
from tinysr.export.plans.precision import PrecisionPlan
from tinysr.facts import OpenVinoFacts
from tinysr.manifest import read_manifest
from tinysr.models import Loaded
from tinysr.models.accounting import count_stage_costs
from tinysr.parity import compute_references, gate_bundle
from tinysr.runtime import Bundle, Upscaler, create
from tinysr.runtime.backends.openvino import FixedShapesSession, OpenVinoBackend
from tinysr.runtime.openvino_cpu import multiplies_bytes
from tinysr.stages import StageName
from tinysr.suite import suite

pytestmark = pytest.mark.usefixtures("one_thread")

STAGES: tuple[StageName, ...] = ("encoder", "transformer", "decoder", "upscale")

needs_bf16 = pytest.mark.skipif(
    not OpenVinoBackend()._computes("bf16"), reason="this CPU does not multiply bf16"
)

needs_bytes = pytest.mark.skipif(
    not multiplies_bytes(), reason="OpenVINO's products of bytes overflow on this CPU"
)


@pytest.fixture(scope="module")
def folder(loaded: Loaded, baked: BakedTinySR, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle in fp32, bf16 and int8, gated."""
    seen = measure_layer_inputs(baked, calibration_images(TILE, limit=4))
    ranges = {path: METHODS["min-max"](found) for path, found in seen.items()}
    place = tmp_path_factory.mktemp("openvino") / "tiny"
    plan = make_plan(loaded, "int8", ranges)
    half = PrecisionPlan(model_sha256=plan.model_sha256, tile=TILE)
    options = ExportOptions(
        tile=TILE, targets=("openvino",), precision="int8", plan=half, quantization=(plan,)
    )
    export_bundle(loaded, place, options)
    references = compute_references(loaded.model, suite(TILE)[:6])
    gate_bundle(place, references, backends=[OpenVinoBackend()])
    return place


def run(
    folder: Path, backend: str, stage: StageName, precision: str, size: int = TILE
) -> np.ndarray:
    bundle, opener = Bundle(folder), create(backend)
    artifact = opener.artifact(bundle, stage, precision)
    (port,) = artifact.inputs
    channels = port.shape[1]
    assert isinstance(channels, int)
    sides = (size, size) if stage in ("encoder", "upscale") else (size // 2, size // 2)
    given = np.random.default_rng(7).random((1, channels, *sides), np.float32)
    with opener.open(bundle, artifact) as session:
        (found,) = session.run({port.name: given}).values()
    return found


def decibels(found: np.ndarray, expected: np.ndarray) -> float:
    error = float(np.mean((found - expected) ** 2))
    return 10 * float(np.log10(np.abs(expected).max() ** 2 / max(error, 1e-30)))


@pytest.mark.parametrize("stage", STAGES)
def test_every_stage_equals_the_onnx_graph(folder: Path, stage: StageName) -> None:
    expected = run(folder, "onnxruntime", stage, "fp32")
    np.testing.assert_allclose(run(folder, "openvino", stage, "fp32"), expected, atol=1e-4)


@pytest.mark.parametrize("size", [TILE, 2 * TILE])
def test_encoder_and_decoder_take_any_size(folder: Path, size: int) -> None:
    for stage in ("encoder", "decoder"):
        expected = run(folder, "onnxruntime", stage, "fp32", size)
        np.testing.assert_allclose(
            run(folder, "openvino", stage, "fp32", size), expected, atol=1e-4
        )


@needs_bf16
def test_bf16_rounds_all_but_the_encoder(folder: Path) -> None:
    wide = {stage: run(folder, "openvino", stage, "fp32") for stage in STAGES}
    narrow = {stage: run(folder, "openvino", stage, "bf16") for stage in STAGES}
    np.testing.assert_array_equal(narrow["encoder"], wide["encoder"])
    for stage in ("transformer", "decoder", "upscale"):
        assert 30 < decibels(narrow[stage], wide[stage]) < 90, stage


@needs_bytes
def test_int8_is_near_what_the_onnx_graph_gives(folder: Path) -> None:
    expected = run(folder, "onnxruntime", "transformer", "int8")
    assert decibels(run(folder, "openvino", "transformer", "int8"), expected) > 30


@needs_bytes
def test_int8_is_compiled_for_each_size_and_few_stay(folder: Path) -> None:
    bundle, opener = Bundle(folder), create("openvino")
    artifact = opener.artifact(bundle, "decoder", "int8")
    (port,) = artifact.inputs
    sizes = (8, 10, 12, 14, 16, 8)
    with opener.open(bundle, artifact) as session:
        assert isinstance(session, FixedShapesSession)
        channels = port.shape[1]
        assert isinstance(channels, int)
        for size in sizes:
            given = np.random.default_rng(7).random((1, channels, size, size), np.float32)
            (found,) = session.run({port.name: given}).values()
            expected = run(folder, "onnxruntime", "decoder", "int8", size * 2)
            assert decibels(found, expected) > 30
        assert len(session.compiled_sizes) == 4


def test_weights_lie_in_the_bundle_once(folder: Path) -> None:
    manifest = read_manifest(folder)
    own = [a for a in manifest.artifacts if a.target == "openvino" and a.precision != "int8"]
    assert {(a.stage, a.precision) for a in own} == {
        (stage, precision) for stage in STAGES for precision in ("fp32", "bf16")
    }
    assert {entry.path for a in own for entry in a.data} == {"openvino/weights.bin"}
    onnx_bytes = (folder / "onnx" / "weights.bin").stat().st_size
    assert (folder / "openvino" / "weights.bin").stat().st_size < 1.05 * onnx_bytes
    assert sorted(p.suffix for p in (folder / "openvino").iterdir()).count(".bin") == 2  # and int8


def test_the_verdicts_are_those_of_openvino(folder: Path) -> None:
    own = [a for a in read_manifest(folder).artifacts if a.target == "openvino"]
    fits = {a.label: not OpenVinoBackend().explain_unfit(Bundle(folder), a) for a in own}
    assert {a.parity.backend for a in own if fits[a.label]} == {"openvino"}
    assert {a.parity.result for a in own if not fits[a.label]} <= {"not run"}
    assert {a.parity.result for a in own if a.precision == "fp32"} == {"pass"}


def test_the_upscaler_runs_on_it(folder: Path) -> None:
    image = np.random.default_rng(1).integers(0, 256, (TILE, 2 * TILE, 3), np.uint8)
    results = []
    for name in ("openvino", "onnxruntime"):
        with Upscaler(folder, backend=name, precision="fp32") as upscaler:
            results.append(upscaler.upscale(image).astype(int))
    assert results[0].shape == (4 * TILE, 8 * TILE, 3)
    assert np.abs(results[0] - results[1]).max() <= 1


def test_a_cpu_without_bf16_refuses_it_and_says_so(
    folder: Path, loaded: Loaded, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(OpenVinoBackend, "_computes", lambda self, name: name != "bf16")
    with pytest.raises(MissingBackendError, match=r"does not compute in bf16: choose .* fp32"):
        run(folder, "openvino", "decoder", "bf16")
    bundle, backend = Bundle(folder), OpenVinoBackend()
    assert "bf16" not in backend.availability().detail
    (whole,) = (a for a in bundle.artifacts("openvino") if a.label == "openvino/upscale bf16")
    assert "bf16" in backend.explain_unfit(bundle, whole)


@pytest.mark.parametrize("cap", ["AVX2", "AVX512_CORE"])
def test_what_openvino_computes_counts_a_cap_on_its_kernels(cap: str) -> None:
    """What it says it can do does not: with AVX2 it says BF16, and fails."""
    code = """
from tinysr.runtime.backends.openvino import OpenVinoBackend
from tinysr.runtime.openvino_cpu import multiplies_bytes
backend = OpenVinoBackend()
print(*(name for name in ("f32", "bf16") if backend._computes(name)), multiplies_bytes())
"""
    environment = os.environ | {"ONEDNN_MAX_CPU_ISA": cap}
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)  # noqa: S603
    *types, bytes_ = done.stdout.split()
    assert types[0] == "f32", done.stderr
    assert cap != "AVX2" or types == ["f32"]
    assert bytes_ == "False"  # neither has VNNI


def test_a_type_that_openvino_took_in_place_of_the_one_asked_for_is_refused(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A hint is only a hint: here OpenVINO takes f32, whatever this CPU can do."""
    ov = pytest.importorskip("openvino")
    compiled = ov.Core.compile_model

    def take_f32(core: Any, model: Any, device: str, settings: dict[str, Any]) -> Any:
        return compiled(core, model, device, settings | {"INFERENCE_PRECISION_HINT": "f32"})

    monkeypatch.setattr(ov.Core, "compile_model", take_f32)
    monkeypatch.setattr(OpenVinoBackend, "_computes", lambda self, name: True)
    with pytest.raises(MissingBackendError, match=r"computes it in f32, expected bf16: choose"):
        open_edited(folder, {"inference_precision": "bf16"})


def test_a_cpu_whose_products_of_bytes_overflow_refuses_int8(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without VNNI OpenVINO computes int8 wrongly, whatever the gate said on another machine."""
    monkeypatch.setattr("tinysr.runtime.backends.openvino.multiplies_bytes", lambda: False)
    with pytest.raises(MissingBackendError, match=r"int8: .* has no VNNI: choose .* fp32"):
        run(folder, "openvino", "decoder", "int8")
    assert run(folder, "openvino", "decoder", "fp32").shape


def test_an_unknown_type_is_refused(folder: Path) -> None:
    with pytest.raises(BundleError, match="inference_precision of f32 or bf16, found 'fp8'"):
        open_edited(folder, {"inference_precision": "fp8"})


def open_edited(folder: Path, options: dict[str, Any]) -> None:
    bundle, backend = Bundle(folder), OpenVinoBackend()
    artifact = backend.artifact(bundle, "decoder", "fp32")
    facts = OpenVinoFacts.model_validate(options)
    backend.open(bundle, artifact.model_copy(update={"options": facts}))


def test_a_graph_that_was_damaged_is_named(folder: Path) -> None:
    bundle, backend = Bundle(folder), OpenVinoBackend()
    artifact = backend.artifact(bundle, "decoder", "fp32")
    path = folder / artifact.file.path
    good = path.read_bytes()
    try:
        path.write_bytes(good[:-400])
        with pytest.raises(BundleError, match=r"decoder.xml: expected \d+ bytes"):
            backend.open(bundle, artifact)
        torn = artifact.model_copy(update={"file": entry(folder, artifact.file.path)})
        with pytest.raises(BundleError, match="OpenVINO can't open it"):
            backend.open(Bundle(folder), torn)
    finally:
        path.write_bytes(good)


def test_without_openvino_the_extra_is_named(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "openvino", None)
    assert OpenVinoBackend().availability().remedy == "pip install 'tinysr[openvino]'"
    with pytest.raises(MissingBackendError, match=r"tinysr\[openvino\]"):
        run(folder, "openvino", "decoder", "fp32")
    with pytest.raises(MissingBackendError, match=r"tinysr\[openvino\]"):
        OPENVINO.check({}, ("fp32",))


def test_what_the_format_has_not_is_refused() -> None:
    with pytest.raises(UnsupportedError, match="openvino has no w8: expected fp32, fp16, int8"):
        OPENVINO.check({}, ("fp32", "w8"))
    OPENVINO.check({}, PRECISIONS["all"])  # all that the format has
    assert OPENVINO.needs == ("onnx",)


def test_opening_and_running_asks_no_network(folder: Path) -> None:
    code = """
import socket, sys
def refuse(*_): raise AssertionError("a socket was opened")
socket.socket.__init__ = refuse
import numpy as np
from tinysr.runtime import Upscaler
with Upscaler(sys.argv[1], backend="openvino", precision="fp32") as upscaler:
    print(*upscaler.upscale(np.zeros((16, 16, 3), np.uint8)).shape)
"""
    command = [sys.executable, "-c", code, str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    assert done.stdout.split() == ["64", "64", "3"], done.stderr


def test_counted_operations_are_those_of_the_model(folder: Path, baked: BakedTinySR) -> None:
    costs = count_stage_costs(baked.chain, baked.get_submodule, TILE).values()
    resize = 2 * 3 * TILE**2 * 64  # a fixed kernel, which costs do not count
    for stage, cost in zip(STAGES, costs, strict=False):
        counted = count_work(Bundle(folder), stage, TILE).operations
        expected = 2 * (cost.macs + cost.attention_macs)
        assert expected <= counted <= expected + 8 * resize, stage
