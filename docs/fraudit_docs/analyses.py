"""The reference of every analysis and its parameters, from the plugins and the docstrings of their `Params`."""

from __future__ import annotations

import dataclasses
from typing import Any

from fraudit_docs.markdown import block, cell, code, page, table

FOLDER = "reference/analyses"
NEEDS = {
    "identities": "the set says who is on a picture",
    "attributes": "the set says something of the people, such as their age",
    "landmarks": "five points of each face, from the set or from a detector",
    "pairs": "pairs of pictures to compare",
    "inverter": "an inverter of this model (`fraudit adapt`, `fraudit train`)",
    "judge": "a second, independent model (`--judge`)",
    "other": "a second model to compare with (`--other`)",
    "vectors": "a model that gives its vectors, not only scores",
    "pictures": "the pictures themselves: stored vectors are not enough",
}


def every() -> list[Any]:
    """All bundled analyses in the order of the report."""
    from fraudit.plugins import ANALYSES

    return sorted((one for _, one in ANALYSES.items()), key=lambda one: (one.order, one.name))


def sentence(text: str) -> str:
    """The text as a sentence."""
    return f"{text[:1].upper()}{text[1:].rstrip('.')}."


def default(field: Any) -> str:
    """The default as `--param` takes it; '' where it is chosen by the data."""
    value = field.default if field.default is not dataclasses.MISSING else None
    if value is None and field.default_factory is not dataclasses.MISSING:
        value = field.default_factory()
    if value is None or value == () or value == []:
        return ""
    return ",".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def parameters(params: type, prefix: str) -> list[tuple[str, str, str]]:
    """(name as --param takes it, default, meaning) of each field."""
    from fraudit.audit.params_help import explained

    about = explained(params)
    return [
        (f"{prefix}.{field.name}", default(field), about.get(field.name, ""))
        for field in dataclasses.fields(params)
    ]


def _parameter_table(params: type, prefix: str) -> str:
    rows = [(code(name), code(value), cell(text)) for name, value, text in parameters(params, prefix)]
    return table(("--param", "default", "meaning"), rows) if rows else ""


def page_of(one: Any) -> str:
    """The page of one analysis."""
    import importlib

    from fraudit_docs import metrics

    about = importlib.import_module(type(one).__module__ if not one.run else one.run.__module__).__doc__ or ""
    needs = [f"- **{need}**: {NEEDS[need]}" for need in one.needs]
    asked = (
        "only where it is asked for: `--only`, one of its parameters, or `--other`"
        if one.on_request
        else "always"
    )
    rows = metrics.rows([entry for entry in metrics.every() if entry.analysis == one.name], "../../")
    return page(
        f"{one.title} (`{one.name}`)",
        sentence(one.summary),
        " ".join(about.split()) if " ".join(about.split()).rstrip(".") != one.summary.rstrip(".") else "",
        block(f"fraudit analyze --embedder card.toml --dataset lfw --only {one.name}"),
        f"Part of an audit: {asked}. Over stored vectors, without pictures: "
        f"{'no' if 'pictures' in one.needs else 'yes'}.",
        "## What it needs\n\n" + ("\n".join(needs) if needs else "Nothing but pictures of faces."),
        "## Parameters\n\n" + (_parameter_table(one.params, one.name) or "None."),
        "## Asked of a box that only compares\n\n"
        "With `--scorer` every comparison costs a query; these say how many.\n\n"
        + _parameter_table(one.asks.params, "scorer")
        if one.asks
        else "",
        f"## Metrics\n\n{rows}" if rows else "",
        "When a finding is high, medium or low: [the rules](../../severity.md).",
    )


def index() -> str:
    """The list of all analyses."""
    rows = [
        (
            f"[{cell(one.title)}]({one.name}.md)",
            cell(sentence(one.summary)),
            cell(", ".join(one.needs) or "–"),
        )
        for one in every()
    ]
    return page(
        "Analyses",
        "One section of the report each, in this order. `fraudit analyses` prints the same on a terminal.",
        table(("analysis", "what it says", "needs"), rows),
    )


def pages() -> dict[str, str]:
    """Path on the site -> Markdown."""
    return {f"{FOLDER}/index.md": index(), **{f"{FOLDER}/{one.name}.md": page_of(one) for one in every()}}
