"""Small random checkpoints, made by diffusers' own classes and saved in the released layout."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from diffusers import AutoencoderKL, AutoencoderTiny, SD3Transformer2DModel
from safetensors.torch import save_file
from torch import Tensor, nn

RANK = 64
LORA_TARGETS = (
    "to_q",
    "to_k",
    "to_v",
    "to_out.0",
    "proj",
    "linear",
    "linear_1",
    "linear_2",
    "net.2",
)


class Separable(nn.Module):
    """What diffusers has no class for: a depthwise, then a pointwise convolution."""

    def __init__(self, conv: nn.Conv2d) -> None:
        super().__init__()
        inputs, outputs = conv.in_channels, conv.out_channels
        self.depthwise = nn.Conv2d(
            inputs,
            inputs,
            3,
            stride=(conv.stride[0], conv.stride[1]),
            padding=1,
            groups=inputs,
            bias=False,
        )
        self.pointwise = nn.Conv2d(inputs, outputs, 1, bias=conv.bias is not None)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.pointwise(self.depthwise(x))
        return y


@dataclass
class Reference:
    """The independent model: diffusers' modules, the LoRA added to their weights."""

    transformer: SD3Transformer2DModel
    vae: AutoencoderTiny
    pooled: Tensor

    def velocity(self, z: Tensor) -> Tensor:
        """Predict at t = 1000 with no text tokens at all."""
        width = self.transformer.config.joint_attention_dim
        velocity: Tensor = self.transformer(
            hidden_states=z,
            encoder_hidden_states=torch.zeros(len(z), 0, width),
            pooled_projections=self.pooled.expand(len(z), -1),
            timestep=torch.full((len(z),), 1000.0),
            return_dict=False,
        )[0]
        return velocity

    def upscale(self, lr: Tensor) -> Tensor:
        factor = self.vae.config.scaling_factor
        hr = F.interpolate(lr, scale_factor=4, mode="bicubic", align_corners=False)
        z = self.vae.encode(hr * 2 - 1).latents * factor
        image: Tensor = self.vae.decode((z - self.velocity(z)) / factor).sample
        return (image + 1) / 2


def make_transformer(layers: int = 3, heads: int = 2, **changes: Any) -> SD3Transformer2DModel:
    options = {
        "sample_size": 128,
        "patch_size": 2,
        "in_channels": 16,
        "num_layers": layers,
        "attention_head_dim": 64,
        "num_attention_heads": heads,
        "joint_attention_dim": 32,
        "caption_projection_dim": heads * 64,
        "pooled_projection_dim": 48,
        "out_channels": 16,
        "pos_embed_max_size": 192,
    }
    model = SD3Transformer2DModel(**options | changes).eval().requires_grad_(False)
    return randomise(model)


def make_vae(*, encoder: str = "standard", decoder: str = "standard") -> AutoencoderTiny:
    vae = AutoencoderTiny(
        encoder_block_out_channels=(8,) * 4,
        decoder_block_out_channels=(8,) * 4,
        latent_channels=16,
        scaling_factor=0.7,
    )
    for half, kind in ((vae.encoder, encoder), (vae.decoder, decoder)):
        if kind == "separable":
            make_separable(half)
    return randomise(vae.eval().requires_grad_(False))


def make_separable(module: nn.Module) -> None:
    for name, child in list(module.named_children()):
        if isinstance(child, nn.Conv2d):
            setattr(module, name, Separable(child))
        else:
            make_separable(child)


def randomise(module: nn.Module) -> Any:
    """Fill every parameter, the zero-initialised ones too, so that no path is silent."""
    for parameter in module.parameters():
        fan_in = parameter[0].numel() if parameter.dim() > 1 else 16
        parameter.copy_(torch.randn(parameter.shape) / math.sqrt(fan_in))
    return module


def make_lora(transformer: nn.Module, rank: int = RANK) -> dict[str, Tensor]:
    """Return a LoRA for every target module of the image stream, and for the patch embedding."""
    lora: dict[str, Tensor] = {}
    for name, module in transformer.named_modules():
        targeted = name.endswith(tuple(f".{target}" for target in LORA_TARGETS))
        if not targeted or "context" in name:
            continue
        weight = module.weight
        down = (rank, *weight.shape[1:])
        up = (weight.shape[0], rank, *(1,) * (weight.dim() - 2))
        for key, shape in (("lora_A", down), ("lora_B", up)):
            # Their product is about half as large as the weight itself.
            size = weight[0].numel() if key == "lora_A" else 4 * rank
            value = torch.randn(shape) / math.sqrt(size)
            lora[f"transformer.{name}.{key}.weight"] = value
    return lora


def add_lora(transformer: nn.Module, lora: dict[str, Tensor]) -> None:
    """Add the LoRA as one would by hand: the sum over ranks of outer products."""
    for key in [key for key in lora if ".lora_A." in key]:
        name = key.removeprefix("transformer.").removesuffix(".lora_A.weight")
        down, up = lora[key].double(), lora[key.replace("lora_A", "lora_B")].double()
        weight = transformer.get_submodule(name).get_parameter("weight")
        delta = torch.einsum("or,ri->oi", up.flatten(1), down.flatten(1)).reshape(weight.shape)
        weight.copy_(weight.double() + delta)


