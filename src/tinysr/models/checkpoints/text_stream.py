"""SD3's text stream, which TinySR drops: with no text tokens it has no effect on the image."""

from __future__ import annotations

import re

__all__ = ["in_text_stream"]

_BLOCK = r"transformer_blocks\.\d+\."
_PATTERNS = (
    r"context_embedder\.",
    _BLOCK + r"norm1_context\.",
    _BLOCK + r"attn\.add_[qkv]_proj\.",
    _BLOCK + r"attn\.to_add_out\.",
    _BLOCK + r"ff_context\.",
)
_TEXT_STREAM = re.compile("|".join(_PATTERNS))


def in_text_stream(name: str) -> bool:
    """Tell whether a transformer's tensor belongs to the text stream."""
    return _TEXT_STREAM.match(name) is not None
