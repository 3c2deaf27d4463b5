"""A file in place of the one that is meant is called what it is, with what to do."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from tests.support.spoiling import refused
from tinysr.models import load

BASE = "checkpoint/tinybackbone/prune-3-merge/transformer"
NAME = "diffusion_pytorch_model"
WEIGHTS = f"{BASE}/{NAME}.safetensors"
VAE_WEIGHTS = f"checkpoint/vae/separable/{NAME}.safetensors"
LORA = "checkpoint/tinysr/transformer.safetensors"
POOLED = "dataset/default/pool_embeds.pt"
CONFIG = f"{BASE}/config.json"

LFS = (
    b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"0" * 64 + b"\nsize 6000000000\n"
)
STAND_INS: dict[str, tuple[bytes, str]] = {
    "a Git LFS pointer": (LFS, "a pointer of Git LFS, not the file itself: run 'git lfs pull'"),
    "a git-annex pointer": (b"/annex/objects/SHA256E-s9--0.x\n", "a pointer of git-annex"),
    "a web page": (b"<!DOCTYPE html><html>401</html>" * 99, "a saved web page"),
    "a web page after a mark": (b"\xef\xbb\xbf\r\n<HTML lang='en'>", "a saved web page"),
    "an answer in XML": (b"<?xml version='1.0'?><Error>AccessDenied</Error>", "answer in XML"),
    "macOS's notes": (b"\0\5\26\7" + b"\0" * 160, "macOS's notes"),
    "nothing": (b"", "it is empty"),
    "zeros": (b"\0" * 5000, "nothing but zeros"),
    "a text": ("Access is\nrestricted… ".encode() * 50, "'Access is restricted… Access is"),
    "a gzip archive": (b"\x1f\x8b\x08" + b"\0\x80" * 99, "a gzip archive"),
}  # fmt: skip


@pytest.mark.parametrize("stand_in", STAND_INS)
@pytest.mark.parametrize("file", [WEIGHTS, VAE_WEIGHTS, LORA, POOLED, CONFIG])
def test_a_file_in_place_of_the_one_meant_is_called_what_it_is(
    released: Path, file: str, stand_in: str
) -> None:
    data, words = STAND_INS[stand_in]
    (released / file).write_bytes(data)
    refused(released, str(released / file), words)


def test_a_pickle_under_the_name_of_safetensors_is_called_one(released: Path) -> None:
    tensors = {name: tensor.clone() for name, tensor in load_file(released / LORA).items()}
    torch.save(tensors, released / LORA)
    refused(
        released, LORA, "a zip archive or a pickle, which may hold code: save it as safetensors"
    )


def test_a_download_that_was_cut_says_how_much_is_there(released: Path) -> None:
    whole = (released / WEIGHTS).read_bytes()
    (released / WEIGHTS).write_bytes(whole[: len(whole) // 2])
    refused(released, WEIGHTS, f"{len(whole) // 2:,} of {len(whole):,} bytes", "download it again")
    (released / WEIGHTS).write_bytes(whole[:100])
    refused(released, WEIGHTS, "it ends within its header", "download it again")
    (released / WEIGHTS).rename(released / BASE / f"{NAME}.safetensors.part")
    refused(released, BASE, "is a download that has not ended")


@pytest.mark.parametrize("file", [WEIGHTS, VAE_WEIGHTS, LORA, POOLED])
def test_a_file_that_was_not_fetched_says_how_to_get_it(released: Path, file: str) -> None:
    path = released / file
    path.unlink()
    path.with_name(f"{path.name}.dvc").write_text("outs: []")
    refused(released, f"only its pointer {path.name}.dvc is here: run 'dvc pull'")
    path.symlink_to("../.git/annex/objects/SHA256E-x")
    refused(released, path.name, "is a link to ../.git/annex/objects/SHA256E-x", "not there")


def test_a_folder_without_a_config_says_what_to_copy(released: Path) -> None:
    (released / CONFIG).unlink()
    refused(released, "tinybackbone: no folder here has a transformer/config.json: copy it")


def test_two_bases_are_one_too_many(released: Path) -> None:
    base = released / "checkpoint/tinybackbone"
    shutil.copytree(base / "prune-3-merge", base / "prune-5")
    refused(released, "expected one model, found prune-3-merge", "prune-5", "keep one of them")


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-32"])
def test_a_config_is_read_in_every_encoding(original: Path, released: Path, encoding: str) -> None:
    text = (released / CONFIG).read_text(encoding="utf-8")
    (released / CONFIG).write_bytes(text.encode(encoding))
    assert load(released).config == load(original).config


def test_a_file_that_may_not_be_read_is_named(
    released: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def forbidden(*_: object, **__: object) -> None:
        raise PermissionError(13, os.strerror(13))

    monkeypatch.setattr("tinysr.models.checkpoints.files.safe_open", forbidden)
    refused(released, "Permission denied")
