"""Text of a record as HTML: what is code, and what stays on one line."""

from __future__ import annotations

import re

from markupsafe import Markup, escape

from fraudit import formatting

_WHOLE = re.compile(r"(\b\d+(?:\.\d+)?e-\d+\b|(?<![\w-])--[a-z][a-z0-9]*(?:-[a-z0-9]+)*)")


def ticked(text: str) -> Markup:
    """Text whose parts between backticks are code, and whose rates and options stay on one line, for HTML."""
    parts = formatting.unbroken(formatting.printable(text)).split("`")
    if len(parts) % 2 == 0:
        return whole("`".join(parts))
    coded = (Markup("<code>{}</code>").format(whole(p)) if k % 2 else whole(p) for k, p in enumerate(parts))
    return Markup("").join(coded)


def whole(text: str) -> Markup:
    """Text whose rates (`1e-3`) and options (`--judge`) are not broken over two lines: a browser may after a hyphen."""
    return Markup("").join(
        Markup('<span class="nb">{}</span>').format(p) if k % 2 else escape(p)
        for k, p in enumerate(_WHOLE.split(formatting.printable(text)))
    )
