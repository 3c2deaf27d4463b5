"""The page for mobile teams says what the manifest says, and TinySRKit comes along."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from tests.support.bundles import edit_manifest, entry, make_bundle
from tests.support.chains import change_stage
from tests.support.project import ROOT
from tinysr.cli.inspect_bundle import bundle_report, find_damaged_files
from tinysr.errors import BundleError
from tinysr.export.apple.documents import add_mobile_documents, copy_swift_package
from tinysr.export.apple.page import mobile_page
from tinysr.manifest import read_manifest
from tinysr.runtime import Bundle

KIT = ROOT / "runtime" / "swift"

FUNCTIONS = ("upscale", "encoder", "transformer", "decoder")


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    """A bundle with a package of four functions for iOS 18, and a smaller one for iOS 17."""
    folder = make_bundle(tmp_path / "twin", tile=128, overlap=8)
    packages = {"TinySR.w4.mlpackage": 1_000_000, "TinySR.mlpackage": 2_500_000}
    for name, size in packages.items():
        (folder / "coreml" / name).mkdir(parents=True)
        (folder / "coreml" / name / "model.mlmodel").write_bytes(bytes(size))

    def add(data: dict[str, Any]) -> None:
        for stage in ("encoder", "decoder"):
            change_stage(data, stage, division={"halo": 19})
        data["tools"] = {"tinysr": "0.1.0"}
        data["artifacts"].append(_artifact(folder, "TinySR.w4.mlpackage", "upscale", "main", 17))
        data["artifacts"] += [
            _artifact(folder, "TinySR.mlpackage", function, function, 18) for function in FUNCTIONS
        ]

    edit_manifest(folder, add)
    return folder


def _artifact(folder: Path, package: str, stage: str, function: str, system: int) -> dict[str, Any]:
    return {
        "target": "coreml",
        "stage": stage,
        "precision": "w4" if "w4" in package else "fp16",
        "file": entry(folder, f"coreml/{package}/model.mlmodel").model_dump(),
        "inputs": [],
        "outputs": [],
        "options": {"function": function, "minimum_deployment_target": f"iOS{system}"},
        "parity": {
            "result": "pass",
            "backend": "coreml",
            "gate_db": 50.0,
            "worst_db": 61.25 if stage == "decoder" else 70.0,
            "worst_image": "white",
            "images": 14,
            "note": "reference interpreter, not the Neural Engine",
        },
    }


def page(bundle: Path) -> str:
    return mobile_page(read_manifest(bundle))


def words(bundle: Path) -> str:
    """Return the page as one line."""
    return " ".join(page(bundle).split())


def rows(text: str) -> list[list[str]]:
    """Return the cells of the table of packages."""
    lines = [line for line in text.splitlines() if line.startswith("| `")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def test_the_table_has_size_precision_and_verdict_of_each_package(bundle: Path) -> None:
    assert rows(page(bundle)) == [
        [
            "`TinySR.mlpackage`",
            "fp16",
            "2.5",
            "upscale, encoder, transformer, decoder",
            "iOS 18, macOS 15",
            "61.2 dB (white)",
            "50 dB",
            "not measured",
        ],
        [
            "`TinySR.w4.mlpackage`",
            "w4",
            "1.0",
            "main",
            "iOS 17, macOS 14",
            "70.0 dB (white)",
            "50 dB",
            "not measured",
        ],
    ]


def test_there_are_five_steps_and_the_code_is_that_of_the_kit(bundle: Path) -> None:
    text = page(bundle)
    assert re.findall(r"^(\d)\. ", text, re.MULTILINE) == ["1", "2", "3", "4", "5"]
    kit = (KIT / "Sources/TinySRKit/Upscaler.swift").read_text(encoding="utf-8")
    for used in ("init(contentsOf", "static func modelURL(", "func upscale(", "isExact"):
        assert used in kit
    assert "Upscaler(contentsOf: Upscaler.modelURL())" in text
    assert "upscaler.upscale(photo)" in text


def test_a_package_of_another_name_is_asked_for_by_it(bundle: Path) -> None:
    edit_manifest(bundle, lambda data: data.update(artifacts=[data["artifacts"][3]]))
    assert 'Upscaler.modelURL(named: "TinySR.w4")' in page(bundle)


def test_what_was_measured_is_told_with_its_backend(bundle: Path) -> None:
    text = words(bundle)
    assert (
        "`TinySR.mlpackage`: 4 of 4 functions on 14 images of one tile, by the backend coreml "
        "(reference interpreter, not the Neural Engine)."
    ) in text
    assert "Not measured: latency" in text
    assert "What was measured at export" in text


def test_what_was_not_measured_has_no_figure(bundle: Path) -> None:
    def forget(data: dict[str, Any]) -> None:
        for artifact in data["artifacts"]:
            artifact["parity"] = {"result": "not run"}

    edit_manifest(bundle, forget)
    text = page(bundle)
    assert all(row[5:] == ["not measured"] * 3 for row in rows(text))
    assert "`TinySR.mlpackage`: its numbers were not measured." in text


def test_a_failed_verdict_is_not_hidden(bundle: Path) -> None:
    edit_manifest(bundle, lambda data: data["artifacts"][-1]["parity"].update(result="fail"))
    assert rows(page(bundle))[0][5] == "61.2 dB (white), **failed**"


def test_a_verdict_that_is_not_finite_is_told_before_all_others(bundle: Path) -> None:
    def break_(data: dict[str, Any]) -> None:
        data["artifacts"][-1]["parity"].update(result="fail", worst_db=None)
        data["artifacts"][-2]["parity"] = {"result": "not run"}

    edit_manifest(bundle, break_)
    assert rows(page(bundle))[0][5] == "not finite (white), **failed**"


def test_windows_are_told_with_what_they_cost(bundle: Path) -> None:
    text = words(bundle)
    assert "38 pixels on each side" in text
    assert "the inner 52 of a window's 128 pixels are kept" in text
    assert "compute up to 6.1 times what they would" in text


def shrink(data: dict[str, Any]) -> None:
    data["tile"] = 64
    change_stage(data, "transformer", division={"side": 32})


def test_a_tile_that_is_all_surroundings_is_told(bundle: Path) -> None:
    edit_manifest(bundle, shrink)
    assert "are refused: a tile of 64 pixels is all surroundings" in words(bundle)


def test_one_function_promises_no_exact_result(bundle: Path) -> None:
    edit_manifest(bundle, lambda data: data.update(artifacts=[data["artifacts"][3]]))
    text = words(bundle)
    assert "38 pixels" not in text
    assert "on every system.** Finished tiles are blended as pixels." in text


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ({"kind": "preset", "trained": True}, "this project's own, under Apache-2.0"),
        ({"kind": "preset", "trained": False}, "seeded, not trained"),
        ({"kind": "released", "trained": True}, "carry Stability AI's licence"),
    ],
)
def test_the_licence_is_that_of_the_weights(
    bundle: Path, source: dict[str, Any], said: str
) -> None:
    edit_manifest(bundle, lambda data: data["source"].update(source))
    assert said in words(bundle)


def test_a_bundle_without_a_package_has_no_page(tmp_path: Path) -> None:
    bundle = make_bundle(tmp_path / "twin")
    with pytest.raises(BundleError, match="export it with -t coreml"):
        page(bundle)


def test_the_kit_is_copied_whole_and_without_what_was_built(bundle: Path) -> None:
    (stale := bundle / "coreml" / "TinySRKit" / "Sources").mkdir(parents=True)
    (stale / "Old.swift").touch()
    entries = copy_swift_package(bundle)
    for copied in entries:
        original = KIT / Path(copied.path).relative_to("coreml/TinySRKit")
        assert original.read_bytes() == (bundle / copied.path).read_bytes()
    expected = {
        path.relative_to(KIT).as_posix()
        for path in KIT.rglob("*")
        if path.is_file() and not any(part.startswith(".") for part in path.parts[-3:])
    }
    names = {Path(copied.path).relative_to("coreml/TinySRKit").as_posix() for copied in entries}
    assert names == {name for name in expected if ".build" not in name}
    assert "Sources/TinySRKit/Upscaler.swift" in names


def test_documents_stand_in_the_manifest_and_are_checked(bundle: Path) -> None:
    manifest = add_mobile_documents(bundle)
    assert manifest == read_manifest(bundle)
    assert manifest.documents[0].path == "coreml/README.md"
    assert (bundle / "coreml" / "README.md").read_text(encoding="utf-8") == mobile_page(manifest)
    assert find_damaged_files(bundle_report(bundle)) == []
    assert Bundle(bundle).artifacts("coreml")
    (bundle / "coreml" / "README.md").write_text("another page", encoding="utf-8")
    assert find_damaged_files(bundle_report(bundle)) == ["coreml/README.md (changed)"]


def test_documents_are_written_once_however_often(bundle: Path) -> None:
    first = add_mobile_documents(bundle)
    assert add_mobile_documents(bundle) == first
    assert not list(bundle.glob(".*"))


def test_an_older_manifest_has_no_documents(tmp_path: Path) -> None:
    bundle = make_bundle(tmp_path / "twin")
    data = json.loads((bundle / "manifest.json").read_text(encoding="utf-8"))
    del data["documents"]
    (bundle / "manifest.json").write_text(json.dumps(data), encoding="utf-8")
    assert read_manifest(bundle).documents == ()
