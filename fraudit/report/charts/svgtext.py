"""From matplotlib's SVG to a small inline element: own ids, CSS colours, rounded numbers, alternatives."""

from __future__ import annotations

import re
from xml.etree import ElementTree
from xml.sax.saxutils import escape

from fraudit.formatting import printable

SVG = "{http://www.w3.org/2000/svg}"
HREF = "{http://www.w3.org/1999/xlink}href"

# Stand-ins that matplotlib draws with; no chart uses these colours for themselves.
INK, MUTED, RULE, PAPER, ACCENT = "#010200", "#010201", "#010202", "#010203", "#010204"
SERIES = tuple(f"#01021{i}" for i in range(1, 7))
_CSS = {
    INK: "currentColor",
    MUTED: "var(--fr-muted,#5c636e)",
    RULE: "var(--fr-rule,#dfe2e6)",
    PAPER: "var(--fr-paper,#fff)",
    ACCENT: "var(--fr-accent,#0072b2)",
    **{
        colour: f"var(--fr-s{i},{light})"
        for i, (colour, light) in enumerate(
            zip(SERIES, ("#d55e00", "#009e73", "#b0578d", "#b97a00", "#3a9bd0", "#5c636e"), strict=True),
            start=1,
        )
    },
}
_NUMBER = re.compile(r"-?\d+\.\d+")
_KEPT = ("d", "style", "x", "y", "width", "height", "transform", "clip-path", "points", "cx", "cy", "r")
_DROPPED_STYLE = ("font-family", "stroke-linejoin", "stroke-linecap", "stroke-miterlimit")


def clean(text: str, *, uid: str, title: str, description: str, attributes: str = "") -> str:
    """Matplotlib's SVG file as an accessible inline element; ids all begin with `uid`.

    Args:
        attributes: further ones of the element, escaped.
    """
    root = ElementTree.fromstring(text)
    width, height = root.get("viewBox", "0 0 0 0").split()[2:]
    names: dict[str, str] = {}
    for element in root.iter():
        if element.tag in (f"{SVG}clipPath", f"{SVG}path") and element.get("id"):
            names[element.get("id", "")] = f"{uid}-{len(names)}"
    body = "".join(_write(child, names) for child in root)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" role="img"{attributes} aria-labelledby="{uid}-t {uid}-d" '
        f'viewBox="0 0 {_short(width)} {_short(height)}" width="{_short(width)}" height="{_short(height)}" '
        f'style="max-width:100%;height:auto;font-family:system-ui,sans-serif" stroke-linejoin="round" '
        f'fill="currentColor"><title id="{uid}-t">{escape(printable(title))}</title>'
        f'<desc id="{uid}-d">{escape(printable(description))}</desc>{body}</svg>'
    )


def _write(element: ElementTree.Element, names: dict[str, str]) -> str:
    tag = element.tag.removeprefix(SVG)
    if tag in ("metadata", "style"):
        return ""
    inner = escape(element.text or "") if tag == "text" else ""
    inner += "".join(_write(child, names) for child in element)
    if tag in ("g", "defs") and not inner:
        return ""
    attributes = _attributes(element, tag, names)
    if tag == "g" and not attributes:
        return inner
    return f"<{tag}{attributes}>{inner}</{tag}>" if inner else f"<{tag}{attributes}/>"


def _attributes(element: ElementTree.Element, tag: str, names: dict[str, str]) -> str:
    kept = {name: element.get(name, "") for name in _KEPT if element.get(name)}
    if element.get("id") in names:
        kept["id"] = names[element.get("id", "")]
    if element.get(HREF):
        kept["href"] = "#" + names[element.get(HREF, "#").lstrip("#")]
    if "clip-path" in kept:
        kept["clip-path"] = f"url(#{names[kept['clip-path'][5:-1]]})"
    if kept.get("transform", "").startswith("rotate(-0 "):
        del kept["transform"]
    if "style" in kept:
        kept["style"] = _style(kept["style"])
    parts = []
    for name, value in kept.items():
        if name in ("d", "x", "y", "transform", "width", "height"):
            value = _short(" ".join(value.split()))
        if value:
            parts.append(f' {name}="{escape(value, {chr(34): "&quot;"})}"')
    return "".join(parts)


def _style(style: str) -> str:
    rules = []
    for rule in style.split(";"):
        name, _, value = (part.strip() for part in rule.partition(":"))
        if name and name not in _DROPPED_STYLE:
            rules.append(f"{name}:{_CSS.get(value.lower(), value)}")
    return ";".join(rules)


def _short(text: str) -> str:
    """Numbers to a tenth of a pixel."""
    return _NUMBER.sub(
        lambda match: (
            f"{float(match[0]):.1f}".removesuffix(".0").replace("-0", "0")
            if abs(float(match[0])) < 0.05
            else f"{float(match[0]):.1f}".removesuffix(".0")
        ),
        text,
    )
