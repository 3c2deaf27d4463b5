"""A target that takes no time, and a place for its bundle."""

from __future__ import annotations

from pathlib import Path

import pytest

from tinysr.export import targets
from tinysr.export.files import describe_file
from tinysr.export.onnx.target import onnx_path
from tinysr.export.options import Finish
from tinysr.export.target import Build, Target
from tinysr.manifest import Artifact, Port


@pytest.fixture
def quick_target(monkeypatch: pytest.MonkeyPatch) -> None:
    """Put one small file where the graphs would be: tracing takes seconds."""

    def build(build: Build) -> Finish:
        path = onnx_path(build.bundle, "encoder", build.precision)
        path.parent.mkdir()
        build.progress("writing")
        path.write_text(f"{build.metadata['checkpoint']} {build.options.tile}")
        bundle = build.bundle
        port = Port(name="x", dtype="float32", shape=(1,))
        return lambda: (
            Artifact(
                target="onnx",
                stage="encoder",
                precision="fp32",
                file=describe_file(bundle, path),
                inputs=(port,),
                outputs=(port,),
            ),
        )

    quick = Target(name="onnx", build=build, packages=targets.TARGETS[0].packages)
    monkeypatch.setattr(targets, "TARGETS", (quick,))


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return tmp_path / "new" / "tiny"
