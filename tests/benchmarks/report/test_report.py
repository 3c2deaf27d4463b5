"""The report: every device, measured or not, beside the paper's table."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import Any, Self

import pytest
import torch

from tests.support.bundles import TILE, TwinModel, make_bundle
from tinysr.benchmarks import device
from tinysr.benchmarks.latency.growth import Growth, Point, measure_departure
from tinysr.benchmarks.report import page as report
from tinysr.benchmarks.report.devices import read_measured_runs, read_wanted, result_path
from tinysr.benchmarks.report.paper import paper_rows, parse
from tinysr.benchmarks.report.plots import draw_growth
from tinysr.benchmarks.timing import QUICK
from tinysr.benchmarks.versus import others
from tinysr.benchmarks.versus.side_by_side import BASE, measure
from tinysr.errors import UnsupportedError
from tinysr.runtime import Bundle

PNG = b"\x89PNG"


class Whole(TwinModel):
    """The twin as one module, as PyTorch's exporter takes it."""

    def forward(self, lr: torch.Tensor) -> torch.Tensor:
        z = self.encode(lr)
        return self.decode(z - self.predict(z))

    def to(self, *values: Any, **options: Any) -> Self:
        for name in ("encoder", "transformer", "decoder"):
            setattr(self, name, getattr(self, name).to(*values, **options))
        return self


@pytest.fixture(scope="module")
def twin(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_bundle(tmp_path_factory.mktemp("report") / "twin")


@pytest.fixture(scope="module")
def results(twin: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the one command for a device writes."""
    folder = tmp_path_factory.mktemp("results")
    words = [str(twin), "--device", "My <laptop>", "--rules", "quick", "--results", str(folder)]
    assert device.main([*words, "--no-sides"]) == 0
    return folder


def test_one_command_writes_the_file_to_commit(results: Path) -> None:
    assert [path.name for path in results.iterdir()] == ["bench-my-laptop-twin.json"]
    (run,) = read_measured_runs(results)
    assert run.device.name == "My <laptop>"
    assert run.tools["onnxruntime"]
    assert result_path("A  (b)", "c", results).name == "bench-a-b-c.json"


def test_the_table_says_who_was_not_measured(results: Path) -> None:
    lines = report.device_lines(results)
    (row,) = (line for line in lines if "My <laptop>" in line and line.startswith("|"))
    assert "onnxruntime fp32" in row
    for wanted in read_wanted():
        assert f"| {wanted.name} |{' not measured |' * 7}" in lines
    assert "rules quick; target 26 ms" in " ".join(lines)


def test_the_page_needs_nothing_but_itself_and_escapes_names(results: Path, tmp_path: Path) -> None:
    page = report.write_report(tmp_path, results).read_text()
    assert "My &lt;laptop&gt;" in page
    assert "My <laptop>" not in page
    assert page.count("data:image/png;base64,") == 2
    assert "http" not in page.replace("http-equiv", "")
    for row in paper_rows():
        assert row.method in page
    for name in ("latency.png", "roofline-0.png"):
        assert (tmp_path / name).read_bytes().startswith(PNG)
    assert (tmp_path / "bench.md").read_text().startswith("| device | model |")


def test_a_document_gets_the_table(results: Path, tmp_path: Path) -> None:
    document = tmp_path / "README.md"
    document.write_text("a\n<!-- begin:devices -->\nold\n<!-- end:devices -->\nb\n")
    words = ["-o", str(tmp_path / "out"), "--results", str(results), "--documents", str(tmp_path)]
    assert report.main(words) == 0
    text = document.read_text()
    assert "\n".join(report.device_lines(results)) in text
    assert "old" not in text


def test_without_figures_there_is_no_report(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert report.main(["-o", str(tmp_path / "out"), "--results", str(tmp_path)]) == 2
    assert "make bench-device" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_the_papers_table_is_read_as_it_stands() -> None:
    rows = {row.method: row for row in paper_rows()}
    own = rows["TinySR"]
    assert {device.target_ms for device in read_wanted()} == {own.seconds * 1e3}
    # The paper's own words: 8.1 times SinSR's speed, 6.4 times OSEDiff's.
    assert rows["SinSR"].seconds / own.seconds == pytest.approx(8.1, abs=0.05)
    assert rows["OSEDiff"].seconds / own.seconds == pytest.approx(6.4, abs=0.1)
    text = "x\n| Method | #Steps | Time (s) | MACs (G) | #Param. (M) |\n| Ours | 1 | 2 | 3 | 4 |\ny"
    assert parse(text)[0].method == "TinySR"
    with pytest.raises(UnsupportedError, match="found none"):
        parse("no table")


def test_what_can_not_run_is_said_with_the_reason(twin: Path) -> None:
    found = measure(twin, QUICK, only=["eager fp32"])
    ours, eager = found.sides
    assert ours.name == BASE
    assert ours.speedup is not None
    assert ours.speedup.median == 1
    assert ours.peak_mb is not None
    assert eager.single is None
    assert "twin" in eager.reason  # a checkpoint that is not here
    with pytest.raises(UnsupportedError, match="unknown contenders"):
        measure(twin, QUICK, only=["tensorflow"])


@pytest.mark.parametrize(
    "name", ["onnxruntime fp32", "plain onnx fp32", "eager fp32", "eager bf16"]
)
def test_contenders_make_the_same_image(
    name: str, twin: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = Bundle(twin)
    monkeypatch.setattr(others, "_model", lambda *_: Whole().eval())
    image = torch.rand(1, 3, TILE, TILE, generator=torch.Generator().manual_seed(0)).numpy()
    with ExitStack() as opened:
        made = others.open_contender(bundle, name, tmp_path / "plain.onnx", opened)(image)
    expected = Whole()(torch.from_numpy(image)).numpy()
    assert abs(made - expected).max() < (0.05 if "bf16" in name else 1e-5)


def test_growth_tells_how_far_it_is_from_a_line() -> None:
    line = [Point(size=x, seconds=2 * x + 1) for x in (0.25, 1, 4, 16)]
    assert measure_departure(line) == pytest.approx(0, abs=1e-9)
    assert measure_departure([*line, Point(size=64, seconds=500)]) > 0.2
    found = Growth(backend="b", sizes=tuple(line), images=tuple(line))
    assert draw_growth(found).startswith(PNG)
