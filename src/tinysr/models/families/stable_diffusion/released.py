"""PiSA-SR and OSEDiff as their authors release them, beside the Stable Diffusion 2.1 they adapt.

::

    unet/ vae/                                   Stable Diffusion 2.1 base, diffusers' folders
    pisa_sr.pkl or osediff.pkl                   the adapters, also in 'preset/models'
    prompt_embeds.safetensors or .pt             the one prompt's tokens, [1, 77, 1024]

The authors run a text encoder for each image, PiSA-SR on an empty text, OSEDiff on the words that
a tagging network finds. Here the prompt is one for all images: its embeddings are made once.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from tinysr import paths
from tinysr.errors import CheckpointError
from tinysr.hashing import file_sha256
from tinysr.models.checkpoints.damage import describe_absence
from tinysr.models.checkpoints.embeddings import read_prompt
from tinysr.models.checkpoints.files import read_json
from tinysr.models.checkpoints.kl_config import read_kl_config
from tinysr.models.checkpoints.parts import VAE_ROOTS
from tinysr.models.checkpoints.values import expect, read_integer, read_integers
from tinysr.models.checkpoints.weights import read_weights
from tinysr.models.families.stable_diffusion.adapters import find_family, read_adapters
from tinysr.models.families.stable_diffusion.build import build_config, build_model
from tinysr.models.families.stable_diffusion.config import OSEDIFF, PISA_SR, PRESETS
from tinysr.models.family import ReadModel

__all__ = ["ADAPTERS", "is_released", "read_released"]

ADAPTERS: Mapping[str, str] = {PISA_SR: "pisa_sr.pkl", OSEDIFF: "osediff.pkl"}
"""Names of the files with the adapters, by family."""

_PLACES = (Path(), Path("preset/models"))

_PROMPTS = ("prompt_embeds.safetensors", "prompt_embeds.pt")

_UNET_ROOTS = (
    "conv_in", "conv_norm_out", "conv_out", "down_blocks", "mid_block", "time_embedding",
    "up_blocks",
)  # fmt: skip

_OLD_ATTENTION = {"query": "to_q", "key": "to_k", "value": "to_v", "proj_attn": "to_out.0"}
"""Names of the autoencoder's attention before diffusers 0.15, and those that they have now."""


def is_released(path: Path, family: str) -> bool:
    """Tell whether a folder holds a family's adapters, by their names and the keys in the file.

    A damaged file of the name counts: whoever reads it says what is wrong.
    """
    found = _find_adapters(path, family)
    if found is None:
        return False
    try:
        return find_family(found) is not None
    except CheckpointError:
        return True


def read_released(path: Path, family: str) -> ReadModel:
    """Return the model of a folder, adapters merged: eval mode, fp32, no gradients.

    Raises:
        CheckpointError: a file is missing, damaged or hostile, or does not fit the others.
    """
    file = _find_adapters(path, family)
    if file is None:
        expected = path / ADAPTERS[family]
        raise CheckpointError(f"{expected}: the adapters are missing: {describe_absence(expected)}")
    # What is small and may be missing comes before gigabytes.
    adapters = read_adapters(file, family)
    prompt = read_prompt(*(path / name for name in _PROMPTS))
    config = build_config(
        PRESETS[family].to_dict()
        | _read_unet_config(path / "unet" / "config.json")
        | _read_vae_config(path / "vae" / "config.json")
        | {"tokens": prompt.shape[1]},
        path,
    )
    if prompt.shape[2] != config.text:
        raise CheckpointError(
            f"{path}: the prompt has {prompt.shape[2]} channels, the UNet reads {config.text}: "
            "expected embeddings by the text encoder of the same checkpoint"
        )
    unet = adapters.merge(read_weights(path / "unet", _UNET_ROOTS), "unet")
    vae = adapters.merge(_rename_attention(read_weights(path / "vae", VAE_ROOTS)), "vae")
    tensors = {f"unet.net.{name}": tensor for name, tensor in unet.items()}
    tensors |= {_place(name): tensor for name, tensor in vae.items()}
    model = build_model(config, tensors | {"unet.prompt": prompt}, path)
    return ReadModel(model=model, lora_sha256=file_sha256(file))


