"""Options of a command as a dataclass: flags, defaults and help are made from its fields."""

from __future__ import annotations

import dataclasses
import functools
import inspect
import typing
from collections.abc import Callable, Iterator
from typing import Any

__all__ = ["field_names", "with_options"]


def with_options(command: Callable[..., None]) -> Callable[..., None]:
    """Return a command whose parameters are the fields of its dataclasses, as typer reads them.

    Each parameter of ``command`` that is annotated with a dataclass is filled with an instance of
    it; the others, such as typer's context, stay as they are.

    Raises:
        TypeError: two dataclasses have a field of one name.
    """
    hints = typing.get_type_hints(command, include_extras=True)
    own = inspect.signature(command).parameters
    records = {name: hints[name] for name in own if dataclasses.is_dataclass(hints[name])}
    parameters = [p.replace(annotation=hints[n]) for n, p in own.items() if n not in records]
    for record in records.values():
        parameters += _list_parameters(record)
    if len({parameter.name for parameter in parameters}) < len(parameters):
        raise TypeError(f"{command.__name__}: two options of one name")

    @functools.wraps(command)
    def run(**words: Any) -> None:
        filled = {
            name: record(**{field: words.pop(field) for field in field_names(record)})
            for name, record in records.items()
        }
        command(**words, **filled)

    run.__dict__["__signature__"] = inspect.Signature(parameters)
    run.__annotations__ = {p.name: p.annotation for p in parameters}
    del run.__dict__["__wrapped__"]
    return run


def field_names(record: type[Any]) -> tuple[str, ...]:
    """Return the names of a dataclass's fields, in their order."""
    return tuple(field.name for field in dataclasses.fields(record))


def _list_parameters(record: type[Any]) -> Iterator[inspect.Parameter]:
    hints = typing.get_type_hints(record, include_extras=True)
    for field in dataclasses.fields(record):
        default = field.default
        yield inspect.Parameter(
            field.name,
            inspect.Parameter.KEYWORD_ONLY,
            default=inspect.Parameter.empty if default is dataclasses.MISSING else default,
            annotation=hints[field.name],
        )
