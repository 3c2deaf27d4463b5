"""What MkDocs is told beyond `mkdocs.yml`.

Documents from outside of `docs/` become pages, links between all of them lead to these pages, and
the options of every command are made from the code.
"""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import Any

import typer
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

from tinysr.cli import app as cli

_COMMANDS = re.compile(r"<!-- begin:commands -->.*<!-- end:commands -->", re.DOTALL)
_LINK = re.compile(r"(?<=\]\()([^)\s:#]+)(?=[)#])")
_LONG = re.compile(r"<code>(?=[^<]{31})")
_NESTED = re.compile(r"^ {2,3}(?=- )", re.MULTILINE)
_ROLE = re.compile(r":(?:attr|class|data|exc|func|meth|mod):<code>~?([\w.]+)</code>")
_DEFAULT = re.compile(r"\s*\[(?:default: )?([^\]]*)\]$")
_REQUIRED = "required"


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the documents from outside of the folder, which `mkdocs.yml` lists."""
    for name, uri in config.extra["outside"].items():
        files.append(File.generated(config, uri, abs_src_path=str(_root(config) / name)))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Lead links to pages, and write the reference of the command line."""
    outside = {_root(config) / name: uri for name, uri in config.extra["outside"].items()}
    pages = Path(config.docs_dir).resolve()
    folder = Path(page.file.abs_src_path or "").resolve().parent

    def page_link(match: re.Match[str]) -> str:
        path = (folder / match[1]).resolve()
        if path in outside:
            return outside[path]
        return path.relative_to(pages).as_posix() if pages in path.parents else match[1]

    text = _NESTED.sub("    ", _LINK.sub(page_link, markdown))  # how Python-Markdown nests lists
    return _COMMANDS.sub(lambda _: command_reference(), text)


def on_page_content(html: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Show the names of Sphinx's roles, which docstrings have, and mark code that may be broken."""
    text = _ROLE.sub(lambda match: f"<code>{match[1].rpartition('.')[2]}</code>", html)
    return _LONG.sub('<code class="long">', text)


@cache
def command_reference() -> str:
    """Return every command with its arguments and options as Markdown."""
    cli._register()
    group: Any = typer.main.get_command(cli.app)
    return "\n\n".join(_command(name, command) for name, command in group.commands.items())


def _command(name: str, command: Any) -> str:
    context = command.make_context(name, [], resilient_parsing=True)
    sections: dict[str, list[str]] = {}
    for parameter in command.get_params(context):
        if record := parameter.get_help_record(context):
            sections.setdefault(_section(parameter), []).append(_definition(*record))
    parts = [f"## {name}", command.help, f"```text\n{_usage(context)}\n```"]
    for title, definitions in sections.items():
        parts += [f"**{title}**", *definitions]
    return "\n\n".join(parts)


def _usage(context: Any) -> str:
    return f"tinysr {' '.join([context.info_name, *context.command.collect_usage_pieces(context)])}"


def _section(parameter: Any) -> str:
    kind = "Arguments" if parameter.param_type_name == "argument" else "Options"
    return getattr(parameter, "rich_help_panel", None) or kind


def _definition(names: str, meaning: str) -> str:
    """Return an option and what it means, its default in a sentence of its own."""
    sentences = [_DEFAULT.sub("", meaning)]
    if found := _DEFAULT.search(meaning):
        value = found[1] if " " in found[1] else f"`{found[1]}`"
        sentences.append("Required." if found[1] == _REQUIRED else f"Default: {value}.")
    return f"`{names}`\n:   {' '.join(filter(None, sentences))}"


def _root(config: MkDocsConfig) -> Path:
    return Path(config.config_file_path).resolve().parent
