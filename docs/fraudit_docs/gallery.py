"""The gallery of report sections: one figure, the answer and the first findings of each, from an audit of `sample`.

`python -m fraudit_docs.gallery RUN` takes them from a run's folder (dlib on the bundled faces) into docs/gallery.json;
the build draws them. No picture of a face is in it.
"""

from __future__ import annotations

import functools
import json
import sys
from pathlib import Path
from typing import Any

from fraudit_docs.links import ROOT
from fraudit_docs.markdown import cell, page

PATH, FOLDER = "gallery.md", "gallery"
FILE = ROOT / "docs/gallery.json"
FINDINGS = 3
WIDTH = 6.4  # inches
MARKS = {"high": "high", "medium": "medium", "low": "low", "info": "for information", "good": "good"}


def taken(run: Path) -> dict[str, Any]:
    """What the page needs of a run's record. Raises ValueError: a set other than the bundled one."""
    record = json.loads((run / "run.json").read_text(encoding="utf-8"))
    if record["inputs"]["dataset"]["name"] != "sample":
        raise ValueError("the gallery shows the bundled set alone: run fraudit analyze --dataset sample")
    sections = []
    for result in record["results"]:
        figures = result.get("figures") or []
        if result["status"] != "done" or not figures:
            continue
        order = ["high", "medium", "low", "good", "info"]
        found = sorted(result.get("findings") or [], key=lambda one: order.index(one["severity"]))
        sections.append(
            {
                **{key: result[key] for key in ("name", "title", "headline")},
                "findings": [[one["severity"], one["text"]] for one in found[:FINDINGS]],
                "figure": next((one for one in figures if one.get("main")), figures[0]),
            }
        )
    command = "fraudit analyze --embedder dlib --dataset sample --out runs/demo"
    return {"command": command, "sections": sections}


@functools.cache
def _sections() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(FILE.read_text(encoding="utf-8"))["sections"]
    return found


def pages() -> dict[str, str]:
    """Path on the site -> Markdown."""
    parts = []
    for one in _sections():
        figure = one["figure"]
        alt = " ".join(str(figure["alt"]).replace("[", "(").replace("]", ")").split())
        end = "" if figure["title"].endswith("?") else "."
        findings = "\n".join(f"- **{MARKS[severity]}**: {cell(text)}" for severity, text in one["findings"])
        parts.append(
            f"## {one['title']}\n\n{cell(one['headline'])}\n\n![{alt}]({FOLDER}/{one['name']}.svg)\n\n"
            f"*{cell(figure['title'].rstrip('.'))}{end}* {cell(figure.get('caption', ''))}\n\n{findings}\n\n"
            f"[What this section measures](reference/analyses/{one['name']}.md)"
        )
    return {
        PATH: page(
            "Gallery",
            "What the sections of a report say and draw: dlib on the 60 bundled people, who show nobody. With so few "
            "people most intervals are wide, and much stays open: that is part of the answer. The report itself "
            "has every figure, table and metric, and a slider over the threshold ([how to read it](report.md)).",
            *parts,
        )
    }


@functools.cache
def files() -> dict[str, bytes]:
    """Path on the site -> SVG."""
    from fraudit.report.paper import draw
    from fraudit.report.paper.files import encoded
    from fraudit.types import Figure

    return {
        f"{FOLDER}/{one['name']}.svg": encoded(draw(Figure(**one["figure"]), WIDTH, title=False)[0], "svg")
        for one in _sections()
    }


if __name__ == "__main__":
    FILE.write_text(
        json.dumps(taken(Path(sys.argv[1])), indent=None, sort_keys=True) + "\n", encoding="utf-8"
    )
