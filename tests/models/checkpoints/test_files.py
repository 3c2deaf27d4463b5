"""Files as people have them: variants, prefixes, strangers, and files in place of the one meant."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from diffusers import SD3Transformer2DModel
from safetensors.torch import load_file, save_file
from torch import Tensor

from tests.support.checkpoint_factory import Reference, add_lora, make_vae
from tests.support.spoiling import edit, refused
from tinysr.models import ModelConfig, TransformerConfig, VaeConfig, load
from tinysr.models.families.tinysr import save_single_file
from tinysr.models.families.tinysr.seeded import seed_model

BASE = "checkpoint/tinybackbone/prune-3-merge/transformer"
NAME = "diffusion_pytorch_model"
WEIGHTS = f"{BASE}/{NAME}.safetensors"
VAE_WEIGHTS = f"checkpoint/vae/separable/{NAME}.safetensors"
LORA = "checkpoint/tinysr/transformer.safetensors"

Change = Callable[[Path], object]
"""Changes a checkpoint whose folder is given."""


def same_model(root: Path, original: Path) -> None:
    """Assert that a checkpoint is loaded as the original, to the last bit."""
    expected = load(original).state_dict()
    for name, tensor in load(root).state_dict().items():
        assert torch.equal(tensor, expected[name]), name


# Which of several files is taken


def halved(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor.half() for name, tensor in tensors.items()}


def add_variant(root: Path, variant: str, *, shards: int = 1) -> None:
    """Write the base's weights in half precision beside the plain file, as diffusers names them."""
    tensors = halved(load_file(root / WEIGHTS))
    if shards == 1:
        save_file(tensors, root / BASE / f"{NAME}.{variant}.safetensors")
        return
    names = sorted(tensors)
    index: dict[str, str] = {}
    for i in range(shards):
        file = f"{NAME}.{variant}-{i + 1:05d}-of-{shards:05d}.safetensors"
        save_file({name: tensors[name] for name in names[i::shards]}, root / BASE / file)
        index |= dict.fromkeys(names[i::shards], file)
    text = json.dumps({"weight_map": index})
    (root / BASE / f"{NAME}.safetensors.index.{variant}.json").write_text(text)


def add_variants(root: Path, *variants: str) -> None:
    for variant in variants:
        add_variant(root, variant)


VARIANTS: dict[str, Change] = {
    "fp16": lambda root: add_variant(root, "fp16"),
    "fp16 in shards": lambda root: add_variant(root, "fp16", shards=2),
    "non_ema": lambda root: add_variant(root, "non_ema"),
    "ema_only and bf16": lambda root: add_variants(root, "ema_only", "bf16"),
}


@pytest.mark.parametrize("variants", VARIANTS)
def test_the_plain_file_is_taken_before_its_variants(
    original: Path, released: Path, variants: str
) -> None:
    VARIANTS[variants](released)
    same_model(released, original)


@pytest.mark.parametrize("shards", [1, 2, 3])
@pytest.mark.parametrize("variant", ["fp16", "non_ema", "ema_only", "fp16.non_ema"])
@pytest.mark.parametrize("index", ["its own", "none", "the plain one's"])
def test_a_variant_alone_is_taken(
    original: Path, released: Path, variant: str, shards: int, index: str
) -> None:
    add_variant(released, variant, shards=shards)
    if index != "its own":
        for file in (released / BASE).glob("*.index.*"):
            file.unlink()
    if index == "the plain one's":  # who downloads a variant takes all .json files with it
        plain = {"weight_map": {"proj_out.bias": f"{NAME}-00001-of-00002.safetensors"}}
        (released / BASE / f"{NAME}.safetensors.index.json").write_text(json.dumps(plain))
    (released / WEIGHTS).unlink()
    base = shutil.copytree(original, released.parent / "half")
    edit(base / WEIGHTS, lambda t: t.update(halved(t)))
    same_model(released, base)


def test_an_index_of_shards_that_were_left_out_is_passed_over(
    original: Path, released: Path
) -> None:
    add_variant(released, "fp16", shards=2)
    index = next((released / BASE).glob("*.index.fp16.json"))
    index.rename(released / BASE / f"{NAME}.safetensors.index.json")
    for shard in (released / BASE).glob("*-of-*"):
        shard.unlink()
    same_model(released, original)


def test_old_names_of_a_variant_s_shards_are_read(original: Path, released: Path) -> None:
    tensors = load_file(released / WEIGHTS)
    (released / WEIGHTS).unlink()
    names = sorted(tensors)
    for i in range(2):
        part = {name: tensors[name] for name in names[i::2]}
        save_file(part, released / BASE / f"{NAME}-{i + 1:05d}-of-00002.fp16.safetensors")
    same_model(released, original)


def test_several_variants_without_the_plain_file_are_refused(released: Path) -> None:
    add_variant(released, "fp16")
    add_variant(released, "non_ema")
    (released / WEIGHTS).unlink()
    refused(released, BASE, "in several variants, 'fp16', 'non_ema'", "keep one of them")


