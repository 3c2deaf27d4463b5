"""Every family keeps the one contract."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.contract import check_family
from tests.support.custom_networks import Srvgg, export
from tests.support.tiny_adcsr import tiny_adcsr
from tests.support.tiny_models import TILE, tiny_model
from tests.support.tiny_sana_sr import tiny_sana_sr
from tests.support.tiny_stable_diffusion import FAMILIES, SIDE, tiny_stable_diffusion
from tests.support.tiny_tsd_sr import tiny_tsd_sr
from tinysr.errors import CheckpointError
from tinysr.models import load_checkpoint
from tinysr.models.families import adcsr, sana_sr, stable_diffusion, tsd_sr
from tinysr.models.families.registry import detect
from tinysr.models.families.tinysr import save_single_file

pytestmark = pytest.mark.usefixtures("one_thread")


def test_tinysr(tmp_path: Path) -> None:
    model, path = tiny_model(), tmp_path / "tiny.safetensors"
    save_single_file(model, path)
    check_family(model, path, TILE)


def test_adcsr(tmp_path: Path) -> None:
    model, path = tiny_adcsr(), tmp_path / "tiny.safetensors"
    adcsr.save_single_file(model, path)
    check_family(model, path, 64)


def test_sana_sr(tmp_path: Path) -> None:
    model, path = tiny_sana_sr(), tmp_path / "tiny.safetensors"
    sana_sr.save_single_file(model, path)
    check_family(model, path, 32)


@pytest.mark.parametrize("family", FAMILIES)
def test_stable_diffusion(family: str, tmp_path: Path) -> None:
    model, path = tiny_stable_diffusion(family), tmp_path / "tiny.safetensors"
    stable_diffusion.save_single_file(model, path)
    check_family(model, path, SIDE)


def test_tsd_sr(tmp_path: Path) -> None:
    model, path = tiny_tsd_sr(), tmp_path / "tiny.safetensors"
    tsd_sr.save_single_file(model, path)
    check_family(model, path, 32)


def test_custom(tmp_path: Path) -> None:
    export(Srvgg(3), tmp_path / "net.onnx")
    path = tmp_path / "net.toml"
    path.write_text('name = "net"\nlicence = "MIT"\nfile = "net.onnx"\nscale = 3\n')
    check_family(load_checkpoint(path).model, path, 32)


def test_a_folder_that_two_layouts_claim_is_refused(tmp_path: Path) -> None:
    (tmp_path / "weight").mkdir()
    (tmp_path / "weight" / "net_params_200.pkl").write_bytes(b"")
    (tmp_path / "checkpoint" / "tinybackbone").mkdir(parents=True)
    with pytest.raises(CheckpointError, match="signs of released and adcsr-released"):
        detect(tmp_path)
