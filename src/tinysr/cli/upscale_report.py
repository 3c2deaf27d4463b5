"""Output of `tinysr upscale`: a line for each image, a progress bar, a summary, or JSON."""

from __future__ import annotations

import math
import time
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from tinysr.runtime.files import describe_left_out, explain_suffix
from tinysr.runtime.folder import FAILED, LOG_NAME, MADE, STANDARD, UP_TO_DATE
from tinysr.terminal import Output

from .upscale_progress import UpscaleBars

if TYPE_CHECKING:
    from tinysr.errors import TinySRError
    from tinysr.runtime import Upscaler
    from tinysr.runtime.folder import FolderWork, Item

__all__ = ["UpscaleReport"]


class UpscaleReport:
    """Watches a run. Images are named on standard output, errors and progress on standard error.

    With ``as_json``, or when the image itself goes to standard output, nothing else goes there.
    """

    def __init__(self, work: FolderWork, upscaler: Upscaler, *, color: str, as_json: bool) -> None:
        self._work, self._upscaler, self._color = work, upscaler, color
        self._as_json = as_json
        self._piped = work.jobs[0].target is None
        self._items: list[Item] = []
        self._bars = UpscaleBars(len(work.jobs))
        self._start = time.perf_counter()

    @property
    def failed(self) -> bool:
        """Whether an image was not made."""
        return self._count(FAILED) > 0

    @property
    def refusal(self) -> TinySRError | None:
        """The error that ends the program: that of an image that was the only one."""
        alone = len(self._work.jobs) == 1 and len(self._items) == 1
        return self._items[0].error if alone and not self._as_json else None

    def on_start(self, item: Item) -> None:
        """Show the image that is in the network; of a large one, say how long it will be there."""
        self._bars.start_image(str(item.job))
        if item.expected_seconds is not None and item.before and item.after:
            before, after = (f"{across}×{down}" for across, down in (item.before, item.after))
            self._bars.print(
                f"{item.job}: {before} → {after} takes about {_duration(item.expected_seconds)} "
                f"at the machine's present speed"
            )

    def on_step(self, done: int, total: int) -> None:
        """Show how far it is."""
        self._bars.show_step(done, total)

    def on_finish(self, item: Item) -> None:
        """Name what was made, or why it was not."""
        self._items.append(item)
        self._bars.count_image(item.megapixels if item.status == MADE else 0.0)
        if self.refusal is not None:
            return
        if item.error is not None:
            named = any(str(place) in str(item.error) for place in (item.job, item.job.target))
            prefix = "" if named else f"{item.job}: "
            self._bars.print(f"error: {prefix}{item.error}")
        elif item.status == MADE and not self._as_json:
            self._say(_line(item))
        for note in item.notes if item.status == MADE else ():
            self._bars.print(f"note: {item.job}: {note}")

    def on_stop(self) -> None:
        """Say why it does not end at once."""
        self._bars.print("interrupted: finishing the files being written; Ctrl-C again drops them")

    def conclude(self, *, interrupted: bool = False) -> None:
        """Say what was done and how; in one JSON object if that was asked for."""
        if self._as_json:
            Output().json(self._object(interrupted=interrupted))
        if interrupted:
            waiting = len(self._work.jobs) - len(self._items)
            again = "; the same command goes on from here" if self._logged else ""
            self._bars.print(f"{self._summary()}; {waiting} not begun or not finished{again}")
        elif not self._as_json:
            self._say(self._summary())
            own = self._upscaler.bundle.manifest.chain.scale
            if self._upscaler.scale != own:
                scale = f"scale ×{self._upscaler.scale:g}"
                self._say(f"{scale}: the network's ×{own} results, resampled")
            if self._work.left_out:
                self._say(f"left out: {describe_left_out(self._work.left_out)}")
            self._say(f"bundle {self._upscaler.bundle.folder}")
            self._say(f"backend {self._upscaler.choice}")

    def __enter__(self) -> Self:
        self._bars.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._bars.stop()

    def _say(self, text: str) -> None:
        if self._piped:
            self._bars.print(text)
        else:
            self._bars.print(text, standard=True)

    def _count(self, status: str) -> int:
        return sum(item.status == status for item in self._items)

    @property
    def _logged(self) -> bool:
        return all(job.folder is not None for job in self._work.jobs)

    def _summary(self) -> str:
        made, asked = self._count(MADE), len(self._work.jobs)
        count = "1 image" if asked == 1 else f"{asked} images"
        parts = [f"made {count}" if made == asked else f"made {made} of {count}"]
        parts += [
            f"{self._count(status)} {status}"
            for status in (UP_TO_DATE, FAILED)
            if self._count(status)
        ]
        text = ", ".join(parts)
        if made:
            megapixels, seconds = self._speed()
            speed = f"{megapixels / seconds:.2f} per second"
            text += f": {megapixels:.2f} megapixels in {seconds:.2f} s, {speed}"
        where = ", ".join(self._work.outputs) if len(self._work.outputs) < 3 else "beside the input"
        return f"{text}, to {where}" if made else text

    def _speed(self) -> tuple[float, float]:
        """Return megapixels made, and seconds of the whole run."""
        megapixels = sum(item.megapixels for item in self._items if item.status == MADE)
        return megapixels, time.perf_counter() - self._start

    def _object(self, *, interrupted: bool) -> dict[str, Any]:
        choice, bundle = self._upscaler.choice, self._upscaler.bundle
        megapixels, seconds = self._speed()
        return {
            "summary": {
                "asked": len(self._work.jobs),
                "made": self._count(MADE),
                "up_to_date": self._count(UP_TO_DATE),
                "failed": self._count(FAILED),
                "left_out": self._work.left_out.total(),
                "left_out_kinds": [
                    {"suffix": suffix, "count": count, "reason": explain_suffix(suffix)}
                    for suffix, count in self._work.left_out.most_common()
                ],
                "interrupted": interrupted,
                "megapixels": round(megapixels, 6),
                "seconds": round(seconds, 3),
                "megapixels_per_second": round(megapixels / seconds, 3),
                "outputs": self._work.outputs,
                "log": LOG_NAME if self._logged else None,
            },
            "bundle": {"folder": str(bundle.folder), "name": bundle.manifest.name},
            "backend": {
                "name": choice.backend,
                "precision": choice.precision,
                "reason": choice.reason,
                "others": choice.others,
            },
            "color": self._color,
            "scale": self._upscaler.scale,
            "files": [
                {**item.record(), "source": _source(item), "target": str(item.job.target)}
                for item in self._items
            ],
        }


def _line(item: Item) -> str:
    before, after = (f"{size[0]}×{size[1]}" for size in (item.before, item.after) if size)
    where = item.job.target or "standard output"
    kib = (item.target_bytes or 0) / 1024
    return f"{where}: {before} → {after}, {kib:.0f} KiB, {item.seconds:.2f} s"


def _duration(seconds: float) -> str:
    """Return a time with no more figures than an estimate has."""
    for unit, length in (("hours", 3600), ("minutes", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{max(1, math.ceil(seconds / 10)) * 10} seconds"


def _source(item: Item) -> str:
    return STANDARD if item.job.source is None else str(item.job.source)
