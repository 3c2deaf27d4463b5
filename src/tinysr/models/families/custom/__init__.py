"""Networks that somebody brings: any one-step image-to-image network, described by a TOML file."""

from .config import CustomConfig, Levels, read_config
from .load_custom import load_custom, make_model, prove_division
from .model import DEFAULT_TILE, MOST_HALO, CustomModel
from .network import Network
from .nodes import Move, Node
from .prove_reach import PROOF_TOLERANCE, prove_reach
from .reach import Reach, find_reach
from .read_onnx import OnnxFile, read_onnx

__all__ = [
    "DEFAULT_TILE",
    "MOST_HALO",
    "PROOF_TOLERANCE",
    "CustomConfig",
    "CustomModel",
    "Levels",
    "Move",
    "Network",
    "Node",
    "OnnxFile",
    "Reach",
    "find_reach",
    "load_custom",
    "make_model",
    "prove_division",
    "prove_reach",
    "read_config",
    "read_onnx",
]
