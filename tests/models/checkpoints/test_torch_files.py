"""Files of ``torch.save``: what is read, what stays inert, and what is refused."""

from __future__ import annotations

import builtins
import functools
import os
import pickle
import struct
import zipfile
from collections import Counter, OrderedDict, defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from tests.support import spoiling
from tests.support.adcsr import strange_class
from tinysr.models.checkpoints.pickles import PickledTensor
from tinysr.models.checkpoints.torch_files import open_torch_file

MOST = 2**20


def read(path: Path) -> Any:
    """Return the file's dictionary, tensors for their descriptions."""
    with open_torch_file(path, MOST) as file:
        assert isinstance(file.root, dict)
        return {
            name: file.read(str(name), value) if isinstance(value, PickledTensor) else value
            for name, value in file.root.items()
        }


refused = functools.partial(spoiling.refused, by=read)


class Call:
    """Pickles to a call."""

    def __init__(self, function: Callable[..., Any], *inputs: object) -> None:
        self.function, self.inputs = function, inputs

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[object, ...]]:
        return self.function, self.inputs


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "weights.ckpt"


def write_program(path: Path, program: bytes, **members: bytes) -> None:
    """Write a file with a pickle that no pickler would make."""
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a/data.pkl", program)
        for name, data in members.items():
            archive.writestr(f"a/data/{name}", data)


def test_tensors_come_back(path: Path) -> None:
    whole = torch.randn(6, 4)
    saved = {
        "whole": whole,
        "view": whole[2:4, 1:],
        "turned": whole.T,
        "number": torch.tensor(3.0),
        "empty": torch.zeros(0, 3),
        "parameter": nn.Parameter(torch.randn(3)),
        "half": torch.randn(5).half(),
        "brain": torch.randn(5).bfloat16(),
        "double": torch.randn(5).double(),
        "image": torch.randn(2, 3, 4, 4).to(memory_format=torch.channels_last),
    }
    torch.save(OrderedDict(saved), path)
    found = read(path)
    assert list(found) == list(saved)
    for name, tensor in saved.items():
        assert torch.equal(found[name], tensor.float()), name
        assert found[name].is_contiguous()
        assert not found[name].requires_grad


def test_a_module_s_state_is_read(path: Path) -> None:
    net = nn.Sequential(nn.Linear(3, 2), nn.GroupNorm(1, 2))
    torch.save(net.state_dict(), path)
    assert {name: tuple(t.shape) for name, t in read(path).items()} == {
        name: tuple(t.shape) for name, t in net.state_dict().items()
    }


