"""`fraudit embedders`: what each needs and whether it is here. Those that come with fraudit are not imported for it."""

from __future__ import annotations

from typing import Any

from fraudit.embedding.bundled import BUNDLED, NEEDS_TARGET, Facts, facts_of
from fraudit.errors import PluginError
from fraudit.plugins import EMBEDDERS


def describe_embedders() -> list[dict[str, Any]]:
    """One plain dictionary per registered embedder; no weights are loaded and torch is not imported.

    Keys: name, summary, dim, input ({height, width, channels, template}), licence, source, distance,
    variants, weights ("present", "missing", "none needed" or "given by you"), weights_path, get (the command
    that gets what is missing, or ''). A plugin that cannot be imported has `error` instead.
    """
    rows: list[dict[str, Any]] = []
    for name in EMBEDDERS.names():
        if name in BUNDLED and EMBEDDERS.module(name).startswith("fraudit.embedders."):
            rows.append(_row(name, BUNDLED[name]))
            continue
        try:
            rows.append(_row(name, facts_of(EMBEDDERS.get(name))))
        except PluginError as error:
            rows.append({"name": name, "error": error.message})
    return rows


def _row(name: str, facts: Facts) -> dict[str, Any]:
    from fraudit.weights.catalogue import locate, missing_hint

    own = name in NEEDS_TARGET
    shape = {
        "height": facts.size[0],
        "width": facts.size[1],
        "channels": facts.channels,
        "template": facts.template_name,
    }
    row: dict[str, Any] = {
        "name": name,
        "summary": facts.summary,
        "dim": None if own else facts.dim,
        "input": None if own else shape,
        "licence": facts.licence,
        "source": facts.source,
        "distance": facts.distance,
        "variants": list(facts.variants),
        "weights": "none needed",
        "weights_path": None,
        "get": "",
    }
    reason = facts.available() if facts.available else ""
    if own:
        row["weights"], row["get"] = "given by you", NEEDS_TARGET[name]
    elif facts.weights is not None:
        found = locate(facts.weights)
        row["weights"] = "present" if found else "missing"
        row["weights_path"] = str(found) if found else None
        row["get"] = "" if found else missing_hint(facts.weights)
    elif reason:
        row["weights"], row["get"] = "missing", f"pip install 'fraudit[{facts.extra or name}]'"
    elif facts.extra:
        row["weights"] = "present"
    if reason:
        row["unavailable"] = reason
    return row
