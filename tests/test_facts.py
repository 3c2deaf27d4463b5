"""Facts of a graph's build: typed by its format, written briefly, and read from earlier files."""

from __future__ import annotations

import json
from typing import Any

import pytest
from pydantic import ValidationError

from tinysr.errors import BundleError
from tinysr.facts import CoreMLFacts, FormatFacts, OpenVinoFacts, SizeSpan, TensorRTFacts
from tinysr.manifest import Artifact, FileEntry, Port

FILE = FileEntry(path="a.bin", sha256="a" * 64, size=1)
PORT = Port(name="x", dtype="float32", shape=(1,))
EARLIER = {
    "flavor": "tensorrt",
    "version": "11.1.0",
    "gpu": "NVIDIA H200 (9.0), same-compute-capability",
    "shapes": "1:1:8 3 16:32:64 16:32:64",
    "largest_batch": 8,
    "longest_side": 64,
    "weight_bytes": 12,
    "layers_in_fp16": 40,
    "layers_in_fp32": 2,
    "strip": True,
}


def artifact(target: str, options: Any) -> Artifact:
    return Artifact.model_validate(
        {
            "target": target,
            "stage": "upscale",
            "precision": "fp16",
            "file": FILE.model_dump(),
            "inputs": [PORT.model_dump()],
            "outputs": [PORT.model_dump()],
            "options": options,
        }
    )


def written(made: Artifact) -> dict[str, Any]:
    options: dict[str, Any] = json.loads(made.model_dump_json())["options"]
    return options


def test_lists_of_earlier_manifests_were_words() -> None:
    options = {"function": "upscale", "clamped": True, "tiles": "32 64", "windows": ""}
    facts = artifact("coreml", options).facts(CoreMLFacts)
    assert (facts.clamped, facts.tiles, facts.windows) == (True, (32, 64), ())


def test_engines_of_earlier_manifests_are_read() -> None:
    facts = artifact("tensorrt", EARLIER).facts(TensorRTFacts)
    assert facts.shapes[2] == SizeSpan(least=16, best=32, most=64)
    assert facts.shapes_text == EARLIER["shapes"]
    assert facts.layers == {"fp16": 40, "fp32": 2}
    assert (facts.gpu, facts.hardware) == ("NVIDIA H200 (9.0)", "same-compute-capability")
    assert facts.strip


@pytest.mark.parametrize(
    ("target", "options"),
    [("tensorrt", EARLIER), ("coreml", {"function": "main", "windows": [16, 24]}), ("onnx", {})],
)
def test_what_is_written_is_read_again(target: str, options: dict[str, Any]) -> None:
    made = artifact(target, options)
    again = Artifact.model_validate_json(made.model_dump_json())
    assert again == made
    assert type(again.options) is type(made.options)


def test_only_what_is_special_is_written() -> None:
    assert written(artifact("onnx", {})) == {}
    assert written(artifact("coreml", {"windows": [16]})) == {"windows": [16]}
    made = written(artifact("openvino", {"inference_precision": "f32"}))
    assert made == {"inference_precision": "f32"}


@pytest.mark.parametrize(
    ("target", "options", "words"),
    [
        ("onnx", {"flavor": "rtx"}, "flavor"),
        ("coreml", {"tiles": "32 wide"}, "tiles"),
        ("openvino", {}, "inference_precision"),
        ("tensorrt", {"flavor": "rtx"}, "version"),
        ("tensorrt", {**EARLIER, "shapes": "1:2"}, "least:best:most"),
        ("tensorrt", {**EARLIER, "shapes": "8:4:16"}, "rising sizes"),
        ("tensorrt", {**EARLIER, "largest_batch": 0}, "largest_batch"),
        ("coreml", 3, "CoreMLFacts"),
    ],
)
def test_what_no_such_graph_has_is_refused(target: str, options: Any, words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        artifact(target, options)


def test_another_formats_facts_are_not_taken() -> None:
    made = artifact("toy", {})
    assert type(made.options) is FormatFacts
    with pytest.raises(BundleError, match="toy/upscale fp16: expected OpenVinoFacts"):
        made.facts(OpenVinoFacts)
