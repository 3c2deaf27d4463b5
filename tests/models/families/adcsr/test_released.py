"""AdcSR's released pickles: what is read of them, and what is refused."""

from __future__ import annotations

import functools
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from tests.support import spoiling
from tests.support.adcsr import CUT, HALF, NETWORK, Reference, save_adcsr, save_lightning
from tests.support.tiny_models import difference, noise
from tinysr.models.checkpoints.torch_files import open_torch_file
from tinysr.models.families.adcsr import PRESETS, AdcSR, AdcSrConfig, is_released, read_released

pytestmark = pytest.mark.usefixtures("one_thread")

refused = functools.partial(spoiling.refused, by=read_released)

BLOCK = "module.body.1.up_blocks.0.resnets.0.conv1.bias"
DOUBLE = "module.body.1.body.5.resnets.0.conv1.bias"


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory, one_thread: None) -> tuple[Path, Reference]:
    torch.manual_seed(80)
    root = tmp_path_factory.mktemp("adcsr")
    return root, save_adcsr(root)


@pytest.fixture
def folder(saved: tuple[Path, Reference], tmp_path: Path) -> Path:
    """Return a copy of a good checkpoint, for a test to spoil."""
    return Path(shutil.copytree(saved[0], tmp_path / "adcsr"))