def save_released(
    root: Path,
    *,
    encoder: str = "standard",
    decoder: str = "standard",
    shards: bool = False,
    positions: int = 192,
    heads: int = 2,
    rank: int = RANK,
) -> Reference:
    """Save a random checkpoint in the released layout and return the model it stands for."""
    transformer = make_transformer(heads=heads, pos_embed_max_size=positions)
    vae = make_vae(encoder=encoder, decoder=decoder)
    base = root / "checkpoint/tinybackbone/prune-3-merge/transformer"
    transformer.save_pretrained(base, max_shard_size="1MB" if shards else "10GB")
    vae.save_pretrained(root / "checkpoint/vae/separable")
    lora = make_lora(transformer, rank)
    (root / "checkpoint/tinysr").mkdir()
    save_file(lora, root / "checkpoint/tinysr/transformer.safetensors")
    pooled = torch.randn(48)
    (root / "dataset/default").mkdir(parents=True)
    torch.save(pooled, root / "dataset/default/pool_embeds.pt")
    add_lora(transformer, lora)
    return Reference(transformer=transformer, vae=vae, pooled=pooled[None])


def edit_json(path: Path, **values: Any) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


@dataclass
class TsdSrReference:
    """TSD-SR by diffusers' modules, both streams, LoRA added to their weights."""

    transformer: SD3Transformer2DModel
    vae: AutoencoderKL
    pooled: Tensor
    prompt: Tensor

    def encode(self, lr: Tensor) -> Tensor:
        hr = F.interpolate(lr, scale_factor=4, mode="bicubic", align_corners=False)
        return self.encode_image(hr)

    def encode_image(self, image: Tensor) -> Tensor:
        latents = self.vae.encode((image * 2 - 1).clamp(-1, 1)).latent_dist.mode()
        scaled: Tensor = latents * self.vae.config.scaling_factor
        return scaled

    def velocity(self, z: Tensor) -> Tensor:
        velocity: Tensor = self.transformer(
            hidden_states=z,
            encoder_hidden_states=self.prompt.expand(len(z), -1, -1),
            pooled_projections=self.pooled.expand(len(z), -1),
            timestep=torch.full((len(z),), 1000.0),
            return_dict=False,
        )[0]
        return velocity

    def decode(self, z: Tensor) -> Tensor:
        image: Tensor = self.vae.decode(z / self.vae.config.scaling_factor).sample
        return (image + 1) / 2

    def upscale(self, lr: Tensor) -> Tensor:
        z = self.encode(lr)
        return self.decode(z - self.velocity(z))


def make_kl(widths: tuple[int, ...] = (8, 8, 16, 16)) -> AutoencoderKL:
    vae = AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        block_out_channels=widths,
        layers_per_block=1,
        latent_channels=16,
        norm_num_groups=4,
        scaling_factor=1.5305,
        shift_factor=0.0609,
        use_quant_conv=False,
        use_post_quant_conv=False,
    )
    return randomise(vae.eval().requires_grad_(False))


def _low_rank(module: nn.Module, chosen: Callable[[str], bool], rank: int) -> dict[str, Tensor]:
    """Return a LoRA of the modules that are chosen by name, under TSD-SR's one prefix."""
    lora: dict[str, Tensor] = {}
    for name, part in module.named_modules():
        if isinstance(part, nn.Linear | nn.Conv2d) and chosen(name):
            weight = part.weight
            down = torch.randn(rank, *weight.shape[1:]) / math.sqrt(weight[0].numel())
            up = torch.randn(weight.shape[0], rank, *(1,) * (weight.dim() - 2))
            lora[f"transformer.{name}.lora_A.weight"] = down
            lora[f"transformer.{name}.lora_B.weight"] = up / math.sqrt(4 * rank)
    return lora


TSDSR_TARGETS = (
    "to_q",
    "to_k",
    "to_v",
    "to_out.0",
    "add_q_proj",
    "add_k_proj",
    "add_v_proj",
    "proj",
    "linear",
    "proj_out",
)


def save_tsd_sr(
    root: Path, *, layers: int = 4, heads: int = 1, tokens: int = 5, rank: int = 2
) -> TsdSrReference:
    """Save a random TSD-SR as it is released, beside its SD3; return what it stands for."""
    transformer = make_transformer(layers, heads, pos_embed_max_size=64)
    vae = make_kl()
    transformer.save_pretrained(root / "transformer")
    vae.save_pretrained(root / "vae")
    ends = tuple(f".{target}" for target in TSDSR_TARGETS)
    both = _low_rank(transformer, lambda name: f".{name}".endswith(ends), rank)
    encoder = _low_rank(vae, lambda name: name.startswith("encoder."), rank)
    (root / "checkpoint/tsdsr").mkdir(parents=True)
    save_file(both, root / "checkpoint/tsdsr/transformer.safetensors")
    save_file(encoder, root / "checkpoint/tsdsr/vae.safetensors")
    prompt, pooled = torch.randn(tokens, 32), torch.randn(1, 48)
    (root / "dataset/default").mkdir(parents=True)
    torch.save(prompt, root / "dataset/default/prompt_embeds.pt")
    torch.save(pooled, root / "dataset/default/pool_embeds.pt")
    add_lora(transformer, both)
    add_lora(vae, encoder)
    return TsdSrReference(transformer=transformer, vae=vae, pooled=pooled, prompt=prompt[None])
