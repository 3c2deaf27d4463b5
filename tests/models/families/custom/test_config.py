"""The TOML of a network: what it may say, and one line for what it may not."""

from __future__ import annotations

from pathlib import Path

import pytest

from tinysr.errors import CheckpointError, TinySRError
from tinysr.models.families.custom import CustomConfig, Levels, read_config

LEAST = 'name = "net"\nlicence = "BSD-3-Clause"\nfile = "net.onnx"\nscale = 4\n'


def read(folder: Path, text: str) -> CustomConfig:
    path = folder / "net.toml"
    path.write_text(text, encoding="utf-8")
    return read_config(path)


def test_little_needs_to_be_said(tmp_path: Path) -> None:
    config = read(tmp_path, LEAST)
    assert (config.scale, config.division, config.colour, config.multiple_of) == (
        4,
        None,
        "none",
        1,
    )
    assert config.levels == (Levels(), Levels())


def test_everything_may_be_said(tmp_path: Path) -> None:
    more = """
multiple_of = 4
division = "tiles"
side = 96
overlap = 24
resize = "bicubic"
colour = "wavelet"
input = { range = [0, 255], mean = [103.5, 116, 123], std = 58 }
output = { range = [-1, 1] }
constants = { noise = 0.1, strengths = [1, 2.5] }
"""
    config = read(tmp_path, LEAST + more)
    assert config.constants == {"noise": 0.1, "strengths": (1, 2.5)}
    assert CustomConfig.model_validate(config.model_dump()) == config
    assert CustomConfig.model_validate_json(config.model_dump_json()) == config
    gains, shifts = config.input.affine()
    assert gains == (255 / 58,) * 3
    assert shifts == (-103.5 / 58, -116 / 58, -123 / 58)
    assert config.levels[1].affine() == ((2, 2, 2), (-1, -1, -1))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (LEAST + "multipleof = 4", "unknown key 'multipleof': did you mean 'multiple_of'?"),
        (LEAST + 'color = "adain"', "unknown key 'color': did you mean 'colour'?"),
        (LEAST + "input = { maen = 1 }", "unknown key 'input.maen': did you mean 'input.mean'?"),
        (LEAST.replace("4", "5"), "at scale: Input should be 1, 2, 3, 4 or 8, found 5"),
        (LEAST.replace("name", "# name"), "at name: Field required"),
        (LEAST.replace("licence", "# licence"), "at licence: Field required"),
        (LEAST.replace("file", "# file"), "expected either file or callable"),
        (LEAST + 'callable = "a:b"', "expected either file or callable"),
        (LEAST.replace('file = "net.onnx"', 'callable = "os.system(1)"'), "at callable"),
        (LEAST + 'division = "strips"', "at division"),
        (LEAST + "halo = 4", 'halo needs division = "windows"'),
        (LEAST + "side = 64", 'side and overlap need division = "tiles"'),
        (LEAST + 'division = "tiles"\nside = 64\noverlap = 64', "an overlap below 64"),
        (LEAST + "multiple_of = 0", "at multiple_of"),
        (LEAST + "input = { range = [1, 0] }", "from low to high"),
        (LEAST + "input = { std = 0 }", "positive deviations"),
        (LEAST + "input = { mean = nan }", "at input.mean"),
        (LEAST + "constants = { a = inf }", "at constants.a"),
        (LEAST + 'resize = "lanczos"', "at resize"),
        ('name = "../x"\n' + LEAST.partition("\n")[2], "at name"),
        ("name = ", "expected TOML"),
        ("a = " + "[" * 5000, "expected TOML"),
        ("#" * 70_000, "found a huge file"),
    ],
)
def test_what_is_wrong_is_said_in_a_line(text: str, words: str, tmp_path: Path) -> None:
    with pytest.raises(TinySRError) as caught:
        read(tmp_path, text)
    assert words in str(caught.value)
    assert str(caught.value).isprintable()
    assert "net.toml" in str(caught.value)


def test_other_bytes_are_refused(tmp_path: Path) -> None:
    (tmp_path / "net.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(CheckpointError, match="expected TOML"):
        read_config(tmp_path / "net.toml")
    with pytest.raises(CheckpointError, match="describes a network"):
        read_config(tmp_path / "gone.toml")
