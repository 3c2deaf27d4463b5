"""TensorRT engines: really in half precision, from graphs that are checked, or refused."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.support.bundles import edit_manifest
from tests.support.chains import make_chain
from tests.support.engine_builds import KEPT, QUIET, RTX
from tests.support.tiny_models import TILE
from tinysr.errors import BundleError, GateError, UnsupportedError
from tinysr.export import extend_bundle, find_targets
from tinysr.export.plans.precision import PrecisionPlan
from tinysr.export.tensorrt.network import parse_network, read_graph
from tinysr.export.tensorrt.target import check_sizes
from tinysr.export.tensorrt.types import check_types, find_kept_modules, walk_layers
from tinysr.facts import TensorRTFacts
from tinysr.manifest import Artifact, Manifest, read_manifest
from tinysr.parity.record import save_manifest
from tinysr.runtime.bundle import Bundle


@pytest.fixture(scope="module")
def engines(graphs: Path) -> Path:
    """The bundle, its engines built anew from its own graphs."""
    place = graphs.with_name("engines")
    extend_bundle(Bundle(graphs), place, QUIET)
    return place


def engine(manifest: Manifest, stage: str, precision: str) -> Any:
    (found,) = (
        a
        for a in manifest.artifacts
        if (a.target, a.stage, a.precision) == ("tensorrt", stage, precision)
    )
    return found


def described(artifact: Artifact) -> Artifact:
    """Return an artifact without its engine's hash: builds may differ in their bytes."""
    if artifact.target == "onnx":
        return artifact
    return artifact.model_copy(update={"file": artifact.file.path})


def test_every_stage_and_the_whole_become_engines(engines: Path, graphs: Path) -> None:
    manifest = read_manifest(engines)
    made = [a for a in manifest.artifacts if a.target == "tensorrt"]
    stages = ("encoder", "transformer", "decoder", "upscale")
    assert [(a.precision, a.stage) for a in made] == [
        (p, s) for p in ("fp32", "fp16") for s in stages
    ]
    bundle = Bundle(engines)
    for artifact in made:
        assert bundle.path(artifact).read_bytes()[:4] == b"vtrt"
        facts = artifact.facts(TensorRTFacts)
        assert (facts.flavor, facts.gpu) == ("rtx", "portable")
    # From the model or from its bundle: the same graphs, and engines of the same description.
    before = read_manifest(graphs).artifacts
    assert [described(a) for a in manifest.artifacts] == [described(a) for a in before]


def test_an_engine_that_can_not_run_here_is_never_said_to_have_passed(engines: Path) -> None:
    made = [a for a in read_manifest(engines).artifacts if a.target == "tensorrt"]
    assert {(a.parity.result, a.parity.note) for a in made} == {("not run", "built, not run here")}


def test_batches_are_closed_and_sizes_stay_open(engines: Path) -> None:
    manifest = read_manifest(engines)
    assert engine(manifest, "encoder", "fp16").inputs[0].shape == (1, 3, "height", "width")
    facts = engine(manifest, "encoder", "fp16").facts(TensorRTFacts)
    assert facts.shapes_text == "1 3 16:16:64 16:16:64"
    assert engine(manifest, "upscale", "fp16").inputs[0].shape == (1, 3, TILE, TILE)


def test_layers_compute_in_fp16_but_for_the_plans_islands(
    engines: Path, graphs: Path, plan: PrecisionPlan
) -> None:
    whole = graphs / "onnx" / "upscale.fp16.onnx"
    model = read_graph(whole, "upscale")
    found = list(walk_layers(parse_network(RTX, whole, "upscale").network, model))
    wide = {layer.module for layer in found if layer.dtype == "fp32"}
    assert wide == {*KEPT, "transformer.step"}
    counts = check_types(
        found, "fp16", find_kept_modules(plan, model, make_chain(TILE)), label="upscale"
    )
    said = engine(read_manifest(engines), "upscale", "fp16").facts(TensorRTFacts)
    assert said.layers == counts
    assert counts["fp16"] > 5 * counts["fp32"]


