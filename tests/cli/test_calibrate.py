"""`tinysr calibrate`, and `tinysr export --precision fp16`, as a user meets them."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.bundles import make_bundle
from tests.support.tiny_models import TILE, explosive_model, tiny_model
from tinysr.calibration import load_ranges
from tinysr.manifest import read_manifest
from tinysr.models.families.tinysr import save_single_file

Run = Callable[..., tuple[int, str, str]]

KEPT = "transformer.transformer_blocks.0.ff.proj_out"


pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    save_single_file(tiny_model(), tmp_path / "tiny.safetensors")
    return tmp_path / "tiny.safetensors"


@pytest.fixture
def explosive(tmp_path: Path) -> Path:
    save_single_file(explosive_model(), tmp_path / "explosive.safetensors")
    return tmp_path / "explosive.safetensors"


def test_a_calibration_leaves_its_files_and_says_what_it_found(run: Run, explosive: Path) -> None:
    code, out, err = run("calibrate", explosive, "--tile", TILE, "--limit", 14)
    assert (code, err) == (0, "")
    assert f"kept fp32: {KEPT}: absmax" in out
    folder = Path("calibrated/explosive")
    plan = tomllib.loads((folder / "plan.toml").read_text(encoding="utf-8"))
    assert KEPT in {entry["module"] for entry in plan["keep"]}
    assert len(load_ranges(folder / "ranges.json").images) == 14
    assert {"report.html", "headroom.png", "state"} <= {p.name for p in folder.iterdir()}


def test_a_plan_that_is_there_is_kept(run: Run, tiny: Path) -> None:
    """Somebody may have edited it."""
    Path("out").mkdir()
    for precision, name in (("fp16", "plan.toml"), ("w8", "w8.toml")):
        plan = Path("out") / name
        plan.write_text("edited")
        code, _, err = run("calibrate", tiny, "--precision", precision, "-o", "out")
        assert code == 2
        assert f"{plan}: a plan is here already; --check says whether it holds" in err
        assert plan.read_text() == "edited"


def test_an_edited_plan_is_checked(run: Run, explosive: Path) -> None:
    words = ("calibrate", explosive, "--tile", TILE, "--limit", 14, "--json", "-o", "out")
    code, out, _ = run(*words)
    assert code == 0
    assert json.loads(out)["verdict"]["passed"]
    plan = Path("out/plan.toml")
    text = plan.read_text(encoding="utf-8")
    assert run(*words, "--check", plan)[0] == 0
    head, _, rest = text.partition(f'[[keep]]\nmodule = "{KEPT}"')
    edited = Path("edited.toml")
    edited.write_text(head + rest[rest.index("[[keep]]") :], encoding="utf-8")
    code, out, err = run(*words, "--check", edited)
    assert code == 1
    found = json.loads(out)["verdict"]
    assert [module["module"] for module in found["short"]] == [KEPT]
    assert not found["evaluation"]["scores"][0]["finite"]
    assert err.startswith(
        f"error: the plan does not hold: expected a margin of 4: '{KEPT}' reaches "
    )
    assert err.count("\n") == 1
    assert plan.read_text(encoding="utf-8") == text


def test_a_margin_can_be_asked_for(run: Run, tiny: Path) -> None:
    words = ("calibrate", tiny, "--tile", TILE, "--limit", 14, "-o", "out", "--json")
    assert json.loads(run(*words)[1])["plan"]["keep"] == []
    plan = json.loads(run(*words, "--margin", 1000, "--overwrite")[1])["plan"]
    assert plan["margin"] == 1000
    assert plan["keep"]
    assert run(*words, "--margin", 4000, "--check", "out/plan.toml")[0] == 1


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (("--images", "missing"), "missing: expected a folder of images, found none"),
        (("--images", "empty"), "empty: no images here"),
        (("--images", "broken"), "broken.png: expected an image, found none that can be read"),
        (("--margin", "0"), "expected a number above 0, found 0"),
        (("--limit", "0"), "expected a whole number of at least 1, found 0"),
        (("--check", "none.toml"), "none.toml: expected a precision plan: No such file"),
        (("--check", "unknown.toml"), "keeps 'transformer.blocks.0', which the model does not"),
        (("--check", "other.toml"), "the fp16 plan is of another model: expected SHA-256"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(
    words: tuple[str, ...], problem: str, run: Run, tiny: Path
) -> None:
    from tinysr.models import load_checkpoint

    sha256 = load_checkpoint(tiny).source.sha256
    Path("empty").mkdir()
    Path("broken").mkdir()
    Path("broken/broken.png").write_bytes(b"nothing")
    kept = '[[keep]]\nmodule = "transformer.blocks.0"\n'
    Path("unknown.toml").write_text(f'model_sha256 = "{sha256}"\ntile = {TILE}\n{kept}')
    Path("other.toml").write_text(f'model_sha256 = "{"0" * 64}"\ntile = {TILE}\n')
    code, out, err = run("calibrate", tiny, "--tile", TILE, *words)
    assert (code, out) == (2, "")
    assert problem in err
    assert err.count("\n") == 1


def test_the_calibration_of_another_model_is_not_gone_on_with(
    run: Run, tiny: Path, explosive: Path
) -> None:
    words = ("--tile", TILE, "--limit", 1, "-o", "out")
    assert run("calibrate", tiny, *words)[0] == 0
    code, _, err = run("calibrate", explosive, *words, "--overwrite")
    assert code == 2
    assert "found the calibration of" in err
    assert "choose another --output" in err


def test_a_bundle_of_a_checkpoint_asks_for_the_checkpoint(run: Run, tmp_path: Path) -> None:
    code, _, err = run("calibrate", make_bundle(tmp_path / "twin"))
    assert code == 2
    assert "made from the checkpoint 'twin': give the checkpoint in the bundle's place" in err


def test_export_finds_the_plan_by_itself_and_both_precisions_pass(
    run: Run, explosive: Path
) -> None:
    code, out, err = run("export", explosive, "-o", "made", "--tile", TILE, "--precision", "fp16")
    assert (code, err) == (0, "")
    assert "fp16 by the plan made/calibration/plan.toml" in out
    manifest = read_manifest(Path("made"))
    assert {a.precision for a in manifest.artifacts} == {"fp32", "fp16"}
    assert {a.parity.result for a in manifest.artifacts} == {"pass"}
    assert {a.parity.gate_db for a in manifest.artifacts} == {80.0, 50.0}


def test_export_refuses_plans_that_do_not_fit(run: Run, tiny: Path) -> None:
    Path("other.toml").write_text(f'model_sha256 = "{"0" * 64}"\ntile = {TILE}\n')
    words = ("export", tiny, "--tile", TILE, "--plan", "other.toml")
    code, _, err = run(*words, "--precision", "fp16")
    assert code == 2
    assert "of another model" in err
    code, _, err = run(*words)
    assert code == 2
    assert "expected the precision fp16, found fp32" in err


def test_integers_are_planned_and_an_edited_plan_is_checked(run: Run, tiny: Path) -> None:
    words = ("calibrate", tiny, "-o", "out", "--precision", "w4")
    code, out, err = run(*words, "--tile", TILE)
    assert (code, err) == (0, "")
    assert "(at least 28)" in out
    text = Path("out/w4.toml").read_text()
    assert "dB on '" in text
    assert len(list(Path("out/state").glob("shares-onnx-w4-*.json"))) == 1
    Path("all.toml").write_text(text[: text.index("[[keep]]")])
    check = ("calibrate", tiny, "--precision", "w4", "--check", "all.toml")
    code, out, err = run(*check, "--json")
    assert code == 1
    assert json.loads(out)["passed"] is False
    assert "the plan does not hold" in err
    code, _, err = run(*check, "--tile", 32)
    assert code == 2
    assert f"expected --tile {TILE}, found 32" in err


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (("--precision", "int3"), "unknown precision 'int3': expected one of fp16, int8, w4, w8"),
        (("--precision", "w8", "--margin", 4), "--margin has no effect on plans for w8"),
        (("--precision", "w8", "--check", "none.toml"), "expected a precision plan: No such file"),
        (("--precision", "w6"), "onnx has no weights in w6: add --target coreml"),
    ],
)
def test_integers_that_can_not_be_planned_are_refused(
    words: tuple[str, ...], problem: str, run: Run, tiny: Path
) -> None:
    code, _, err = run("calibrate", tiny, *words)
    assert code == 2
    assert problem in err
