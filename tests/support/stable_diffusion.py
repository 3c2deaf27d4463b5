"""Small PiSA-SR and OSEDiff by diffusers' own classes, saved as their authors release them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import AutoencoderKL, DDPMScheduler, UNet2DConditionModel
from PIL import Image
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from tests.support.adcsr import make_unet
from tests.support.checkpoint_factory import randomise

RANK = 4
ALPHA = 8.0
"""Default of peft's LoraConfig, which neither of the authors' files states."""

TOKENS, TEXT = 7, 24

ADAPTERS = {
    "osediff": ("default_encoder",),
    "pisa-sr": ("default_encoder_pix", "default_encoder_sem"),
}
FILES = {"osediff": "osediff.pkl", "pisa-sr": "pisa_sr.pkl"}

UNET_TARGETS = ("conv_in", "to_q", "to_k", "to_v", "to_out.0", "proj_in", "conv1", "linear_1")
VAE_TARGETS = ("encoder.conv_in", "to_q", "quant_conv")

SCHEDULE = {
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "clip_sample": False,
}
"""The scheduler's config that comes with Stable Diffusion 2.1."""


@dataclass
class Reference:
    """The independent model: diffusers' modules, all adapters added to their weights."""

    family: str
    unet: UNet2DConditionModel
    vae: AutoencoderKL
    prompt: Tensor

    def upscale(self, image: Tensor) -> Tensor:
        """Map ``[1, 3, H, W]`` in [0, 1] to the result, by the authors' steps."""
        x = enlarge_rgb(image) * 2 - 1
        factor = self.vae.config.scaling_factor
        z = self.vae.encode(x).latent_dist.mode() * factor
        time = torch.tensor([1 if self.family == "pisa-sr" else 999])
        predicted = self.unet(z, time, self.prompt).sample
        if self.family == "pisa-sr":
            restored = z - predicted
        else:
            scheduler = DDPMScheduler(**SCHEDULE)
            scheduler.set_timesteps(timesteps=[999])
            restored = scheduler.step(predicted, time[0], z).prev_sample
        result: Tensor = self.vae.decode(restored / factor).sample / 2 + 0.5
        return result


def enlarge_rgb(image: Tensor) -> Tensor:
    """Return an image four times as large, by Pillow and all channels at once."""
    pixels = (image[0].permute(1, 2, 0) * 255).round().byte().numpy()
    larger = Image.fromarray(pixels).resize((4 * pixels.shape[1], 4 * pixels.shape[0]))
    return torch.from_numpy(np.array(larger)).permute(2, 0, 1)[None].float() / 255


def make_vae() -> AutoencoderKL:
    """Return a small autoencoder of Stable Diffusion 2.1's kind, all weights random."""
    vae = AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        block_out_channels=(8, 16, 16, 16),
        layers_per_block=1,
        norm_num_groups=4,
    )
    return randomise(vae.eval().requires_grad_(False))


def save_released(root: Path, family: str) -> Reference:
    """Save a random model as it is released, and return it."""
    unet, vae = make_unet(layers_per_block=1), make_vae()
    for part, module in (("unet", unet), ("vae", vae)):
        module.save_pretrained(root / part)
    with_old_names(root / "vae")
    prompt = torch.randn(1, TOKENS, TEXT)
    save_file({"prompt_embeds": prompt}, root / "prompt_embeds.safetensors")
    names = ADAPTERS[family]
    states = {"state_dict_unet": add_adapters(unet, UNET_TARGETS, names)}
    unet.conv_in.bias += 0.1  # trained as a whole, beside its adapter
    if family == "osediff":
        states["state_dict_unet"] |= {
            f"conv_in.base_layer.{name}": tensor
            for name, tensor in take_base(unet.conv_in, states["state_dict_unet"], names).items()
        }
        states["state_dict_vae"] = add_adapters(vae, VAE_TARGETS, names)
    else:
        unet.conv_in.bias -= 0.1
    ranks = {"rank_unet": RANK, "rank_vae": RANK, "unet_lora_encoder_modules": ["conv_in"]}
    torch.save(ranks | states, root / FILES[family])
    return Reference(family=family, unet=unet, vae=vae, prompt=prompt)


def add_adapters(
    model: nn.Module, targets: tuple[str, ...], names: tuple[str, ...]
) -> dict[str, Tensor]:
    """Add random adapters to the weights of a model's layers, and return their tensors."""
    state: dict[str, Tensor] = {}
    for path, layer in list_targets(model, targets):
        for adapter in names:
            down = torch.randn(RANK, *layer.weight.shape[1:]) / 8
            up = torch.randn(len(layer.weight), RANK, *[1] * (layer.weight.dim() - 2)) / 8
            layer.weight += (up.flatten(1) @ down.flatten(1)).view_as(layer.weight) * ALPHA / RANK
            state[f"{path}.lora_A.{adapter}.weight"] = down
            state[f"{path}.lora_B.{adapter}.weight"] = up
    return state


def list_targets(model: nn.Module, targets: tuple[str, ...]) -> Iterator[tuple[str, Any]]:
    """Yield the layers whose names end like one of the targets."""
    for path, layer in model.named_modules():
        if isinstance(layer, nn.Conv2d | nn.Linear) and f".{path}".endswith(
            tuple(f".{target}" for target in targets)
        ):
            yield path, layer


def take_base(
    layer: nn.Conv2d, state: dict[str, Tensor], names: tuple[str, ...]
) -> dict[str, Tensor]:
    """Return a layer's tensors without what its adapters add."""
    weight = layer.weight.clone()
    for adapter in names:
        down, up = (state[f"conv_in.lora_{half}.{adapter}.weight"] for half in "AB")
        weight -= (up.flatten(1) @ down.flatten(1)).view_as(weight) * ALPHA / RANK
    assert layer.bias is not None
    return {"weight": weight, "bias": layer.bias.clone()}


def with_old_names(folder: Path) -> None:
    """Give the attention of a saved autoencoder the names that Stable Diffusion's files have."""
    (path,) = folder.glob("*.safetensors")
    old = {"to_q": "query", "to_k": "key", "to_v": "value", "to_out.0": "proj_attn"}
    tensors = {}
    for name, tensor in load_file(path).items():
        found = name
        for new, before in old.items():
            found = found.replace(f".attentions.0.{new}.", f".attentions.0.{before}.")
        tensors[found] = tensor.clone()
    save_file(tensors, path)
