"""The file of a checkpoint's LoRA: a name of its own, or the one peft and diffusers give it."""

from __future__ import annotations

from pathlib import Path

from tinysr.errors import CheckpointError
from tinysr.models.checkpoints.damage import describe_absence
from tinysr.models.checkpoints.weights import list_visible

__all__ = ["adapter_config", "find_lora"]

_SAVED_AS = ("pytorch_lora_weights", "adapter_model")  # by diffusers and by peft
_PICKLED = (".bin", ".pt", ".pth", ".ckpt")


def find_lora(folder: Path, part: str, *, alone: bool) -> Path:
    """Return the LoRA of a part of a model.

    Args:
        folder: holds ``PART.safetensors``, or a folder of that name as peft or diffusers saves it.
        part: ``transformer`` or ``vae``.
        alone: whether the folder is for this part alone, so that a LoRA under peft's or
            diffusers' own name is the part's.

    Raises:
        CheckpointError: there is none, or more than one.
    """
    places = [(folder, part), *((folder / part, name) for name in _SAVED_AS)]
    if alone:
        places += [(folder, name) for name in _SAVED_AS]
    expected = folder / f"{part}.safetensors"
    found = [path for place, name in places for path in _find_named(place, name, (".safetensors",))]
    if len(found) > 1:
        names = ", ".join(str(path.relative_to(folder)) for path in found)
        raise CheckpointError(f"{folder}: expected one LoRA, found {names}: keep one of them")
    if found:
        return found[0]
    pickled = [path for place, name in places for path in _find_named(place, name, _PICKLED)]
    if pickled:
        raise CheckpointError(
            f"{pickled[0]}: a pickled LoRA is never read, it may hold code: save it as {expected}"
        )
    raise CheckpointError(
        f"{expected}: the LoRA is missing, and without it the model upscales nothing: "
        f"{describe_absence(expected)}"
    )


def _find_named(folder: Path, name: str, ends: tuple[str, ...]) -> list[Path]:
    if not folder.is_dir():
        return []
    wanted = {name + end for end in ends}
    return [path for path in list_visible(folder) if path.name.lower() in wanted and path.is_file()]


def adapter_config(lora: Path) -> Path | None:
    """Return the config that peft has saved beside a LoRA, if there is one.

    Raises:
        CheckpointError: it lies beside several LoRAs, and does not say which of them it means.
    """
    config = lora.parent / "adapter_config.json"
    if not config.is_file():
        return None
    loras = [
        path.name for path in list_visible(lora.parent) if path.suffix.lower() == ".safetensors"
    ]
    if len(loras) > 1:
        raise CheckpointError(
            f"{config}: it describes one of {', '.join(loras)}, not known which: put each LoRA and "
            f"its config into a folder of its own, such as {lora.with_suffix('')}"
        )
    return config
