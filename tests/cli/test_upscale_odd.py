"""`tinysr upscale` on a folder of odd files: each is made or named, and none stops the others."""

from __future__ import annotations

import json
from pathlib import Path

import typer
from typer.testing import CliRunner

from tests.support.bundles import make_bundle
from tests.support.odd_cases import REFUSED, TAKEN
from tinysr.cli.upscale import upscale

STARTS = {b"\x89PNG": "png", b"\xff\xd8": "jpg", b"II*\0": "tif"}
FILES = {name: case.data for name, case in TAKEN.items()} | {
    name: data for name, (data, _) in REFUSED.items()
}


def put_files(folder: Path) -> dict[str, str]:
    """Write all files into a folder; return their names in the tests by their paths."""
    folder.mkdir()
    names = {}
    for number, (name, data) in enumerate(FILES.items()):
        start = data.lstrip()[:4]
        suffix = next(suffix for known, suffix in STARTS.items() if start.startswith(known))
        path = folder / f"{number:03}.{suffix}"
        path.write_bytes(data)
        names[str(path)] = name
    return names


def test_every_odd_file_is_made_or_named(tmp_path: Path) -> None:
    names = put_files(tmp_path / "in")
    app = typer.Typer()
    app.command()(upscale)
    words = [str(tmp_path / "in"), "-o", str(tmp_path / "out"), "--json"]
    result = CliRunner().invoke(app, [*words, "--bundle", str(make_bundle(tmp_path / "twin"))])
    assert result.exit_code == 2
    files = {names[file["source"]]: file for file in json.loads(result.stdout)["files"]}
    assert {name for name, file in files.items() if file["status"] == "made"} == set(TAKEN)
    assert {name for name, file in files.items() if file["status"] == "failed"} == set(REFUSED)
    noted = {name for name, file in files.items() if file["notes"]}
    assert noted == {name for name, case in TAKEN.items() if case.left_out}
    lines = [line.partition(": ")[0] for line in result.stderr.splitlines()]
    assert lines.count("error") == len(REFUSED)
    assert lines.count("note") == len(noted)
    assert len(lines) == len(REFUSED) + len(noted)
