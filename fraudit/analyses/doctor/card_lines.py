"""The wiring in the lines of a card: what it states, what another wiring needs, and a card with those lines changed."""

from __future__ import annotations

import json
import os
import tomllib
from pathlib import Path

import numpy as np

from fraudit.analyses.doctor.hypotheses import (
    STATED,
    TRANSPOSED,
    WHOLE,
    Hypothesis,
    normalisation,
    sized,
    template_points,
)
from fraudit.embedding.cards import TEMPLATES
from fraudit.files.doors import CARD_BYTES, read_file
from fraudit.files.store import write_text_atomic
from fraudit.types import EmbedderSpec, LoadedEmbedder, Preprocess


def _list(values: tuple[float, ...]) -> str:
    return f"{values[0]:g}" if len(set(values)) == 1 else f"[{', '.join(f'{v:g}' for v in values)}]"


def card_lines(hypothesis: Hypothesis, spec: EmbedderSpec, dim: int) -> dict[str, str]:
    """Key -> TOML value of the lines that a card of `spec` needs for this, whose vectors have `dim` numbers.

    Empty where no card can say it.
    """
    if hypothesis.layout == TRANSPOSED:
        return {}
    lines: dict[str, str] = {}
    pre = sized(spec.preprocess, hypothesis)
    for axis, value in hypothesis.changes:
        if axis == "normalisation":
            mean, std = normalisation(value, pre)
            lines |= {"mean": _list(mean), "std": _list(std)}
        elif axis == "template":
            lines["template"] = f'"{value}"' if value == WHOLE else _template(value, pre)
        elif axis == "size":
            lines["size"] = str(list(pre.size))
            if not pre.whole and hypothesis.template == STATED:
                lines["template"] = str(np.round(pre.template, 3).tolist())
        else:
            lines[axis] = f'"{value}"'
    return lines | ({"dim": str(dim)} if dim != spec.dim else {})


def _template(name: str, pre: Preprocess) -> str:
    native = name in ("arcface-112", "dlib-150") and pre.size[0] == pre.size[1]
    return f'"{name}"' if native else str(np.round(template_points(name, pre.size), 3).tolist())


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
        "template": f'"{WHOLE}"' if pre.whole else f'"{name}"' if name in TEMPLATES else points,
        "size": str(list(pre.size)),
        "output": f'"{network.outputs[0]}"',
        "dim": str(loaded.spec.dim),
        "layout": f'"{network.layouts[0]}"',
    }


def fixed_card(lines: dict[str, str], card: Path, out: Path) -> None:
    """Write `card` with these lines (key -> TOML value) to `out`; every other line stays as it is."""
    from fraudit.embedding.cards import parse_card

    text = read_file(card, CARD_BYTES, "docs/cards.md describes one", "the card").decode("utf-8")
    if out.absolute().parent != card.absolute().parent:
        lines = lines | moved_paths(text, card.absolute().parent, out.absolute().parent)
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
