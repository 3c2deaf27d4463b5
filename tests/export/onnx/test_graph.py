"""The exported graphs: nothing in them but what the image needs, and every byte accounted for."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnxruntime.capi.onnxruntime_pybind11_state import InvalidArgument

from tests.support.graphs import STAGES, artifact, file, graph, inline, model, run, tile_shape
from tests.support.tiny_models import TILE, difference, noise, tiny_model
from tests.support.tracing import Traced
from tinysr.chain import Chain
from tinysr.export import BakedTinySR, bake
from tinysr.export.model.baked_transformer import BakedBlock, MatMulLinear, Modulated
from tinysr.export.onnx.compose import compose_whole
from tinysr.export.onnx.graph import export_stage
from tinysr.export.onnx.simplify import simplify
from tinysr.export.onnx.weights import WeightFile, attach
from tinysr.manifest import read_manifest
from tinysr.stages import StageName

TOLERANCE = 1e-5
"""Of a graph on ONNX Runtime against PyTorch, relative to the output's largest value."""

OPERATIONS: dict[StageName, set[str]] = {
    "encoder": {"Pad", "Conv", "DepthToSpace", "Relu", "Add"},
    "transformer": {
        *{"Conv", "Reshape", "Transpose", "LayerNormalization", "MatMul", "Add"},
        *{"Split", "Softmax", "Gelu", "Sub"},
    },
    "decoder": {"Tanh", "Conv", "Relu", "Add", "Resize"},
}
OPERATIONS["upscale"] = set().union(*OPERATIONS.values())


pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.mark.parametrize("stage", STAGES)
def test_the_image_or_its_latents_are_the_only_input(stage: StageName, bundle: Path) -> None:
    names = [value.name for value in graph(bundle, stage).input]
    assert names == [{"transformer": "latents", "decoder": "restored"}.get(stage, "image")]


@pytest.mark.parametrize("stage", STAGES)
def test_only_the_operations_of_the_image_are_left(stage: StageName, bundle: Path) -> None:
    counts = Counter(node.op_type for node in graph(bundle, stage).node)
    assert set(counts) == OPERATIONS[stage]
    assert counts["Sub"] == (1 if stage in ("transformer", "upscale") else 0)
    assert {node.domain for node in graph(bundle, stage).node} == {""}


@pytest.mark.parametrize("stage", STAGES)
def test_no_number_became_a_stray_constant(stage: StageName, bundle: Path) -> None:
    readers = {
        name: node.op_type for node in graph(bundle, stage).node for name in node.input if name
    }
    for name, value in inline(bundle, stage).items():
        if value.dtype == np.int64:  # pads, shapes and split sizes
            assert readers[name] in ("Pad", "Reshape", "Split")
        elif readers[name] == "LayerNormalization":  # which demands a scale
            assert (value == 1).all()
        else:
            assert readers[name] == "Resize"
            assert value.tolist() == [1, 1, 2, 2]


@pytest.mark.parametrize("stage", STAGES)
def test_a_graph_says_what_it_is(stage: StageName, bundle: Path) -> None:
    proto = model(bundle, stage)
    (opset,) = proto.opset_import
    assert (opset.domain, 18 <= opset.version <= 22) == ("", True)
    metadata = {prop.key: prop.value for prop in proto.metadata_props}
    manifest = read_manifest(bundle)
    assert Chain.model_validate_json(metadata.pop("chain")) == manifest.chain
    assert metadata == {
        "checkpoint": "tiny.safetensors",
        "checkpoint_kind": "single-file",
        "checkpoint_sha256": manifest.source.sha256,
        "precision": "fp32",
        "scale": "4",
        "stage": stage,
        "tile": str(TILE),
    }
    assert proto.producer_name == "tinysr"
    for words in (*(v.name for v in (*proto.graph.input, *proto.graph.output)), "RGB"):
        assert words in proto.doc_string or stage == "transformer"
    onnx.checker.check_model(file(bundle, stage), full_check=True)