def test_foreign_classes_are_inert(path: Path, tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    with strange_class() as strange:
        settings = strange()
        settings.nested = {"a": strange()}
        torch.save(
            {
                "weight": torch.ones(2),
                "settings": settings,
                "file": Path("a"),
                "counts": Counter("aab"),
                "lists": defaultdict(list, {"a": [1]}),
                "sizes": torch.Size([1, 2]),
                "set": {1, 2},
                "code": Call(eval, f"open({str(trace)!r}, 'w')"),
                "more code": Call(builtins.__import__, "antigravity"),
                "memory": Call(bytearray, 10**15),
                "partial": functools.partial(Call(eval, "1").__reduce__()[0], "2"),
            },
            path,
        )
    found = read(path)
    assert torch.equal(found["weight"], torch.ones(2))
    assert {type(found[name]).__name__ for name in found if name != "weight"} == {"_Inert"}
    assert not trace.exists()


@pytest.mark.parametrize("function", [os.system, os.mkdir, os.remove])
def test_a_file_that_names_commands_is_refused(
    path: Path, tmp_path: Path, function: Callable[..., Any]
) -> None:
    trace = tmp_path / "trace"
    torch.save({"w": torch.ones(2), "code": Call(function, f"touch {trace}")}, path)
    refused(path, f"{function.__name__}', which no weights need")
    assert not trace.exists()


@pytest.mark.parametrize(
    ("tensor", "words"),
    [
        (torch.zeros(1).expand(10**12), "claims [1000000000000]"),
        (torch.zeros(4).expand(3, 4), "claims [3, 4], its storage has 4 numbers"),
        (torch.zeros(3).long(), "is torch.int64, expected floats"),
        (torch.tensor([1.0, torch.nan]), "NaN or infinite"),
        (torch.tensor([torch.inf]), "NaN or infinite"),
    ],
)
def test_odd_tensors_are_refused(path: Path, tensor: Tensor, words: str) -> None:
    torch.save({"odd": tensor}, path)
    refused(path, "tensor 'odd'", words)


@pytest.mark.parametrize("tensor", [torch.zeros(3, device="meta"), torch.zeros(3).to_sparse()])
def test_a_tensor_of_another_kind_is_none(path: Path, tensor: Tensor) -> None:
    torch.save({"odd": tensor}, path)
    assert type(read(path)["odd"]).__name__ == "_Inert"


STORAGE = b"(X\x07\0\0\0storagectorch\nFloatStorage\nX\x01\0\0\x000X\x03\0\0\0cpuK\x02tQ"
REBUILD = b"ctorch._utils\n_rebuild_tensor_v2\n("


@pytest.mark.parametrize(
    ("program", "words"),
    [
        (b"", "damaged"),
        (b".", "damaged"),
        (b"}", "damaged"),
        (pickle.dumps({"a": 1})[:-4], "damaged"),
        (b"\x80\x02" + b"(" * 1000, "damaged"),
        # A place in its memory far away, a huge text, a huge number.
        (b"Nr\xff\xff\xff\x7f.", ""),
        (b"\x8d" + struct.pack("<Q", 2**60) + b"a.", "damaged"),
        (b"\x8b\xff\xff\xff\x7fa.", "damaged"),
        (b"I" + b"9" * 10_000 + b"\n.", "damaged"),
        # A class and a function whose attributes are set.
        (b"ccollections\nOrderedDict\n}X\x04\0\0\0keysK\x01sb.", "damaged"),
        (b"ctorch._utils\n_rebuild_parameter\nN}X\x08\0\0\0__call__K\x01s\x86b.", "damaged"),
        # Storages and tensors of odd sizes.
        (b"K\x01Q.", "storage of an unknown kind"),
        (STORAGE.replace(b"\x01\0\0\x000", b"\x04\0\0\0../a") + b".", "unknown kind"),
        (REBUILD + STORAGE + b"J\xff\xff\xff\xff(K\x02t(K\x01ttR.", "impossible sizes"),
        (REBUILD + STORAGE + b"K\x00(K\x02t(K\x01K\x01ttR.", "impossible sizes"),
        (REBUILD + STORAGE + b"K\x00(X\x01\0\0\0at(K\x01ttR.", "impossible sizes"),
        (REBUILD + b"K\x01K\x00(K\x02t(K\x01ttR.", "impossible sizes"),
        (REBUILD + STORAGE + b"R.", "damaged"),
    ],
)
def test_odd_programs_are_refused(path: Path, program: bytes, words: str) -> None:
    write_program(path, program)
    if words:
        refused(path, "refused: it ", words)
    else:
        with open_torch_file(path, MOST) as file:
            assert file.root is None


def test_what_lies_outside_a_storage_is_refused(path: Path) -> None:
    for start, shape, stride in ((b"K\x01", b"K\x02", b"K\x01"), (b"K\x00", b"K\x02", b"K\x02")):
        tensor = REBUILD + STORAGE + start + b"(" + shape + b"t(" + stride + b"ttR"
        write_program(path, b"}X\x01\0\0\0w" + tensor + b"s.", **{"0": b"\0" * 8})
        refused(path, "tensor 'w' claims [2], its storage has 2 numbers")


def test_a_missing_storage_is_refused(path: Path) -> None:
    write_program(path, b"}X\x01\0\0\0w" + REBUILD + STORAGE + b"K\x00(K\x02t(K\x01ttRs.")
    refused(path, "damaged")


def test_a_file_within_the_limit_may_not_unpack_to_more(path: Path) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a/data.pkl", pickle.dumps({"a": "b" * 10**8}))
    refused(path, "its part 'data.pkl' has", "no compression")


@pytest.mark.parametrize("payload", [b"", b"\x80\x02}.", b"PK\x03\x04", b"<html>", b"\0" * 64])
def test_other_files_are_refused(path: Path, payload: bytes) -> None:
    path.write_bytes(payload)
    refused(path, "not a file of torch.save")


def test_old_cut_and_changed_files_are_refused(path: Path) -> None:
    tensors = {"w": torch.randn(100)}
    torch.save(tensors, path, _use_new_zipfile_serialization=False)
    refused(path, "before 1.6")
    torch.save(tensors, path)
    good = path.read_bytes()
    path.write_bytes(good[:-100])
    refused(path, "cut or damaged")
    middle = good.index(tensors["w"].numpy().tobytes())
    path.write_bytes(good[:middle] + b"\x01\x02" + good[middle + 2 :])
    refused(path, "damaged")
    path.unlink()
    refused(path, "can't be read")


def test_a_layout_s_limit_is_kept(path: Path) -> None:
    torch.save({"w": torch.zeros(MOST)}, path)
    refused(path, "GiB at most")


def test_an_archive_of_something_else_is_refused(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("data.pkl", b"N.")
    refused(path, "another archive")
