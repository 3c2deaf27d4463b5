"""Weights are stored once, and only where they are needed is their file read."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest

from tests.support.folders import tree
from tests.support.graphs import STAGES, external, graph
from tests.support.tiny_models import TILE
from tinysr.errors import UnsupportedError
from tinysr.export import BakedTinySR, ExportOptions, export_bundle
from tinysr.export.onnx.graph import StageGraph, export_stage
from tinysr.export.onnx.simplify import simplify
from tinysr.export.onnx.weights import WeightFile, attach
from tinysr.manifest import read_manifest
from tinysr.models import Loaded

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture
def bundle_of_baked(
    loaded: Loaded, baked: BakedTinySR, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """Return a bundle of this very model: another baking may differ in the last bit."""
    monkeypatch.setattr("tinysr.export.bundle.bake", lambda *_, **__: baked)
    export_bundle(loaded, tmp_path / "tiny", ExportOptions(tile=TILE))
    return tmp_path / "tiny"


def test_every_weight_is_stored_once_for_all_graphs(
    bundle_of_baked: Path, baked: BakedTinySR
) -> None:
    bundle, state = bundle_of_baked, baked.state_dict()
    shared = external(bundle, "upscale")
    assert shared.keys() == state.keys()
    parts = [external(bundle, stage) for stage in ("encoder", "transformer", "decoder")]
    assert {name: span for part in parts for name, span in part.items()} == shared
    assert sum(map(len, parts)) == len(shared)
    content = (bundle / "onnx" / "weights.bin").read_bytes()
    end = 0
    for name, span in sorted(shared.items(), key=lambda item: int(item[1]["offset"])):
        offset, length = int(span["offset"]), int(span["length"])
        assert span["location"] == "weights.bin"
        assert offset >= end
        assert content[offset : offset + length] == state[name].contiguous().numpy().tobytes()
        assert not content[end:offset].strip(b"\0")
        end = offset + length
    assert end == len(content)


def test_the_folder_holds_the_graphs_and_the_weights(bundle: Path) -> None:
    names = {*(f"onnx/{stage}.onnx" for stage in STAGES), "onnx/weights.bin", "manifest.json"}
    assert tree(bundle).keys() == names
    assert {a.stage for a in read_manifest(bundle).artifacts} == set(STAGES)
    assert all(
        [entry.path for entry in a.data] == ["onnx/weights.bin"]
        for a in read_manifest(bundle).artifacts
    )


def test_only_the_proof_reads_the_weights(
    baked: BakedTinySR, bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that a graph of more than 2 GB, protobuf's limit, is no different from a small one."""
    weights = WeightFile(tmp_path / "weights.bin", baked.state_dict())
    plain = export_stage(baked, "transformer", tile=TILE, batch=1)
    weights.path.unlink()
    monkeypatch.chdir(tmp_path)
    attached = attach(simplify(plain).model, plain.weights, weights)
    assert carries_no_weights(plain, baked)
    assert {t.name for t in attached.graph.initializer if t.external_data} == set(plain.weights)
    assert not any(t.raw_data for t in attached.graph.initializer if t.external_data)
    assert [t for t in attached.graph.initializer if t.external_data] == [
        t for t in graph(bundle, "transformer").initializer if t.external_data
    ]


def carries_no_weights(plain: StageGraph, baked: BakedTinySR) -> bool:
    held = {tensor.name for tensor in plain.model.graph.initializer}
    inputs = {value.name for value in plain.model.graph.input}
    return not held & baked.state_dict().keys() and set(plain.weights) < inputs


def test_a_weight_inside_the_graph_is_refused(tmp_path: Path) -> None:
    held = onnx.numpy_helper.from_array(np.zeros(2**15, np.float32), "encoder/val_3")
    model = onnx.ModelProto(graph=onnx.GraphProto(initializer=[held]))
    with pytest.raises(UnsupportedError, match=r"'encoder/val_3' puts \d+ bytes into the"):
        attach(model, (), WeightFile(tmp_path / "weights.bin", {}))
