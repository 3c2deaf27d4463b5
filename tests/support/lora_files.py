"""A checkpoint's LoRA, changed in one way at a time, and the model that the change stands for."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from tests.support.checkpoint_factory import Reference, add_lora
from tinysr.models import load

__all__ = ["LORA", "RANK", "LoraCase", "Strength", "module_of"]

LORA = Path("checkpoint/tinysr/transformer.safetensors")
RANK = 8
TOLERANCE = 1e-5  # relative to the largest value

Strength = float | Callable[[str], float]
"""What products are multiplied by: of all modules, or of each by its name."""


def module_of(key: str) -> str:
    """Return the module of a key as the factory writes it."""
    return key.removeprefix("transformer.").split(".lora_")[0]


@dataclass(frozen=True)
class LoraCase:
    """A copy of a good checkpoint, and the model that it stands for."""

    root: Path
    reference: Reference

    @property
    def path(self) -> Path:
        return self.root / LORA

    @property
    def tensors(self) -> dict[str, Tensor]:
        return load_file(self.path)

    def save(self, tensors: Mapping[str, Tensor], **metadata: object) -> None:
        """Write the LoRA's file; objects go into the metadata as JSON."""
        texts = {k: v if isinstance(v, str) else json.dumps(v) for k, v in metadata.items()}
        save_file({k: v.clone() for k, v in tensors.items()}, self.path, metadata=texts or None)

    def describe(self, **metadata: object) -> None:
        """Write the metadata of the LoRA's file."""
        self.save(self.tensors, **metadata)

    def rename(self, change: Callable[[str], str]) -> None:
        """Write the LoRA under other keys."""
        self.save({change(key): tensor for key, tensor in self.tensors.items()})

    def state_alphas(self, alpha: Callable[[str], Tensor]) -> None:
        """Write an alpha of each module beside its factors."""
        stems = {key.split(".lora_")[0] for key in self.tensors}
        self.save(self.tensors | {f"{stem}.alpha": alpha(module_of(stem)) for stem in stems})

    def beside(self, **options: object) -> None:
        """Write peft's config beside the LoRA."""
        (self.path.parent / "adapter_config.json").write_text(json.dumps(options))

    def expect(self, strength: Strength = 1.0, *, lora: Mapping[str, Tensor] | None = None) -> None:
        """Hold what is loaded against diffusers' modules with the LoRA at a strength.

        Args:
            strength: of the products.
            lora: those to add where the file has others than the good one.
        """
        transformer = copy.deepcopy(self.reference.transformer)
        good = load_file(self.root / "good.safetensors")
        add_lora(transformer, _scaled(good, -1.0))  # as before the merge
        add_lora(transformer, _scaled(good if lora is None else lora, strength))
        theirs = Reference(transformer, self.reference.vae, self.reference.pooled)
        z = torch.randn(1, 16, 8, 8, generator=torch.Generator().manual_seed(1))
        found, expected = load(self.root).predict(z), theirs.velocity(z)
        assert (found - expected).abs().max() <= TOLERANCE * expected.abs().max()


def _scaled(lora: Mapping[str, Tensor], strength: Strength) -> dict[str, Tensor]:
    def scale(key: str) -> float:
        return strength(module_of(key)) if callable(strength) else strength

    return {k: t.double() * scale(k) if ".lora_B." in k else t for k, t in lora.items()}
