"""Image teachers' files: read exactly, or refused by what is wrong with them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

from tests.support.image_teachers import save_ncnn, save_plain, save_pth, small_teacher
from tinysr.errors import CheckpointError
from tinysr.training.image_teachers import RRDBNet, load_image_teacher

pytestmark = pytest.mark.usefixtures("one_thread")

FORMS: dict[str, Callable[[RRDBNet, Path], Path]] = {
    "params_ema": lambda n, p: save_pth(n, p.with_suffix(".pth")),
    "params": lambda n, p: save_pth(n, p.with_suffix(".pth"), "params"),
    "safetensors": lambda n, p: save_plain(n, p.with_suffix(".safetensors")),
    "ncnn": save_ncnn,
    "ncnn, its .bin named": lambda n, p: save_ncnn(n, p).with_suffix(".bin"),
}


def image(*shape: int) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("form", FORMS)
def test_every_form_gives_the_same_network(tmp_path: Path, form: str) -> None:
    network = small_teacher()
    read = load_image_teacher(FORMS[form](network, tmp_path / "x4"))
    low = image(2, 3, 8, 12)
    assert torch.equal(read(low), network(low))
    assert read(low).shape == (2, 3, 32, 48)


def test_the_averaged_weights_come_before_the_others(tmp_path: Path) -> None:
    averaged, other = small_teacher(1), small_teacher(2)
    both = {"params": other.state_dict(), "params_ema": averaged.state_dict()}
    torch.save(both, tmp_path / "x4.pth")
    low = image(1, 3, 8, 8)
    assert torch.equal(load_image_teacher(tmp_path / "x4.pth")(low), averaged(low))


def test_ncnns_half_precision_is_read_as_it_is(tmp_path: Path) -> None:
    network = small_teacher()
    path = save_ncnn(network, tmp_path / "x4", half=True)
    for name, parameter in network.named_parameters():
        if name.endswith(".weight"):
            parameter.copy_(parameter.half().float())
    low = image(1, 3, 8, 8)
    assert torch.equal(load_image_teacher(path)(low), network(low))


def swap(path: Path, old: str, new: str, count: int = 1) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, count))


def cut(path: Path) -> None:
    path.with_suffix(".bin").write_bytes(path.with_suffix(".bin").read_bytes()[:-8])


def lengthen(path: Path) -> None:
    path.with_suffix(".bin").write_bytes(path.with_suffix(".bin").read_bytes() + b"\0" * 4)


def spoil(path: Path) -> None:
    data = bytearray(path.with_suffix(".bin").read_bytes())
    data[4:8] = b"\0\0\xc0\x7f"
    path.with_suffix(".bin").write_bytes(data)


SPOILT: dict[str, tuple[Callable[[Path], object], str]] = {
    "another magic": (lambda p: swap(p, "7767517", "7767518"), "first line 7767517"),
    "another slope": (lambda p: swap(p, "1,2.000000e-01", "1,1.000000e-01"), "layer 2"),
    "another layer": (lambda p: swap(p, "Interp", "Crop"), "expected the layers of an RRDBNet"),
    "one convolution more": (
        lambda p: swap(p, "Input", "Convolution a 1 1 in out 0=4\nInput"),
        "convolutions, as in an RRDBNet, found 22",
    ),
    "not a layer": (lambda p: swap(p, "layer3 1 1", "layer3 x y"), "not a layer of ncnn"),
    "huge channels": (lambda p: swap(p, "0=4", "0=400000"), "expected 1 to 512 channels"),
    "early end": (cut, "ends early"),
    "bytes left over": (lengthen, r"expected \d+ bytes, found"),
    "not finite": (spoil, "'conv_first.weight' has NaN"),
    "no weights": (lambda p: p.with_suffix(".bin").unlink(), "x4.bin: this file is missing"),
    "no text": (lambda p: p.write_bytes(b"\xff\xfe\0"), "expected ncnn's text"),
}


@pytest.mark.parametrize("name", SPOILT)
def test_spoilt_ncnn_files_are_refused_by_what_is_wrong(tmp_path: Path, name: str) -> None:
    path = save_ncnn(small_teacher(), tmp_path / "x4")
    change, words = SPOILT[name]
    change(path)
    with pytest.raises(CheckpointError, match=words):
        load_image_teacher(path)


class Code:
    """What a pickle may run when it is read carelessly."""

    def __reduce__(self) -> tuple[Callable[[str], int], tuple[str]]:
        import os

        return os.system, ("echo run",)


def test_pickles_that_hold_more_than_tensors_are_refused(tmp_path: Path) -> None:
    torch.save({"params_ema": Code()}, tmp_path / "a.pth")
    torch.save({"params_ema": {"conv_first.weight": 1.5}}, tmp_path / "b.pth")
    torch.save([1, 2], tmp_path / "c.pth")
    (tmp_path / "d.pth").write_bytes(b"<!DOCTYPE html>")
    words = ("more than plain tensors", "found a float at", "expected a dictionary", "damaged")
    for name, word in zip("abcd", words, strict=True):
        with pytest.raises(CheckpointError, match=word):
            load_image_teacher(tmp_path / f"{name}.pth")


def test_networks_of_other_shapes_are_refused(tmp_path: Path) -> None:
    tensors = small_teacher().state_dict()
    first = "conv_first.weight"
    cases = {
        "expected a network for ×4": tensors | {first: torch.zeros(4, 12, 3, 3)},
        "expected an RRDBNet's tensors": {"features.0.weight": torch.zeros(4, 3, 3, 3)},
        "'extra' to be nothing": tensors | {"extra": torch.zeros(1)},
        "'conv_hr.bias' to be .4., found nothing": {
            k: v for k, v in tensors.items() if k != "conv_hr.bias"
        },
    }
    for words, spoilt in cases.items():
        torch.save(spoilt, tmp_path / "x.pth")
        with pytest.raises(CheckpointError, match=words):
            load_image_teacher(tmp_path / "x.pth")
    (tmp_path / "x.onnx").touch()
    with pytest.raises(CheckpointError, match=r"found '\.onnx'"):
        load_image_teacher(tmp_path / "x.onnx")
