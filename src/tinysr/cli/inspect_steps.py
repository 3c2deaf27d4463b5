"""Table of `tinysr inspect MODEL --steps`: what each step of the recipe takes off a model."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

from tinysr.errors import UnsupportedError
from tinysr.terminal import Output, style_text

from .inspect_model import MACS, cost_table, model_report

if TYPE_CHECKING:
    from tinysr.models import ModelConfig

__all__ = ["print_steps", "steps_report"]

STEPS = {
    "text": "with the text stream and its prompt of {tokens} tokens, as in the teacher",
    "eager": "without the text stream: as trained",
    "unconditioned": "without the time and pooled-text modules",
    "baked": "modulation cached as constants",
    "folded": "constants folded into the linears: what is exported",
}
"""Stages of a model after each step, by the step's name (paper section 3.2 and table 4)."""

AUTOENCODERS = {
    "standard": "width {width}, no attention, standard convolutions",
    "separable_encoder": "encoder separable, decoder standard",
    "separable": "both separable",
}
"""Kinds of autoencoder, by what is done to it (paper table 3)."""


def steps_report(target: str) -> dict[str, Any]:
    """Return the costs of a preset or checkpoint after each step, JSON-ready.

    Raises:
        CheckpointError: the checkpoint can't be used.
        UnsupportedError: there is no such preset or path.
        MissingBackendError: torch or onnx is not installed.
    """
    report = model_report(target)
    if report["config"]["family"] != "tinysr":
        raise UnsupportedError(
            f"--steps shows the steps of TinySR's recipe, and {report['name']} is of the family "
            f"{report['config']['family']}: leave it out"
        )
    from tinysr.models import SCALE, ModelConfig
    from tinysr.models.accounting import Cost
    from tinysr.models.layers.sd3_text import TEXT_TOKENS, count_text_stream

    config = ModelConfig.from_dict(report["config"])
    side = report["image_side"]
    tokens = (side * SCALE // config.vae.downscale // config.transformer.patch) ** 2
    with_text = Cost(**report["totals"]["eager"]) + count_text_stream(config.transformer, tokens)
    totals = {"text": asdict(with_text), **report["totals"]}
    words = {step: text.format(tokens=TEXT_TOKENS) for step, text in STEPS.items()}
    return {
        "kind": "steps",
        "name": report["name"],
        "image_side": side,
        "model": {step: {"says": text, **totals[step]} for step, text in words.items()},
        "autoencoder": _autoencoders(config, side),
    }


def _autoencoders(config: ModelConfig, side: int) -> dict[str, Any]:
    """Count encoder and decoder together, with each kind of convolution."""
    from tinysr.models.families.tinysr.accounting import count_eager_costs, meta_model

    kinds = dict(zip(AUTOENCODERS, ((False, False), (True, False), (True, True)), strict=True))
    found = {}
    for kind, (encoder, decoder) in kinds.items():
        vae = replace(config.vae, separable_encoder=encoder, separable_decoder=decoder)
        costs = count_eager_costs(meta_model(replace(config, vae=vae)), side)
        says = AUTOENCODERS[kind].format(width=config.vae.width)
        found[kind] = {"says": says, **asdict(costs["encoder"] + costs["decoder"])}
    return found


def print_steps(report: dict[str, Any]) -> None:
    """Print the report for people."""
    from tinysr.models import SCALE

    side, output = report["image_side"], Output()
    titles = {
        "model": f"{report['name']}, {side}×{side} → {SCALE * side}×{SCALE * side}",
        "autoencoder": "Its autoencoder",
    }
    for part, title in titles.items():
        table = cost_table(title, "form", wraps=True)
        for cost in report[part].values():
            giga = (f"{cost[key] / 1e9:.2f}" for key in ("macs", "attention_macs"))
            table.add(cost["says"], f"{cost['parameters'] / 1e6:.2f}", *giga)
        output.table(table)
        output.line()
    output.line(style_text(MACS, "dim"))