@pytest.mark.parametrize("stage", STAGES)
def test_values_bear_the_names_of_the_modules_that_made_them(
    stage: StageName, bundle: Path, baked: BakedTinySR
) -> None:
    paths = {name: module for name, module in baked.named_modules() if name}
    values = {name for node in graph(bundle, stage).node for name in node.output}
    ports = {"latents", "restored", "upscaled"}
    named = {name for name in values - ports if "/" not in name}
    assert named <= paths.keys()
    kinds = (torch.nn.Conv2d, MatMulLinear, Modulated, BakedBlock)
    parts = ("encoder", "transformer", "decoder") if stage == "upscale" else (stage,)
    wanted = {
        name
        for name, module in paths.items()
        if isinstance(module, kinds) and name.split(".")[0] in parts
    }
    # Where a module ends a stage, the port's name stands.
    ends = {"encoder.layers.8.pointwise", "decoder.layers.12"}
    assert wanted - named == {name for name in ends if name.split(".")[0] in parts}


@pytest.mark.parametrize("stage", STAGES)
def test_a_graph_computes_what_pytorch_does(
    stage: StageName, bundle: Path, baked: BakedTinySR
) -> None:
    module = baked if stage == "upscale" else baked.get_submodule(stage)
    for batch in (1, 2, 3):
        values = noise(batch, *tile_shape(stage))
        assert difference(run(file(bundle, stage), values), module(values)) <= TOLERANCE


def test_the_whole_graph_is_the_eager_model(bundle: Path) -> None:
    lr = noise(3, 3, TILE, TILE)
    assert difference(run(file(bundle, "upscale"), lr), tiny_model()(lr)) <= TOLERANCE


def test_a_graph_for_two_tiles_takes_two(
    baked: BakedTinySR, traced_once: Traced, tmp_path: Path
) -> None:
    weights = WeightFile(tmp_path / "weights.bin", baked.state_dict())
    parts: tuple[StageName, ...] = ("encoder", "transformer", "decoder")
    traced = [traced_once(baked, part, tile=TILE, batch=2) for part in parts]
    whole = compose_whole(traced, baked.chain, tile=TILE, batch=2)
    path = tmp_path / "two.onnx"
    onnx.save(attach(simplify(whole).model, whole.weights, weights), path)
    lr = noise(2, 3, TILE, TILE)
    assert difference(run(path, lr), tiny_model()(lr)) <= TOLERANCE
    for batch in (1, 3):
        with pytest.raises(InvalidArgument, match="invalid dimensions"):
            run(path, noise(batch, 3, TILE, TILE))


def test_the_manifest_describes_the_ports(bundle: Path) -> None:
    ports = {
        stage: (artifact(bundle, stage).inputs[0].shape, artifact(bundle, stage).outputs[0].shape)
        for stage in STAGES
    }
    latents = ("batch", 16, TILE // 2, TILE // 2)
    assert ports == {
        "encoder": (
            ("batch", 3, "height", "width"),
            ("batch", 16, "latents_height", "latents_width"),
        ),
        "transformer": (latents, latents),
        "decoder": (
            ("batch", 16, "restored_height", "restored_width"),
            ("batch", 3, "upscaled_height", "upscaled_width"),
        ),
        "upscale": (("batch", 3, TILE, TILE), ("batch", 3, 4 * TILE, 4 * TILE)),
    }


@pytest.mark.parametrize("size", [(4, 4), (4, 12), (20, 36)], ids=str)
def test_the_encoder_takes_any_size(
    size: tuple[int, int], bundle: Path, baked: BakedTinySR
) -> None:
    lr = noise(2, 3, *size)
    assert difference(run(file(bundle, "encoder"), lr), baked.encoder(lr)) <= TOLERANCE


@pytest.mark.parametrize("size", [(1, 1), (1, 7), (5, 3)], ids=str)
def test_the_decoder_takes_any_size(
    size: tuple[int, int], bundle: Path, baked: BakedTinySR
) -> None:
    z = noise(2, 16, *size)
    assert difference(run(file(bundle, "decoder"), z), baked.decoder(z)) <= TOLERANCE


def test_the_other_kinds_of_autoencoder_have_the_same_operations() -> None:
    other = bake(tiny_model(separable=(False, True)), TILE)
    for stage in ("encoder", "decoder"):
        nodes = simplify(export_stage(other, stage, tile=TILE, batch=1)).model.graph.node
        assert {node.op_type for node in nodes} == OPERATIONS[stage]
