"""Plans in Core ML's own formats: what they are found with is what packages store."""

from __future__ import annotations

import itertools
import re
import resource
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from tests.support.chains import make_chain
from tests.support.said import said
from tests.support.tiny_models import TILE, noise
from tinysr.calibration import find_quantization, hold_to_budget
from tinysr.calibration.bits.sensitivity import promote
from tinysr.calibration.schemes import SCHEMES
from tinysr.calibration.traced.fake import fake_quantize
from tinysr.errors import CalibrationError, UnsupportedError
from tinysr.export import Baked, BakedTinySR, ExportOptions
from tinysr.export.apple.coreml.convert import Recipe, convert_stage
from tinysr.export.apple.coreml.package import save
from tinysr.export.apple.coreml.prepare import prepare
from tinysr.export.apple.coreml.rounding import count_stored_bits, list_formats, round_weight
from tinysr.export.apple.ports import list_functions
from tinysr.export.model.integers import find_layers
from tinysr.export.plans.files import load_any_plan
from tinysr.export.plans.precision import PrecisionPlan
from tinysr.export.plans.quantization import Format, KeptLayer, QuantizationPlan, quantization_text
from tinysr.models import Loaded
from tinysr.models.families.tinysr import save_single_file
from tinysr.runtime.mil import Interpreter, load_program

FUNCTIONS = list_functions(make_chain(TILE))

pytestmark = pytest.mark.usefixtures("one_thread")

Run = Callable[..., tuple[int, str, str]]


