"""The exported graphs: nothing in them but what the image needs, and every byte accounted for."""

from __future__ import annotations

import os
import shutil
import site
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import get_args

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnxruntime.capi.onnxruntime_pybind11_state import InvalidArgument

from tests.support.said import said
from tests.support.tiny_models import TILE, difference, noise, tiny_model
from tinysr.errors import GateError
from tinysr.export import BakedTinySR, ExportOptions, bake, export_bundle
from tinysr.export.model.baked import BakedBlock, MatMulLinear, Modulated
from tinysr.export.onnx.compose import upscale_graph
from tinysr.export.onnx.graph import StageGraph, stage_graph
from tinysr.export.onnx.simplify import SIMPLIFY_TOLERANCE, computed, prove_simplified, simplify
from tinysr.export.onnx.weights import WeightFile, attach
from tinysr.manifest import Artifact, Manifest, Stage, read_manifest
from tinysr.models import load_checkpoint
from tinysr.models.checkpoints import save_single_file

STAGES: tuple[Stage, ...] = get_args(Stage)

TOLERANCE = 1e-5
"""Of a graph on ONNX Runtime against PyTorch, relative to the output's largest value."""

OPERATIONS: dict[Stage, set[str]] = {
    "encoder": {"Pad", "Conv", "DepthToSpace", "Relu", "Add"},
    "transformer": {
        *{"Conv", "Reshape", "Transpose", "LayerNormalization", "MatMul", "Add"},
        *{"Split", "Softmax", "Gelu"},
    },
    "decoder": {"Tanh", "Conv", "Relu", "Add", "Resize"},
}
OPERATIONS["upscale"] = {"Sub"}.union(*OPERATIONS.values())


pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def baked(checkpoint: Path) -> BakedTinySR:
    return bake(load_checkpoint(checkpoint).model, TILE)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("models") / "tiny.safetensors"
    save_single_file(tiny_model(), path)
    return path


