"""Compressed weights are decoded as coremltools decodes them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from tinysr.errors import BundleError, UnsupportedError
from tinysr.export.apple.coreml.palette import find_palette, make_lookup
from tinysr.export.apple.coreml.tools import coremltools, silence_coremltools
from tinysr.runtime.mil import Interpreter, load_program
from tinysr.runtime.mil.blobs import unpack

pytestmark = pytest.mark.usefixtures("one_thread")


class Layers(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv, self.linear = nn.Conv2d(3, 32, 3), nn.Linear(32, 64)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y: torch.Tensor = self.linear(self.conv(x).mean((2, 3)))
        return y


@pytest.fixture(scope="module")
def models() -> dict[str, Any]:
    """The same network, for iOS 17 and 18."""
    torch.manual_seed(1)
    network, example = Layers().eval(), torch.rand(1, 3, 8, 8)
    ct = coremltools()
    with silence_coremltools(), torch.no_grad():
        traced = torch.jit.trace(network, example)
        return {
            system: ct.convert(
                traced,
                inputs=[ct.TensorType(name="x", shape=example.shape)],
                outputs=[ct.TensorType(name="y", dtype=np.float32)],
                minimum_deployment_target=getattr(ct.target, system),
                compute_precision=ct.precision.FLOAT32,
                skip_model_load=True,
            )
            for system in ("iOS17", "iOS18")
        }


def compressions() -> dict[str, tuple[str, str, dict[str, Any]]]:
    """Return by name: the system, coremltools' function and its config's class and options."""
    grouped = {"mode": "kmeans", "granularity": "per_grouped_channel", "group_size": 8}
    linear = {"mode": "linear_symmetric", "granularity": "per_block"}
    sparse = {"target_sparsity": 0.6}
    return {
        "int8": ("iOS17", "linear", {"mode": "linear", "dtype": "int8"}),
        "uint8": ("iOS17", "linear", {"mode": "linear", "dtype": "uint8"}),
        "palette of 6 bits": ("iOS17", "palette", {"mode": "uniform", "nbits": 6}),
        "palette of 3 bits": ("iOS18", "palette", {"mode": "uniform", "nbits": 3}),
        "grouped palettes": ("iOS18", "palette", {**grouped, "nbits": 4}),
        "vectors": ("iOS18", "palette", {"mode": "kmeans", "nbits": 4, "cluster_dim": 2}),
        "int4 in blocks": ("iOS18", "linear", {**linear, "dtype": "int4", "block_size": 16}),
        "sparse": ("iOS17", "prune", sparse),
        "sparse bits": ("iOS18", "prune", sparse),
    }


def compressed(models: dict[str, Any], name: str) -> Any:
    system, kind, options = compressions()[name]
    optimize = coremltools().optimize.coreml
    compress, config = {
        "linear": (optimize.linear_quantize_weights, optimize.OpLinearQuantizerConfig),
        "palette": (optimize.palettize_weights, optimize.OpPalettizerConfig),
        "prune": (optimize.prune_weights, optimize.OpMagnitudePrunerConfig),
    }[kind]
    chosen = optimize.OptimizationConfig(global_config=config(**options, weight_threshold=500))
    with silence_coremltools():
        return compress(models[system], chosen)


@pytest.mark.parametrize("name", compressions())
def test_weights_decode_as_coremltools_decodes_them(
    name: str, models: dict[str, Any], tmp_path: Path
) -> None:
    small = compressed(models, name)
    with silence_coremltools():
        small.save(str(tmp_path / "small.mlpackage"))
        dense = coremltools().optimize.coreml.decompress_weights(small)
        dense.save(str(tmp_path / "dense.mlpackage"))
    x = np.random.default_rng(0).random((1, 3, 8, 8), np.float32)
    found, expected = (
        load_program(tmp_path / f"{which}.mlpackage").functions["main"]
        for which in ("small", "dense")
    )
    assert any(op.kind.startswith("constexpr") for op in found.body.operations)
    y, truth = (Interpreter(function).run({"x": x})["y"] for function in (found, expected))
    np.testing.assert_allclose(y, truth, rtol=1e-5, atol=1e-6)
    original = Interpreter(load_saved(models, name, tmp_path)).run({"x": x})["y"]
    assert np.abs(y - original).max() > 1e-5  # it is another weight, so it was decoded


def load_saved(models: dict[str, Any], name: str, folder: Path) -> Any:
    with silence_coremltools():
        models[compressions()[name][0]].save(str(folder / "original.mlpackage"))
    return load_program(folder / "original.mlpackage").functions["main"]


@pytest.mark.parametrize("dtype", ["uint1", "uint2", "uint3", "uint4", "uint6", "int4", "int8"])
def test_small_integers_are_unpacked_lowest_bits_first(dtype: str) -> None:
    width = int(dtype.lstrip("uint"))
    low, high = (0, 2**width) if dtype.startswith("u") else (-(2 ** (width - 1)), 2 ** (width - 1))
    values = np.random.default_rng(0).integers(low, high, 37)
    stream = ((values[:, None] & (2**width - 1)) >> np.arange(width)) & 1
    raw = np.packbits(stream.reshape(-1).astype(np.uint8), bitorder="little")
    np.testing.assert_array_equal(unpack(raw, dtype, 37), values)


def test_palettes_are_as_good_as_k_means_of_another_library() -> None:
    from sklearn.cluster import KMeans

    weights = np.random.default_rng(0).standard_t(4, 4000).astype(np.float32)
    theirs = KMeans(16, n_init=10, random_state=0).fit(weights[:, None]).inertia_
    nearest = np.abs(weights[:, None] - find_palette(weights, 4)[None]).min(1)
    assert (nearest**2).sum() < 1.1 * theirs


def test_indices_name_the_nearest_colour() -> None:
    weights = np.random.default_rng(0).normal(size=(8, 50)).astype(np.float16)
    colours, indices = make_lookup(4)(weights)
    assert (colours.dtype, len(colours), indices.dtype) == (
        np.dtype(np.float16),
        16,
        np.dtype(np.uint8),
    )
    distance = np.abs(weights.reshape(-1, 1).astype(np.float32) - colours.astype(np.float32))
    chosen = distance[np.arange(400), indices]
    np.testing.assert_allclose(chosen, distance.min(1), atol=1e-6)


class TestDamage:
    @pytest.fixture
    def package(self, models: dict[str, Any], tmp_path: Path) -> Path:
        with silence_coremltools():
            models["iOS17"].save(str(tmp_path / "net.mlpackage"))
        return tmp_path / "net.mlpackage"

    @staticmethod
    def edit(package: Path, change: Any) -> None:
        """Change the model's protobuf in place."""
        from coremltools.proto import Model_pb2

        file = package / "Data/com.apple.CoreML/model.mlmodel"
        model = Model_pb2.Model()
        model.ParseFromString(file.read_bytes())
        (block,) = model.mlProgram.functions["main"].block_specializations.values()
        change(block.operations)
        file.write_bytes(model.SerializeToString())

    def test_a_folder_that_is_no_package(self, tmp_path: Path) -> None:
        with pytest.raises(BundleError, match=r"expected an \.mlpackage with its Manifest"):
            load_program(tmp_path)

    def test_other_bytes_in_place_of_the_model(self, package: Path) -> None:
        (package / "Data/com.apple.CoreML/model.mlmodel").write_bytes(b"\xff" * 100)
        with pytest.raises(BundleError, match="expected a Core ML model"):
            load_program(package)

    def test_weights_that_were_cut_off(self, package: Path) -> None:
        file = package / "Data/com.apple.CoreML/weights/weight.bin"
        file.write_bytes(file.read_bytes()[:300])
        with pytest.raises(BundleError, match=r"operation \d+ \(const\).*blob at \d+"):
            load_program(package)

    def test_an_operation_that_is_not_known_is_named_with_its_place(self, package: Path) -> None:
        def change(operations: Any) -> None:
            next(op for op in operations if op.type == "conv").type = "conv_of_tomorrow"

        self.edit(package, change)
        function = load_program(package).functions["main"]
        words = (
            r"'conv_of_tomorrow' named '\w+' in main, operation \d+ of \d+: .* no such operation"
        )
        with pytest.raises(UnsupportedError, match=words):
            Interpreter(function)

    def test_a_shape_that_contradicts_the_computation(self, package: Path) -> None:
        def change(operations: Any) -> None:
            conv = next(op for op in operations if op.type == "conv")
            conv.outputs[0].type.tensorType.dimensions[1].constant.size = 31

        self.edit(package, change)
        function = load_program(package).functions["main"]
        with pytest.raises(BundleError, match=r"'conv'.* found .* the package was changed"):
            Interpreter(function).run({"x": np.zeros((1, 3, 8, 8), np.float32)})

    def test_weights_outside_the_package_are_refused(self, package: Path) -> None:
        def change(operations: Any) -> None:
            for op in operations:
                if "val" in op.attributes and op.attributes["val"].HasField("blobFileValue"):
                    op.attributes["val"].blobFileValue.fileName = "@model_path/../../secret.bin"

        self.edit(package, change)
        with pytest.raises(BundleError, match="outside the package"):
            load_program(package)

    def test_feeds_of_another_shape(self, package: Path) -> None:
        interpreter = Interpreter(load_program(package).functions["main"])
        with pytest.raises(UnsupportedError, match=r"expected 'x' as float32 \[1, 3, 8, 8\]"):
            interpreter.run({"x": np.zeros((1, 3, 9, 8), np.float32)})
