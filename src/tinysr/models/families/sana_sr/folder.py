"""SANA-SR as a folder of diffusers' parts, and a file of what they leave open.

::

    sana_sr.json                  {"timestep": …, "step": …}: the one step's time, and the factor of
                                  what the transformer gives, which is added to the latents
    prompt.safetensors            one tensor: the prompt's embeddings [1, T, C], no token masked
    transformer/                  SanaTransformer2DModel's config.json and safetensors
    vae/                          AutoencoderDC's config.json and safetensors

Blocks may be fewer or narrower than the configs say, as pruning leaves them: the tensors tell.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from tinysr import paths
from tinysr.errors import CheckpointError
from tinysr.models.checkpoints.files import read_json, read_safetensors
from tinysr.models.checkpoints.values import expect, read_integer, read_integers
from tinysr.models.checkpoints.weights import read_weights
from tinysr.models.families.sana_sr.build import build_config, build_sana_sr
from tinysr.models.families.sana_sr.config import FAMILY
from tinysr.models.families.sana_sr.model import SanaSR

__all__ = ["is_folder", "read_folder"]

_FACTS = "sana_sr.json"
_VIT, _RES = "EfficientViTBlock", "ResBlock"
_TRANSFORMER_ROOTS = (
    *("patch_embed", "time_embed", "caption_projection", "caption_norm"),
    *("transformer_blocks", "scale_shift_table", "proj_out"),
)


def is_folder(path: Path) -> bool:
    """Tell whether a folder is one of these, from names alone."""
    return paths.is_folder(path, CheckpointError) and paths.is_file(path / _FACTS, CheckpointError)


def read_folder(path: Path) -> SanaSR:
    """Return the model of a folder: eval mode, fp32, no gradients.

    Raises:
        CheckpointError: a file is missing, damaged or hostile, or does not fit the others.
    """
    facts = read_json(path / _FACTS)
    if facts.keys() != {"timestep", "step"}:
        raise CheckpointError(
            f"{path / _FACTS}: expected 'timestep' and 'step', found {sorted(facts)!r:.80}"
        )
    vae = read_weights(path / "vae", ("encoder", "decoder"))
    transformer = read_weights(path / "transformer", _TRANSFORMER_ROOTS)
    prompt = _read_prompt(path / "prompt.safetensors")
    halves = read_json(path / "vae" / "config.json")
    data = facts | {
        "family": FAMILY,
        "encoder": _read_half(halves, "encoder", path / "vae" / "config.json"),
        "decoder": _read_half(halves, "decoder", path / "vae" / "config.json"),
        "scaling_factor": halves.get("scaling_factor"),
        "transformer": _read_transformer(path / "transformer" / "config.json", transformer),
        "tokens": prompt.shape[1],
    }
    tensors = {f"transformer.net.{name}": tensor for name, tensor in transformer.items()}
    for name, tensor in vae.items():
        half, _, rest = name.partition(".")
        tensors[f"{half}.net.{rest}"] = tensor
    tensors["transformer.prompt"] = prompt
    return build_sana_sr(build_config(data, path), tensors, path)


def _read_prompt(path: Path) -> Tensor:
    tensors, _ = read_safetensors(path)
    if len(tensors) != 1 or next(iter(tensors.values())).dim() != 3:
        shapes = {name: list(tensor.shape) for name, tensor in tensors.items()}
        raise CheckpointError(
            f"{path}: expected one tensor [1, tokens, channels], found {shapes!r:.120}"
        )
    return next(iter(tensors.values()))


def _read_half(config: Mapping[str, Any], half: str, path: Path) -> dict[str, Any]:
    """Return what a half of the autoencoder is made of."""
    for name, known in (("downsample", "conv"), ("upsample", "interpolate")):
        found = config.get(f"{name}_block_type")  # diffusers' default is the other variant
        if str(found).lower() != known:
            raise CheckpointError(
                f"{path}: {name}_block_type is {found!r:.80}, only '{known}' is supported, which "
                f"Sana's autoencoder has"
            )
    expect(config, path, in_channels=3, decoder_norm_types="rms_norm")
    expect(config, path, decoder_act_fns="silu", decoder_conv_act_fn="relu")
    expect(config, path, encoder_out_shortcut=True, decoder_in_shortcut=True)
    widths = read_integers(config, f"{half}_block_out_channels", path)
    kinds = config.get(f"{half}_block_types")
    kinds = [kinds] * len(widths) if isinstance(kinds, str) else kinds
    scales = config.get(f"{half}_qkv_multiscales")
    if not isinstance(kinds, list) or not isinstance(scales, list) or not scales:
        raise CheckpointError(f"{path}: expected lists of {half}_block_types and _qkv_multiscales")
    attended = kinds.index(_VIT) if _VIT in kinds else len(kinds)
    if kinds != [_RES] * attended + [_VIT] * (len(widths) - attended):
        raise CheckpointError(
            f"{path}: {half}_block_types is {kinds!r:.120}, expected {_RES} on the first levels "
            f"and {_VIT} on the others"
        )
    if any(scale != scales[-1] for scale in scales[attended:]):
        raise CheckpointError(
            f"{path}: {half}_qkv_multiscales differ between levels with attention: expected one"
        )
    return {
        "widths": widths,
        "blocks": read_integers(config, f"{half}_layers_per_block", path),
        "attended": attended,
        "latent_channels": read_integer(config, "latent_channels", path),
        "head_size": read_integer(config, "attention_head_dim", path),
        "kernels": scales[-1],
    }


def _read_transformer(path: Path, tensors: Mapping[str, Tensor]) -> dict[str, Any]:
    """Return what the transformer is made of; its blocks' own widths are told by their tensors."""
    config = read_json(path)
    expect(config, path, guidance_embeds=False, norm_elementwise_affine=False, norm_eps=1e-6)
    expect(config, path, timestep_scale=1.0, attention_bias=False)
    if config.get("qk_norm") is not None or config.get("interpolation_scale") is not None:
        raise CheckpointError(
            f"{path}: norms of queries and keys (qk_norm) and positions (interpolation_scale) are "
            f"not supported: expected null"
        )
    channels = read_integer(config, "in_channels", path)
    expect(config, path, out_channels=channels)
    head_size = read_integer(config, "attention_head_dim", path)
    cross_size = read_integer(config, "cross_attention_head_dim", path)

    def list_rows(layer: str) -> list[int]:
        rows: list[int] = []
        while (name := f"transformer_blocks.{len(rows)}.{layer}.weight") in tensors:
            rows.append(tensors[name].shape[0])
        return rows

    return {
        "channels": channels,
        "patch": read_integer(config, "patch_size", path),
        "dim": read_integer(config, "num_attention_heads", path) * head_size,
        "caption": read_integer(config, "caption_channels", path),
        "head_size": head_size,
        "cross_head_size": cross_size,
        "heads": [rows // head_size for rows in list_rows("attn1.to_q")],
        "cross_heads": [rows // cross_size for rows in list_rows("attn2.to_q")],
        "hidden": [rows // 2 for rows in list_rows("ff.conv_inverted")],
    }
