"""A pass that fails is named, with its position and those that ran before it."""

from __future__ import annotations

import importlib
from collections.abc import Callable

import pytest

from tests.support.tiny_models import TILE, tiny_model
from tinysr.errors import CheckpointError
from tinysr.export import BakedTinySR

bake_module = importlib.import_module("tinysr.export.families.tinysr.bake")

NAMES = ["freeze_conditioning", *(fold.__name__ for fold in bake_module.PIPELINE)]


def failing(name: str, error: Exception) -> Callable[..., BakedTinySR]:
    """Return a pass of a name that raises an error."""

    def fold(*_: object) -> BakedTinySR:
        raise error

    fold.__name__ = name
    return fold


def put(place: int, error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the pass at a place raise an error."""
    broken = failing(NAMES[place], error)
    if place == 0:
        monkeypatch.setattr(bake_module.passes, NAMES[0], broken)
    else:
        pipeline = list(bake_module.PIPELINE)
        pipeline[place - 1] = broken
        monkeypatch.setattr(bake_module, "PIPELINE", tuple(pipeline))


@pytest.mark.parametrize("place", range(len(NAMES)), ids=NAMES)
def test_a_fault_in_a_pass_names_it_and_those_before(
    place: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(place, ValueError("no such axis"), monkeypatch)
    with pytest.raises(RuntimeError) as caught:
        bake_module.bake_tinysr(tiny_model(), TILE)
    before = f"after {', '.join(NAMES[:place])}" if place else "the first"
    number = f"number {place + 1} of {len(NAMES)}"
    assert str(caught.value) == f"no such axis (in the pass {NAMES[place]}, {number}, {before})"
    assert isinstance(caught.value.__cause__, ValueError)


def test_a_refusal_stays_a_refusal(monkeypatch: pytest.MonkeyPatch) -> None:
    put(2, CheckpointError("weights too large"), monkeypatch)
    with pytest.raises(CheckpointError, match=rf"weights too large \(in the pass {NAMES[2]}, "):
        bake_module.bake_tinysr(tiny_model(), TILE)


def test_too_little_memory_is_no_fault_of_a_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    put(1, MemoryError(), monkeypatch)
    with pytest.raises(MemoryError):
        bake_module.bake_tinysr(tiny_model(), TILE)
