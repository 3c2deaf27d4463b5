"""Configs small enough to train in a second."""

from __future__ import annotations

from typing import Any

from tinysr.training import RunConfig

SHAPE = {
    "width": 32,
    "depth": 2,
    "heads": 1,
    "pooled_size": 8,
    "separable_encoder": False,
    "encoder_blocks": [1, 1, 1, 1],
    "decoder_blocks": [1, 1, 1, 1],
}


def small_config(**changes: Any) -> RunConfig:
    """Return a teacher's config; keys such as ``optim__steps`` change one value."""
    data: dict[str, Any] = {
        "stage": "teacher",
        "optim": {"steps": 6, "learning_rate": 1e-4, "final_rate": 1e-6, "warmup": 1},
        "phases": [{"patch": 32, "batch": 2}],
        "data": {"image_side": 64, "pool": 2, "refresh": 2},
        "options": {"model": SHAPE},
    }
    for key, value in changes.items():
        *tables, name = key.split("__")
        table = data
        for part in tables:
            table = table[part]
        table[name] = value
    return RunConfig.model_validate(data)
