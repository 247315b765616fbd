"""The site as a whole: every generated page and picture, and where each stands in the navigation."""

from __future__ import annotations

from functools import cache
from typing import Any

from fraudit_docs import analyses, api, commands, gallery, metrics, others, pictures
from fraudit_docs.links import ROOT

# heading of the navigation -> start of the paths of the pages that follow those named in mkdocs.yml
GROWING = {
    "Commands": f"{commands.FOLDER}/",
    "Analyses": f"{analyses.FOLDER}/",
    "From Python": f"{api.FOLDER}/",
    "Results": "results/",
    "Decisions": "adr/",
}


@cache
def pages() -> dict[str, str]:
    """Path on the site -> Markdown."""
    return {
        **commands.pages(),
        **analyses.pages(),
        **metrics.pages(),
        **api.pages(),
        **gallery.pages(),
        **others.pages(),
    }


@cache
def generated() -> dict[str, str | bytes]:
    """Path on the site -> Markdown, or the bytes of a picture."""
    return {**pages(), **pictures.files(), **gallery.files()}


def navigation(nav: list[Any]) -> list[Any]:
    """mkdocs.yml's navigation with the generated pages and the decisions under their headings."""
    decisions = [f"adr/{path.name}" for path in sorted((ROOT / "docs/adr").glob("*.md"))]
    order = [f"{analyses.FOLDER}/{one.name}.md" for one in analyses.every()]
    paths = list(dict.fromkeys([*order, *sorted(pages()), *decisions]))

    def grown(items: list[Any]) -> list[Any]:
        found = []
        for item in items:
            if isinstance(item, dict):
                ((name, inner),) = item.items()
                if isinstance(inner, list):
                    inner = grown(inner)
                    start = GROWING.get(name)
                    if start:
                        inner = [
                            *inner,
                            *(
                                p
                                for p in paths
                                if p.startswith(start) and p not in inner and p.endswith(".md")
                            ),
                        ]
                found.append({name: inner})
            else:
                found.append(item)
        return found

    return grown(nav)