def _find_adapters(path: Path, family: str) -> Path | None:
    candidates = [path / place / ADAPTERS[family] for place in _PLACES]
    return next((one for one in candidates if paths.is_file(one, CheckpointError)), None)


def _place(name: str) -> str:
    """Return our name of one of the autoencoder's tensors."""
    if name.startswith("quant_conv."):
        return f"encoder.{name}"
    return f"decoder.{name}" if name.startswith("post_quant_conv.") else name


def _rename_attention(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {_rename(name): tensor for name, tensor in weights.items()}


def _rename(name: str) -> str:
    *parents, layer, kind = name.split(".")
    known = "attentions" in parents and layer in _OLD_ATTENTION
    return ".".join((*parents, _OLD_ATTENTION[layer], kind)) if known else name


def _read_vae_config(path: Path) -> dict[str, Any]:
    vae = read_kl_config(path, quant=True, factor=PRESETS[PISA_SR].scaling_factor)
    return {
        "vae_widths": vae.widths,
        "vae_blocks": vae.blocks,
        "vae_groups": vae.groups,
        "latent_channels": vae.latent_channels,
        "scaling_factor": vae.scaling_factor,
    }


def _read_unet_config(path: Path) -> dict[str, Any]:
    """Return what the config of a UNet says of its sizes, once all else is known to fit."""
    config = read_json(path)
    widths = read_integers(config, "block_out_channels", path)
    last = len(widths) - 1
    expect(config, path, down_block_types=["CrossAttnDownBlock2D"] * last + ["DownBlock2D"])
    expect(config, path, up_block_types=["UpBlock2D"] + ["CrossAttnUpBlock2D"] * last)
    expect(config, path, mid_block_type="UNetMidBlock2DCrossAttn", act_fn="silu", norm_eps=1e-5)
    expect(config, path, use_linear_projection=True, downsample_padding=1, freq_shift=0)
    expect(config, path, flip_sin_to_cos=True, center_input_sample=False, time_embedding_dim=None)
    expect(config, path, time_embedding_type="positional", time_embedding_act_fn=None)
    expect(config, path, timestep_post_act=None, cross_attention_norm=None)
    expect(config, path, resnet_out_scale_factor=1.0, resnet_skip_time_act=False)
    expect(config, path, transformer_layers_per_block=1, only_cross_attention=False)
    expect(
        config, path, dual_cross_attention=False, class_embed_type=None, addition_embed_type=None
    )
    expect(config, path, resnet_time_scale_shift="default", num_class_embeds=None)
    expect(config, path, mid_block_scale_factor=1, conv_in_kernel=3, conv_out_kernel=3)
    expect(config, path, out_channels=config.get("in_channels"), num_attention_heads=None)
    return {
        "widths": widths,
        "head_size": _find_head_size(config, widths, path),
        "blocks": read_integer(config, "layers_per_block", path),
        "groups": read_integer(config, "norm_num_groups", path),
        "text": read_integer(config, "cross_attention_dim", path),
    }


def _find_head_size(config: Mapping[str, Any], widths: tuple[int, ...], path: Path) -> int:
    """Return the channels of a head: the config has the heads' number under the name of these."""
    heads = read_integers(config, "attention_head_dim", path)
    sizes = {
        width // count
        if type(width) is type(count) is int and count > 0 and width % count == 0
        else 0
        for width, count in zip(widths, heads, strict=False)
    }
    if len(heads) != len(widths) or len(sizes) != 1 or 0 in sizes:
        raise CheckpointError(
            f"{path}: attention_head_dim is {heads!r:.80}, expected a number of heads for each "
            f"level, all of one size, for widths of {list(widths)!r:.80}"
        )
    return sizes.pop()