def test_fp32_outside_of_the_islands_fails_the_build(graphs: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(graphs, copy)
    unplanned = (graphs / "calibration" / "plan.toml").read_text().split("[[keep]]")[0]
    (copy / "calibration" / "plan.toml").write_text(unplanned)
    manifest = read_manifest(copy)
    entry = manifest.precision_plan
    assert entry is not None
    from tinysr.export.files import describe_file

    changed = describe_file(copy, copy / entry.path)
    save_manifest(copy, manifest.model_copy(update={"precision_plan": changed}))
    with pytest.raises(GateError, match=r"MatMul of 'transformer\.transformer_blocks\.1\.attn'"):
        extend_bundle(Bundle(copy), tmp_path / "new", QUIET)
    assert not (tmp_path / "new").exists()


def test_an_fp32_graph_is_not_taken_for_an_fp16_one(graphs: Path) -> None:
    wide = graphs / "onnx" / "upscale.onnx"
    found = list(walk_layers(parse_network(RTX, wide, "x").network, read_graph(wide, "x")))
    with pytest.raises(GateError, match=r"expected fp16 .* in fp32, .* and \d+ more"):
        check_types(found, "fp16", {}, label="upscale")
    assert check_types(found, "fp32", {}, label="upscale") == {"fp32": len(found)}


def test_an_fp16_engine_as_large_as_the_fp32_one_is_refused(engines: Path) -> None:
    manifest = read_manifest(engines)
    wide, half = (engine(manifest, "transformer", p) for p in ("fp32", "fp16"))

    def claim(made: Artifact, weights: int) -> Artifact:
        facts = made.facts(TensorRTFacts).model_copy(update={"weight_bytes": weights})
        return made.model_copy(update={"options": facts})

    wide, half = claim(wide, 10 * 2**20), claim(half, 5 * 2**20)
    with pytest.raises(GateError, match="it holds fp32"):
        check_sizes([wide, half])
    saved = wide.file.model_copy(update={"size": half.file.size + 5 * 2**20})
    check_sizes([wide.model_copy(update={"file": saved}), half])


class TestExtending:
    def test_a_failed_gate_keeps_the_bundle_under_another_name(
        self, graphs: Path, tmp_path: Path
    ) -> None:
        def gate(_: Path) -> None:
            raise GateError("upscale is black")

        place = tmp_path / "bundle"
        with pytest.raises(GateError, match=r"upscale is black; .* kept as .*bundle\.rejected"):
            extend_bundle(Bundle(graphs), place, QUIET, gate=gate)
        assert [path.name for path in tmp_path.iterdir()] == ["bundle.rejected"]
        assert Bundle(tmp_path / "bundle.rejected").artifacts("tensorrt")

    def test_a_bundle_may_be_replaced_by_itself_with_more(
        self, graphs: Path, tmp_path: Path
    ) -> None:
        place = tmp_path / "bundle"
        shutil.copytree(graphs, place)
        with pytest.raises(BundleError, match="--overwrite replaces it"):
            extend_bundle(Bundle(place), place, QUIET)
        narrow = replace(QUIET, precision="fp32")
        again = extend_bundle(Bundle(place), place, narrow, overwrite=True)
        assert len([a for a in again.artifacts if a.target == "tensorrt"]) == 4
        assert all(Bundle(place).path(a) for a in again.artifacts)

    def test_a_precision_that_is_not_there_is_said(self, graphs: Path, tmp_path: Path) -> None:
        int8 = replace(QUIET, precision="int8")
        with pytest.raises(BundleError, match="expected graphs in int8, found fp32, fp16"):
            extend_bundle(Bundle(graphs), tmp_path / "new", int8)

    def test_graphs_that_failed_parity_are_refused(self, graphs: Path, tmp_path: Path) -> None:
        copy = tmp_path / "copy"
        shutil.copytree(graphs, copy)
        edit_manifest(copy, lambda m: m["artifacts"][0]["parity"].update(result="fail"))
        with pytest.raises(BundleError, match="failed parity"):
            extend_bundle(Bundle(copy), tmp_path / "new", QUIET)

    def test_changed_weights_and_plans_are_refused(self, graphs: Path, tmp_path: Path) -> None:
        for name in ("onnx/weights.fp16.bin", "calibration/plan.toml"):
            copy = tmp_path / Path(name).stem
            shutil.copytree(graphs, copy)
            data = bytearray((copy / name).read_bytes())
            data[-1] ^= 1
            (copy / name).write_bytes(data)
            with pytest.raises(BundleError, match="changed"):
                extend_bundle(Bundle(copy), tmp_path / "new", QUIET)

    def test_a_target_that_needs_the_model_is_refused(self, graphs: Path, tmp_path: Path) -> None:
        onnx_too = replace(QUIET, targets=("onnx",))
        with pytest.raises(UnsupportedError, match="made from the model"):
            extend_bundle(Bundle(graphs), tmp_path / "new", onnx_too)


def test_engines_come_after_the_graphs_they_need() -> None:
    assert [target.name for target in find_targets(["tensorrt"])] == ["onnx", "tensorrt"]


def test_the_command_builds_caches_and_says_why(
    graphs: Path,
    tmp_path: Path,
    run: Callable[..., tuple[int, str, str]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    words = ("export", graphs, "-o", tmp_path / "new", "-t", "tensorrt", "--precision", "fp32")
    code, out, err = run(*words)
    assert (code, out.count("built, not run here")) == (0, 4)
    assert "no engine of tiny tensorrt/encoder fp32 is cached yet" in err
    code, _, err = run(*words, "--overwrite")
    assert (code, err.count("from the cache")) == (0, 4)
    code, _, err = run(*words, "--overwrite", "--weight-streaming")
    assert "the cached engine of tiny tensorrt/upscale fp32 has another weight streaming" in err
    code, _, err = run("export", graphs, "--flavor", "rtx")
    assert (code, "add -t tensorrt" in err) == (2, True)
    assert not logging.getLogger("tinysr.export").handlers