def interpreted(model: Baked, recipe: Recipe, path: Path) -> np.ndarray:
    """Return what a package of the transformer computes."""
    ports = FUNCTIONS[2]
    save({"main": convert_stage(model, ports, recipe)}, path)
    z = noise(1, 16, TILE // 2, TILE // 2).numpy()
    return Interpreter(load_program(path).functions["main"]).run({"latents": z})["restored"]


def test_layers_are_rounded_as_packages_store_them(
    loaded: Loaded, baked: BakedTinySR, tmp_path: Path
) -> None:
    """Bit for bit: the interpreter decodes what coremltools wrote."""
    model = prepare(baked)
    forms: list[Format] = ["w4", "w6", "w8"]
    paths = [path for path in find_layers(model) if path.startswith("transformer.")]
    formats = {path: forms[i % 3] for i, path in enumerate(paths)}
    half = PrecisionPlan(model_sha256=loaded.source.sha256, tile=TILE)
    plain = Recipe(tile=TILE, system="iOS18", plan=half)
    stored = Recipe(tile=TILE, system="iOS18", plan=half, formats=formats)
    found = interpreted(model, stored, tmp_path / "stored.mlpackage")
    fake = fake_quantize(model, formats, {}, SCHEMES["coreml"])
    np.testing.assert_array_equal(found, interpreted(fake, plain, tmp_path / "fake.mlpackage"))
    assert not np.array_equal(found, interpreted(model, plain, tmp_path / "half.mlpackage"))


def test_the_size_of_a_format_is_that_of_its_file(
    loaded: Loaded, baked: BakedTinySR, tmp_path: Path
) -> None:
    model = prepare(baked)
    half = PrecisionPlan(model_sha256=loaded.source.sha256, tile=TILE)
    own = {path: m for path, m in find_layers(model).items() if path.startswith("transformer.")}
    sizes: dict[Format, int] = {}
    forms: tuple[Format, ...] = ("w4", "w6", "w8")
    for form in forms:
        formats: dict[str, Format] = dict.fromkeys(own, form)
        recipe = Recipe(tile=TILE, system="iOS18", plan=half, formats=formats)
        path = tmp_path / f"{form}.mlpackage"
        interpreted(model, recipe, path)
        sizes[form] = sum(file.stat().st_size for file in path.rglob("weight.bin"))
    for form, other in itertools.pairwise(forms):
        expected = (
            sum(count_stored_bits(m, other) - count_stored_bits(m, form) for m in own.values()) / 8
        )
        assert sizes[other] - sizes[form] == pytest.approx(expected, rel=0.05)


def test_a_ladder_leaves_out_formats_that_save_nothing() -> None:
    assert list_formats(torch.nn.Linear(512, 512), "w4") == ("w4", "w6", "w8")
    assert list_formats(torch.nn.Linear(512, 512), "w6") == ("w6", "w8")
    assert list_formats(torch.nn.Linear(16, 128), "w4") == ("w6", "w8")  # w4: 16 colours for 16


def test_an_output_of_zeros_has_a_scale() -> None:
    layer = torch.nn.Linear(32, 64)
    with torch.no_grad():
        layer.weight[3] = 0
    assert not round_weight(layer, "w8")[3].any()


def test_the_layer_that_costs_least_for_its_error_takes_more_bits_first() -> None:
    error = np.array([1e-3])
    shares: dict[Format, NDArray[np.float64]] = {"w4": error, "w8": error / 100}
    measured = {f"decoder.{name}": shares for name in ("large", "small")}
    cost = {"decoder.large": 1000.0, "decoder.small": 10.0}
    found = promote(measured, "decoder", 29, lambda path, *_: cost[path])
    assert found == {"decoder.large": "w4", "decoder.small": "w8"}


def test_a_plan_is_found_that_passes_its_gate_and_is_read_again(
    loaded: Loaded, tmp_path: Path
) -> None:
    plan, found = find_quantization(loaded, "w6", tile=TILE, target="coreml")
    assert found.passed, found.said
    assert plan.name == "coreml-w6"
    file = tmp_path / "coreml-w6.toml"
    file.write_text(quantization_text(plan), encoding="utf-8")
    assert load_any_plan(file) == plan
    assert "--precision w6 --target coreml --check" in file.read_text(encoding="utf-8")
    assert hold_to_budget(loaded, plan).worst_db == found.worst_db


def test_plans_of_graphs_are_not_taken_for_packages(loaded: Loaded) -> None:
    plan = QuantizationPlan(model_sha256=loaded.source.sha256, tile=TILE, precision="w4")
    words = "the plan is for w4: expected plans for fp16, coreml-w4"
    with pytest.raises(UnsupportedError, match=words):
        ExportOptions(targets=("coreml",), precision="w4", quantization=(plan,), tile=TILE)


def test_both_plans_are_needed_where_both_targets_are_asked_for() -> None:
    both = ExportOptions(targets=("onnx", "coreml"), precision="w4")
    assert both.list_missing() == ("fp16", "w4", "coreml-w4")
    assert ExportOptions(targets=("coreml",), precision="w6").list_missing() == (
        "fp16",
        "coreml-w6",
    )


@pytest.mark.parametrize(
    ("precision", "kept", "words"),
    [
        ("w6", "w6", "keeps '.*' in w6: expected fp16 or w8 in a plan for w6"),
        ("w8", "fp32", "keeps '.*' in fp32: expected fp16 in a plan for w8"),
    ],
)
def test_a_layer_is_kept_in_what_packages_have(
    precision: Format, kept: str, words: str, loaded: Loaded, baked: BakedTinySR
) -> None:
    plan = QuantizationPlan(
        model_sha256=loaded.source.sha256,
        tile=TILE,
        precision=precision,
        target="coreml",
        keep=(KeptLayer.model_validate({"module": "decoder.layers.0", "precision": kept}),),
    )
    with pytest.raises(CalibrationError, match=words):
        plan.formats(find_layers(baked))


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--precision", "w5"], "unknown precision 'w5': expected one of fp16, int8, w4, w8"),
        (["--precision", "w6"], "onnx has no weights in w6: add --target coreml"),
        (["--precision", "int8", "--target", "coreml"], "coreml has no weights in int8"),
        (["--precision", "w8", "--target", "trt"], "unknown target of a plan 'trt'"),
        (["--target", "coreml"], "--target has no effect on plans for fp16"),
    ],
)
def test_plans_that_nobody_finds_are_refused(words: list[str], said: str, run: Run) -> None:
    code, _, err = run("calibrate", *words)
    assert code == 2
    assert said in err


@pytest.fixture
def little_space() -> Iterator[None]:
    """Limit the size of a file, which is met as a full disk is."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_full_disk_leaves_nothing(
    loaded: Loaded, run: Run, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    save_single_file(loaded.tinysr, tmp_path / "tiny.safetensors")
    request.getfixturevalue("little_space")
    code, _, err = run(
        *("export", "tiny.safetensors", "-o", "new", "-t", "coreml", "--precision", "fp32"),
        *("--tile", TILE, "--no-gate"),
    )
    assert code == 2, err
    (line,) = said(err)
    assert re.search(r"can't be written: .*; is the disk full\?", line)
    assert [path.name for path in tmp_path.iterdir()] == ["tiny.safetensors"]
