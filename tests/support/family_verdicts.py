"""Verdicts of all families on all targets, for the table of the pages: `make families`.

    python -m tests.support.family_verdicts [FAMILY ...]

exports a small random model of each family, gates it, and writes the verdicts of the families that
are named, or of all, into ``benchmarks/results/families.json``; those of others stay as they are.
What a target refuses is kept with its reason.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from tests.support.custom_networks import Srvgg, export
from tests.support.tiny_adcsr import tiny_adcsr
from tests.support.tiny_models import tiny_model
from tests.support.tiny_sana_sr import tiny_sana_sr
from tests.support.tiny_stable_diffusion import FAMILIES as AROUND_UNETS
from tests.support.tiny_stable_diffusion import tiny_stable_diffusion
from tests.support.tiny_tsd_sr import tiny_tsd_sr
from tinysr import paths
from tinysr.benchmarks.record import read_record, write_record
from tinysr.benchmarks.report.family_table import VERDICTS, Cell, State
from tinysr.errors import TinySRError, UnsupportedError
from tinysr.export import ExportOptions
from tinysr.models.families import adcsr, sana_sr, stable_diffusion, tsd_sr
from tinysr.models.families import tinysr as own
from tinysr.runtime.bundle import Bundle
from tinysr.terminal import Output, program
from tinysr.workflows.export import export_gated
from tinysr.workflows.parity import check_parity

RUNS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("fp32", ("onnx", "openvino", "coreml")),
    ("fp16", ("onnx", "tensorrt")),
    ("fp16", ("coreml",)),
    ("fp16", ("coreai",)),
    ("w8", ("onnx",)),
)
"""Exports of each family: a precision, and the targets that are made in it at once. OpenVINO's fp32
brings its bf16, where a family has one."""


def _save_custom(path: Path) -> Path:
    export(Srvgg(3), path / "net.onnx")
    described = path / "net.toml"
    described.write_text('name = "net"\nlicence = "MIT"\nfile = "net.onnx"\nscale = 3\n')
    return described


def _saver(save: Callable[[Path], None]) -> Callable[[Path], Path]:
    def save_into(folder: Path) -> Path:
        save(folder / "tiny.safetensors")
        return folder / "tiny.safetensors"

    return save_into


MODELS: dict[str, tuple[Callable[[Path], Path], int]] = {
    "tinysr": (_saver(lambda path: own.save_single_file(tiny_model(), path)), 32),
    "tsd-sr": (_saver(lambda path: tsd_sr.save_single_file(tiny_tsd_sr(), path)), 32),
    "adcsr": (_saver(lambda path: adcsr.save_single_file(tiny_adcsr(), path)), 64),
    "sana-sr": (_saver(lambda path: sana_sr.save_single_file(tiny_sana_sr(), path)), 32),
    "custom": (_save_custom, 32),
    **{
        name: (
            _saver(
                lambda path, name=name: stable_diffusion.save_single_file(  # type: ignore[misc]
                    tiny_stable_diffusion(name), path
                )
            ),
            32,
        )
        for name in AROUND_UNETS
    },
}
"""Functions that write a small model's checkpoint into a folder, and the side of its tiles."""


def measure_family(name: str, folder: Path) -> Iterator[tuple[str, Cell]]:
    """Yield the verdict of each target and precision, by their names."""
    save, tile = MODELS[name]
    checkpoint = save(folder)
    for number, (precision, targets) in enumerate(RUNS):
        options = ExportOptions(targets=targets, precision=precision, tile=tile)
        try:
            made = export_gated(str(checkpoint), folder / f"bundle-{number}", options, gate=False)
        except TinySRError as error:
            note = str(error).replace(f"{folder}/", "")
            for target in targets:
                yield f"{target} {precision}", Cell(result="refused", note=note)
            continue
        report = check_parity(Bundle(made.folder), model=checkpoint)
        kinds = dict.fromkeys((one.target, one.precision) for one in made.manifest.artifacts)
        for kind in kinds:
            results = [one for one in report.results if (one.target, one.precision) == kind]
            exact = [image.metrics.psnr_db for one in results for image in one.images]
            worst = min((db for db in exact if db is not None), default=None)
            passed = all(one.passed for one in results)
            state: State = ("pass" if passed else "fail") if results else "built"
            if kind[0] in targets:
                yield " ".join(kind), Cell(result=state, worst_db=worst)


@program
def main(arguments: list[str]) -> int:
    """Measure, and write the record."""
    output = Output()
    names = arguments or [*MODELS]
    for name in names:
        known = read_record(VERDICTS)["figures"] if paths.exists(VERDICTS, UnsupportedError) else {}
        with tempfile.TemporaryDirectory() as folder:
            cells = {}
            for cell, found in measure_family(name, Path(folder)):
                output.line(f"{name} {cell}: {found.result} {found.worst_db or found.note}")
                cells[cell] = found.model_dump(mode="json")
        write_record(VERDICTS, known | {name: cells})
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
