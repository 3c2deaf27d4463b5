"""TSD-SR as its authors release it, in one folder with the SD3-medium that it adapts.

::

    transformer/ vae/                             SD3-medium, diffusers' folders
    checkpoint/tsdsr/transformer.safetensors      LoRA of both streams
    checkpoint/tsdsr/vae.safetensors              LoRA of the encoder, the same prefix in its keys
    dataset/default/prompt_embeds.pt              or .safetensors: the prompt's tokens
    dataset/default/pool_embeds.pt                or .safetensors: its pooled embedding

The config's ``shift_factor`` is not read: TSD-SR neither subtracts nor adds it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from tinysr.errors import CheckpointError
from tinysr.models.checkpoints.embeddings import read_pooled, read_prompt
from tinysr.models.checkpoints.keys import fill_model
from tinysr.models.checkpoints.kl_config import read_kl_config
from tinysr.models.checkpoints.lora import find_lora, merge_lora
from tinysr.models.checkpoints.parts import (
    VAE_ROOTS,
    read_autoencoder_class,
    read_transformer,
    transformer_config,
    with_cropped_positions,
)
from tinysr.models.checkpoints.text_stream import in_text_stream
from tinysr.models.checkpoints.values import expect, read_integer
from tinysr.models.checkpoints.weights import read_weights
from tinysr.models.families.tsd_sr.bounds import check_sizes
from tinysr.models.families.tsd_sr.config import KlConfig, TsdSrConfig
from tinysr.models.families.tsd_sr.model import TsdSr
from tinysr.models.layers.sd3 import HEAD_SIZE

__all__ = ["is_released", "read_released"]

_LORA = Path("checkpoint/tsdsr")
_PROMPT = Path("dataset/default")


def is_released(path: Path) -> bool:
    """Tell whether a folder holds an SD3 with its own autoencoder.

    Raises:
        CheckpointError: the autoencoder's config can't be read.
    """
    return (path / "transformer").is_dir() and read_autoencoder_class(path) == "AutoencoderKL"


def read_released(path: Path) -> TsdSr:
    """Return the model of a folder, LoRA merged, in eval mode, fp32, without gradients.

    Raises:
        CheckpointError: a file is missing, damaged or hostile, or does not fit the others.
    """
    # What is small and may be missing comes before gigabytes.
    prompt = read_prompt(*_files(path, "prompt_embeds"))
    pooled = read_pooled(*_files(path, "pool_embeds"))
    factor = KlConfig().scaling_factor
    vae = read_kl_config(path / "vae" / "config.json", quant=False, factor=factor)
    loras = [find_lora(path / _LORA, part, alone=False) for part in ("vae", "transformer")]
    sd3, weights = read_transformer(path / "transformer", text=True)
    _check_prompt(sd3, prompt, path)
    config = TsdSrConfig(
        vae=vae,
        transformer=transformer_config(sd3, weights, path),
        prompt_tokens=prompt.shape[1],
        prompt_channels=prompt.shape[2],
    )
    check_sizes(config, path)
    weights = merge_lora(weights, loras[1], dropped=_accept_none)
    weights = with_cropped_positions(weights, config.transformer.position_grid)
    tensors = merge_lora(read_weights(path / "vae", VAE_ROOTS), loras[0], dropped=_accept_none)
    tensors |= {f"{_stream(name)}.{name}": tensor for name, tensor in weights.items()}
    with torch.device("meta"):
        model = TsdSr(config)
    return fill_model(model, tensors | {"pooled": pooled, "prompt": prompt}, path)


def _files(path: Path, name: str) -> list[Path]:
    return [path / _PROMPT / f"{name}{end}" for end in (".safetensors", ".pt")]


def _accept_none(_name: str) -> bool:
    return False


def _stream(name: str) -> str:
    return "text" if in_text_stream(name) else "transformer"


def _check_prompt(sd3: dict[str, Any], prompt: Tensor, path: Path) -> None:
    config = path / "transformer" / "config.json"
    expect(
        sd3,
        config,
        caption_projection_dim=HEAD_SIZE * read_integer(sd3, "num_attention_heads", config),
    )
    channels = read_integer(sd3, "joint_attention_dim", config)
    if prompt.shape[2] != channels:
        raise CheckpointError(
            f"{path / _PROMPT}: the prompt has {prompt.shape[2]} channels, the transformer "
            f"takes {channels}: expected the embeddings of the same checkpoint"
        )