def test_a_copy_of_the_weights_is_refused(released: Path) -> None:
    shutil.copy(released / WEIGHTS, released / BASE / f"{NAME} (1).safetensors")
    refused(
        released, "is in another file of", f"{NAME} (1).safetensors", "move the other file away"
    )


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_weights_of_another_precision_are_those_of_diffusers(
    released: Path, dtype: torch.dtype
) -> None:
    edit(released / WEIGHTS, lambda t: t.update({k: v.to(dtype) for k, v in t.items()}))
    theirs = SD3Transformer2DModel.from_pretrained(released / BASE, torch_dtype=torch.float32)
    add_lora(theirs.requires_grad_(False), load_file(released / LORA))
    model, z = load(released), torch.randn(1, 16, 8, 8)
    expected = Reference(theirs, make_vae(), model.pooled).velocity(z)
    assert (model.predict(z) - expected).abs().max() <= 1e-5 * expected.abs().max()


def test_eight_bit_floats_are_refused(released: Path) -> None:
    edit(released / WEIGHTS, lambda t: t.update(
        {"proj_out.bias": t["proj_out.bias"].to(torch.float8_e4m3fn)}))  # fmt: skip
    refused(released, "'proj_out.bias' is F8_E4M3, expected one of BF16, F16, F32, F64")


# Files that lie beside


STRANGERS = {
    f"{BASE}/._{NAME}.safetensors": b"\0\5\26\7" + b"\0" * 160,
    f"{BASE}/.{NAME}.safetensors.aB3": b"a download",
    f"{BASE}/.DS_Store": b"\0\0\0\1Bud1",
    f"{BASE}/Thumbs.db": b"\xd0\xcf\x11\xe0",
    "checkpoint/tinybackbone/._prune-3-merge": b"\0\5\26\7" + b"\0" * 160,
    "checkpoint/tinybackbone/.DS_Store": b"\0\0\0\1Bud1",
    "checkpoint/tinybackbone/.ipynb_checkpoints/transformer/config.json": b"{}",
    "checkpoint/tinysr/._transformer.safetensors": b"\0\5\26\7" + b"\0" * 160,
    "checkpoint/tinysr/desktop.ini": b"[.ShellClassInfo]",
    "checkpoint/vae/.DS_Store": b"\0\0\0\1Bud1",
}


@pytest.mark.parametrize("stranger", STRANGERS)
def test_files_of_the_system_are_passed_over(original: Path, released: Path, stranger: str) -> None:
    (released / stranger).parent.mkdir(parents=True, exist_ok=True)
    (released / stranger).write_bytes(STRANGERS[stranger])
    same_model(released, original)


@pytest.mark.parametrize("file", [WEIGHTS, VAE_WEIGHTS, LORA])
def test_names_in_capitals_are_read(original: Path, released: Path, file: str) -> None:
    path = released / file
    path.rename(path.with_suffix(".SAFETENSORS"))
    same_model(released, original)


def test_a_single_file_in_capitals_is_read(tmp_path: Path) -> None:
    config = ModelConfig(vae=VaeConfig(width=8), transformer=TransformerConfig(depth=1, heads=1))
    save_single_file(seed_model(config), tmp_path / "small.SAFETENSORS")
    edit_keys(tmp_path / "small.SAFETENSORS", lambda key: f"_orig_mod.{key}")
    assert load(tmp_path / "small.SAFETENSORS").config.transformer.depth == 1


# Prefixes of the base's names


def edit_keys(path: Path, change: Callable[[str], str]) -> None:
    """Rename the tensors of a file, and keep its metadata."""
    from safetensors import safe_open

    with safe_open(str(path), framework="pt") as file:
        metadata = file.metadata()
    save_file({change(k): t.clone() for k, t in load_file(path).items()}, path, metadata=metadata)


PREFIXES = ("_orig_mod.", "module.", "module._orig_mod.", "model.diffusion_model.", "transformer.",
            "model.", "base_model.model.transformer._orig_mod.")  # fmt: skip


@pytest.mark.parametrize("prefix", PREFIXES)
@pytest.mark.parametrize("file", [WEIGHTS, VAE_WEIGHTS])
def test_a_prefix_of_all_names_is_removed(
    original: Path, released: Path, file: str, prefix: str
) -> None:
    edit_keys(released / file, lambda key: prefix + key)
    same_model(released, original)


@pytest.mark.parametrize("file", [WEIGHTS, VAE_WEIGHTS])
def test_a_prefix_of_some_names_is_what_is_wrong(released: Path, file: str) -> None:
    first = min(load_file(released / file))
    edit_keys(released / file, lambda key: f"_orig_mod.{key}" if key == first else key)
    folder = str((released / file).parent)
    refused(released, folder, "only a part of the tensors' names", f"1 like '_orig_mod.{first}'")


def test_a_prefix_that_is_not_known_is_what_is_wrong(released: Path) -> None:
    edit_keys(released / WEIGHTS, lambda key: f"student.{key}")
    refused(released, BASE, "no tensor here is the model's", "transformer_blocks", "like 'student.")
