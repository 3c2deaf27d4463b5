"""Pruning methods compared: tuned alike, from one teacher (the paper's tables 1 and 2).

    python -m tinysr.benchmarks.pruning.recoverability TEACHER --student tinysr-nano -o FOLDER

writes ``recoverability.json`` and ``recoverability.md``: each method's mask, its loss before and
after equal tuning, what it does on photos that no training saw, and what the model costs; beside
them, what the whole recipe made of the same teacher. Latency is that of the whole baked model in
PyTorch on this machine's CPU, all models in turns.
"""

from __future__ import annotations

import argparse
import dataclasses
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch

from tinysr.atomic import write_atomically
from tinysr.errors import UnsupportedError, choice_error
from tinysr.export import bake
from tinysr.manifest import Source
from tinysr.models import SCALE, Loaded, ModelConfig, TinySR, load_checkpoint
from tinysr.models.accounting import Cost, count_stage_costs
from tinysr.models.families.tinysr.accounting import meta_model
from tinysr.terminal import Output, program
from tinysr.training.evaluate import PHOTOS, PhotoPair, mean_psnr, photo_pairs, upscale_bicubic
from tinysr.training.pruning import METHODS

from ..record import describe_provenance, read_record, write_record
from ..timing import PRESETS, Rules, find_rules, summarise, time_in_turns
from .fidelity import fidelity_of
from .recoverability_report import TEACHER, Costs, Results, Student, markdown_lines
from .recovery import CONFIG, RecoveryConfig, Trial, quality_of

__all__ = ["main", "measure"]

TILE = 128
"""Side of the image that costs and latency are of, unless told otherwise: the paper's."""

_STUDENT = "student"


def measure(
    trial: Trial,
    source: Source,
    methods: Sequence[str],
    *,
    rules: Rules,
    tile: int = TILE,
    student: Loaded | None = None,
) -> Results:
    """Run all methods on the trial's teacher, then measure what the models cost.

    Args:
        trial: of the teacher.
        source: the teacher's.
        methods: names of :data:`~tinysr.training.pruning.METHODS`.
        rules: of timing.
        tile: side of the timed image, in pixels.
        student: what the whole recipe made of the teacher, to stand beside it.
    """
    start, teacher = time.perf_counter(), trial.teacher
    rows = tuple(trial.recover(method) for method in methods)
    # Methods that chose the same layers have one model, which is timed once.
    masks = {row.mask: trial.tuned(row.kept) for row in rows}
    whole = {_STUDENT: student.tinysr} if student else {}
    timed = _costs({TEACHER: teacher, **masks, **whole}, rules, tile)
    costs = {TEACHER: timed[TEACHER]} | {row.method: timed[row.mask] for row in rows}
    plan = trial.plan
    return Results(
        teacher=source.name,
        sha256=source.sha256,
        plan={"search": plan.search.model_dump(mode="json"),
              "tune": plan.tune.model_dump(mode="json")},
        space=trial.judge.space.summary(),
        photos=len(trial.pairs),
        tile=tile,
        torch=torch.__version__,
        threads=torch.get_num_threads(),
        bicubic_psnr=mean_psnr(upscale_bicubic, trial.pairs),
        seconds=time.perf_counter() - start,
        teacher_quality=quality_of(trial, teacher),
        rows=rows,
        costs=costs,
        student=student and Student(
            name=student.source.name,
            sha256=student.source.sha256,
            fidelity=fidelity_of(student.tinysr, teacher, trial.pairs),
            costs=timed[_STUDENT],
        ),
    )  # fmt: skip


@torch.no_grad()
def _costs(models: Mapping[str, TinySR], rules: Rules, tile: int) -> dict[str, Costs]:
    """Count the exported models, and time them in turns."""
    image = torch.rand(1, 3, tile, tile, generator=torch.Generator().manual_seed(rules.seed))
    baked = {name: bake(model, tile) for name, model in models.items()}
    calls = {name: lambda model=model: model(image) for name, model in baked.items()}
    seconds = time_in_turns(calls, rules)
    counted = {model.config: _count(model.config, tile) for model in models.values()}
    found = {}
    for name, model in models.items():
        cost = counted[model.config]
        found[name] = Costs(
            layers=model.config.transformer.depth,
            parameters=cost.parameters,
            macs=cost.macs,
            attention_macs=cost.attention_macs,
            latency=summarise(seconds[name], rules.warmup),
        )
    return found


