"""A LoRA's tensors find their modules under the names of peft, diffusers and kohya."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from tests.support.checkpoint_factory import Reference, save_released
from tests.support.lora_files import LORA, RANK, LoraCase
from tests.support.spoiling import refused

Rename = Callable[[str], str]


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Reference]:
    torch.manual_seed(81)
    root = tmp_path_factory.mktemp("released")
    reference = save_released(root, positions=64, heads=1, rank=RANK)
    shutil.copy(root / LORA, root / "good.safetensors")
    return root, reference


@pytest.fixture
def case(saved: tuple[Path, Reference], tmp_path: Path) -> LoraCase:
    return LoraCase(Path(shutil.copytree(saved[0], tmp_path / "case")), saved[1])


def halves(down: str, up: str) -> Rename:
    """Return a renaming of the two halves."""
    return lambda key: key.replace(".lora_A", f".{down}").replace(".lora_B", f".{up}")


def of_kohya(prefix: str) -> Rename:
    """Return the renaming of kohya's scripts: dots within a module's name become underscores."""

    def rename(key: str) -> str:
        module, half = key.removeprefix("transformer.").split(".lora_")
        end = {"A.weight": "lora_down.weight", "B.weight": "lora_up.weight"}[half]
        return f"{prefix}{module.replace('.', '_')}.{end}"

    return rename


def bare(key: str) -> str:
    return key.removeprefix("transformer.")


STYLES: dict[str, Rename] = {
    "lora_A": lambda key: key,
    "lora_A.default": halves("lora_A.default", "lora_B.default"),
    "lora_A.my-adapter_2": halves("lora_A.my-adapter_2", "lora_B.my-adapter_2"),
    "lora.down": halves("lora.down", "lora.up"),
    "lora_down": halves("lora_down", "lora_up"),
}
PREFIXES = ("transformer.", "", "base_model.model.", "base_model.model.transformer.", "module.",
            "model.diffusion_model.", "base_model.model._orig_mod.")  # fmt: skip


@pytest.mark.parametrize("prefix", PREFIXES)
@pytest.mark.parametrize("style", STYLES)
def test_modules_are_found_under_every_name(case: LoraCase, style: str, prefix: str) -> None:
    case.rename(lambda key: prefix + bare(STYLES[style](key)))
    case.expect()


@pytest.mark.parametrize("prefix", ["lora_unet_", "lora_transformer_", "lycoris_"])
def test_modules_are_found_under_kohya_s_names(case: LoraCase, prefix: str) -> None:
    case.rename(of_kohya(prefix))
    case.expect()
    stems = {key.split(".")[0] for key in case.tensors}
    case.save(case.tensors | {f"{stem}.alpha": torch.tensor(RANK / 2) for stem in stems})
    case.expect(0.5)


@pytest.mark.parametrize("rename", [bare, of_kohya("lora_unet_")], ids=["dots", "underscores"])
def test_modules_of_the_text_stream_are_left_out(case: LoraCase, rename: Rename) -> None:
    stream = ("context_embedder", "transformer_blocks.0.attn.add_q_proj",
              "transformer_blocks.1.attn.to_add_out", "transformer_blocks.0.norm1_context.linear",
              "transformer_blocks.1.ff_context.net.2")  # fmt: skip
    text = {
        rename(f"transformer.{module}.lora_{half}.weight"): torch.ones(RANK, RANK)
        for module in stream
        for half in "AB"
    }
    case.save({rename(key): tensor for key, tensor in case.tensors.items()} | text)
    case.expect()


PLACES = ("pytorch_lora_weights", "adapter_model", "transformer/adapter_model",
          "transformer/pytorch_lora_weights", "TRANSFORMER")  # fmt: skip


@pytest.mark.parametrize("name", PLACES)
def test_a_lora_lies_where_peft_and_diffusers_save_it(case: LoraCase, name: str) -> None:
    place = case.path.parent / f"{name}.safetensors"
    place.parent.mkdir(exist_ok=True)
    case.path.rename(place)
    case.expect()
    shutil.copy(place, case.path)
    refused(case.root, "expected one LoRA, found", place.name, "keep one of them")


# Refused


def add(key: str) -> Callable[[LoraCase], None]:
    """Return a change that adds a tensor under a key."""
    return lambda case: case.save(case.tensors | {key: torch.ones(RANK, RANK)})


def add_pair(module: str) -> Callable[[LoraCase], None]:
    """Return a change that adds both halves of a module."""
    keys = [f"{module}.lora_{half}.weight" for half in "AB"]
    return lambda case: case.save(case.tensors | dict.fromkeys(keys, torch.ones(RANK, RANK)))


MODULE = "transformer.transformer_blocks.0.attn.to_q"
REFUSED: dict[str, tuple[Callable[[LoraCase], None], tuple[str, ...]]] = {
    **{kind: (add(f"{MODULE}.{end}"), (f"is of {kind}, only plain LoRAs are merged", end))
       for kind, end in (
           ("a DoRA", "lora_magnitude_vector"), ("a DoRA", "dora_scale"),
           ("a LoHa", "hada_w1_a"), ("a LoKr", "lokr_w1"), ("an OFT", "oft_blocks"),
           ("a LoCon with Tucker factors", "lora_mid.weight"),
           ("a LoRA with biases", "lora_B.bias"), ("a LoRA of an embedding", "lora_embedding_A"),
           ("a LoRA that replaces weights of its base", "base_layer.weight"))},
    "a whole model": (add(MODULE.replace("to_q", "to_q.bias")), ("unexpected LoRA key",)),
    "a whole difference": (add(f"{MODULE}.diff"), ("unexpected LoRA key", "to_q.diff'")),
    "another adapter": (
        add("transformer.proj_out.lora_A.pix.weight"), ("expected one adapter, found '', 'pix'",)),
    "half a pair": (
        add("transformer.proj_out.lora_A.weight"),
        ("the LoRA key 'transformer.proj_out.lora_B.weight' is missing",)),
    "half a pair of kohya's": (
        add("lora_unet_proj_out.lora_up.weight"),
        ("the LoRA key 'lora_unet_proj_out.lora_down.weight' is missing",)),
    "an alpha alone": (
        add("transformer.proj_out.alpha"), ("unexpected LoRA key", "proj_out.alpha'")),
    "one half twice": (
        add(f"{MODULE}.lora_down.weight"), ("lora_down.weight' are the same part", "keep one")),
    "one module twice": (
        add_pair("module.transformer_blocks.0.attn.to_q"), ("are one module", "keep one")),
    "no such module": (add_pair("transformer.nowhere"), (
        "'transformer.nowhere' has no module in the base", "named like '", "of another model?")),
    "Stability's names": (
        add_pair("lora_unet_joint_blocks_0_x_block_attn_qkv"), ("has no module in the base",)),
    "a text encoder of diffusers": (
        add_pair("text_encoder.text_model.encoder.layers.0.mlp.fc1"), ("of the text encoder",)),
    "a text encoder of kohya": (
        add_pair("lora_te1_text_model_encoder_layers_0_mlp_fc1"), ("of the text encoder",)),
    "a name of two lines": (
        add_pair("transformer.a\nb"), (r"key 'transformer.a\nb.lora_A.weight'",)),
}  # fmt: skip


@pytest.mark.parametrize("fault", REFUSED)
def test_what_is_no_plain_lora_of_the_base_is_refused(case: LoraCase, fault: str) -> None:
    change, words = REFUSED[fault]
    change(case)
    refused(case.root, LORA.name, *words)


def test_vectors_are_no_factors(case: LoraCase) -> None:
    keys = [f"{MODULE}.lora_{half}.weight" for half in "AB"]
    case.save(case.tensors | dict.fromkeys(keys, torch.ones(RANK)))
    refused(case.root, f"the LoRA of '{MODULE}' has no matrices")


@pytest.mark.parametrize("suffix", [".bin", ".pt", ".ckpt"])
def test_a_pickled_lora_is_named_and_not_read(case: LoraCase, suffix: str) -> None:
    torch.save(case.tensors, case.path.with_suffix(suffix))
    case.path.unlink()
    refused(
        case.root, f"transformer{suffix}: a pickled LoRA is never read", f"save it as {case.path}"
    )


def test_a_missing_lora_is_named(case: LoraCase) -> None:
    shutil.rmtree(case.path.parent)
    refused(case.root, f"{case.path}: the LoRA is missing", "copy it here")
