"""The pages are complete, lead to one another, and become a site without a warning or a network."""

from __future__ import annotations

import importlib.util
import re
import sys
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml

from tests.support.project import ROOT
from tests.support.watching import watch
from tinysr.benchmarks.report.documents import documents
from tinysr.cli import app as cli

CONFIG = yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))
DRAWINGS = sorted((ROOT / "docs" / "drawings").glob("*.svg"))
LONGEST_README = 150


def text_of(document: Path) -> str:
    """Return a document without its blocks of code."""
    text = document.read_text(encoding="utf-8")
    return re.sub(r"^ *```.*?^ *```$", "", text, flags=re.MULTILINE | re.DOTALL)


def anchors(document: Path) -> set[str]:
    """Return what a document's headings can be reached by."""
    headings = re.findall(r"^#+ (.+)$", text_of(document), re.MULTILINE)
    return {re.sub(r"[\s-]+", "-", re.sub(r"[^\w\s-]", "", h).strip().lower()) for h in headings}


def leaves(nav: Any) -> Iterator[str]:
    """Yield the pages of a navigation."""
    if isinstance(nav, str):
        yield nav
    else:
        for part in nav.values() if isinstance(nav, dict) else nav:
            yield from leaves(part)


def test_the_readme_is_short() -> None:
    lines = (ROOT / "README.md").read_text(encoding="utf-8").splitlines()
    assert len(lines) <= LONGEST_README


def test_the_navigation_has_every_page_once() -> None:
    pages = [path.name for path in (ROOT / "docs").glob("*.md")]
    outside = set(CONFIG["extra"]["outside"].values())
    hidden = {line.strip("/") for line in CONFIG["not_in_nav"].split()}
    assert sorted(leaves(CONFIG["nav"])) == sorted({*pages, *outside} - hidden)


def test_the_readme_leads_to_every_page() -> None:
    linked = set(re.findall(r"\]\(docs/([\w-]+\.md)\)", text_of(ROOT / "README.md")))
    assert linked == {path.name for path in (ROOT / "docs").glob("*.md")}


@pytest.mark.parametrize("document", documents(ROOT), ids=lambda path: path.name)
def test_links_to_headings_lead_to_one(document: Path) -> None:
    cli._register()
    command: Any = typer.main.get_command(cli.app)
    made = {"command-line.md": set(command.commands)}
    for file, anchor in re.findall(r"\]\(([^):#]*)#([\w-]+)\)", text_of(document)):
        target = document.parent / file if file else document
        known = anchors(target) | made.get(target.name, set())
        assert anchor in known, f"{document.name}: {file}#{anchor}"


@pytest.mark.parametrize("path", DRAWINGS, ids=lambda path: path.name)
def test_drawings_need_nothing_else_and_have_colours_for_the_dark(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    width = float(ET.fromstring(text).attrib["width"])  # noqa: S314  ours
    assert width <= 440, "too wide for the letters to be read on a phone"
    assert "prefers-color-scheme: dark" in text
    assert "http" not in text.replace("http://www.w3.org/2000/svg", "")


@pytest.mark.slow
def test_the_site_is_built_without_a_warning_or_a_network(tmp_path: Path) -> None:
    if importlib.util.find_spec("mkdocs") is None:
        pytest.skip("mkdocs is not installed: `make docs` installs it")
    site = tmp_path / "work" / "site"
    words = ("-m", "mkdocs", "build", "--strict", "-f", ROOT / "mkdocs.yml", "-d", site)
    seen = watch(tmp_path, sys.executable, *words)
    assert not seen.code, seen.error
    assert not re.findall(r"^WARNING.*", seen.error, re.MULTILINE)
    assert not seen.network
    pages = {path.name: path.read_text(encoding="utf-8") for path in site.glob("*.html")}
    assert {leaf.replace(".md", ".html") for leaf in leaves(CONFIG["nav"])} <= pages.keys()
    for name, html in pages.items():
        assert not re.findall(r"<(?:script|link|img|iframe)[^>]+(?:src|href)=\"https?:", html), name
    assert "--coreml-tile" in pages["command-line.html"]
    assert "Upscaler" in pages["python.html"]
    assert "feature_bytes" in pages["bundles.html"]
