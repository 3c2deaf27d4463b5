"""Sources of a LoRA's strength: peft's config beside it, its metadata, and its own tensors.

All that is there is read; :mod:`.strength` holds the sources against each other.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from tinysr.errors import CheckpointError
from tinysr.models.checkpoints.files import read_json

from .find import adapter_config
from .metadata import statements_of_kohya, statements_of_metadata, statements_of_nested
from .names import LowRankPair
from .options import OptionError, read_number
from .peft import statement_of_peft
from .statement import Statement

__all__ = ["statements"]

_BFLOAT16 = 2**-8  # relative error of a number in the coarsest type that tensors have


def statements(
    lora: Path, metadata: Mapping[str, str], pairs: Mapping[str, LowRankPair]
) -> list[Statement]:
    """Return what every source says of a LoRA's strength; none if nothing is said anywhere.

    Args:
        lora: the file, beside which peft's config may lie.
        metadata: of the file.
        pairs: the file's tensors by module.

    Raises:
        CheckpointError: a source says what is not understood, or asks for more than a plain LoRA.
    """
    found: list[Statement] = []
    if config := adapter_config(lora):
        with _blame(config):
            found.append(statement_of_peft(read_json(config), config.name))
    with _blame(lora):
        found += statements_of_nested(metadata)
        found += statements_of_metadata(metadata)
        found += statements_of_kohya(metadata)
        found += _statements_of_tensors(pairs)
    return found


@contextmanager
def _blame(path: Path) -> Iterator[None]:
    """Turn what is not understood into an error that names the file."""
    try:
        yield
    except OptionError as error:
        raise CheckpointError(f"{path}: the LoRA's options are not understood: {error}") from error


def _statements_of_tensors(pairs: Mapping[str, LowRankPair]) -> Iterator[Statement]:
    alphas: dict[str, float] = {}
    for module, pair in pairs.items():
        if pair.alpha is None:
            continue
        if pair.alpha.numel() != 1:
            raise OptionError(f"'{pair.key}.alpha' has {pair.alpha.numel()} values, expected one")
        alphas[f"^{module}"] = read_number(f"{pair.key}.alpha", pair.alpha.item())
    if alphas:
        yield Statement(source="its .alpha tensors", alphas=alphas, rounding=_BFLOAT16)
