"""What a file that a person wrote seems to be, where it is not what was asked for: a plan is no card of a model."""

from __future__ import annotations

import json
from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from fraudit.errors import DataError, FrauditError, UsageError
from fraudit.files.doors import BROKEN, parse_toml

# kind -> (in words, how it is given)
KINDS = {
    "card": ("a card of a model", "--embedder {name}"),
    "scorer": ("a card of a box that compares", "--scorer {name}"),
    "plan": ("a plan of an audit", "fraudit analyze --plan {name}"),
    "rules": ("rules of a gate", "fraudit gate --rules {name}"),
    "project": ("a Python project's file", ""),
}
# Keys of the outermost table by which a kind is known.
SIGNS: Mapping[str, frozenset[str]] = {
    "card": frozenset(
        ("name", "model", "size", "dim", "mean", "std", "channels", "template", "url", "kind", "licence", "source")
    ),
    "scorer": frozenset(
        ("name", "size", "template", "url", "kind", "licence", "source", "left_key", "right_key", "symmetric",
         "cost_per_query", "currency", "missing")
    ),
    "plan": frozenset(
        ("embedder", "dataset", "weights", "only", "skip", "params", "seed", "detector", "judges", "inverter",
         "pictures", "limit", "pairs", "layout")
    ),
    "rules": frozenset(("rules",)),
    "project": frozenset(("project", "build-system", "tool")),
}  # fmt: skip
_JSON = {
    "fraudit-policy": "a policy (JSON), which `fraudit gate --policy` and fraudit.api.Policy take",
    "fraudit-run": "a run's record (JSON), which `fraudit show` reads",
    "fraudit-baseline": "a baseline (JSON), which `fraudit gate --base` takes",
}


def parse_as(
    kind: str,
    data: bytes,
    path: Path,
    hint: str,
    error: type[FrauditError] = DataError,
    *,
    empty: bool = False,
) -> dict[str, Any]:
    """A TOML document of `kind`, as far as its outermost keys tell.

    Args:
        kind: a key of `KINDS`, what is expected. hint: what to do. error: class where it is no TOML. empty: whether an
            empty one will do.
    Raises:
        error: it is no TOML. UsageError: it is empty, or of another kind; a close miss is left to who reads it.
    """
    wanted = KINDS[kind][0]
    try:
        table = parse_toml(data, path, hint, error)
    except error as problem:
        text = problem.message.removeprefix(f"{path}: ")
        found = _no_toml(data) or f"text that is {text}"
        raise error(f"{path}: expected {wanted}, found {found}", hint) from problem
    found, use = what_it_is(kind, table, path.name)
    if not table and not empty:
        found = "nothing but comments" if data.strip() else "an empty file"
    if found:
        raise UsageError(f"{path}: expected {wanted}, found {found}", f"{use}{hint}")
    return table


def what_it_is(expected: str, table: Mapping[str, Any], name: str) -> tuple[str, str]:
    """(what a table is in words, how such a file is given), or ('', '') where it may be what is expected."""
    counts = {kind: len(signs & table.keys()) for kind, signs in SIGNS.items()}
    most = max(counts, key=lambda kind: (counts[kind], kind == expected))
    if counts[most] > counts[expected]:
        words, use = KINDS[most]
        return words, f"{use.format(name=name)} takes it; " if use else ""
    if counts[expected] or not table or any(get_close_matches(key, SIGNS[expected], 1) for key in table):
        return "", ""
    return f"other TOML (its first key is '{next(iter(table))[:40]}')", ""


def _no_toml(data: bytes) -> str:
    """What bytes that are no TOML are, or '' where nothing is known of them."""
    if b"\0" in data[:4096] and data[:2] not in (b"\xff\xfe", b"\xfe\xff"):
        return "a file that is no text"
    if not data.lstrip().startswith(b"{"):
        return ""
    try:
        found = json.loads(data)
    except BROKEN:
        return ""
    schema = found.get("schema") if isinstance(found, dict) else None
    return _JSON.get(schema.partition("/")[0], "JSON") if isinstance(schema, str) else "JSON"
