"""The wiring in the lines of a card: what it states, what another wiring needs, and a card with those lines changed."""

from __future__ import annotations

import json
import os
import tomllib
from pathlib import Path

import numpy as np

from fraudit.analyses.doctor.hypotheses import NORMALISATIONS, WHOLE, Hypothesis, template_points
from fraudit.embedding.cards import TEMPLATES
from fraudit.errors import UsageError
from fraudit.files.doors import CARD_BYTES, read_file
from fraudit.files.store import write_text_atomic
from fraudit.types import LoadedEmbedder


def _list(values: tuple[float, ...]) -> str:
    return f"{values[0]:g}" if len(set(values)) == 1 else f"[{', '.join(f'{v:g}' for v in values)}]"


def card_lines(hypothesis: Hypothesis, size: tuple[int, int]) -> dict[str, str]:
    """Key -> TOML value of the lines that a card needs for this; empty where no card can say it (whole pictures)."""
    if hypothesis.template == WHOLE:
        return {}
    lines: dict[str, str] = {}
    for axis, value in hypothesis.changes:
        if axis == "normalisation":
            mean, std = NORMALISATIONS[value]
            lines |= {"mean": _list(mean), "std": _list(std)}
        elif axis == "template":
            points = np.round(template_points(value, size), 3).tolist()
            native = {"arcface-112": 1.0, "dlib-150": 1.0}.get(value)
            lines["template"] = f'"{value}"' if native and size[0] == size[1] else str(points)
        else:
            lines[axis] = f'"{value}"'
    return lines


def stated_lines(loaded: LoadedEmbedder) -> dict[str, str]:
    """Key -> TOML value of the wiring that a card states; empty for a box whose input is made inside it."""
    pre, network = loaded.spec.preprocess, loaded.network
    if network is None:
        return {}
    name = pre.template_name.partition("@")[0]
    points = str(np.round(pre.template, 3).tolist())
    return {
        "channels": f'"{pre.channels}"',
        "mean": _list(pre.mean),
        "std": _list(pre.std),
        "template": f'"{name}"' if name in TEMPLATES else points,
        "output": f'"{network.outputs[0]}"',
        "layout": f'"{network.layouts[0]}"',
    }


def fixed_card(hypothesis: Hypothesis, card: Path, out: Path) -> None:
    """Write `card` with the lines of another wiring to `out`; every other line stays as it is.

    Raises:
        UsageError: no card can say it.
    """
    from fraudit.embedding.cards import parse_card

    size = parse_card(card).spec.preprocess.size
    text = read_file(card, CARD_BYTES, "docs/cards.md describes one", "the card").decode("utf-8")
    lines = card_lines(hypothesis, size)
    if not lines:
        raise UsageError(f"no card can say '{hypothesis.words}'", "wrap the model: python:module:callable")
    if out.absolute().parent != card.absolute().parent:
        lines |= moved_paths(text, card.absolute().parent, out.absolute().parent)
    write_text_atomic(out, changed_card(text, lines))
    parse_card(out)


def moved_paths(text: str, old: Path, new: Path) -> dict[str, str]:
    """The line of the model's path as seen from another folder, where it is a relative one."""
    path = tomllib.loads(text).get("model")
    if not isinstance(path, str) or Path(path).expanduser().is_absolute():
        return {}
    return {"model": json.dumps(os.path.relpath(old / path, new))}


def changed_card(text: str, lines: dict[str, str]) -> str:
    """A card's text with other values of some keys of its top level; what is missing stands at its start."""
    rows, done = text.splitlines(), set()
    kept: list[str] = []
    at = 0
    while at < len(rows):
        if rows[at].lstrip().startswith("["):
            break
        key = rows[at].partition("=")[0].strip().strip("\"'")
        if "=" not in rows[at] or rows[at].lstrip().startswith("#") or key not in lines:
            kept.append(rows[at])
            at += 1
            continue
        end = at + 1  # a value may go over several rows
        while end < len(rows) and not _whole("\n".join(rows[at:end])):
            end += 1
        kept.append(f"{key} = {lines[key]}")
        done.add(key)
        at = end
    new = [f"{key} = {value}" for key, value in lines.items() if key not in done]
    return "\n".join([*new, *kept, *rows[at:]]) + "\n"


def _whole(text: str) -> bool:
    try:
        tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return False
    return True
