"""Reports as pages that need nothing but themselves, all with the same looks."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import resources
from typing import Any

from tinysr.errors import require

__all__ = ["page"]

_LOOKS = "pages.css.j2"


def page(
    package: str,
    template: str,
    values: Mapping[str, Any],
    filters: Mapping[str, Callable[..., str]] | None = None,
    *,
    extra: str = "parity",
) -> str:
    """Return a page. Every value is escaped: names of images and bundles are the user's.

    Args:
        package: where the template lies.
        template: its file name.
        values: what it shows.
        filters: how numbers become words.
        extra: that brings jinja2.

    Raises:
        MissingBackendError: jinja2 is not installed.
    """
    jinja2: Any = require("jinja2", extra=extra)

    def text(name: str) -> str:
        home = __package__ if name == _LOOKS else package
        return (resources.files(home) / name).read_text(encoding="utf-8")

    environment = jinja2.Environment(
        loader=jinja2.FunctionLoader(text),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(filters or {})
    rendered: str = environment.get_template(template).render(**values)
    return rendered
