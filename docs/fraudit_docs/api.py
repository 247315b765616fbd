"""The reference of what Python code imports: pages that mkdocstrings fills from the docstrings."""

from __future__ import annotations

import ast

from fraudit_docs.links import ROOT
from fraudit_docs.markdown import cell, page, table

FOLDER = "reference/api"
# what a page holds: its modules, all of a folder's where it ends in `.*`
PAGES = {
    "api": ("Audit from Python", ("fraudit.api",)),
    "run": ("A finished run", ("fraudit.report.run", "fraudit.report.record")),
    "plots": ("Figures over several runs", ("fraudit.plots",)),
    "policy": ("A policy", ("fraudit.policy.policy",)),
    "types": ("Types", ("fraudit.types.*",)),
    "plugins": ("Plugins", ("fraudit.plugins",)),
    "errors": ("Errors", ("fraudit.errors",)),
    "perturb": ("Corruptions", ("fraudit.perturb.*",)),
    "protections": ("Template protection", ("fraudit.protections.*",)),
}


def _file(module: str) -> str:
    path = module.replace(".", "/")
    return f"{path}/__init__.py" if (ROOT / path).is_dir() else f"{path}.py"


def _inside(room: str) -> list[str]:
    folder = ROOT / room.replace(".", "/")
    return sorted(f"{room}.{p.stem}" for p in folder.glob("*.py") if not p.stem.startswith("_"))


def summary(module: str) -> str:
    """The first sentence of a module's docstring."""
    text = ast.get_docstring(ast.parse((ROOT / _file(module)).read_text(encoding="utf-8"))) or ""
    return " ".join(text.partition("\n\n")[0].split())


def modules() -> dict[str, tuple[str, ...]]:
    """Page name -> modules that it shows; every module of `fraudit.stats` has a page of its own."""
    found = {}
    for name, (_, wanted) in PAGES.items():
        found[name] = tuple(
            one for w in wanted for one in (_inside(w.removesuffix(".*")) if w.endswith(".*") else [w])
        )
    return {**found, **{one.removeprefix("fraudit."): (one,) for one in _inside("fraudit.stats")}}


def pages() -> dict[str, str]:
    """Path on the site -> Markdown."""
    found, rows = {}, []
    for name, shown in modules().items():
        title = PAGES[name][0] if name in PAGES else name
        parts = [f"## {one}\n\n::: {one}" if len(shown) > 1 else f"::: {one}" for one in shown]
        found[f"{FOLDER}/{name}.md"] = page(title, *parts)
        rows.append(
            (f"[{title}]({name}.md)", cell(summary(shown[0]) if len(shown) == 1 else ", ".join(shown)))
        )
    index = page(
        "From Python",
        "Made from the docstrings. `fraudit.api` is what a program imports; `fraudit.stats` has pure functions over "
        "numpy arrays, one idea a module.",
        table(("page", "what it has"), rows),
    )
    return {f"{FOLDER}/index.md": index, **found}
