"""Modes of the commands, and the options that have no effect in them: those are refused by name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import typer

from tinysr.errors import UnsupportedError

from .tensorrt import TENSORRT_PARAMETERS

__all__ = ["MODES", "Mode", "refuse_without_effect"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Mode:
    """One way to use a command, in which some of its options mean nothing."""

    command: str
    when: str
    """Ends the sentence "--tile has no effect …"; braces are filled with what a call knows."""
    advice: str = "leave it out"
    """Advice in place of the option, the end of the message."""
    takes: frozenset[str] | None = None
    """The parameters that have an effect; None for all but those that it refuses. A new option of
    the command is refused until it is named here."""
    refuses: frozenset[str] = field(default_factory=frozenset)
    """Parameters without an effect, where all others have one."""

    def refuses_option(self, parameter: str) -> bool:
        """Say whether a parameter has no effect."""
        return parameter in self.refuses if self.takes is None else parameter not in self.takes


def _split_names(words: str) -> frozenset[str]:
    return frozenset(words.split())


MODES: dict[str, Mode] = {
    "a bundle's export": Mode(
        command="export",
        when="on a bundle, and {bundle} was exported with {value}",
        advice="export the model again",
        takes=_split_names("model output target precision overwrite gate") | {*TENSORRT_PARAMETERS},
    ),
    "an export without TensorRT": Mode(
        command="export",
        when="without engines of TensorRT",
        advice="add -t tensorrt",
        refuses=frozenset(TENSORRT_PARAMETERS),
    ),
    "an export without CoreML": Mode(
        command="export",
        when="without packages of CoreML",
        advice="add -t coreml",
        refuses=_split_names("system layout coreml_tile"),
    ),
    "a plan for fp16": Mode(
        command="calibrate",
        when="on plans for fp16, which are those of all targets",
        refuses=_split_names("target"),
    ),
    "a plan for fewer bits": Mode(
        command="calibrate",
        when="on plans for {precision}",
        takes=_split_names("model precision target output tile seed check overwrite as_json"),
    ),
    "a check of a plan": Mode(
        command="calibrate",
        when="with --check, which writes no plan",
        refuses=_split_names("overwrite"),
    ),
    "a check of a plan for fewer bits": Mode(
        command="calibrate",
        when="with --check, which writes no file for {precision}",
        refuses=_split_names("overwrite output"),
    ),
    "a calibration on one's own images": Mode(
        command="calibrate",
        when="with --images, which are not degraded",
        refuses=_split_names("seed"),
    ),
    "a bundle's inspection": Mode(
        command="inspect",
        when="on a bundle",
        advice="give the preset or checkpoint",
        takes=_split_names("target as_json"),
    ),
    "a release": Mode(
        command="train",
        when="with --release, which trains nothing",
        takes=_split_names("recipe output data release"),
    ),
    "a recipe's training": Mode(
        command="train",
        when="on a whole recipe",
        advice="name a stage, such as nano/teacher",
        refuses=_split_names("config resume checkpoint"),
    ),
    "a training from the start": Mode(
        command="train",
        when="without --resume",
        advice="add --resume",
        refuses=_split_names("checkpoint"),
    ),
    "an image on a background": Mode(
        command="upscale",
        when="with --background, which shows alpha as opacity",
        refuses=_split_names("alpha_is_data"),
    ),
    "an image for standard output": Mode(
        command="upscale",
        when="on standard output",
        refuses=_split_names("overwrite"),
    ),
}
"""Modes by name, as messages of tests call them; a command enters one or more of its modes."""


def refuse_without_effect(
    context: typer.Context,
    name: str,
    facts: Mapping[str, str] | None = None,
    values: Mapping[str, str] | None = None,
) -> None:
    """Refuse what was given on the command line and has no effect in a mode.

    An option counts as given even with its default value: whoever writes it expects an effect.

    Args:
        context: of the command.
        name: one of :data:`MODES`.
        facts: what fills the braces of ``Mode.when``.
        values: what holds in place of a parameter, for ``{value}``.

    Raises:
        UnsupportedError: with the option's name, and what to do.
    """
    mode = MODES[name]
    for parameter in context.command.params:
        known = parameter.name or ""
        source = context.get_parameter_source(known)
        if source is None or source.name != "COMMANDLINE" or not mode.refuses_option(known):
            continue
        value = (values or {}).get(known, "other options")
        when = mode.when.format(**facts or {}, value=value)
        raise UnsupportedError(
            f"{_name_option(parameter.opts)} has no effect {when}: {mode.advice}"
        )


def _name_option(names: list[str]) -> str:
    """Return an option's long name."""
    return max(names, key=len)
