"""Hooks into a PyTorch model: every module's output, in the order they finish."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Collection
from contextlib import ExitStack
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

__all__ = ["module_outputs", "trace"]

Array = NDArray[np.floating[Any]]
Visit = Callable[[str, Tensor], None]


def trace(root: nn.Module, module: nn.Module, inputs: Array) -> tuple[dict[str, int], str]:
    """Run ``module`` once and note what finishes when.

    Args:
        root: the model whose dotted paths name its modules.
        module: the root itself, or a part of it.
        inputs: without batch, fp32.

    Returns:
        The bytes of each module's output by its path, those inside a module before it, so that
        the first one that is wrong is the innermost; and the innermost module whose output is
        ``module``'s own ("" if there is none).
    """
    sizes: dict[str, int] = {}
    seen: dict[str, weakref.ref[Tensor]] = {}

    def note(name: str, output: Tensor) -> None:
        if name not in sizes:
            sizes[name] = output.numel() * output.element_size()
            seen[name] = weakref.ref(output)

    final = _run(root, module, inputs, note)
    last = next((name for name, output in seen.items() if output() is final), "")
    return sizes, last


def module_outputs(
    root: nn.Module, module: nn.Module, names: Collection[str], inputs: Array
) -> tuple[dict[str, Array], Array]:
    """Return the named modules' outputs, and ``module``'s own, in fp32 with a batch of 1."""
    outputs: dict[str, Array] = {}

    def keep(name: str, output: Tensor) -> None:
        if name in names and name not in outputs:
            # A copy: an operation in place after this would change it.
            outputs[name] = output.float().cpu().numpy().copy()

    final = _run(root, module, inputs, keep)
    return outputs, final.float().cpu().numpy()


def _run(root: nn.Module, module: nn.Module, inputs: Array, visit: Visit) -> Tensor:
    with ExitStack() as stack, torch.inference_mode():
        for name, part in root.named_modules():
            if name:
                stack.callback(part.register_forward_hook(_hook(name, visit)).remove)
        output: Tensor = module(torch.from_numpy(np.ascontiguousarray(inputs, np.float32))[None])
    return output


def _hook(name: str, visit: Visit) -> Callable[[nn.Module, Any, Any], None]:
    def hook(_module: nn.Module, _inputs: Any, output: Any) -> None:
        if isinstance(output, Tensor):
            visit(name, output)

    return hook
