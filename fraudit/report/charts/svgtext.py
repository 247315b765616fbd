"""From matplotlib's SVG to a small inline element: own ids, CSS colours, rounded numbers, alternatives."""

from __future__ import annotations

import re
from collections.abc import Sequence
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
_ANCHORS = {"left": "start", "right": "end", "center": "middle"}
UID = "\x01"  # stands for the prefix of ids; no text of a chart holds it, since XML cannot
_NUMBER = re.compile(r"-?\d+\.\d+")
_KEPT = ("d", "style", "x", "y", "width", "height", "transform", "clip-path", "points", "cx", "cy", "r")
_DROPPED_STYLE = ("font-family", "stroke-linejoin", "stroke-linecap", "stroke-miterlimit")


def written(
    text: str,
    x: float,
    y: float,
    size: float,
    colour: str,
    *,
    align: str = "left",
    weight: int = 400,
    style: str = "normal",
    rotation: float = 0,
) -> str:
    """A line of text as matplotlib's SVG file has it after `body`; x and y in pixels, y of its baseline.

    Matplotlib would measure each letter of its own font first, which a text that the browser sets needs nothing of.
    """
    rules = [f"font-style:{style}"] if style != "normal" else []
    rules += [f"font-weight:{weight}"] if weight != 400 else []
    fill = _CSS.get(colour.lower(), colour)
    rules += [f"font-size:{_short(f'{size:f}')}px", f"text-anchor:{_ANCHORS[align]}", f"fill:{fill}"]
    px, py = _short(f"{x:f}"), _short(f"{y:f}")
    turned = f' transform="rotate({-rotation:g} {px} {py})"' if rotation else ""
    return f'<text style="{";".join(rules)}" x="{px}" y="{py}"{turned}>{escape(text)}</text>'


def body(text: str, texts: Sequence[str] = ()) -> str:
    """What `element` makes an inline element of: size and content of matplotlib's SVG file, ids begin with `UID`.

    Args:
        texts: elements that lie above all others, as `written` gives them.
    """
    root = ElementTree.fromstring(text)
    width, height = root.get("viewBox", "0 0 0 0").split()[2:]
    names: dict[str, str] = {}
    for one in root.iter():
        if one.tag in (f"{SVG}clipPath", f"{SVG}path") and one.get("id"):
            names[one.get("id", "")] = f"{UID}-{len(names)}"
    parts = [_write(child, names) for child in root]
    return f"{_short(width)} {_short(height)} {''.join([*parts, *texts])}"


def element(drawn: str, *, uid: str, title: str, description: str, attributes: str = "") -> str:
    """What `body` gave as an accessible inline element; ids all begin with `uid`.

    Args:
        attributes: further ones of the element, escaped.
    """
    width, height, content = drawn.split(" ", 2)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" role="img"{attributes} aria-labelledby="{uid}-t {uid}-d" '
        f'viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        f'style="max-width:100%;height:auto;font-family:system-ui,sans-serif" stroke-linejoin="round" '
        f'fill="currentColor"><title id="{uid}-t">{escape(printable(title))}</title>'
        f'<desc id="{uid}-d">{escape(printable(description))}</desc>{content.replace(UID, uid)}</svg>'
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
