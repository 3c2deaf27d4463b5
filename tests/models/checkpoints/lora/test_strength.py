"""A LoRA is merged at the strength it was trained for, whoever states it; or it is refused."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from tests.support.checkpoint_factory import Reference, add_lora, save_released, save_tsd_sr
from tests.support.lora_files import LORA, RANK, LoraCase, Strength, module_of
from tests.support.spoiling import refused
from tinysr.models import load_checkpoint

Change = Callable[[LoraCase], object]


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Reference]:
    torch.manual_seed(80)
    root = tmp_path_factory.mktemp("released")
    reference = save_released(root, positions=64, heads=1, rank=RANK)
    shutil.copy(root / LORA, root / "good.safetensors")
    return root, reference


@pytest.fixture
def case(saved: tuple[Path, Reference], tmp_path: Path) -> LoraCase:
    return LoraCase(Path(shutil.copytree(saved[0], tmp_path / "case")), saved[1])


def described(**metadata: object) -> Change:
    """Return a change that writes the metadata of the LoRA's file."""
    return lambda case: case.describe(**metadata)


def beside(**options: object) -> Change:
    """Return a change that writes peft's config beside the LoRA."""
    return lambda case: case.beside(**options)


def alphas(alpha: Callable[[str], Tensor]) -> Change:
    """Return a change that writes an alpha of each module beside its factors."""
    return lambda case: case.state_alphas(alpha)


def always(value: float) -> Callable[[str], Tensor]:
    """Return an alpha that is the same for each module."""
    return lambda _: torch.tensor(value)


def nested(**options: object) -> Change:
    """Return a change that writes a config of peft as diffusers does."""
    prefixed = {f"transformer.{name}": value for name, value in options.items()}
    return lambda case: case.describe(lora_adapter_metadata=prefixed)


def of_kohya(**metadata: object) -> Change:
    """Return a change that writes kohya's metadata, and an alpha of 4 beside each module."""

    def change(case: LoraCase) -> None:
        case.state_alphas(lambda _: torch.tensor(4.0))
        case.describe(**metadata)

    return change


def both(first: Change, second: Change) -> Change:
    return lambda case: (first(case), second(case))


def by_end(ends: dict[str, float], other: float) -> Callable[[str], float]:
    """Return the strength of modules by the ends of their names."""
    return lambda module: next((s for end, s in ends.items() if f".{module}".endswith(end)), other)


PATTERN = {"to_q": 2, "0.attn.to_k": 16, "^pos_embed.proj": 4, "proj": 1}
OF_PATTERN = by_end(
    {".to_q": 2 / RANK, ".0.attn.to_k": 2.0, ".pos_embed.proj": 4 / RANK, ".proj": 1 / RANK}, 0.5
)
DEFAULTS = {  # as peft writes them beside what matters
    "peft_type": "LORA", "bias": "none", "fan_in_fan_out": False, "init_lora_weights": True,
    "lora_bias": False, "lora_dropout": 0.1, "modules_to_save": None, "target_modules": ["to_q"],
    "use_dora": False, "megatron_core": "megatron.core", "layer_replication": None,
    "loftq_config": {}, "qalora_group_size": 16, "peft_version": "0.18.0", "task_type": None,
}  # fmt: skip
AS_TEXTS = {f"transformer.{name}": str(value) for name, value in DEFAULTS.items()}

