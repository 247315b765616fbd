"""Pages made from files: lists of folders, code that pages link to, the notebook, the licence."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from fraudit_docs.links import LANGUAGES, ROOT, brought, rewritten, shown_sources
from fraudit_docs.markdown import block, page, table

LONGEST = 20_000  # signs of a file that a page shows


def title_of(path: Path) -> str:
    """The first heading of a Markdown file."""
    text = path.read_text(encoding="utf-8")
    return next((line[2:].strip() for line in text.splitlines() if line.startswith("# ")), path.stem)


def _source(path: str) -> str:
    text = (ROOT / path).read_text(encoding="utf-8")
    note = f"The first {LONGEST:,} of {len(text):,} signs." if len(text) > LONGEST else ""
    return page(f"`{path}`", note, block(text[:LONGEST], LANGUAGES.get(Path(path).suffix, "text")))


def _decisions() -> str:
    rows = [(f"[{title_of(p)}]({p.name})",) for p in sorted((ROOT / "docs/adr").glob("*.md"))]
    return page("Decisions", "Why things are as they are, one page a decision.", table(("decision",), rows))


def _results() -> str:
    found = sorted((ROOT / "benchmarks/results").glob("*.md"))
    rows = [(f"[{title_of(p)}]({p.name})",) for p in found]
    return page(
        "What was measured", "On real faces, and in worlds whose truth is known.", table(("page",), rows)
    )


def _cards() -> str:
    parts = []
    for path in sorted((ROOT / "docs/cards").glob("*.toml")):
        parts.append(f"## {path.name}\n\n{block(path.read_text(encoding='utf-8'), 'toml')}")
    return page(
        "Ready cards", "Cards of services that answer over HTTP ([what the keys mean](cards.md)).", *parts
    )


def notebook() -> str:
    """docs/gallery.ipynb as a page: its texts, its code, and what it printed where it was stored."""
    cells = json.loads((ROOT / "docs/gallery.ipynb").read_text(encoding="utf-8"))["cells"]
    parts = []
    for one in cells:
        text = "".join(one["source"])
        parts.append(text if one["cell_type"] == "markdown" else block(text, "python"))
        parts += [_output(output) for output in one.get("outputs", [])]
    return "\n\n".join(part for part in parts if part) + "\n"


def _output(output: dict[str, Any]) -> str:
    data = output.get("data", {})
    if "image/png" in data:
        picture = "".join(data["image/png"]).replace("\n", "")
        return f'<img alt="The figure that the lines above draw" src="data:image/png;base64,{picture}">'
    if "text/html" in data:
        return '<div class="notebook-table">' + "".join(data["text/html"]).replace("\n\n", "\n") + "</div>"
    text = "".join(data.get("text/plain", output.get("text", "")))
    return block(text, "text") if text.strip() else ""


def pages() -> dict[str, str]:
    """Path on the site -> Markdown."""
    found = {
        "adr/index.md": _decisions(),
        "results/index.md": _results(),
        "ready-cards.md": _cards(),
        "notebook.md": rewritten(notebook(), "docs/gallery.ipynb", "notebook.md"),
        "licence.md": page("Licence", block((ROOT / "LICENSE").read_text(encoding="utf-8"), "text")),
    }
    for to, path in brought().items():
        found[to] = rewritten((ROOT / path).read_text(encoding="utf-8"), path, to)
    for to, path in shown_sources().items():
        found[to] = _source(path)
    return found
