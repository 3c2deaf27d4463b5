"""What each library says of the instruction sets that it takes, in this process: prints JSON.

A library that says nothing is asked by what it computes: ONNX Runtime adds up a softmax in as many
parts as a register has, and without VNNI its products of bytes saturate.
"""

from __future__ import annotations

import ctypes
import hashlib
import importlib
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

__all__ = ["report"]

VERBOSE = {"ONEDNN_VERBOSE": "1", "MKL_VERBOSE": "1", "OMP_NUM_THREADS": "1"}

ONEDNN = r"onednn_verbose,v1,info,cpu,runtime:{}.*\nonednn_verbose,v1,info,cpu,isa:(.*)"

LINES = {
    "openvino's oneDNN": ONEDNN.format("threadpool"),
    "torch's oneDNN": ONEDNN.format("OpenMP"),
    "torch's MKL": r"MKL_VERBOSE oneMKL.*architecture (.*?),? Lnx",
}
"""What libraries print of themselves when they are told to be verbose."""


def report(environment: dict[str, str]) -> dict[str, str]:
    """Return what each library takes in a process with an environment."""
    command = [sys.executable, str(Path(__file__).resolve())]
    done = subprocess.run(  # noqa: S603
        command, env=environment | VERBOSE, capture_output=True, text=True, check=True
    )
    said: dict[str, str] = json.loads(done.stdout.splitlines()[-1])
    for library, pattern in LINES.items():
        found = re.search(pattern, done.stdout)
        said[library] = found[1] if found else "says nothing"
    return said


def _numpy() -> dict[str, str]:
    import numpy as np

    features = importlib.import_module("numpy._core._multiarray_umath").__cpu_features__

    taken = [name for name, has in features.items() if has and name.startswith("AVX")]
    cores = []
    for path in (Path(np.__file__).parents[1] / "numpy.libs").glob("*openblas*"):
        name = ctypes.CDLL(str(path)).scipy_openblas_get_corename64_
        name.restype = ctypes.c_char_p
        cores.append(name().decode())
    return {"numpy": " ".join(taken), "numpy's OpenBLAS": " ".join(cores) or "none"}


def _torch() -> dict[str, str]:
    import torch

    image, weight = torch.rand(1, 16, 8, 8).to_mkldnn(), torch.rand(16, 16, 3, 3)
    torch.nn.functional.conv2d(image, weight)
    square = torch.rand(64, 64)
    assert torch.isfinite(square @ square).all()
    return {"torch": torch.backends.cpu.get_cpu_capability()}


def _openvino() -> dict[str, str]:
    import numpy as np
    import openvino as ov
    import openvino.opset13 as ops

    core = ov.Core()
    weight = ops.constant(np.random.default_rng(0).random((16, 16, 3, 3), np.float32))
    given = ops.parameter([1, 16, 32, 32], np.float32)
    pads = [1, 1]
    made = ops.convolution(given, weight, [1, 1], pads, pads, [1, 1])
    compiled = core.compile_model(
        ov.Model([made], [given]), "CPU", {"INFERENCE_PRECISION_HINT": "f32"}
    )
    infos = [node.get_rt_info() for node in compiled.get_runtime_model().get_ordered_ops()]
    kernels = [
        info["primitiveType"].astype(str)
        for info in infos
        if info["layerType"].astype(str) == "Convolution"
    ]
    can = core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    types = [name for name in ("FP32", "BF16", "FP16", "INT8") if name in can]
    return {"openvino": f"{' '.join(types)}, convolution {' '.join(kernels)}"}


def _onnxruntime() -> dict[str, str]:
    import numpy as np

    values = np.random.default_rng(0).standard_normal((4, 1000)).astype(np.float32)
    bits = hashlib.sha256(_run("Softmax", values).tobytes()).hexdigest()[:8]
    large = np.full((1, 64), 255, np.uint8), np.full((64, 16), 127, np.int8)
    exact = int(_run("MatMulInteger", *large)[0, 0]) == 64 * 255 * 127
    products = "exact" if exact else "saturated"
    return {"onnxruntime": f"products of bytes {products}, softmax's bits {bits}"}


def _run(operation: str, *values: Any) -> Any:
    import onnxruntime
    from onnx import helper

    names = [f"in{place}" for place in range(len(values))]
    inputs = [
        helper.make_tensor_value_info(n, helper.np_dtype_to_tensor_dtype(v.dtype), v.shape)
        for n, v in zip(names, values, strict=True)
    ]
    out = helper.make_empty_tensor_value_info("out")
    graph = helper.make_graph([helper.make_node(operation, names, ["out"])], "g", inputs, [out])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    return session.run(None, dict(zip(names, values, strict=True)))[0]


def _asked() -> dict[str, str]:
    """Return which libraries asked the CPU, and got the changed answer."""
    preloaded = os.environ.get("LD_PRELOAD", "").split()
    ours = next((path for path in preloaded if path.endswith("hide_cpuid.so")), None)
    if ours is None:
        return {}
    library = ctypes.CDLL(ours)
    count = ctypes.c_int.in_dll(library, "hide_cpuid_count").value
    places = (ctypes.c_uint64 * 4096).in_dll(library, "hide_cpuid_asked")[:count]
    maps = [line.split() for line in Path("/proc/self/maps").read_text().splitlines()]
    names = set()
    for span, *_, path in maps:
        start, stop = (int(side, 16) for side in span.split("-"))
        if any(start <= place < stop for place in places):
            names.add(Path(path).name.split(".")[0])
    return {"were told": " ".join(sorted(names))}


if __name__ == "__main__":
    found = _openvino() | _numpy() | _torch() | _onnxruntime() | _asked()
    sys.stdout.write(f"\n{json.dumps(found)}\n")
