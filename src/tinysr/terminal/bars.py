"""Bars of progress for terminals of any width: the bar gives way, never a word or a number."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.progress import (
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeRemainingColumn,
)
from rich.progress_bar import ProgressBar
from rich.text import Text

from .output import Output

__all__ = ["Bars", "make_bars"]

_LEAST, _MOST = 8, 40
"""Columns of a bar; where there is no room for the least, there is none."""


class Bars(Progress):
    """A line for each task: the first column, a bar, and the other columns."""

    def get_renderables(self) -> Iterable[RenderableType]:
        """Draw every visible task."""
        for task in self.tasks:
            if task.visible:
                yield _Line(task, [_words(column, task) for column in self.columns])


def make_bars(
    output: Output,
    text: str = "{task.description}",
    *more: str,
    transient: bool = True,
    disable: bool = False,
    memory_s: float = 30.0,
) -> Bars:
    """Return bars with a text, how many are done of how many, more texts, and the time left.

    Args:
        output: the terminal.
        text: with fields of a task, as in ``{task.description}``.
        more: further ones.
        transient: whether the bars disappear in the end.
        disable: whether nothing is shown.
        memory_s: seconds over which the speed is averaged.
    """
    columns = (
        TextColumn(text, markup=False),
        MofNCompleteColumn(),
        *(TextColumn(words, markup=False) for words in more),
        TimeRemainingColumn(elapsed_when_finished=not transient),
    )
    return Bars(
        *columns,
        console=output.console,
        transient=transient,
        disable=disable,
        speed_estimate_period=memory_s,
    )


class _Line:
    def __init__(self, task: Task, words: list[Text]) -> None:
        self._task, self._words = task, words

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        first, *others = (text for text in self._words if text.plain)
        rest = Text(" ").join(others)
        room = options.max_width - first.cell_len - rest.cell_len - 2
        if room < _LEAST:
            yield from _lines(Text(" ").join([first, rest]), console, options.max_width)
            return
        yield Text.assemble(first, " ", end="")
        yield self._bar(min(room, _MOST))
        yield Text.assemble(" ", rest)

    def _bar(self, width: int) -> ProgressBar:
        task = self._task
        return ProgressBar(
            total=None if task.total is None else max(0, task.total),
            completed=max(0, task.completed),
            width=width,
            pulse=not task.started,
            animation_time=task.get_time(),
        )


def _words(column: str | ProgressColumn, task: Task) -> Text:
    words: Any = column.format(task=task) if isinstance(column, str) else column(task)
    return Text(words) if isinstance(words, str) else words


def _lines(text: Text, console: Console, width: int) -> Iterator[Text]:
    """Break a text between words, and a word only where a line has no other."""
    yield from text.wrap(console, width, overflow="fold")
