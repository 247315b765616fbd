"""Text of a record as HTML: what is code, and what stays on one line."""

from __future__ import annotations

import re

from markupsafe import Markup, escape

from fraudit import formatting

_RATE = re.compile(r"(\b\d+(?:\.\d+)?e-\d+\b)")


def ticked(text: str) -> Markup:
    """Text whose parts between backticks are code, and whose rates stay on one line, for HTML."""
    parts = formatting.unbroken(formatting.printable(text)).split("`")
    if len(parts) % 2 == 0:
        return _whole("`".join(parts))
    coded = (Markup("<code>{}</code>").format(p) if k % 2 else _whole(p) for k, p in enumerate(parts))
    return Markup("").join(coded)


def _whole(text: str) -> Markup:
    """Text whose rates (`1e-3`) are not broken over two lines."""
    return Markup("").join(
        Markup('<span class="nb">{}</span>').format(p) if k % 2 else escape(p)
        for k, p in enumerate(_RATE.split(text))
    )
