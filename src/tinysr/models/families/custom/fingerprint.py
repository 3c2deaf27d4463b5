"""Hash of a network and of how it is used: what a bundle records of where it came from."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import numpy as np

from .config import CustomConfig
from .read_onnx import OnnxFile

__all__ = ["hash_network"]


def hash_network(config: CustomConfig, file: OnnxFile) -> str:
    """Return the SHA-256 of nodes, constants and configuration.

    It is not that of the file, in which exporters also leave the places of code on their machine.
    """
    digest = hashlib.sha256()
    said = config.model_dump(mode="json", exclude={"file", "callable", "name"})
    digest.update(json.dumps(said, sort_keys=True).encode())
    for node in file.nodes:
        parts = [node.operator, list(node.inputs), list(node.outputs)]
        digest.update(json.dumps(parts).encode())
        for name, value in sorted(node.attributes.items()):
            digest.update(name.encode())
            _add_value(digest, value)
    for name, tensor in sorted(file.tensors.items()):
        digest.update(name.encode())
        _add_value(digest, tensor)
    return digest.hexdigest()


def _add_value(digest: Any, value: Any) -> None:
    """Add numbers with their type and shape, or plain data."""
    if not isinstance(value, np.ndarray):
        digest.update(json.dumps(value).encode())
        return
    digest.update(f"{value.dtype.str}{list(value.shape)}".encode())
    digest.update(np.ascontiguousarray(value).reshape(-1).view(np.uint8).data)
