"""The paper's figures, counted from the modules."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import nn

from tinysr.models import PRESETS, UNTRAINED
from tinysr.models.accounting import Cost, count_cost
from tinysr.models.families.tinysr.accounting import count_eager_costs, meta_model


def test_the_paper_size_costs_what_the_paper_says() -> None:
    costs = count_eager_costs(meta_model(PRESETS["tinysr"]), 128)
    giga = {stage: round(cost.macs / 1e9, 2) for stage, cost in costs.items()}
    assert (giga["encoder"], giga["transformer"], giga["decoder"]) == (7.76, 348.09, 70.70)
    assert round(costs["transformer"].attention_macs / 1e9, 1) == 38.7
    parameters = {stage: cost.parameters for stage, cost in costs.items()}
    assert round(sum(parameters.values()) / 1e6, 1) == 524.5
    assert round(parameters["decoder"] / 1e6, 3) == 1.229
    assert parameters["conditioning"] // 10**6 == 8


def test_standard_convolutions_cost_what_the_paper_says() -> None:
    config = PRESETS["tinysr"]
    standard = replace(config, vae=replace(config.vae, separable_encoder=False))
    costs = count_eager_costs(meta_model(standard), 128)
    assert round((costs["encoder"].macs + costs["decoder"].macs) / 1e9, 1) == 131.9


def test_the_small_preset_stays_small() -> None:
    costs = count_eager_costs(meta_model(PRESETS["tinysr-nano"]), 128)
    assert sum(cost.parameters for cost in costs.values()) <= 5_000_000


def test_stages_and_forms_add_up_to_the_model() -> None:
    model = meta_model(PRESETS["tinysr-nano"])
    total = sum(count_eager_costs(model, 64).values(), Cost(parameters=0, macs=0))
    assert total.parameters == sum(p.numel() for p in model.parameters())
    whole = count_cost(model, model, torch.empty(1, 3, 64, 64, device="meta"))
    assert total == whole


@pytest.mark.parametrize(
    ("module", "shape", "macs", "attention"),
    [
        (nn.Linear(8, 4), (2, 3, 8), 2 * 3 * 8 * 4, 0),
        (nn.Conv2d(4, 8, 3, padding=1), (1, 4, 5, 5), 25 * 8 * 4 * 9, 0),
        (nn.Conv2d(4, 4, 3, stride=2, padding=1, groups=4), (1, 4, 6, 6), 9 * 4 * 9, 0),
        (nn.Conv2d(3, 48, 5, groups=3), (1, 3, 12, 12), 0, 0),  # the fixed resize
        (nn.MultiheadAttention(8, 2, bias=False), None, 5 * 8 * 8 * 4, 2 * 5 * 5 * 8),
    ],
)
def test_products_are_counted(
    module: nn.Module, shape: tuple[int, ...] | None, macs: int, attention: int
) -> None:
    module = module.to("meta")
    inputs = [torch.empty(shape or (5, 8), device="meta")] * (1 if shape else 3)
    found = count_cost(module, module, *inputs)
    assert (found.macs, found.attention_macs) == (macs, attention)


def test_presets_without_weights_are_presets() -> None:
    assert set(PRESETS) > UNTRAINED
