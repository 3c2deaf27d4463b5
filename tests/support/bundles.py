"""A small bundle with real graphs, and the same model in PyTorch, for tests of the runtime.

The model repeats each pixel 4×4 times and adds a little noise that depends on its surroundings:
the encoder moves 2×2 pixels into channels, the transformer is a 3×3 convolution with zero
padding (so tiles have borders), the decoder spreads channels over 8×8 pixels.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
import torch.nn.functional as F
from onnx import TensorProto, helper

from tests.support.chains import make_chain
from tinysr.hashing import file_sha256
from tinysr.manifest import (
    Artifact,
    BakeProof,
    FileEntry,
    Host,
    Manifest,
    Port,
    Source,
    Verdict,
    to_json,
)
from tinysr.stages import StageName

Named = tuple[str, tuple[int | str, ...]]

TILE = 32
OVERLAP = 4
LATENT_SCALE = 0.5

PASS = Verdict(result="pass", backend="onnxruntime", gate_db=80, worst_db=123.4, images=12)
FAIL = Verdict(result="fail", gate_db=80, worst_db=31.2, worst_image="noise", images=12)
NOT_RUN = Verdict(result="not run")


class TwinModel(torch.nn.Module):
    """The model that the graphs of :func:`make_bundle` compute."""

    def __init__(self, noise: float = 0.05) -> None:
        super().__init__()
        rng = np.random.default_rng(7)

        def random(*shape: int) -> np.ndarray:
            return (rng.standard_normal(shape) * noise).astype(np.float32)

        encoder, decoder = random(16, 3, 2, 2), random(192, 16, 1, 1)
        for colour in range(3):
            for y in range(2):
                for x in range(2):
                    channel = colour * 4 + y * 2 + x
                    encoder[channel] = 0
                    encoder[channel, colour, y, x] = 1
                    block = decoder[colour * 64 : colour * 64 + 64, channel, 0, 0].reshape(8, 8)
                    block[4 * y : 4 * y + 4, 4 * x : 4 * x + 4] += 1
        self.encoder = torch.from_numpy(encoder)
        self.transformer = torch.from_numpy(random(16, 16, 3, 3))
        self.decoder = torch.from_numpy(decoder)

    def encode(self, lr: torch.Tensor) -> torch.Tensor:
        return F.conv2d(lr, self.encoder, stride=2)

    def predict(self, z: torch.Tensor) -> torch.Tensor:
        return F.conv2d(z, self.transformer, padding=1)

    def decode(self, z: torch.Tensor) -> torch.Tensor:
        return F.pixel_shuffle(F.conv2d(z, self.decoder), 8)

    def run_stage(self, stage: str, x: torch.Tensor) -> torch.Tensor:
        if stage == "transformer":
            return x - self.predict(x)
        return self.encode(x) if stage == "encoder" else self.decode(x)


def make_bundle(
    folder: Path,
    *,
    tile: int = TILE,
    overlap: int = OVERLAP,
    batch: int | str = "N",
    verdict: Verdict = PASS,
    source_kind: str = "released",
    noise: float = 0.05,
) -> Path:
    """Write a bundle and return its folder; ``batch`` is the transformer's."""
    model = TwinModel(noise)
    onnx_folder = folder / "onnx"
    onnx_folder.mkdir(parents=True)
    weights = {
        "encoder": model.encoder.numpy() * LATENT_SCALE,
        "transformer": _restore(model.transformer.numpy()),
        "decoder": model.decoder.numpy() / LATENT_SCALE,
    }
    offsets, blob = {}, b""
    for name, array in weights.items():
        offsets[name] = len(blob)
        blob += array.tobytes()
    (onnx_folder / "weights.bin").write_bytes(blob)
    half = tile // 2
    latents = ("N", 16, "h", "w")
    tiles = (batch, 16, half, half)
    stages: dict[StageName, tuple[Named, Named, dict[str, Any]]] = {
        "encoder": (("image", ("N", 3, "H", "W")), ("latents", latents), {"strides": [2, 2]}),
        "transformer": (("latents", tiles), ("restored", tiles), {"pads": [1, 1, 1, 1]}),
        "decoder": (("restored", latents), ("upscaled", ("N", 3, "8h", "8w")), {}),
    }
    artifacts = []
    for stage, (into, out, attributes) in stages.items():
        path = onnx_folder / f"{stage}.onnx"
        tensor = _external(stage, weights[stage], offsets[stage])
        onnx.save(_graph(into, out, attributes, tensor), path)
        artifacts.append(
            Artifact(
                target="onnx",
                stage=stage,
                precision="fp32",
                file=entry(folder, f"onnx/{stage}.onnx"),
                data=(entry(folder, "onnx/weights.bin"),),
                inputs=(Port(name=into[0], dtype="float32", shape=into[1]),),
                outputs=(Port(name=out[0], dtype="float32", shape=out[1]),),
                parity=verdict,
            )
        )
    manifest = Manifest(
        name="twin",
        family="tinysr",
        config={},
        chain=make_chain(tile, overlap=overlap, unit=LATENT_SCALE),
        tile=tile,
        source=Source(kind=source_kind, name="twin", sha256="0" * 64, trained=False),
        bake=BakeProof(difference=0, tolerance=1e-4, passes=()),
        artifacts=tuple(artifacts),
        tools={},
        host=Host(system="", machine="", python=""),
    )
    (folder / "manifest.json").write_text(to_json(manifest))
    return folder


def _restore(kernel: np.ndarray) -> np.ndarray:
    """Return the 3×3 kernel that gives the input less what a kernel gives."""
    kept = np.zeros_like(kernel)
    kept[:, :, 1, 1] = np.eye(len(kernel), dtype=kernel.dtype)
    restored: np.ndarray = kept - kernel
    return restored


def entry(folder: Path, path: str) -> FileEntry:
    """Describe a file as it is now."""
    file = folder / path
    return FileEntry(path=path, sha256=file_sha256(file), size=file.stat().st_size)


def edit_manifest(folder: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    """Change the manifest's data with a function that edits it in place."""
    path = folder / "manifest.json"
    data = json.loads(path.read_text())
    change(data)
    path.write_text(json.dumps(data))


def _graph(
    into: Named, out: Named, attributes: dict[str, Any], weight: TensorProto
) -> onnx.ModelProto:
    result = out[0] if out[0] != "upscaled" else "spread"
    nodes = [helper.make_node("Conv", [into[0], weight.name], [result], **attributes)]
    if result == "spread":
        nodes.append(helper.make_node("DepthToSpace", [result], [out[0]], blocksize=8, mode="CRD"))
    graph = helper.make_graph(
        nodes,
        "twin",
        [helper.make_tensor_value_info(into[0], TensorProto.FLOAT, into[1])],
        [helper.make_tensor_value_info(out[0], TensorProto.FLOAT, out[1])],
        [weight],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)


def _external(name: str, array: np.ndarray, offset: int) -> TensorProto:
    tensor = TensorProto(name=f"{name}.weight", data_type=TensorProto.FLOAT, dims=array.shape)
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in (("location", "weights.bin"), ("offset", offset), ("length", array.nbytes)):
        tensor.external_data.add(key=key, value=str(value))
    return tensor