def _count(config: ModelConfig, tile: int) -> Cost:
    baked = bake(meta_model(config), tile)
    stages = count_stage_costs(baked.chain, baked.get_submodule, tile)
    return sum(stages.values(), Cost(parameters=0, macs=0))


def _crop(pairs: Sequence[PhotoPair], side: int) -> list[PhotoPair]:
    """Return the middles of photos, ``side`` low-resolution pixels wide at most."""
    cropped = []
    for pair in pairs:
        rows, columns = (min(side, length) for length in pair.low.shape[:2])
        top, left = (pair.low.shape[0] - rows) // 2, (pair.low.shape[1] - columns) // 2
        low = pair.low[top : top + rows, left : left + columns]
        area = [slice(SCALE * start, SCALE * (start + length))
                for start, length in ((top, rows), (left, columns))]  # fmt: skip
        cropped.append(
            dataclasses.replace(pair, low=low.copy(), high=pair.high[area[0], area[1]].copy())
        )
    return cropped


def _methods(names: Sequence[str]) -> list[str]:
    for name in names:
        if name not in METHODS:
            raise choice_error("method", name, METHODS)
    return [name for name in METHODS if name in names]


def _say(line: str) -> None:
    Output().write(line)


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tinysr.benchmarks.pruning.recoverability")
    parser.add_argument("teacher", help="a preset or a checkpoint")
    parser.add_argument("--student", help="what the whole recipe made of it, to stand beside it")
    parser.add_argument("-o", "--output", type=Path, required=True, help="a folder")
    parser.add_argument("--config", type=Path, default=CONFIG, help="a plan: TOML")
    parser.add_argument("--data", type=Path, help="a folder of images to train on")
    parser.add_argument("--features", type=Path, help="LPIPS's network, if the plan asks for it")
    parser.add_argument("--photos", nargs="+", default=list(PHOTOS), help="photos to measure on")
    parser.add_argument("--side", type=int, default=64, help="side of their middles, in pixels")
    parser.add_argument("--tile", type=int, default=TILE, help="side of the timed image")
    parser.add_argument("--methods", nargs="+", default=list(METHODS))
    parser.add_argument("--rules", default="quick", help=f"rules of timing: {', '.join(PRESETS)}")
    return parser.parse_args(arguments)


@program
def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and write both files; return the exit code."""
    options = _parse(arguments)
    methods, rules = _methods(options.methods), find_rules(options.rules)
    if unknown := sorted(set(options.photos) - set(PHOTOS)):
        raise choice_error("photo", unknown[0], PHOTOS)
    if options.side < 16 or options.side % 4:
        raise UnsupportedError(f"--side expects 16 or more that divides by 4, found {options.side}")
    plan = RecoveryConfig.read(options.config, photos=options.data, features=options.features)
    loaded = load_checkpoint(options.teacher)
    student = load_checkpoint(options.student) if options.student else None
    pairs = _crop(photo_pairs(options.photos), options.side)
    with tempfile.TemporaryDirectory(prefix="recoverability-") as runs:
        trial = Trial(loaded.tinysr, plan, pairs, Path(runs), _say)
        results = measure(
            trial, loaded.source, methods, rules=rules, tile=options.tile, student=student
        )
    path = options.output / "recoverability.json"
    write_record(path, results.model_dump(mode="json"))
    page = [*markdown_lines(results), "", f"({describe_provenance(read_record(path))})", ""]
    write_atomically(path.with_suffix(".md"), "\n".join(page), UnsupportedError)
    _say("\n".join(page))
    return 0


if __name__ == "__main__":
    sys.exit(main())
