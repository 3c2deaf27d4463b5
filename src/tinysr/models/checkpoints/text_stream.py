"""SD3's text stream, which TinySR drops: with no text tokens it has no effect on the image."""

from __future__ import annotations

import re

__all__ = ["in_text_stream"]

# kohya's scripts write "_" for "."; it makes none of these names another module's.
_DOT = "[._]"
_BLOCK = rf"transformer_blocks{_DOT}\d+{_DOT}"
_PATTERNS = (
    rf"context_embedder{_DOT}",
    rf"{_BLOCK}norm1_context{_DOT}",
    rf"{_BLOCK}attn{_DOT}add_[qkv]_proj{_DOT}",
    rf"{_BLOCK}attn{_DOT}to_add_out{_DOT}",
    rf"{_BLOCK}ff_context{_DOT}",
)
_TEXT_STREAM = re.compile("|".join(_PATTERNS))


def in_text_stream(name: str) -> bool:
    """Tell whether a transformer's tensor belongs to the text stream, by diffusers' name."""
    return _TEXT_STREAM.match(name) is not None
