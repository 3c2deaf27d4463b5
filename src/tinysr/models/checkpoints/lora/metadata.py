"""Strength of a LoRA as the metadata of its file states it.

Three dialects: a config of peft as one text in JSON, which diffusers writes; texts of their own,
under peft's names with a namespace or without; and kohya's, which begin with ``ss_``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from .options import (
    OptionError,
    is_off,
    is_stated,
    read_number,
    read_numbers,
    read_object,
    read_truth,
    read_whole_number,
)
from .peft import PLAIN_OPTIONS, check_plain, statement_of_peft
from .statement import Statement

__all__ = ["statements_of_kohya", "statements_of_metadata", "statements_of_nested"]

_NESTED = "lora_adapter_metadata"
_ALPHAS = ("lora_alpha", "network_alpha", "alpha")
_RANKS = ("r", "rank", "lora_rank", "network_dim")
_PATTERNS = ("alpha_pattern", "rank_pattern")
_OTHER_STRENGTHS = frozenset({
    "lora_scale", "lora_scaling", "lora_weight", "multiplier", "scale", "scaling", "strength",
})  # fmt: skip

_MODEL = frozenset({"", "transformer", "unet", "vae"})  # namespaces that mean the model's part
_TEXT = "text_encoder"  # namespaces of parts that a LoRA for us has no tensors of
_FOREIGN = ("ss_", "sshs_", "modelspec.")  # kohya's own, which describe the training


def statements_of_nested(metadata: Mapping[str, str]) -> Iterator[Statement]:
    """Yield what diffusers' text in JSON says.

    Raises:
        OptionError: it is not understood.
    """
    if is_off(metadata.get(_NESTED)):
        return
    options = read_object(_NESTED, metadata[_NESTED])
    for namespace, group in _group_by_namespace(options).items():
        within = f" ({namespace})" if namespace else ""
        yield statement_of_peft(group, f"its metadata's '{_NESTED}'{within}")


def statements_of_metadata(metadata: Mapping[str, str]) -> Iterator[Statement]:
    """Yield what texts under names of their own say.

    Raises:
        OptionError: one is not understood, or seems to be a strength under an unknown name.
    """
    for namespace, group in _group_by_namespace(metadata).items():
        before = f"{namespace}." if namespace else ""
        if is_stated(group.get("peft_type")):  # a whole config of peft, an option each
            yield statement_of_peft(group, f"its metadata's '{before}lora_alpha'")
            continue
        check_plain({name: value for name, value in group.items() if name in PLAIN_OPTIONS})
        alphas = read_numbers("alpha_pattern", group.get("alpha_pattern"))
        ranks = read_numbers("rank_pattern", group.get("rank_pattern"))
        stabilised = read_truth("use_rslora", group.get("use_rslora"))
        stated = [name for name in _ALPHAS if is_stated(group.get(name))]
        if not stated and (alphas or stabilised):
            raise OptionError("'lora_alpha' is missing beside 'use_rslora' or 'alpha_pattern'")
        for name in stated:
            yield Statement(
                source=f"its metadata's '{before}{name}'",
                alpha=read_number(name, group[name]),
                alphas=alphas,
                rank_stabilised=stabilised,
            )
        if ranks:
            yield Statement(source=f"its metadata's '{before}rank_pattern'", ranks=ranks)
        for name in (name for name in _RANKS if is_stated(group.get(name))):
            rank = read_whole_number(name, group[name])
            yield Statement(source=f"its metadata's '{before}{name}'", rank=rank, ranks=ranks)


def statements_of_kohya(metadata: Mapping[str, str]) -> Iterator[Statement]:
    """Yield what the scripts of kohya say.

    Where modules have their own ranks or strengths, only the file's tensors say which.

    Raises:
        OptionError: it is not understood.
    """
    alpha, rank, arguments = (metadata.get(f"ss_network_{n}") for n in ("alpha", "dim", "args"))
    varies = {str(alpha).lower(), str(rank).lower()} & {"dynamic"}
    if not is_off(arguments):
        names = read_object("ss_network_args", arguments)
        varies |= {name for name, value in names.items() if _is_of_modules(name, value)}
    if varies:
        yield Statement(source="its metadata's 'ss_network_…'", open=True)
        return
    if is_stated(alpha):
        stated = read_number("ss_network_alpha", alpha)
        yield Statement(source="its metadata's 'ss_network_alpha'", alpha=stated)
    if is_stated(rank):
        stated_rank = read_whole_number("ss_network_dim", rank)
        yield Statement(source="its metadata's 'ss_network_dim'", rank=stated_rank)


def _is_of_modules(name: str, value: object) -> bool:
    """Tell an argument of kohya's networks that gives some modules another strength."""
    numbers = "alpha" in name or "dim" in name
    return is_stated(value) if numbers else name == "rs_lora" and not is_off(value)


def _group_by_namespace(options: Mapping[str, object]) -> dict[str, dict[str, object]]:
    """Return options by the namespaces before their names, such as ``transformer``.

    Raises:
        OptionError: a strength has an unknown name, or is of an unknown part.
    """
    groups: dict[str, dict[str, object]] = {}
    for option, value in options.items():
        namespace, _, name = option.rpartition(".")
        if namespace.startswith(_TEXT) or option.startswith(_FOREIGN):
            continue
        if namespace in _MODEL:
            groups.setdefault(namespace, {})[name] = value
        known = namespace in _MODEL and name in (*_ALPHAS, *_PATTERNS)
        if not known and is_stated(value) and _is_strength(name):
            raise OptionError(
                f"{option[:60]!r} seems to be a strength: expected {', '.join(_ALPHAS)}"
            )
    return groups


def _is_strength(name: str) -> bool:
    return "alpha" in name.lower() or name.lower() in _OTHER_STRENGTHS
