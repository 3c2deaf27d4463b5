"""Whatever the sources of a LoRA's strength say is understood, or refused with one line."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tinysr.models.checkpoints.lora.metadata import (
    statements_of_kohya,
    statements_of_metadata,
    statements_of_nested,
)
from tinysr.models.checkpoints.lora.options import OptionError
from tinysr.models.checkpoints.lora.peft import statement_of_peft
from tinysr.models.checkpoints.lora.statement import Statement

Read = Callable[[dict[str, Any]], Iterable[Statement]]


def texts(options: Mapping[str, object]) -> dict[str, str]:
    """Return options as metadata has them."""
    return {k: v if isinstance(v, str) else json.dumps(v) for k, v in options.items()}


DIALECTS: dict[str, Read] = {
    "peft": lambda options: [statement_of_peft(options, "config")],
    "diffusers": lambda o: statements_of_nested({"lora_adapter_metadata": json.dumps(o)}),
    "metadata": lambda options: statements_of_metadata(texts(options)),
    "kohya": lambda options: statements_of_kohya(texts(options)),
}
NAMES = ("r", "lora_alpha", "alpha", "use_rslora", "alpha_pattern", "rank_pattern", "peft_type",
         "bias", "use_dora", "ss_network_alpha", "ss_network_dim", "ss_network_args",
         "lora_adapter_metadata", "transformer.r", "transformer.lora_alpha")  # fmt: skip
SIMPLE = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text("ab.^(+*0 \n", max_size=5)
)
VALUES = st.recursive(
    SIMPLE | st.sampled_from(["4", "LORA", "none", "false", "{", "[4]", 10**400, {"a.b": 4}]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(SIMPLE.map(str), inner, max_size=2),
    max_leaves=4,
)


@pytest.mark.parametrize("dialect", DIALECTS)
@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(options=st.dictionaries(st.sampled_from(NAMES), VALUES, max_size=5))
def test_what_is_said_is_a_strength_or_an_error(dialect: str, options: dict[str, Any]) -> None:
    try:
        found = list(DIALECTS[dialect](options))
    except OptionError as error:
        message = str(error)
        if "\n" in message or len(message) > 400:
            pytest.fail(f"not one short line: {message}")
        return
    for scale in (one.scale_of("a.b", 8) for one in found):
        assert scale is None or 0 <= scale < math.inf