HONOURED: dict[str, tuple[Change, Strength]] = {
    "nobody: alpha is the rank": (described(format="pt", ss_scale_weight="1"), 1.0),
    "peft's config": (beside(**DEFAULTS, r=RANK, lora_alpha=4), 0.5),
    "peft's config, a fraction": (beside(r=RANK, lora_alpha=1.5), 1.5 / RANK),
    "peft's config, by root of rank": (
        beside(r=RANK, lora_alpha=4, use_rslora=True), 4 / math.sqrt(RANK)),
    "peft's config, by module": (beside(lora_alpha=4, alpha_pattern=PATTERN), OF_PATTERN),
    "diffusers' metadata": (nested(**DEFAULTS, r=RANK, lora_alpha=4), 0.5),
    "diffusers' metadata, by module": (nested(lora_alpha=4, alpha_pattern=PATTERN), OF_PATTERN),
    "diffusers' metadata, by root of rank": (
        nested(lora_alpha=4, use_rslora=True), 4 / math.sqrt(RANK)),
    "diffusers' metadata, no namespace": (
        described(lora_adapter_metadata={"r": RANK, "lora_alpha": 4}), 0.5),
    "diffusers' metadata of a text encoder": (
        described(lora_adapter_metadata={"text_encoder.lora_alpha": 4}), 1.0),
    "metadata lora_alpha": (described(lora_alpha="4", r="8"), 0.5),
    "metadata lora_alpha, an option off": (
        described(lora_alpha="4", use_rslora="False", use_dora="false", bias="none"), 0.5),
    "metadata lora_alpha, by root of rank": (
        described(lora_alpha="4", use_rslora="True"), 4 / math.sqrt(RANK)),
    "metadata lora_alpha, by module": (
        described(lora_alpha="4", alpha_pattern=PATTERN), OF_PATTERN),
    "metadata network_alpha": (described(network_alpha="4", network_dim="8"), 0.5),
    "metadata alpha": (described(alpha="4.0", rank="8"), 0.5),
    "metadata of a whole config": (
        described(**AS_TEXTS, **{"transformer.lora_alpha": "4", "transformer.r": "8"}), 0.5),
    "kohya's metadata": (described(ss_network_alpha="4.0", ss_network_dim="8"), 0.5),
    "kohya's metadata, none": (described(ss_network_alpha="None"), 1.0),
    "alpha tensors": (alphas(lambda _: torch.tensor(4.0)), 0.5),
    "alpha tensors of integers": (alphas(lambda _: torch.tensor(4)), 0.5),
    "alpha tensors in half": (alphas(lambda _: torch.tensor([4.0]).half()), 0.5),
    "alpha tensors, by module": (
        alphas(lambda m: torch.tensor(RANK * OF_PATTERN(m))), OF_PATTERN),
    "alpha tensors of a resized LoRA": (
        of_kohya(ss_network_alpha="Dynamic", ss_network_dim="Dynamic"), 0.5),
    "alpha tensors where kohya's modules differ": (
        of_kohya(ss_network_alpha="1", ss_network_args={"conv_alpha": "4", "conv_dim": "8"}), 0.5),
    "two that agree, one rounded": (
        both(alphas(lambda _: torch.tensor(5.66).bfloat16()), described(lora_alpha="5.66")),
        5.66 / RANK),
    "two that agree": (of_kohya(ss_network_alpha="4", network_alpha="4.0"), 0.5),
}  # fmt: skip


@pytest.mark.parametrize("source", HONOURED)
def test_a_strength_is_honoured_whoever_states_it(case: LoraCase, source: str) -> None:
    change, strength = HONOURED[source]
    change(case)
    case.expect(strength)


def test_modules_of_their_own_rank_have_their_own_strength(case: LoraCase) -> None:
    def cut(key: str) -> bool:
        return module_of(key).endswith("to_q")

    lora = {
        key: (t[:4] if ".lora_A." in key else t[:, :4]) if cut(key) else t
        for key, t in case.tensors.items()
    }
    case.save(lora)
    case.beside(r=RANK, lora_alpha=RANK, rank_pattern={"to_q": 4})
    case.expect(by_end({".to_q": RANK / 4}, 1.0), lora=lora)
    case.beside(r=RANK, lora_alpha=RANK)
    refused(case.root, "adapter_config.json says rank 8", "to_q' have rank 4", LORA.name)


# Refused: what contradicts, and what is not understood


def some_alphas(case: LoraCase) -> None:
    stem = next(iter(case.tensors)).split(".lora_")[0]
    case.save(case.tensors | {f"{stem}.alpha": torch.tensor(4.0)})


