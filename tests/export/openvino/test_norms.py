"""OpenVINO computes norms whose squares overflow fp16, whatever type it is asked for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.support.norm_graphs import Staged, export_network, run_graph
from tests.support.normed import SIDE, build
from tests.support.tiny_models import difference, noise
from tinysr.export.model.apply_plan import apply_plan
from tinysr.export.plans.precision import PrecisionPlan

pytestmark = pytest.mark.usefixtures("one_thread")

FAR = 600.0
"""Gain that brings values further than 255.9 from the mean."""

ERRORS = {"f32": 3e-3, "bf16": 3e-2}
"""Largest error of a graph in fp16, over the largest value, by the type that computes."""


@pytest.mark.parametrize("name", ["group_norm", "instance_norm", "rms_norm"])
def test_a_norm_in_fp16_does_not_overflow(name: str, tmp_path: Path) -> None:
    ov: Any = pytest.importorskip("openvino", reason="pip install 'tinysr[openvino]'")
    image, model = noise(1, 3, SIDE, SIDE), Staged(build(name, FAR))
    expected = model(image)
    half = apply_plan(model, PrecisionPlan(model_sha256="0" * 64, tile=SIDE))
    run_graph(export_network(half), half.state_dict(), image, tmp_path)
    core = ov.Core()
    for kind, most in ERRORS.items():
        compiled = core.compile_model(
            core.read_model(tmp_path / "net.onnx"), "CPU", {"INFERENCE_PRECISION_HINT": kind}
        )
        found = torch.from_numpy(np.asarray(compiled(image.numpy())[0], np.float32))
        assert difference(found, expected) < most, kind