@pytest.fixture(scope="module")
def bundle(checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a bundle for any number of tiles at once."""
    folder = tmp_path_factory.mktemp("bundles") / "tiny"
    export_bundle(load_checkpoint(checkpoint), folder, ExportOptions(tile=TILE, batch=None))
    return folder


def graph(bundle: Path, stage: Stage) -> onnx.GraphProto:
    return model(bundle, stage).graph


def model(bundle: Path, stage: Stage) -> onnx.ModelProto:
    return onnx.load(file(bundle, stage), load_external_data=False)


def file(bundle: Path, stage: Stage) -> Path:
    return bundle / "onnx" / f"{stage}.onnx"


def artifact(bundle: Path, stage: Stage) -> Artifact:
    return next(a for a in read_manifest(bundle).artifacts if a.stage == stage)


def run(path: Path, values: torch.Tensor) -> torch.Tensor:
    """Run a graph on ONNX Runtime."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = 1, 4
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    return torch.from_numpy(session.run(None, {session.get_inputs()[0].name: values.numpy()})[0])


def inline(bundle: Path, stage: Stage) -> dict[str, np.ndarray]:
    """Return the constants that are not in the file of weights."""
    return {
        tensor.name: onnx.numpy_helper.to_array(tensor)
        for tensor in graph(bundle, stage).initializer
        if tensor.data_location != onnx.TensorProto.EXTERNAL
    }


def external(bundle: Path, stage: Stage) -> dict[str, dict[str, str]]:
    """Return where each weight of a graph lies."""
    return {
        tensor.name: {entry.key: entry.value for entry in tensor.external_data}
        for tensor in graph(bundle, stage).initializer
        if tensor.data_location == onnx.TensorProto.EXTERNAL
    }


def tree(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


@pytest.mark.parametrize("stage", STAGES)
def test_the_image_or_its_latents_are_the_only_input(stage: Stage, bundle: Path) -> None:
    names = [value.name for value in graph(bundle, stage).input]
    assert names == ["image" if stage in ("encoder", "upscale") else "latents"]


@pytest.mark.parametrize("stage", STAGES)
def test_only_the_operations_of_the_image_are_left(stage: Stage, bundle: Path) -> None:
    counts = Counter(node.op_type for node in graph(bundle, stage).node)
    assert set(counts) == OPERATIONS[stage]
    assert counts["Sub"] == (1 if stage == "upscale" else 0)
    assert {node.domain for node in graph(bundle, stage).node} == {""}


@pytest.mark.parametrize("stage", STAGES)
def test_no_number_became_a_stray_constant(stage: Stage, bundle: Path) -> None:
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


def test_every_weight_is_stored_once_for_all_graphs(bundle: Path, baked: BakedTinySR) -> None:
    state = baked.state_dict()
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


@pytest.mark.parametrize("stage", STAGES)
def test_a_graph_says_what_it_is(stage: Stage, bundle: Path) -> None:
    proto = model(bundle, stage)
    (opset,) = proto.opset_import
    assert (opset.domain, 18 <= opset.version <= 22) == ("", True)
    metadata = {prop.key: prop.value for prop in proto.metadata_props}
    manifest = read_manifest(bundle)
    assert metadata == {
        "checkpoint": "tiny.safetensors",
        "checkpoint_kind": "single-file",
        "checkpoint_sha256": manifest.source.sha256,
        "halo_decoder": str(manifest.halo.decoder),
        "halo_encoder": str(manifest.halo.encoder),
        "latent_scale": repr(manifest.latent_scale),
        "overlap": str(manifest.overlap),
        "precision": "fp32",
        "scale": "4",
        "stage": stage,
        "tile": str(TILE),
    }
    assert proto.producer_name == "tinysr"
    for words in (*(v.name for v in (*proto.graph.input, *proto.graph.output)), "RGB"):
        assert words in proto.doc_string or stage == "transformer"
    onnx.checker.check_model(file(bundle, stage), full_check=True)


def unmeasured(manifest: bytes) -> Manifest:
    """Return a manifest without the differences that its proofs measured."""
    read = Manifest.model_validate_json(manifest)
    return read.model_copy(update={"bake": read.bake.model_copy(update={"difference": 0.0})})


def test_an_export_repeats_to_the_byte_in_another_process(
    checkpoint: Path, bundle: Path, tmp_path: Path
) -> None:
    command = [Path(sys.executable).with_name("tinysr"), "export", checkpoint, "-o", "there/tiny"]
    options = ["--tile", TILE, "--batch", "dynamic", "--no-gate"]
    done = subprocess.run(  # noqa: S603  our own program
        [str(word) for word in (*command, *options)],
        cwd=tmp_path,
        env={**os.environ, "PYTHONHASHSEED": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, said(done.stderr)) == (0, [])
    assert "4 graphs" in done.stdout
    assert "not gated" in done.stdout
    found, expected = tree(tmp_path / "there" / "tiny"), tree(bundle)
    # Its threads decide the order of sums: what was measured differs in its last bits.
    assert unmeasured(found.pop("manifest.json")) == unmeasured(expected.pop("manifest.json"))
    assert found == expected


def test_no_file_knows_the_machine_it_was_made_on(bundle: Path) -> None:
    places = [Path.cwd(), Path.home(), bundle.parent, Path(__file__).parents[3], sys.prefix]
    words = [*map(str, places), *site.getsitepackages(), "site-packages", ".py", "stack_trace"]
    for name, content in tree(bundle).items():
        for word in words:
            assert word.encode() not in content, f"{name} holds {word}"


@pytest.mark.parametrize("stage", STAGES)
def test_values_bear_the_names_of_the_modules_that_made_them(
    stage: Stage, bundle: Path, baked: BakedTinySR
) -> None:
    paths = {name: module for name, module in baked.named_modules() if name}
    values = {name for node in graph(bundle, stage).node for name in node.output}
    ports = {"latents", "velocity", "hr_latents", "upscaled"}
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
def test_a_graph_computes_what_pytorch_does(stage: Stage, bundle: Path, baked: BakedTinySR) -> None:
    module = baked if stage == "upscale" else baked.get_submodule(stage)
    for batch in (1, 2, 3):
        values = noise(batch, *tile_shape(stage))
        assert difference(run(file(bundle, stage), values), module(values)) <= TOLERANCE


def tile_shape(stage: Stage) -> tuple[int, int, int]:
    return (3, TILE, TILE) if stage in ("encoder", "upscale") else (16, TILE // 2, TILE // 2)


def test_the_whole_graph_is_the_eager_model(bundle: Path) -> None:
    lr = noise(3, 3, TILE, TILE)
    assert difference(run(file(bundle, "upscale"), lr), tiny_model()(lr)) <= TOLERANCE


def test_a_graph_for_two_tiles_takes_two(baked: BakedTinySR, tmp_path: Path) -> None:
    weights = WeightFile(tmp_path / "weights.bin", baked.state_dict())
    parts: tuple[Stage, ...] = ("encoder", "transformer", "decoder")
    whole = upscale_graph(
        [stage_graph(baked, part, tile=TILE, batch=2) for part in parts], tile=TILE, batch=2
    )
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
            ("batch", 16, "latent_height", "latent_width"),
        ),
        "transformer": (latents, latents),
        "decoder": (
            ("batch", 16, "latent_height", "latent_width"),
            ("batch", 3, "image_height", "image_width"),
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
        nodes = simplify(stage_graph(other, stage, tile=TILE, batch=1)).model.graph.node
        assert {node.op_type for node in nodes} == OPERATIONS[stage]


@pytest.mark.parametrize("stage", STAGES)
def test_simplifying_is_proved(stage: Stage, bundle: Path) -> None:
    proof = artifact(bundle, stage).simplified
    assert proof is not None
    assert proof.difference <= SIMPLIFY_TOLERANCE
    assert proof.nodes_after <= proof.nodes_before
    assert proof.nodes_after == len(graph(bundle, stage).node)


def test_the_whole_is_proved_by_what_its_stages_computed(bundle: Path) -> None:
    image = noise(1, *tile_shape("upscale")).numpy()
    z = computed(file(bundle, "encoder"), image)
    v = computed(file(bundle, "transformer"), z)
    whole = computed(file(bundle, "upscale"), image)
    assert np.array_equal(whole, computed(file(bundle, "decoder"), z - v))


def another_operation(proto: onnx.ModelProto) -> None:
    next(node for node in proto.graph.node if node.op_type == "Tanh").op_type = "Softsign"


def not_a_number(proto: onnx.ModelProto) -> None:
    """Take the root of what Tanh takes: noise around zero."""
    next(node for node in proto.graph.node if node.op_type == "Tanh").op_type = "Acosh"


@pytest.mark.parametrize("tamper", [another_operation, not_a_number])
def test_the_proof_fails_for_a_changed_graph(
    tamper: Callable[[onnx.ModelProto], None], bundle: Path, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(bundle / "onnx", tmp_path / "onnx"))
    image = noise(1, *tile_shape("decoder")).numpy()
    changed = model(bundle, "decoder")
    onnx.save(changed, folder / "changed.onnx")
    plain, simplified = folder / "decoder.onnx", folder / "changed.onnx"
    expected = computed(plain, image)
    same = prove_simplified(plain, simplified, image, expected)
    assert same.difference == 0
    tamper(changed)
    onnx.save(changed, folder / "changed.onnx")
    with pytest.raises(GateError, match=r"changed\.onnx: onnxsim changed the result"):
        prove_simplified(plain, simplified, image, expected)


def test_only_the_proof_reads_the_weights(
    baked: BakedTinySR, bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that a graph of more than 2 GB, protobuf's limit, is no different from a small one."""
    weights = WeightFile(tmp_path / "weights.bin", baked.state_dict())
    plain = stage_graph(baked, "transformer", tile=TILE, batch=1)
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
