"""Damaged and hostile bundles: one line each, before anything is run."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnx
import pytest

from tests.support.bundles import edit_manifest, entry, make_bundle
from tinysr.errors import BundleError
from tinysr.runtime import Bundle, Upscaler


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return make_bundle(tmp_path / "twin")


def refused(folder: Path, words: str) -> None:
    with pytest.raises(BundleError, match=words) as caught:
        Upscaler(folder)
    assert "\n" not in str(caught.value)


def test_a_flipped_byte_in_the_weights_is_found(folder: Path) -> None:
    path = folder / "onnx/weights.bin"
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    refused(folder, r"weights\.bin: expected SHA-256 .* the file was changed")


def test_a_flipped_byte_in_a_graph_is_found(folder: Path) -> None:
    path = folder / "onnx/decoder.onnx"
    data = bytearray(path.read_bytes())
    data[7] ^= 128
    path.write_bytes(data)
    refused(folder, r"decoder\.onnx: expected SHA-256")


def test_truncated_weights_are_found(folder: Path) -> None:
    path = folder / "onnx/weights.bin"
    path.write_bytes(path.read_bytes()[:-100])
    refused(folder, r"weights\.bin: expected \d+ bytes, found \d+")


def test_a_missing_file_is_named(folder: Path) -> None:
    (folder / "onnx/transformer.onnx").unlink()
    refused(folder, r"transformer\.onnx: No such file")


@pytest.mark.parametrize(
    "path",
    ["../encoder.onnx", "onnx/../../x", "/etc/passwd", "..\\x", "C:/x", "", "onnx/\0x"],
)
def test_paths_that_leave_the_bundle_are_refused(folder: Path, path: str) -> None:
    edit_manifest(folder, lambda data: data["artifacts"][0]["file"].update(path=path))
    refused(folder, "leaves the bundle")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("not json", "the whole file: Invalid JSON"),
        ("[]", "at the whole file"),
        ("{}", "Field required"),
        ("\0" * 100, "Invalid JSON"),
        ("[" * 100_000, "Invalid JSON"),
    ],
    ids=["text", "list", "empty", "zeros", "deep"],
)
def test_what_is_no_manifest_is_refused(folder: Path, text: str, words: str) -> None:
    (folder / "manifest.json").write_text(text)
    refused(folder, words)


def test_a_huge_manifest_is_not_read(folder: Path) -> None:
    with (folder / "manifest.json").open("r+b") as file:
        file.truncate(2**30)
    refused(folder, "a huge file")


@pytest.mark.parametrize(
    "change",
    [
        lambda data: data.update(surprise=1),
        lambda data: data.update(tile="large"),
        lambda data: data["artifacts"][0]["file"].update(sha256="0"),
        lambda data: data["artifacts"][0]["file"].update(size=-1),
        lambda data: data["artifacts"][0].update(stage="middle"),
    ],
    ids=["extra", "type", "hash", "size", "stage"],
)
def test_a_manifest_that_does_not_fit_is_refused(
    folder: Path, change: Callable[[dict[str, Any]], Any]
) -> None:
    edit_manifest(folder, change)
    refused(folder, "manifest.json: at ")


@pytest.mark.parametrize(
    ("version", "words"),
    [(1, "made by an older tinysr .*: export it again"), (3, "made by a newer .*: update tinysr")],
)
def test_a_manifest_of_another_schema_is_refused(folder: Path, version: int, words: str) -> None:
    edit_manifest(folder, lambda data: data.update(schema_version=version, chain=None))
    refused(folder, words)


def test_a_folder_without_a_manifest_says_how_to_make_one(tmp_path: Path) -> None:
    refused(tmp_path, "tinysr export")


def test_an_artifact_that_is_not_there_is_named_with_those_that_are(folder: Path) -> None:
    with pytest.raises(BundleError, match="expected coreml/decoder fp16, found only onnx/encoder"):
        Bundle(folder).artifact("coreml", "decoder", "fp16")


def replace_graph(folder: Path, stage: int, data: bytes) -> None:
    """Put other bytes in place of a graph, under a manifest that vouches for them."""
    path = json.loads((folder / "manifest.json").read_text())["artifacts"][stage]["file"]["path"]
    (folder / path).write_bytes(data)
    described = entry(folder, path).model_dump()
    edit_manifest(folder, lambda data: data["artifacts"][stage].update(file=described))


def test_a_graph_that_is_none_is_refused_although_its_hash_fits(folder: Path) -> None:
    replace_graph(folder, 1, b"no graph at all")
    refused(folder, "onnx/transformer fp32: .* can't open it")


def test_a_graph_with_other_ports_is_refused(folder: Path) -> None:
    encoder = (folder / "onnx/encoder.onnx").read_bytes()
    replace_graph(folder, 1, encoder)
    refused(folder, r"expected a graph with \['latents', 'restored'\]")


def test_a_graph_of_another_size_is_refused(folder: Path, tmp_path: Path) -> None:
    other = make_bundle(tmp_path / "other", tile=64)
    replace_graph(folder, 1, (other / "onnx/transformer.onnx").read_bytes())
    refused(folder, r"expected 'latents' as float32 \['N', 16, 16, 16\]")


def test_weights_outside_the_bundle_are_not_read(folder: Path, tmp_path: Path) -> None:
    """A graph of a hostile bundle may ask for any file as its weights."""
    (tmp_path / "secret.bin").write_bytes((folder / "onnx/weights.bin").read_bytes())
    model = onnx.load(folder / "onnx/transformer.onnx", load_external_data=False)
    for field in model.graph.initializer[0].external_data:
        if field.key == "location":
            field.value = "../../secret.bin"
    replace_graph(folder, 1, model.SerializeToString())
    refused(folder, "onnx/transformer fp32: .* can't open it")
