"""A network with norms and linears as a stage's graph, whatever family it may come from."""

from __future__ import annotations

import contextlib
import io
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime
import torch
from torch import Tensor, nn

from tests.support.normed import SIDE
from tests.support.tracing import one_reading
from tinysr.export.model.baked_transformer import MatMulLinear
from tinysr.export.onnx.graph import StageGraph, _move_weights_to_inputs, _name_values
from tinysr.export.onnx.simplify import simplify
from tinysr.export.onnx.weights import WeightFile, attach

WIDTH = 32


class Normed(nn.Module):
    """Convolutions and linears between norms and activations."""

    def __init__(self, *, laid_out: bool = True) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, WIDTH, 3, padding=1)
        self.group = nn.Sequential(nn.GroupNorm(4, WIDTH), nn.SiLU())
        self.second = nn.Conv2d(WIDTH, WIDTH, 3, padding=1)
        self.norm = nn.LayerNorm(WIDTH)
        linear = nn.Linear(WIDTH, WIDTH)
        self.linear = MatMulLinear(linear.weight.t(), linear.bias) if laid_out else linear
        self.gelu, self.instance = nn.GELU(), nn.InstanceNorm2d(WIDTH, affine=True)
        self.last = nn.Conv2d(WIDTH, 3, 1)
        for norm in (self.group[0], self.norm, self.instance):
            for name, parameter in norm.named_parameters():
                nn.init.uniform_(parameter, *((0.5, 2) if name == "weight" else (-1, 1)))

    def forward(self, x: Tensor) -> Tensor:
        x = self.second(self.group(self.first(x)))
        tokens = self.gelu(self.linear(self.norm(x.flatten(2).transpose(1, 2))))
        y: Tensor = self.last(self.instance(tokens.transpose(1, 2).reshape(x.shape)))
        return y


class Staged(nn.Module):
    """A network as the only stage, so that its paths begin with the stage's name."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.encoder = network

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.encoder(x)
        return y


def export_network(model: nn.Module, side: int = SIDE) -> StageGraph:
    """Export a network for one size, as stages are: weights are inputs, named after parameters."""
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()), one_reading():
        warnings.simplefilter("ignore")
        program: Any = torch.onnx.export(
            model.eval(),
            (torch.zeros(1, 3, side, side),),
            dynamo=True,
            opset_version=20,
            input_names=["image"],
            output_names=["latents"],
            verbose=False,
        )
    paths, names = {path for path, _ in model.named_modules() if path}, set(model.state_dict())
    _name_values(program.model.graph, "encoder", paths, names)
    weights = _move_weights_to_inputs(program.model.graph, names)
    graph = StageGraph(stage="encoder", model=ir.to_proto(program.model), weights=weights)
    return simplify(graph)


def run_graph(graph: StageGraph, tensors: dict[str, Any], image: Tensor, folder: Path) -> Tensor:
    """Run a graph as it is written."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads, options.log_severity_level = 1, 4
    path = folder / "net.onnx"
    file = WeightFile(folder / "net.bin", {name: tensors[name] for name in graph.weights})
    onnx.save(attach(graph.model, graph.weights, file), path)
    onnx.checker.check_model(path, full_check=True)
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    found: np.ndarray = session.run(None, {"image": image.numpy()})[0]
    return torch.from_numpy(found)
