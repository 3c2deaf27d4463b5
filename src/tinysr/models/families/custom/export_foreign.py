"""Program that makes an ONNX file of a Python function's module, or of a .pt2 file.

It runs in a process of its own, with a limit of memory: foreign code may do anything, and some
modules make PyTorch's exporter end its process. What it says last is the reason.

    python -m tinysr.models.families.custom.export_foreign FOLDER SOURCE RESULT SIDE MULTIPLE
"""

from __future__ import annotations

import contextlib
import importlib
import os
import sys
import warnings
from pathlib import Path
from typing import Any

import torch
from torch import nn

__all__ = ["describe_cause", "main"]

_OPSET = 20

_EXAMPLE = 64
"""Pixels along the sides of the image that a network of any size is traced with, at least."""


def main(words: list[str]) -> None:
    """Make the file.

    Args:
        words: the folder that functions are imported from; ``module:function`` or the path of a
            .pt2 file; the ONNX file; the only side that the network is for, 0 for any; and what
            sides divide by.
    """
    folder, source, result, side, multiple = words
    _limit_memory()
    warnings.simplefilter("ignore")
    with contextlib.redirect_stdout(sys.stderr):
        if source.endswith(".pt2"):
            program = torch.export.load(source)
            torch.onnx.export(program, (), result, dynamo=True, opset_version=_OPSET)
            return
        sys.path.insert(0, folder)
        network = _call(source)
        for images in (2, 1):  # two, or the exporter takes their number for a constant
            made = _export(network, images, int(side), int(multiple), result)
            if int(side) or made.model.graph.inputs[0].shape[0] != images:
                return


def _limit_memory() -> None:
    """Let no more memory be taken than the machine has."""
    try:
        import resource  # noqa: PLC0415 - not on Windows

        most = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
        resource.setrlimit(resource.RLIMIT_DATA, (most, most))
    except (ImportError, OSError, ValueError):
        return


def _call(source: str) -> nn.Module:
    place, _, name = source.partition(":")
    found = getattr(importlib.import_module(place), name)()
    if not isinstance(found, nn.Module):
        raise TypeError(f"{source} returned a {type(found).__name__}, expected a torch.nn.Module")
    return found.cpu().float().eval()


def _export(network: nn.Module, images: int, side: int, multiple: int, result: str) -> Any:
    height = side or multiple * -(-_EXAMPLE // multiple)
    width = side or height + multiple
    auto = torch.export.Dim.AUTO
    axes = {2: auto, 3: auto} if images == 1 else {0: auto, 2: auto, 3: auto}
    Path(result).unlink(missing_ok=True)
    return torch.onnx.export(
        network,
        (torch.rand(1 if side else images, 3, height, width),),
        result,
        dynamo=True,
        opset_version=_OPSET,
        dynamic_shapes=None if side else (axes,),
        input_names=["image"],
        output_names=["upscaled"],
    )


def describe_cause(error: BaseException) -> str:
    """Return in one line what an error goes back to."""
    while error.__cause__ is not None:
        error = error.__cause__
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[0] if lines else 'no reason given'}"


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except Exception as error:  # whatever foreign code raises becomes one line
        sys.exit(describe_cause(error))
