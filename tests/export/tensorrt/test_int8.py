"""INT8 graphs build as TensorRT-RTX engines, ahead of time and without a GPU."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tinysr.manifest import read_manifest

TINYSR = Path(sys.executable).parent / "tinysr"

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]


def engine_bytes(path: Path) -> int:
    trt: Any = pytest.importorskip("tensorrt_rtx", reason="pip install 'tinysr[rtx]'")
    logger = trt.Logger(trt.Logger.ERROR)
    builder = trt.Builder(logger)
    network = builder.create_network(0)  # strongly typed: the types are the graph's
    parser = trt.OnnxParser(network, logger)
    parsed = parser.parse_from_file(str(path))
    assert parsed, [parser.get_error(i).desc() for i in range(parser.num_errors)]
    engine = builder.build_serialized_network(network, builder.create_builder_config())
    assert engine is not None
    return int(engine.nbytes)


def test_the_int8_graph_of_nano_builds(tmp_path: Path, record_property: Any) -> None:
    folder = tmp_path / "nano"
    command: list[str | Path] = [
        TINYSR,
        "export",
        "tinysr-nano",
        "-o",
        folder,
        "--precision",
        "int8",
    ]
    subprocess.run(command, check=True)  # noqa: S603
    assert {a.parity.result for a in read_manifest(folder).artifacts} == {"pass"}
    sizes = {name: engine_bytes(folder / "onnx" / f"upscale{name}.onnx") for name in ("", ".int8")}
    # The int8 engine of a small model is the larger one: each pair of Q and DQ brings generated
    # kernels of its own, and that code, which is stored plain, outweighs the weights.
    sys.stdout.write(f"TensorRT-RTX: fp32 {sizes['']} bytes, int8 {sizes['.int8']} bytes\n")
    record_property("engine_bytes", sizes)
    assert 0 < sizes[".int8"] < 2 * sizes[""]
