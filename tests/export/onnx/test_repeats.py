"""An export repeats to the byte, and says nothing of the machine it was made on."""

from __future__ import annotations

import os
import site
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.folders import tree
from tests.support.project import ROOT
from tests.support.said import said
from tests.support.tiny_models import TILE
from tinysr.manifest import Manifest

pytestmark = pytest.mark.usefixtures("one_thread")


def unmeasured(manifest: bytes) -> Manifest:
    """Return a manifest without the differences that its proofs measured."""
    read = Manifest.model_validate_json(manifest)
    return read.model_copy(update={"bake": read.bake.model_copy(update={"difference": 0.0})})


def test_an_export_repeats_to_the_byte_in_another_process(
    checkpoint: Path, bundle: Path, tmp_path: Path
) -> None:
    command = [Path(sys.executable).with_name("tinysr"), "export", checkpoint, "-o", "there/tiny"]
    options = ["--tile", TILE, "--batch", "dynamic", "--no-gate"]
    done = subprocess.run(  # noqa: S603  our own program
        [str(word) for word in (*command, *options)],
        cwd=tmp_path,
        env={**os.environ, "PYTHONHASHSEED": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, said(done.stderr)) == (0, [])
    assert "4 graphs" in done.stdout
    assert "not gated" in done.stdout
    found, expected = tree(tmp_path / "there" / "tiny"), tree(bundle)
    # Its threads decide the order of sums: what was measured differs in its last bits.
    assert unmeasured(found.pop("manifest.json")) == unmeasured(expected.pop("manifest.json"))
    assert found == expected


def test_no_file_knows_the_machine_it_was_made_on(bundle: Path) -> None:
    places = [Path.cwd(), Path.home(), bundle.parent, ROOT, sys.prefix]
    words = [*map(str, places), *site.getsitepackages(), "site-packages", ".py", "stack_trace"]
    for name, content in tree(bundle).items():
        for word in words:
            assert word.encode() not in content, f"{name} holds {word}"
