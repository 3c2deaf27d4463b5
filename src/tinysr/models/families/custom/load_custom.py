"""A network's TOML file → the model."""

from __future__ import annotations

from pathlib import Path

from tinysr.errors import TinySRError, UnsupportedError

from .build import build_network, image_port
from .config import CustomConfig, read_config
from .fingerprint import hash_network
from .foreign import open_foreign
from .model import CustomModel, Shape
from .network import Network
from .probe import probe
from .prove_reach import prove_reach
from .reach import check_result, find_reach
from .read_onnx import OnnxFile, read_onnx

__all__ = ["is_onnx", "load_custom", "make_model", "prove_division"]


def load_custom(path: Path, *, trust: bool = False, prove: bool = True) -> CustomModel:
    """Load the network that a TOML file describes: eval mode, fp32, no gradients.

    Args:
        path: the TOML file.
        trust: whether it may name a Python function or a .pt2 file, which may run any code.
        prove: whether to hold windows against the whole, where images are divided into windows.

    Raises:
        CheckpointError: a file is missing, damaged or hostile.
        UnsupportedError: the network can't be expressed, or contradicts its TOML.
        GateError: windows with the halo that is computed or claimed are not exact.
    """
    config = read_config(path)
    if config.callable is None and config.file is not None and is_onnx(Path(config.file)):
        model = make_model(config, read_onnx(path.parent / config.file))
    else:
        with open_foreign(config, path.parent, trust=trust) as file:
            model = make_model(config, file)
    if prove:
        prove_division(model)
    return model


def is_onnx(path: Path) -> bool:
    """Tell whether a network's file is named as ONNX files are.

    Raises:
        UnsupportedError: it is named neither so nor as .pt2 files are.
    """
    if path.suffix.lower() not in (".onnx", ".pt2"):
        raise UnsupportedError(
            f"{path}: expected an .onnx or .pt2 file: export the network with torch.onnx.export"
        )
    return path.suffix.lower() == ".onnx"


def make_model(config: CustomConfig, file: OnnxFile) -> CustomModel:
    """Make a model of a network's file and its configuration; raises as :func:`load_custom`."""
    network = build_network(file, config.constants)
    try:
        shape = _find_shape(config, file, network)
    except UnsupportedError as error:
        raise UnsupportedError(f"{file.path}: {error}") from error
    model = CustomModel(config, network, shape, hash_network(config, file))
    return model.eval().requires_grad_(requires_grad=False)


def prove_division(model: CustomModel) -> float | None:
    """Prove the halo of a model that is divided into windows.

    Returns:
        The largest difference from the whole, relative to its largest value; None where images
        are divided otherwise, and nothing is exact.

    Raises:
        GateError: the windows are not exact.
    """
    stage = model.chain().stages[0]
    if stage.division.kind != "windows":
        return None
    return prove_reach(
        model,
        halo=stage.division.halo,
        align=stage.align,
        scale=model.config.scale,
        name=model.config.name,
    )


def _find_shape(config: CustomConfig, file: OnnxFile, network: Network) -> Shape:
    batch, _, height, width = image_port(file, config.constants).shape or (None,) * 4
    enlarged = config.resize == "bicubic"
    before = config.scale if enlarged else 1
    if batch not in (None, 1):
        raise UnsupportedError(f"it takes {batch} images at once: export it for one, or any number")
    if height is None and width is None:
        reach = find_reach(network, config.scale, multiple=config.multiple_of, enlarged=enlarged)
        return Shape(side=None, reach=reach, single=_is_single(network, reach.multiple * before))
    if height != width or height is None or height % (config.multiple_of * before):
        raise UnsupportedError(
            f"it takes images of {height or 'any'} × {width or 'any'} pixels, expected any size, "
            f"or a square whose side divides by {config.multiple_of * before}"
        )
    check_result(network, probe(network, height, height), config.scale // before)
    return Shape(side=height // before, reach=None, single=_is_single(network, height))


def _is_single(network: Network, side: int) -> bool:
    """Tell whether two images at once are more than a network takes."""
    least = side * -(-32 // side)
    try:
        found = probe(network, least, least, images=2)
    except TinySRError:
        return True
    return found.shapes[network.ends[1]][0] != 2
