"""Networks that are code: only where trusted, in a process of their own, by way of ONNX."""

from __future__ import annotations

import warnings
from pathlib import Path

import pytest
import torch

from tests.support.custom_networks import Srvgg, difference, seed
from tinysr.errors import CheckpointError, UnsupportedError
from tinysr.models.families.custom import load_custom
from tinysr.models.families.custom.export_foreign import describe_cause
from tinysr.stages import WHOLE, Tiles, Windows

CODE = """
import os, signal, torch
from torch import nn

def make():
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 12, 3, padding=1), nn.ReLU(), nn.PixelShuffle(2))

def crash():
    os.kill(os.getpid(), signal.SIGSEGV)

def give():
    return 3
"""


def describe(folder: Path, source: str) -> Path:
    (folder / "strange_network.py").write_text(CODE)
    path = folder / "net.toml"
    path.write_text(f'name = "net"\nlicence = "x"\nscale = 2\n{source}\n')
    return path


@pytest.mark.parametrize("source", ['callable = "strange_network:make"', 'file = "net.pt2"'])
def test_code_runs_only_where_it_is_trusted(source: str, tmp_path: Path) -> None:
    (tmp_path / "net.pt2").touch()
    with pytest.raises(UnsupportedError, match="may run any code"):
        load_custom(describe(tmp_path, source))


def test_a_function_gives_a_network(tmp_path: Path) -> None:
    path = describe(tmp_path, 'callable = "strange_network:make"')
    model = load_custom(path, trust=True)
    torch.manual_seed(0)
    layer = torch.nn.Conv2d(3, 12, 3, padding=1)
    image = torch.rand(3, 3, 16, 24)
    expected = torch.pixel_shuffle(layer(image).relu(), 2)
    assert difference(model(image), expected) < 1e-5
    assert model.chain().stage(WHOLE).division == Windows(halo=1)


@pytest.mark.parametrize(
    ("function", "words"),
    [("crash", r"\(SIGSEGV\)"), ("give", "returned a int")],
)
def test_what_fails_is_said_in_a_line(function: str, words: str, tmp_path: Path) -> None:
    path = describe(tmp_path, f'callable = "strange_network:{function}"')
    with pytest.raises(UnsupportedError, match=words) as caught:
        load_custom(path, trust=True)
    assert str(caught.value).isprintable()


@pytest.mark.slow
def test_one_size_is_made_where_it_is_stated(tmp_path: Path) -> None:
    tiles = 'division = "tiles"\nside = 48'
    path = describe(tmp_path, f'callable = "strange_network:make"\n{tiles}')
    model = load_custom(path, trust=True)
    assert model.chain().stage(WHOLE).division == Tiles(side=48, overlap=12)


@pytest.mark.slow
def test_a_pt2_file_gives_a_network(tmp_path: Path) -> None:
    network, auto = seed(Srvgg(2)), torch.export.Dim.AUTO
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program = torch.export.export(
            network, (torch.rand(2, 3, 16, 24),), dynamic_shapes=({0: auto, 2: auto, 3: auto},)
        )
    torch.export.save(program, tmp_path / "net.pt2")
    model = load_custom(describe(tmp_path, 'file = "net.pt2"'), trust=True)
    image = torch.rand(3, 3, 16, 16)
    assert difference(model(image), network(image)) < 1e-5
    with pytest.raises(CheckpointError, match="found nothing"):
        load_custom(describe(tmp_path, 'file = "gone.pt2"'), trust=True)


def test_the_cause_is_what_an_error_goes_back_to() -> None:
    inner = ValueError("\n  the reason  \nmore")
    outer = RuntimeError("a long story")
    outer.__cause__ = inner
    assert describe_cause(outer) == "ValueError: the reason"
    assert describe_cause(KeyError()) == "KeyError: no reason given"
