"""peft's options of a LoRA: those that change its result are understood, or refused."""

from __future__ import annotations

from collections.abc import Mapping

from .options import (
    OptionError,
    is_off,
    read_number,
    read_numbers,
    read_truth,
    read_whole_number,
    show_value,
)
from .statement import Statement

__all__ = ["PLAIN_OPTIONS", "check_plain", "statement_of_peft"]

_UNDERSTOOD = frozenset({"r", "lora_alpha", "use_rslora", "alpha_pattern", "rank_pattern"})

# They steer training or say what the tensors show, and change nothing in a merge.
_HARMLESS = frozenset({
    "auto_mapping", "base_model_name_or_path", "ensure_weight_tying", "eva_config",
    "exclude_modules", "inference_mode", "layers_pattern", "layers_to_transform", "lora_dropout",
    "megatron_core", "peft_version", "qalora_group_size", "revision", "runtime_config",
    "target_modules", "task_type",
})  # fmt: skip

_VALUES = {  # texts that an option may have, in lower case
    "peft_type": {"lora", "pefttype.lora"},
    "bias": {"none"},
    # The others change the base's weights, which lie here as they were before.
    "init_lora_weights": {"true", "gaussian", "eva", "orthogonal"},
}

PLAIN_OPTIONS = frozenset({"bias", "fan_in_fan_out", "lora_bias", "peft_type", "use_dora"})
"""Options beside the strength's that a file's own metadata may have."""


def check_plain(options: Mapping[str, object]) -> None:
    """Refuse what is not a plain LoRA.

    Raises:
        OptionError: an option asks for something else, or is not known.
    """
    for name, value in options.items():
        if is_off(value) or name in _UNDERSTOOD or name in _HARMLESS:
            continue
        text = str(value).lower() if isinstance(value, str | bool) else None
        if text not in _VALUES.get(name, ()):
            raise OptionError(
                f"{name[:60]!r} is {show_value(value)}: only plain LoRAs are merged; merge it with "
                "peft and save the base"
            )


def statement_of_peft(options: Mapping[str, object], source: str) -> Statement:
    """Return what a whole config of peft says of a LoRA.

    Raises:
        OptionError: it lacks the alpha, or asks for what is not understood.
    """
    check_plain(options)
    if options.get("lora_alpha") is None:
        raise OptionError("'lora_alpha' is missing: add it (peft's own default is 8)")
    rank = options.get("r")
    return Statement(
        source=source,
        alpha=read_number("lora_alpha", options["lora_alpha"]),
        rank=None if rank is None else read_whole_number("r", rank),
        alphas=read_numbers("alpha_pattern", options.get("alpha_pattern")),
        ranks=read_numbers("rank_pattern", options.get("rank_pattern")),
        rank_stabilised=read_truth("use_rslora", options.get("use_rslora")),
    )
