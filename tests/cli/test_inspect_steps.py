"""The paper's parameters and multiply-accumulates, step by step, and proof that steps are free."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import AutoencoderKL, SD3Transformer2DModel

from tests.support.bundles import make_bundle
from tinysr.benchmarks.report.paper import paper_rows
from tinysr.cli.inspect_steps import steps_report
from tinysr.models import PRESETS
from tinysr.models.accounting import Cost, count_cost
from tinysr.models.families.tinysr.accounting import count_eager_costs, meta_model
from tinysr.models.layers.sd3_text import TEXT_CHANNELS, TEXT_TOKENS, count_text_stream

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def report() -> dict[str, Any]:
    return steps_report("tinysr")


def millions(cost: dict[str, int]) -> float:
    return cost["parameters"] / 1e6


def giga(cost: dict[str, int]) -> float:
    return cost["macs"] / 1e9


def test_parameters_fall_as_the_paper_says(report: dict[str, Any]) -> None:
    model = report["model"]
    assert [round(millions(model[step])) for step in ("text", "eager", "unconditioned")] == [
        1010,
        524,
        516,
    ]
    # Table 1 cuts off where the others round: 341.5 M.
    published = next(row for row in paper_rows() if row.method == "TinySR")
    assert int(millions(model["folded"])) == int(millions(model["baked"])) == published.parameters_m


def test_multiply_accumulates_fall_as_the_paper_says(report: dict[str, Any]) -> None:
    model = report["model"]
    published = next(row for row in paper_rows() if row.method == "TinySR")
    assert round(giga(model["text"])) == 535
    for step in ("eager", "unconditioned", "baked", "folded"):
        assert round(giga(model[step])) == published.macs_g
    assert giga(model["text"]) - giga(model["eager"]) == pytest.approx(108, abs=0.5)


def test_autoencoders_cost_what_the_paper_s_table_3_says(report: dict[str, Any]) -> None:
    kinds = report["autoencoder"]
    assert giga(kinds["standard"]) == pytest.approx(131.91, abs=0.03)
    assert giga(kinds["separable_encoder"]) == pytest.approx(78.48, abs=0.03)
    assert giga(kinds["separable"]) < giga(kinds["separable_encoder"])


def test_the_text_stream_is_that_of_diffusers() -> None:
    """Ours is counted from its own modules, the whole of theirs from their class."""
    config = PRESETS["tinysr"].transformer
    with torch.device("meta"):
        theirs = SD3Transformer2DModel(
            sample_size=128, patch_size=2, in_channels=16, num_layers=config.depth,
            attention_head_dim=64, num_attention_heads=config.heads,
            joint_attention_dim=TEXT_CHANNELS, caption_projection_dim=config.dim,
            pooled_projection_dim=config.pooled_size, out_channels=16, pos_embed_max_size=192,
        ).eval()  # fmt: skip
        whole = count_cost(
            theirs,
            lambda: theirs(
                hidden_states=torch.empty(1, 16, 64, 64),
                encoder_hidden_states=torch.empty(1, TEXT_TOKENS, TEXT_CHANNELS),
                pooled_projections=torch.empty(1, config.pooled_size),
                timestep=torch.empty(1),
            ),
        )
    assert whole == transformer_cost(12) + count_text_stream(config, 1024)


def transformer_cost(depth: int) -> Cost:
    config = PRESETS["tinysr"]
    deep = replace(config, transformer=replace(config.transformer, depth=depth))
    costs = count_eager_costs(meta_model(deep), 128)
    return costs["transformer"] + costs["modulation"] + costs["conditioning"]


def test_the_teacher_costs_what_the_paper_s_table_1_says() -> None:
    published = next(row for row in paper_rows() if row.method == "TSD-SR")
    with torch.device("meta"):
        vae = AutoencoderKL(
            down_block_types=("DownEncoderBlock2D",) * 4,
            up_block_types=("UpDecoderBlock2D",) * 4,
            block_out_channels=(128, 256, 512, 512), layers_per_block=2, latent_channels=16,
            use_quant_conv=False, use_post_quant_conv=False,
        ).eval()  # fmt: skip
        autoencoder = count_cost(vae.encoder, vae.encoder, torch.empty(1, 3, 512, 512))
        autoencoder += count_cost(vae.decoder, vae.decoder, torch.empty(1, 16, 64, 64))
    assert autoencoder.macs / 1e9 == pytest.approx(1781.91, abs=0.01)  # table 3
    deep = replace(PRESETS["tinysr"].transformer, depth=24)
    teacher = autoencoder + transformer_cost(24) + count_text_stream(deep, 1024)
    assert round(teacher.parameters / 1e6) == published.parameters_m
    assert teacher.macs / 1e9 == pytest.approx(published.macs_g, rel=0.005)


def test_the_command_prints_the_steps(run: Run) -> None:
    code, out, _ = run("inspect", "tinysr", "--steps")
    assert code == 0
    for figure in ("1009.95", "535.05", "524.46", "341.49", "131.89", "78.46"):
        assert figure in out
    code, out, _ = run("inspect", "tinysr-nano", "--steps", "--json")
    assert code == 0
    model = json.loads(out)["model"]
    falling = [model[step]["parameters"] for step in model]
    assert falling == sorted(falling, reverse=True)


def test_a_bundle_has_no_steps(run: Run, tmp_path: Path) -> None:
    make_bundle(tmp_path / "bundle")
    code, _, error = run("inspect", "bundle", "--steps")
    assert code == 2
    assert "--steps has no effect on a bundle" in error
