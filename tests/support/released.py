"""Where files lie in the released layout."""

from __future__ import annotations

BASE = "checkpoint/tinybackbone/prune-3-merge/transformer"
WEIGHTS = f"{BASE}/diffusion_pytorch_model.safetensors"
LORA = "checkpoint/tinysr/transformer.safetensors"
VAE = "checkpoint/vae/separable"
POOLED = "dataset/default/pool_embeds.pt"
