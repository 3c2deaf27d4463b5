"""The model of a network: values in and out, and how images are divided for it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from onnx import TensorProto, helper

from tests.support.custom_networks import (
    Rrdb,
    Squeeze,
    Srvgg,
    Tokens,
    Unshuffled,
    compute,
    difference,
    export,
)
from tests.support.onnx_files import image_model, write
from tinysr.errors import GateError, TinySRError
from tinysr.models.families.custom import (
    PROOF_TOLERANCE,
    CustomModel,
    load_custom,
    prove_division,
    prove_reach,
)
from tinysr.stages import WHOLE, Tiles, Windows

pytestmark = pytest.mark.usefixtures("one_thread")


def load(folder: Path, text: str = "", *, scale: int = 2, **options: Any) -> CustomModel:
    path = folder / "net.toml"
    named = f'name = "net"\nlicence = "CC0-1.0"\nfile = "net.onnx"\nscale = {scale}\n'
    path.write_text(named + text, encoding="utf-8")
    return load_custom(path, **options)


def refuse(folder: Path, text: str = "", *, tile: int | None = None, scale: int = 2) -> str:
    """Return the one line in which a network or a division is refused."""
    with pytest.raises(TinySRError) as caught:
        load(folder, text, scale=scale).chain(tile)
    assert str(caught.value).isprintable()
    return str(caught.value)


def is_exact(model: CustomModel) -> bool:
    found = prove_division(model)
    return found is not None and found < PROOF_TOLERANCE


def test_a_local_network_is_divided_into_windows(tmp_path: Path) -> None:
    export(Rrdb(), tmp_path / "net.onnx")
    model = load(tmp_path, scale=4)
    chain = model.chain()
    stage = chain.stage(WHOLE)
    assert stage.division == Windows(halo=12)
    assert (chain.scale, chain.names, chain.multiple) == (4, ("upscale",), 1)
    assert [field.pixels_per_cell for field in chain.fields] == [4, 1]
    assert not stage.restores
    assert dict(model.named_children()).keys() == {"upscale"}
    assert not any(one.requires_grad for one in model.parameters())


@pytest.mark.parametrize("make", [Squeeze, Tokens])
def test_a_global_network_is_divided_into_tiles(make: Any, tmp_path: Path) -> None:
    export(make(), tmp_path / "net.onnx")
    model = load(tmp_path)
    assert prove_division(model) is None
    assert model.chain().stage(WHOLE).division == Tiles(side=128, overlap=32)
    assert model.chain(96).stage(WHOLE).division == Tiles(side=96, overlap=24)
    said = load(tmp_path, 'division = "tiles"\nside = 64\noverlap = 8')
    assert said.chain().stage(WHOLE).division == Tiles(side=64, overlap=8)
    assert "depends on the whole image" in refuse(tmp_path, 'division = "windows"')


def test_a_wide_reach_makes_tiles_unless_windows_are_asked_for(tmp_path: Path) -> None:
    export(Rrdb(13), tmp_path / "net.onnx")
    assert isinstance(load(tmp_path, scale=4).chain().stage(WHOLE).division, Tiles)
    model = load(tmp_path, 'division = "windows"', scale=4)
    assert is_exact(model)
    assert model.chain().stage(WHOLE).division == Windows(halo=67)


def test_sides_divide_by_what_the_network_needs(tmp_path: Path) -> None:
    export(Unshuffled(), tmp_path / "net.onnx")
    model = load(tmp_path, scale=1)
    stage = model.chain().stage(WHOLE)
    assert (stage.align, stage.division, stage.restores) == (8, Windows(halo=23), True)
    assert model.chain().multiple == 8
    assert load(tmp_path, "multiple_of = 12", scale=1).align == 24
    tiles = 'division = "tiles"\n'
    assert load(tmp_path, tiles, scale=1).chain().stage(WHOLE).division == Tiles(
        side=128, overlap=32
    )
    assert "divides by 8 pixels, found 100" in refuse(tmp_path, tiles, tile=100, scale=1)
    assert "found 12" in refuse(tmp_path, tiles + "overlap = 12", scale=1)


def test_a_fixed_size_is_the_tile(tmp_path: Path) -> None:
    export(Srvgg(2), tmp_path / "net.onnx", side=(40, 40), fixed=True)
    model = load(tmp_path)
    assert model.chain().stage(WHOLE).division == Tiles(side=40, overlap=10)
    assert "40 × 40 pixels alone, found tile 64" in refuse(tmp_path, tile=64)
    assert "images of one size alone" in refuse(tmp_path, 'division = "windows"')
    export(Srvgg(2), tmp_path / "net.onnx", side=(40, 48), fixed=True)
    assert "takes images of 40 × 48" in refuse(tmp_path)


def test_another_scale_is_refused(tmp_path: Path) -> None:
    for fixed in (False, True):
        export(Srvgg(3), tmp_path / "net.onnx", side=(32, 32), fixed=fixed)
        assert "state the network's own scale" in refuse(tmp_path)


def test_values_go_to_the_networks_levels_and_back(tmp_path: Path) -> None:
    path = export(Srvgg(2), tmp_path / "net.onnx")
    levels = "input = { range = [0, 255], mean = [100, 110, 120], std = [50, 60, 70] }\n"
    image = torch.rand(2, 3, 16, 24)
    mean, std = (torch.tensor(v).reshape(1, 3, 1, 1) for v in ([100.0, 110, 120], [50.0, 60, 70]))
    expected = (compute(path, (image * 255 - mean) / std) * std + mean) / 255
    assert difference(load(tmp_path, levels)(image), expected) < 1e-5
    other = load(tmp_path, levels + "output = { range = [-1, 1] }")
    expected = (compute(path, (image * 255 - mean) / std) + 1) / 2
    assert difference(other(image), expected) < 1e-5


def test_an_image_may_be_enlarged_before_the_network(tmp_path: Path) -> None:
    path = write(tmp_path / "net.onnx", image_model())
    model = load(tmp_path, 'resize = "bicubic"', scale=4)
    image = torch.rand(1, 3, 16, 24)
    large = F.interpolate(image, scale_factor=4, mode="bicubic")
    assert difference(model(image), compute(path, large)) < 1e-5
    assert model.chain().stage(WHOLE).division == Windows(halo=2)
    export(Srvgg(1), tmp_path / "net.onnx", side=(64, 64), fixed=True)
    fixed = load(tmp_path, 'resize = "bicubic"', scale=4)
    assert fixed.chain().stage(WHOLE).division == Tiles(side=16, overlap=4)


def test_a_batch_of_one_is_all_that_some_take(tmp_path: Path) -> None:
    shape = helper.make_tensor("", TensorProto.INT64, [4], [1, 3, -1, 8])
    nodes = [
        helper.make_node("Constant", [], ["s"], value=shape),
        helper.make_node("Reshape", ["image", "s"], ["r"]),
        helper.make_node("Shape", ["image"], ["t"]),
        helper.make_node("Reshape", ["r", "t"], ["a"]),
        helper.make_node("Conv", ["a", "w"], ["b"], pads=[1, 1, 1, 1]),
        helper.make_node("Slice", ["b", "z", "o", "z"], ["out"]),
    ]
    tensors = {
        "w": np.ones((3, 3, 3, 3), np.float32),
        "z": np.array([0]),
        "o": np.array([1]),
    }
    write(tmp_path / "net.onnx", image_model(nodes, tensors))
    model = load(tmp_path, scale=1)
    assert model.shape.single
    assert model.align == 4
    image = torch.rand(3, 3, 16, 16)
    torch.testing.assert_close(model(image), torch.cat([model(image[i : i + 1]) for i in range(3)]))


def test_memory_is_that_of_the_widest_maps(tmp_path: Path) -> None:
    export(Srvgg(2), tmp_path / "net.onnx")
    model = load(tmp_path)
    held = model.chain().stage(WHOLE).bytes_per_cell
    widest = 3 * 4  # channels of the result, at four pixels for each of the image
    assert 2 * widest * 4 <= held <= 8 * widest * 4
    assert model.chain(64).stage(WHOLE).bytes_per_cell == held


@pytest.mark.parametrize(("make", "scale", "halo"), [(Rrdb, 4, 12), (lambda: Srvgg(3), 3, 3)])
def test_windows_are_exact_with_the_halo_and_not_with_less(
    make: Any, scale: int, halo: int, tmp_path: Path
) -> None:
    export(make(), tmp_path / "net.onnx")
    model = load(tmp_path, scale=scale, prove=False)
    options: Any = {"align": 1, "scale": scale, "name": "net"}
    assert prove_reach(model, halo=halo, **options) < PROOF_TOLERANCE / 1e6
    with pytest.raises(GateError, match=f"a halo of {halo - 1} pixels differ from the whole by"):
        prove_reach(model, halo=halo - 1, **options)
    assert model(torch.rand(1, 3, 8, 8)).dtype is torch.float32


def test_a_halo_that_is_claimed_too_small_is_refused(tmp_path: Path) -> None:
    export(Rrdb(), tmp_path / "net.onnx")
    assert load(tmp_path, 'division = "windows"\nhalo = 20', scale=4)
    words = refuse(tmp_path, 'division = "windows"\nhalo = 3', scale=4)
    assert "a halo of 3 pixels" in words
    assert "state a larger halo" in words


def test_a_global_network_fails_the_proof(tmp_path: Path) -> None:
    export(Squeeze(), tmp_path / "net.onnx")
    assert "differ from the whole" in refuse(tmp_path, 'division = "windows"\nhalo = 32')


def test_a_network_that_overflows_fails_the_proof(tmp_path: Path) -> None:
    nodes = [helper.make_node("Exp", ["image"], ["a"]), helper.make_node("Exp", ["a"], ["b"])]
    nodes.append(helper.make_node("Exp", ["b"], ["out"]))
    write(tmp_path / "net.onnx", image_model(nodes, {}))
    assert "not finite" in refuse(tmp_path, "input = { range = [0, 255] }", scale=1)


def test_windows_are_proven_at_the_multiple(tmp_path: Path) -> None:
    export(Unshuffled(), tmp_path / "net.onnx")
    model = load(tmp_path, scale=1)
    assert is_exact(model)
    with pytest.raises(GateError):
        prove_reach(model, halo=8, align=8, scale=1, name="net")


def test_the_hash_is_that_of_what_is_computed(tmp_path: Path) -> None:
    hashes = []
    for network, text in ((Srvgg(2), ""), (Srvgg(2), "multiple_of = 2"), (Squeeze(), "")):
        export(network, tmp_path / "net.onnx")
        hashes += [load(tmp_path, text).sha256, load(tmp_path, text).sha256]
    assert len(hashes[0]) == 64
    assert [hashes.index(one) for one in hashes] == [0, 0, 2, 2, 4, 4]
    write(tmp_path / "a.onnx", image_model(), lambda model: setattr(model, "doc_string", "/home"))
    write(tmp_path / "b.onnx", image_model())
    (tmp_path / "a.onnx").rename(tmp_path / "net.onnx")
    first = load(tmp_path, scale=1).sha256
    (tmp_path / "b.onnx").replace(tmp_path / "net.onnx")
    assert load(tmp_path, scale=1).sha256 == first


def test_other_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "net.toml"
    path.write_text('name = "n"\nlicence = "x"\nscale = 2\nfile = "net.pth"\n')
    with pytest.raises(TinySRError, match=r"expected an \.onnx or \.pt2 file"):
        load_custom(path)
