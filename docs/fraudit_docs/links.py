"""Which file of the repository is which page of the site, and links that fit both places."""

from __future__ import annotations

import os
import posixpath
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
RESULTS = "benchmarks/results"
OUTSIDE = {"CONTRIBUTING.md": "contributing.md", "CHANGELOG.md": "changes.md", "LICENSE": "licence.md"}
FOLDERS = {
    "docs": "index.md",
    "docs/adr": "adr/index.md",
    "docs/cards": "ready-cards.md",
    RESULTS: "results/index.md",
}
LANGUAGES = {".py": "python", ".toml": "toml", ".json": "json", ".yml": "yaml", ".sh": "sh", "": "text"}
LINK = re.compile(r"(!?\[(?:[^\[\]]|\[[^\]]*\])*\]\()([^)\s]+)(\))")
FENCE = re.compile(r"(^ *```.*?^ *```)", re.M | re.S)


def page_of(path: str) -> str:
    """The site's page or file of a repository path such as `docs/gate.md`."""
    if path in OUTSIDE:
        return OUTSIDE[path]
    if path in FOLDERS:
        return FOLDERS[path]
    if path == "README.md":
        return "index.md"
    if path == "docs/gallery.ipynb":
        return "notebook.md"
    if path.startswith("docs/"):
        return path.removeprefix("docs/")
    if path.startswith(f"{RESULTS}/") and path.endswith(".md"):
        return f"results/{path.removeprefix(f'{RESULTS}/')}"
    return f"source/{path}.md"


def links_of(text: str) -> Iterator[str]:
    """Targets of the links of a Markdown text, outside of its code."""
    for i, part in enumerate(FENCE.split(text)):
        if i % 2 == 0:
            yield from (found[2] for found in LINK.finditer(part))


def inside(target: str) -> bool:
    """Whether a link points into the repository."""
    return not re.match(r"[a-z][a-z+.-]*:|#|/", target)


def repository_path(source: str, target: str) -> str:
    """The repository path that `target`, written in the repository file `source`, points to."""
    return posixpath.normpath(posixpath.join(posixpath.dirname(source), target.partition("#")[0]))


def rewritten(text: str, source: str, page: str) -> str:
    """The text of the repository file `source`, its links as the site's page `page` needs them."""

    def link(found: re.Match[str]) -> str:
        target = found[2]
        if not inside(target):
            return found[0]
        path, _, anchor = target.partition("#")
        there = os.path.relpath(page_of(repository_path(source, path)), posixpath.dirname(page) or ".")
        return f"{found[1]}{there}{'#' + anchor if anchor else ''}{found[3]}"

    return "".join(part if i % 2 else LINK.sub(link, part) for i, part in enumerate(FENCE.split(text)))


def brought() -> dict[str, str]:
    """Page -> repository file, of the Markdown files that lie outside of docs/."""
    found = {page: path for path, page in OUTSIDE.items() if path.endswith(".md")}
    for path in sorted((ROOT / RESULTS).glob("*.md")):
        found[f"results/{path.name}"] = f"{RESULTS}/{path.name}"
    return found


def shown_sources() -> dict[str, str]:
    """Page -> repository file, of code and data that some page links to; each becomes a page that shows it."""
    found: dict[str, str] = {}
    written = {f"docs/{p.relative_to(ROOT / 'docs').as_posix()}" for p in (ROOT / "docs").rglob("*.md")}
    for source in sorted(written | set(brought().values())):
        for target in links_of((ROOT / source).read_text(encoding="utf-8")):
            if inside(target):
                path = repository_path(source, target)
                if page_of(path).startswith("source/") and (ROOT / path).is_file():
                    found[page_of(path)] = path
    return found