PLAIN = "only plain LoRAs are merged"
REFUSED: dict[str, tuple[Change, tuple[str, ...]]] = {
    "config against metadata": (
        both(beside(lora_alpha=8), described(network_alpha="4")),
        ("adapter_config.json and its metadata's 'network_alpha' disagree", "1 and 0.5")),
    "tensors against kohya's metadata": (
        of_kohya(ss_network_alpha="8"), ("its metadata's 'ss_network_alpha'", ".alpha tensors")),
    "metadata against metadata": (
        described(lora_alpha="4", network_alpha="8"), ("'lora_alpha'", "'network_alpha'")),
    "namespaces": (
        described(**{"transformer.lora_alpha": "4", "lora_alpha": "8"}),
        ("'transformer.lora_alpha'", "'lora_alpha'")),
    "another rank": (nested(r=10**12, lora_alpha=4), ("says rank 1e+12", "have rank 8")),
    "another rank in a pattern alone": (
        described(rank_pattern={"to_q": 4}), ("'rank_pattern' says rank 4", "have rank 8")),
    "another rank in kohya's": (described(ss_network_dim="4"), ("says rank 4",)),
    "alphas of some": (some_alphas, ("by its .alpha tensors, modules have", "has none")),
    "a resized LoRA without alphas": (
        described(ss_network_alpha="Dynamic"), ("ss_network_…", "has none")),
    "kohya's by module, without alphas": (
        described(ss_network_args={"conv_alpha": "1"}), ("ss_network_…",)),
    "a config without alpha": (beside(r=8), ("'lora_alpha' is missing", "default is 8")),
    "root of rank without alpha": (
        described(use_rslora="true"), ("'lora_alpha' is missing",)),
    "a name that is not known": (
        described(networkAlpha="4"), ("'networkAlpha' seems to be a strength",)),
    "a scale": (described(lora_scale="2"), ("'lora_scale' seems to be a strength",)),
    "a pattern of no module": (
        beside(lora_alpha=4, alpha_pattern={"to_z": 4}), ("'to_z'", "no module")),
    "a regular expression": (
        beside(lora_alpha=4, alpha_pattern={r"(a+)+$": 4}), ("'(a+)+$'", "are not run")),
    "an alpha of two values": (
        alphas(lambda _: torch.ones(2)), ("has 2 values, expected one",)),
    **{f"alpha {value!r}": (nested(lora_alpha=value), ("'lora_alpha' is", "not a number above 0"))
       for value in (0, -4, math.nan, math.inf, "many", True, [4], {"a": 4}, 10**400)},
    **{f"kohya's alpha {value}": (
        described(ss_network_alpha=value), ("not a number above 0",))
       for value in ("0", "-1", "nan", "inf", "4 of 8")},
    **{f"alpha tensors of {value}": (
        alphas(always(value)), (".alpha'", words))
       for value, words in ((0.0, "not a number above 0"), (-1.0, "above 0"), (math.nan, "NaN"))},
    **{f"{name}={value!r:.20}": (nested(lora_alpha=8, **{name: value}), (f"'{name}'", PLAIN))
       for name, value in (
           ("use_dora", True), ("fan_in_fan_out", True), ("bias", "all"), ("lora_bias", True),
           ("peft_type", "LOHA"), ("peft_type", "X" * 10**6), ("init_lora_weights", "pissa"),
           ("layer_replication", [[0, 1]]), ("modules_to_save", ["proj_out"]),
           ("some_later_option", True))},
    **{f"{name}={value} as a text": (
        described(**{name: value}), (f"'{name}'", PLAIN))
       for name, value in (("use_dora", "True"), ("bias", "lora_only"), ("peft_type", "LOKR"))},
    "use_rslora=maybe": (described(lora_alpha="4", use_rslora="maybe"),
                         ("'use_rslora' is 'maybe', expected true or false",)),
    "metadata that is not JSON": (
        described(lora_adapter_metadata="{"), ("'lora_adapter_metadata'", "not JSON")),
    "metadata that is a list": (
        described(lora_adapter_metadata=[4]), ("not an object in JSON",)),
    "metadata that nests": (
        described(lora_adapter_metadata="[" * 10**5), ("not JSON",)),
    "a value that nests": (
        nested(lora_alpha=8, use_x=json.loads("[" * 500 + "]" * 500)), ("'use_x'", PLAIN)),
    "many patterns": (
        nested(lora_alpha=8, alpha_pattern=dict.fromkeys(map(str, range(10_001)), 1)),
        ("10000 at most",)),
    "metadata of many megabytes": (
        described(lora_alpha="4", note="x" * (33 * 2**20)), ("its header has",)),
    "a config that is no object": (
        lambda c: (c.path.parent / "adapter_config.json").write_text("[]"),
        ("adapter_config.json: expected a JSON object, found a list",)),
    "a config beside two LoRAs": (
        both(beside(lora_alpha=4),
             lambda c: shutil.copy(c.path, c.path.with_name("other.safetensors"))),
        ("one of other.safetensors, transformer.safetensors, not known", "folder of its own")),
}  # fmt: skip


@pytest.mark.parametrize("fault", REFUSED)
def test_a_strength_that_is_contradicted_or_not_understood_is_refused(
    case: LoraCase, fault: str
) -> None:
    change, words = REFUSED[fault]
    change(case)
    refused(case.root, *words)


def test_a_huge_rank_is_refused(case: LoraCase) -> None:
    key = next(key for key in case.tensors if key.endswith("pos_embed.proj.lora_A.weight"))
    down = torch.zeros(5000, *case.tensors[key].shape[1:])
    up = torch.zeros(64, 5000, 1, 1)
    case.save(case.tensors | {key: down, key.replace("lora_A", "lora_B"): up})
    refused(case.root, "has rank 5000, expected 1 to 4096")


# TSD-SR's two LoRAs go through the same place


@pytest.mark.parametrize("part", ["transformer", "vae"])
@pytest.mark.parametrize("how", ["alpha tensors", "peft's folder"])
def test_the_teacher_s_loras_have_their_strength(tmp_path: Path, part: str, how: str) -> None:
    torch.manual_seed(80)
    reference = save_tsd_sr(tmp_path)
    lora = tmp_path / f"checkpoint/tsdsr/{part}.safetensors"
    tensors = load_file(lora)
    if how == "alpha tensors":
        stems = {key.split(".lora_")[0] for key in tensors}
        save_file(tensors | {f"{stem}.alpha": torch.tensor(4.0) for stem in stems}, lora)
    else:
        lora.with_suffix("").mkdir()
        lora.rename(lora.with_suffix("") / "adapter_model.safetensors")
        config = json.dumps({"peft_type": "LORA", "r": 2, "lora_alpha": 4})
        (lora.with_suffix("") / "adapter_config.json").write_text(config)
    add_lora(getattr(reference, part), tensors)  # once more: alpha is twice the rank
    image = torch.rand(1, 3, 16, 16)
    found, expected = load_checkpoint(tmp_path).model(image), reference.upscale(image)
    assert (found - expected).abs().max() <= 1e-5 * expected.abs().max()
