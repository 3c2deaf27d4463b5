"""Each operation gives what coremltools itself computes for constants, by its NumPy semantics."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest

from tests.support.mil_cases import CASES
from tests.support.mil_operations import (
    Case,
    compute_here,
    name_case,
)
from tinysr.export.apple.coreml.tools import coremltools, silence_coremltools

pytestmark = pytest.mark.usefixtures("one_thread")


def compute_there(kind: str, case: Case) -> tuple[Any, dict[str, Any]]:
    """Return what coremltools infers, and the operation's inputs by name, as it completed them."""
    coremltools()
    from coremltools.converters.mil import Builder as mb  # noqa: N813  its own documents' name
    from coremltools.converters.mil.mil import Function, Var

    with silence_coremltools(), Function({}) as _:
        # Some of coremltools' inferences write into their input.
        found = getattr(mb, kind)(**copy.deepcopy(case))
        found = found if isinstance(found, list | tuple) else [found]
        inputs = {
            name: tuple(v.val for v in value) if isinstance(value, list | tuple) else value.val
            for name, value in found[0].op.inputs.items()
            if isinstance(value, Var | list | tuple)
        }
    return [one.val for one in found], inputs


@pytest.mark.parametrize(("kind", "case"), CASES, ids=name_case)
def test_an_operation_gives_what_coremltools_computes(kind: str, case: Case) -> None:
    expected, inputs = compute_there(kind, case)
    found = compute_here(kind, inputs)
    assert len(found) == len(expected)
    for computed, other in zip(found, expected, strict=True):
        assert other is not None, f"coremltools infers no value of {kind}"
        one = computed.astype(np.asarray(other).dtype)  # the interpreter's last step
        assert one.shape == np.shape(other)
        np.testing.assert_allclose(one, other, rtol=2e-6, atol=2e-6)