def edit(path: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    """Change what a pickle of our own making holds, in place."""
    state = dict(torch.load(path, weights_only=True))
    change(state)
    torch.save(state, path)


def load_half(folder: Path) -> dict[str, Tensor]:
    """Return the decoder's tensors of the file that Lightning is said to have made."""
    with open_torch_file(folder / HALF, 2**30) as file:
        assert isinstance(file.root, dict)
        described = file.root["state_dict"]
        return {n: file.read(n, t) for n, t in described.items() if n.startswith("decoder.")}


def test_it_is_the_model_that_was_saved(saved: tuple[Path, Reference]) -> None:
    root, reference = saved
    model = read_released(root)
    assert model.config == CUT
    image = noise(1, 3, 32, 48)
    assert difference(model(image), reference.upscale(image)) <= 3e-5
    assert not model.training
    assert not any(p.requires_grad for p in model.parameters())
    assert {t.dtype for t in model.state_dict().values()} == {torch.float32}


@pytest.mark.parametrize(
    ("config", "tensors", "keys"), [(CUT, 550, 1072), (PRESETS["adcsr"], 552, 1076)]
)
def test_the_released_file_has_the_blocks_twice(
    saved: tuple[Path, Reference], config: AdcSrConfig, tensors: int, keys: int
) -> None:
    with torch.device("meta"):
        ours = AdcSR(config).unet.state_dict()
    once = [name for name in ours if name.startswith(("net.conv_in.", "mid_block."))]
    assert (len(ours), 2 * len(ours) - len(once)) == (tensors, keys)
    if config == CUT:
        assert len(torch.load(saved[0] / NETWORK, weights_only=True)) == keys


@pytest.mark.parametrize("place", ["weight", "beside", "in the folder"])
def test_files_lie_in_several_places(folder: Path, place: str) -> None:
    if place == "weight":
        folder /= "weight"
    else:
        (folder / HALF).rename(folder / "weight/halfDecoder.ckpt")
    if place == "in the folder":
        for path in list((folder / "weight").iterdir()):
            path.rename(folder / path.name)
    assert is_released(folder)
    assert isinstance(read_released(folder), AdcSR)


def test_other_epochs_wrappers_and_precisions_are_read(folder: Path) -> None:
    expected = read_released(folder).state_dict()
    path = folder / NETWORK
    state = torch.load(path, weights_only=True)
    path.unlink()
    halves = {name.removeprefix("module."): tensor.half() for name, tensor in state.items()}
    torch.save(halves, folder / "weight/net_params_7.pkl")
    found = read_released(folder).state_dict()
    for name, tensor in expected.items():
        rounded = tensor.half().float() if name.startswith("unet.") else tensor
        assert torch.equal(found[name], rounded), name


def test_a_weight_under_either_name_is_enough(folder: Path) -> None:
    expected = read_released(folder).state_dict()
    edit(folder / NETWORK, lambda state: (state.pop(BLOCK), state.pop(DOUBLE.replace("5", "6"))))
    found = read_released(folder).state_dict()
    assert all(torch.equal(found[name], tensor) for name, tensor in expected.items())


def test_doubles_that_are_equal_may_be_copies(folder: Path) -> None:
    edit(folder / NETWORK, lambda state: state.update({DOUBLE: state[DOUBLE].clone()}))
    assert isinstance(read_released(folder), AdcSR)


@pytest.mark.parametrize("change", [lambda t: t + 1e-6, lambda t: t[:-1], lambda t: t[None]])
def test_doubles_that_differ_are_refused(folder: Path, change: Callable[[Tensor], Tensor]) -> None:
    edit(folder / NETWORK, lambda state: state.update({DOUBLE: change(state[DOUBLE]).clone()}))
    refused(folder, NETWORK, "are one weight of the model and differ", "up_blocks.0", "body.5")


def test_every_key_is_accounted_for(folder: Path) -> None:
    def change(state: dict[str, Any]) -> None:
        del state["module.body.1.conv_in.bias"], state["module.body.2.attentions.0.to_q.bias"]
        state["module.body.1.body.12.weight"] = torch.zeros(1)
        state["module.body.3.weight"] = torch.zeros(1)
        state["module.body.1.time_embedding.linear_1.bias"] = torch.zeros(1)

    edit(folder / NETWORK, change)
    refused(
        folder,
        "missing: unet.net.conv_in.bias, unet.mid_block.attentions.0.to_q.bias",
        "unexpected: body.1.body.12.weight, body.3.weight, unet.net.time_embedding.linear_1.bias",
    )


def test_the_decoder_s_keys_are_accounted_for(folder: Path) -> None:
    state = load_half(folder)
    del state["decoder.conv_norm_out.weight"]
    state["decoder.more.weight"] = torch.zeros(1)
    save_lightning(state, folder / HALF)
    refused(folder, "missing: decoder.conv_norm_out.weight", "unexpected: decoder.more.weight")
    save_lightning({}, folder / HALF)
    refused(folder, HALF, "expected tensors named 'decoder.…'")
    torch.save({"decoder.conv_out.bias": torch.zeros(3)}, folder / HALF)
    refused(folder, HALF, "expected a checkpoint with a 'state_dict'")
    torch.save([1], folder / HALF)
    refused(folder, HALF, "expected a checkpoint with a 'state_dict'")
    torch.save({"state_dict": {"decoder.conv_out.bias": "zero"}}, folder / HALF)
    refused(folder, HALF, "another object at 'decoder.conv_out.bias'")


@pytest.mark.parametrize(
    ("name", "shape", "words"),
    [
        ("conv_in.weight", (48, 0, 3, 3), "unshuffle is 0"),
        ("conv_in.weight", (48,), "expected a convolution's weights at 'body.1.conv_in.weight'"),
        ("down_blocks.0.resnets.0.conv1.weight", (50, 1, 1, 1), "what head_size divides"),
        ("down_blocks.0.resnets.0.conv1.weight", (4096, 1, 1, 1), "widths is 4096"),
        ("down_blocks.9.resnets.0.conv1.weight", (48, 1, 1, 1), "down_blocks.4.resnets.0.conv1"),
        ("down_blocks.0.resnets.9.conv1.weight", (48, 1, 1, 1), "missing: unet.net.down_blocks.0"),
        ("conv_out.weight", (64, 48, 1, 1), "wrong shape: unet.net.conv_out.weight is [64, 48, 1"),
    ],
)
def test_odd_shapes_are_refused(
    folder: Path, name: str, shape: tuple[int, ...], words: str
) -> None:
    def change(state: dict[str, Any]) -> None:
        if name == "conv_out.weight":
            del state["module.body.1.body.11.weight"]
        state[f"module.body.1.{name}"] = torch.zeros(shape)

    edit(folder / NETWORK, change)
    refused(folder, words)


class Hostile:
    """Pickles to a call of ``os.system``."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[str]]:
        return os.system, (f"touch {self.trace}",)


@pytest.mark.parametrize("file", [NETWORK, HALF])
def test_hostile_pickles_are_refused_and_not_run(folder: Path, file: str) -> None:
    trace = folder / "trace"
    for payload in (Hostile(trace), {"module.body.1.conv_in.bias": Hostile(trace)}):
        torch.save(payload, folder / file)
        refused(folder, Path(file).name, "refused: it names", "system")
    torch.save({"state_dict": {BLOCK: torch.zeros(1).expand(10**14)}}, folder / file)
    refused(folder, "expected")
    (folder / file).write_bytes((folder / file).read_bytes()[:200])
    refused(folder, Path(file).name, "cut or damaged")
    assert not trace.exists()


def test_a_network_that_claims_too_much_is_refused(folder: Path) -> None:
    huge = torch.zeros(1).expand(10**12)
    edit(folder / NETWORK, lambda state: state.update({BLOCK: huge}))
    refused(folder, "claims [1000000000000], its storage has 1 numbers")


def test_files_that_are_missing_or_one_too_many_are_named(folder: Path) -> None:
    shutil.copy(folder / NETWORK, folder / "weight/net_params_190.pkl")
    refused(folder, "expected one net_params_….pkl", "net_params_190.pkl, net_params_200.pkl")
    (folder / "weight/net_params_190.pkl").unlink()
    (folder / HALF).unlink()
    refused(folder, "halfDecoder.ckpt: the decoder is missing: copy it here")
    (folder / NETWORK).unlink()
    assert not is_released(folder)
    assert not is_released(folder / "nowhere")
    refused(folder, "found none")
