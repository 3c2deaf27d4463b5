"""A bundle with graphs and engines in fp32 and fp16."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.engine_builds import KEPT, QUIET
from tests.support.tiny_models import TILE
from tinysr.export import ExportOptions, export_bundle
from tinysr.export.plans.precision import KeptModule, PrecisionPlan
from tinysr.models import Loaded


@pytest.fixture(scope="module")
def plan(loaded: Loaded) -> PrecisionPlan:
    keep = tuple(KeptModule(module=name) for name in KEPT)
    return PrecisionPlan(model_sha256=loaded.source.sha256, tile=TILE, keep=keep)


@pytest.fixture(scope="module")
def graphs(
    tmp_path_factory: pytest.TempPathFactory, loaded: Loaded, plan: PrecisionPlan, one_thread: None
) -> Path:
    """A bundle with graphs and engines in fp32 and fp16, two modules of which stay in fp32."""
    folder = tmp_path_factory.mktemp("bundles") / "tiny"
    options = ExportOptions(
        targets=QUIET.targets, precision="fp16", plan=plan, tile=TILE, settings=QUIET.settings
    )
    export_bundle(loaded, folder, options)
    return folder
