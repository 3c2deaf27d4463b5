"""Encoding and layout of any text: nothing is lost, nothing is cut, nothing stops a program."""

from __future__ import annotations

import json
import math

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.screens import ENCODINGS, Screen, shown, words
from tinysr.terminal import Column, Output, Table, degrade_text, make_plain, style_text
from tinysr.terminal.bars import make_bars
from tinysr.terminal.output import json_text

ANY = st.characters(codec=None)
"""Every character, with the halves of surrogate pairs that names of no encoding become."""
WORD = st.text(st.characters(exclude_categories=("Z", "C")), min_size=1, max_size=12)
CELL = st.lists(WORD, min_size=1, max_size=4).map(" ".join)

patient = settings(
    deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60
)


@pytest.mark.parametrize(
    "encoding", [*ENCODINGS, "cp437", "cp932", "koi8-r", "utf-16", "utf-8-sig", "gb18030"]
)
@given(text=st.text(ANY))
@patient
def test_any_text_can_be_printed(encoding: str, text: str) -> None:
    kept = degrade_text(text, encoding)
    assert degrade_text(kept, encoding) == kept
    if encoding == "utf-8" and all(not 0xD800 <= ord(c) < 0xE000 for c in text):
        assert kept == text


@pytest.mark.parametrize(
    ("text", "ascii_text", "windows"),
    [
        ("32×24 → 128×96", "32x24 -> 128x96", "32×24 -> 128×96"),
        ("309.1 ± 2.0 ms…", "309.1 +/- 2.0 ms...", "309.1 ± 2.0 ms…"),
        ("✓ pass – 10⁶", "+ pass - 10^6", "+ pass – 10^6"),
        ("┏━┓┃╇│", "+-+|+|", "+-+|+|"),
        ("日本.png", r"\u65e5\u672c.png", r"\u65e5\u672c.png"),
        ("caf\udce9.png", r"caf\udce9.png", r"caf\udce9.png"),
    ],
)
def test_what_means_the_same_stands_for_it(text: str, ascii_text: str, windows: str) -> None:
    assert degrade_text(text, "ascii") == ascii_text
    assert degrade_text(text, "cp1252") == windows


@given(text=st.text(ANY))
@patient
def test_a_plain_line_holds_nothing_that_a_terminal_obeys(text: str) -> None:
    assert make_plain(text).isprintable()


@given(
    rows=st.lists(st.tuples(CELL, CELL, CELL), min_size=1, max_size=4),
    kinds=st.lists(st.tuples(st.booleans(), st.booleans()), min_size=3, max_size=3),
    width=st.one_of(st.none(), st.integers(min_value=1, max_value=120)),
    encoding=st.sampled_from(ENCODINGS),
)
@patient
def test_tables_hold_every_word_of_their_cells(
    rows: list[tuple[str, str, str]],
    kinds: list[tuple[bool, bool]],
    width: int | None,
    encoding: str,
) -> None:
    columns = [Column(name=f"head{n}", right=r, wraps=w) for n, (r, w) in enumerate(kinds)]
    table = Table(columns=columns, title="a title", caption="a caption")
    for row in rows:
        table.add(*row)
    with pytest.MonkeyPatch.context() as patch:
        said = shown(patch, lambda: Output().table(table), encoding=encoding, width=width)
    found = said.replace(":", " ").split()
    for word in " ".join(cell for row in rows for cell in row).split():
        for part in degrade_text(word, encoding).replace(":", " ").split():
            assert part in found


def test_tables_stand_side_by_side_where_they_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    table = Table(columns=[Column(name="backend"), Column(name="p50 ms", right=True)])
    table.add(style_text("onnxruntime fp32", "bold"), "309.12")
    side_by_side = "backend           p50 ms\n────────────────────────\nonnxruntime fp32  309.12\n"
    assert shown(monkeypatch, lambda: Output().table(table), width=24) == side_by_side
    assert shown(monkeypatch, lambda: Output().table(table)) == side_by_side
    blocks = "backend: onnxruntime\nfp32\n  p50 ms: 309.12\n"
    assert shown(monkeypatch, lambda: Output().table(table), width=23) == blocks


def test_a_row_has_a_cell_for_each_column() -> None:
    with pytest.raises(ValueError, match="expected 1 cells, found 2"):
        Table(columns=[Column(name="one")]).add("1", "2")


def test_lines_break_between_words_on_terminals_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    text = "made in /a/long/path/to/a-folder-with-a-name in 12.34 s"
    assert shown(monkeypatch, lambda: Output().line(text)) == f"{text}\n"
    lines = "made in\n/a/long/path/to/a-folder-with-a-name\nin 12.34 s\n"
    assert shown(monkeypatch, lambda: Output().line(text), width=20) == lines


@pytest.mark.parametrize("width", [10, 24, 40, 60, 80, 200])
@pytest.mark.parametrize("encoding", ENCODINGS)
def test_a_bar_gives_way_to_words_and_numbers(
    encoding: str, width: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def printing() -> None:
        shown_bars = make_bars(Output(), "{task.description}", "loss 0.1234 · photos 27.35 dB")
        task = shown_bars.add_task("restore → step", total=123456, completed=654)
        shown_bars.update(task, completed=654)
        shown_bars.console.print(*shown_bars.get_renderables())

    said = words(shown(monkeypatch, printing, encoding=encoding, width=width))
    for word in degrade_text("restore → step 654/123456 loss 0.1234 27.35 dB", encoding).split():
        assert word in said


def test_json_is_ascii_that_every_reader_takes() -> None:
    data = {"name": "caf\udce9 → 日", "values": [math.nan, math.inf, 0.1], "pair": (1, -math.inf)}
    text = json_text(data)
    assert text.isascii()
    assert json.loads(text, parse_constant=pytest.fail) == {
        "name": "caf\udce9 → 日",
        "values": [None, None, 0.1],
        "pair": [1, None],
    }


def test_a_screen_is_what_it_says() -> None:
    assert Screen("ascii", 40).isatty()
    assert not Screen("ascii", None).isatty()
