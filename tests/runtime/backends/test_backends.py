"""Backends: chosen with a reason, asked for exactly, never replaced by another."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from tests.support.bundles import FAIL, NOT_RUN, PASS, TwinModel, edit_manifest, make_bundle
from tinysr.errors import BundleError, MissingBackendError, UnsupportedError
from tinysr.manifest import Verdict
from tinysr.runtime import BACKENDS, Bundle, RunOptions, Upscaler, choose, create
from tinysr.runtime.backends.eager import EagerBackend
from tinysr.runtime.backends.onnxruntime import OnnxRuntimeBackend


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return make_bundle(tmp_path / "twin")


def judged(folder: Path, *verdicts: Verdict) -> Bundle:
    """Give the stages of a bundle these verdicts."""

    def change(data: dict[str, Any]) -> None:
        for artifact, verdict in zip(data["artifacts"], verdicts, strict=True):
            artifact["parity"] = verdict.model_dump()

    edit_manifest(folder, change)
    return Bundle(folder)


def without(monkeypatch: pytest.MonkeyPatch, package: str) -> None:
    """Make a package unimportable."""
    monkeypatch.setitem(sys.modules, package, None)


def test_auto_takes_what_passed_and_says_why(folder: Path) -> None:
    backend, choice = choose(Bundle(folder))
    assert backend.name == choice.backend == "onnxruntime"
    assert choice.precision == "fp32"
    assert str(choice) == (
        "onnxruntime fp32: on cpu; the first that works here and passed parity "
        "(123.4 dB, the gate is 80 dB)"
    )


def test_auto_never_takes_what_failed_or_was_not_compared(folder: Path) -> None:
    with pytest.raises(BundleError, match=r"failed parity \(31.2 dB on noise, the gate is 80 dB"):
        choose(judged(folder, PASS, FAIL, PASS))
    with pytest.raises(BundleError, match="fp32 was never checked by `tinysr parity`"):
        choose(judged(folder, PASS, PASS, NOT_RUN))


def test_what_failed_is_refused_by_name_too(folder: Path) -> None:
    with pytest.raises(BundleError, match=r"31\.2 dB on noise, the gate is 80 dB"):
        choose(judged(folder, NOT_RUN, FAIL, PASS), "onnxruntime")


def test_what_was_not_compared_is_taken_by_name_and_said(folder: Path) -> None:
    _, choice = choose(judged(folder, PASS, NOT_RUN, PASS), "onnxruntime")
    assert "never checked by `tinysr parity`" in choice.reason


def test_a_precision_that_passed_is_preferred(folder: Path) -> None:
    def change(data: dict[str, Any]) -> None:
        for artifact in list(data["artifacts"]):
            worse = {"precision": "fp16", "parity": FAIL.model_dump()}
            data["artifacts"].insert(0, artifact | worse)

    edit_manifest(folder, change)
    bundle = Bundle(folder)
    assert choose(bundle)[1].precision == "fp32"
    assert choose(bundle, "onnxruntime")[1].precision == "fp32"
    with pytest.raises(BundleError, match="onnxruntime fp16 failed"):
        choose(bundle, "onnxruntime", "fp16")
    with pytest.raises(BundleError, match=r"in int8 of the stages .* found fp16, fp32"):
        choose(bundle, "onnxruntime", "int8")


def test_a_bundle_that_lacks_a_stage_is_refused(folder: Path) -> None:
    edit_manifest(folder, lambda data: data["artifacts"].pop())
    for name in ("auto", "onnxruntime"):
        with pytest.raises(BundleError, match="needs onnx artifacts of the stages"):
            choose(Bundle(folder), name)


@pytest.mark.parametrize("name", ["tensorflow", "", "ONNXRUNTIME"])
def test_unknown_backends_are_refused_with_the_known_ones(folder: Path, name: str) -> None:
    with pytest.raises(UnsupportedError, match=r"expected one of auto, .*eager, .*onnxruntime"):
        choose(Bundle(folder), name)


@pytest.mark.parametrize("provider", ["cuda", "tensorrt"])
@pytest.mark.parametrize("name", ["auto", "onnxruntime"])
def test_providers_that_are_not_here_are_refused(folder: Path, provider: str, name: str) -> None:
    if create("onnxruntime", RunOptions(provider=provider)).availability().ready:
        pytest.skip(f"this machine has the provider {provider}")
    with pytest.raises(MissingBackendError, match=r"with cpu\W+pip install onnxruntime-gpu"):
        choose(Bundle(folder), name, None, RunOptions(provider=provider))


def test_a_provider_that_quietly_became_another_is_refused() -> None:
    session = SimpleNamespace(get_providers=lambda: ["CPUExecutionProvider"])
    backend = OnnxRuntimeBackend(RunOptions(provider="cuda"))
    with pytest.raises(MissingBackendError, match="asked for cuda, but only CPUExecution"):
        backend._check_provider(session)


def test_unknown_providers_are_refused() -> None:
    with pytest.raises(UnsupportedError, match="expected one of cpu, cuda, rtx, tensorrt"):
        create("onnxruntime", RunOptions(provider="npu"))
    with pytest.raises(UnsupportedError, match="none at all"):
        create("eager", RunOptions(provider="cuda"))


def test_missing_onnxruntime_is_named(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    without(monkeypatch, "onnxruntime")
    assert not OnnxRuntimeBackend().availability().ready
    with pytest.raises(MissingBackendError, match="pip install onnxruntime"):
        choose(Bundle(folder), "onnxruntime")


def test_missing_torch_is_named_with_its_extra(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    without(monkeypatch, "torch")
    assert EagerBackend().availability().remedy == "pip install 'tinysr[models]'"
    with pytest.raises(MissingBackendError, match=r"tinysr\[models\]"):
        Upscaler(folder, backend="eager", model=TwinModel())


def test_eager_needs_the_checkpoint_that_a_bundle_was_made_from(folder: Path) -> None:
    with pytest.raises(BundleError, match="made from the checkpoint 'twin'"):
        Upscaler(folder, backend="eager")


def test_a_model_is_only_for_eager(folder: Path) -> None:
    for name in ("auto", "onnxruntime"):
        with pytest.raises(UnsupportedError, match="a model of your own needs the backend eager"):
            Upscaler(folder, backend=name, model=TwinModel())


@pytest.mark.parametrize("stage", ["encoder", "transformer", "decoder"])
def test_every_stage_of_eager_equals_the_graph(folder: Path, stage: Any) -> None:
    bundle = Bundle(folder)
    eager, onnx = EagerBackend(RunOptions(model=TwinModel())), OnnxRuntimeBackend()
    artifact = onnx.artifact(bundle, stage, "fp32")
    shape = (2, *(side if isinstance(side, int) else 16 for side in artifact.inputs[0].shape[1:]))
    feed = {artifact.inputs[0].name: np.random.default_rng(0).random(shape, np.float32)}
    with eager.open(bundle, artifact) as expected, onnx.open(bundle, artifact) as found:
        (a,), (b,) = expected.run(feed).values(), found.run(feed).values()
    np.testing.assert_allclose(a, b, atol=1e-5)


def test_feeds_are_checked_before_they_are_run(folder: Path) -> None:
    bundle, backend = Bundle(folder), OnnxRuntimeBackend()
    good = np.zeros((1, 16, 16, 16), np.float32)
    with backend.open(bundle, backend.artifact(bundle, "transformer", "fp32")) as session:
        for feed in (
            {"image": good},
            {"latents": good, "more": good},
            {"latents": good.astype(np.float64)},
            {"latents": good[..., :8]},
            {"latents": good[0]},
        ):
            with pytest.raises(UnsupportedError, match="expected"):
                session.run(feed)


def test_backends_have_distinct_names_and_the_reference_comes_last() -> None:
    names = [backend.name for backend in BACKENDS]
    assert len(set(names)) == len(names)
    assert [backend.reference for backend in BACKENDS] == [False] * (len(names) - 1) + [True]
