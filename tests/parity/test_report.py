"""Reports of a run: the same files every time, which load nothing and show what differs."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest

from tests.support.fake_backend import FakeBackend, gated, make_bundle, off_by
from tinysr.parity import ParityReport, Reference, render_html, run_parity
from tinysr.parity.pictures import Picture, amplification
from tinysr.runtime.bundle import Bundle
from tinysr.suite import SuiteImage


def test_the_report_is_the_same_file_every_time_and_reads_back(
    references: tuple[Reference, ...], tmp_path: Path
) -> None:
    texts = []
    for place in ("a", "b"):
        folder = make_bundle(tmp_path / place)
        report, _ = gated(folder, references, off_by(0.1, "decoder"))
        text = (folder / "reports" / "parity.json").read_text()
        assert ParityReport.model_validate_json(text) == report
        json.loads(text, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))
        page = (folder / "reports" / "parity.html").read_text()
        texts.append((text, page, (folder / "manifest.json").read_text()))
    assert texts[0] == texts[1]


def test_only_the_manifest_and_the_reports_are_written(
    references: tuple[Reference, ...], tmp_path: Path
) -> None:
    folder = make_bundle(tmp_path / "b")
    (folder / "mine.txt").write_text("mine")
    gated(folder, references)
    files = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    assert files == {
        "graph",
        "manifest.json",
        "mine.txt",
        "reports/parity.html",
        "reports/parity.json",
    }


def test_the_page_escapes_names_and_loads_nothing(
    references: tuple[Reference, ...], tmp_path: Path
) -> None:
    hostile = '<script>alert("1")</script>'
    image = SuiteImage(name=f"{hostile}.png", kind="user", pixels=references[0].image.pixels)
    one = references[0]
    shown = (Reference(image=image, fields=one.fields),)
    folder = make_bundle(tmp_path / "b", name=hostile)
    run = run_parity(Bundle(folder), [FakeBackend(shown, off_by(0.1, "upscale"))], shown)
    page = render_html(run)
    assert "<script" not in page
    assert "&lt;script&gt;" in page
    assert not re.search(r"""(src|href)=["'](?!data:image/png;base64,)""", page)
    assert page.count("<img") == 4


def test_differences_are_amplified_until_they_can_be_seen() -> None:
    flat = np.zeros((8, 8, 3), np.float32)

    def shown(difference: float) -> float:
        one = Picture(image="", source=flat, eager=flat, backend=flat, difference=flat + difference)
        return amplification((one,))

    assert shown(0) == 1
    assert shown(0.9) == 1
    assert shown(2e-6) == 1e6
    assert shown(np.nan) == 1
    assert shown(1e-12) == 1e7
