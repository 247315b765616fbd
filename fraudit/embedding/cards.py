"""TOML cards: a model, or a remote box, described in a dozen lines.

A card states `name`, `size` (height, width), `template`, `dim` and how the input is made; the rest depends
on its `kind` (the embedder plugin that reads it, `onnx` unless stated). Unknown keys are refused, so that a
typing error never silently changes a model's preprocessing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import numpy as np

from fraudit.errors import ArtifactError, UsageError, suggest
from fraudit.files.doors import CARD_BYTES, read_file
from fraudit.files.kinds import parse_as
from fraudit.types import ARCFACE_112, F32, EmbedderSpec, Preprocess

# name -> ((height, width) the points are given for, points). Cards may ask for any size of the same shape.
TEMPLATES: dict[str, tuple[tuple[int, int], F32]] = {
    "arcface-112": ((112, 112), ARCFACE_112),
    "arcface-112x96": ((112, 96), ARCFACE_112 - np.array([8, 0], np.float32)),
    # Mean place of YuNet's five points in the chips dlib itself cuts (150 px, padding 0.25), made symmetric:
    # benchmarks/dlib_template.py, 562 chips of CelebA.
    "dlib-150": (
        (150, 150),
        np.array(
            [
                [47.5021, 44.7392],
                [101.4979, 44.7392],
                [74.5, 77.7021],
                [50.8986, 101.4333],
                [98.1014, 101.4333],
            ],
            np.float32,
        ),
    ),
}

_COMMON = (
    "kind",
    "name",
    "size",
    "mean",
    "std",
    "channels",
    "template",
    "dim",
    "licence",
    "source",
    "distance",
)
_ALIASES = {"license": "licence"}
_LARGEST = 1e30  # no pixel value, no number of a card comes near it


@dataclass(frozen=True, slots=True)
class Card:
    """A parsed card.

    Attributes:
        path: the card's file; paths in it are relative to its folder.
        kind: name of the embedder plugin that reads the rest.
        spec: name, dimension, preprocessing, licence, source.
        rest: keys beyond the common ones, as TOML gave them; the plugin checks them with `take`.
        sha256: hash of the card's bytes.
        notes: what looks wrong in it, a sentence each.
    """

    path: Path
    kind: str
    spec: EmbedderSpec
    rest: Mapping[str, Any]
    sha256: str
    notes: tuple[str, ...] = ()

    def refuse_unknown(self, known: Iterable[str]) -> None:
        """Raises UsageError where `rest` holds a key that is not in `known`."""
        allowed = list(known)
        for key in self.rest:
            if key not in allowed:
                near = suggest(key, [*allowed, *_COMMON])
                raise UsageError(
                    f"{self.path.name}: unknown key '{key}'",
                    f"{near}a card of kind '{self.kind}' takes {', '.join([*_COMMON[1:], *allowed])}",
                )

    def take(self, key: str, kind: type, default: Any = None) -> Any:
        """`rest[key]` as `kind` (int is taken for float), or `default`.

        Raises:
            UsageError: another type, or the key is missing and `default` is None.
        """
        value = self.rest.get(key, default)
        if value is None:
            raise UsageError(f"{self.path.name}: the key '{key}' is missing", "see docs/cards.md")
        if kind is float and isinstance(value, int) and not isinstance(value, bool):
            value = float(value) if -_LARGEST < value < _LARGEST else value
        if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
            raise UsageError(
                f"{self.path.name}: '{key}' must be {_WORDS.get(kind, kind.__name__)}, found {short(value)}"
            )
        return value


def short(value: Any) -> str:
    """A value of a card for a message; an endless one is cut, a number of 10,000 digits is not even written."""
    if type(value) is int and value.bit_length() > 200:
        return f"an integer of {value.bit_length()} bits"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(short, value[:6]))}{', ...' if len(value) > 6 else ''}]"
    return f"{value!r:.80}" if not isinstance(value, dict) else "a table"


_WORDS = {str: "text", int: "an integer", float: "a number", bool: "true or false", dict: "a table"}


def template(name_or_points: Any, size: tuple[int, int], where: str = "template") -> tuple[F32, str]:
    """(f32[5,2], name) of a named template at `size`, or of five explicit [x, y] points.

    Points are in the order left eye, right eye, nose, left mouth, right mouth as the viewer sees them.

    Raises:
        UsageError: unknown name, another shape of picture, points outside it.
    """
    if isinstance(name_or_points, str):
        if name_or_points not in TEMPLATES:
            near = suggest(name_or_points, TEMPLATES)
            raise UsageError(
                f"{where}: unknown template '{name_or_points}'",
                f"{near}known: {', '.join(TEMPLATES)}, or five [x, y] points",
            )
        native, points = TEMPLATES[name_or_points]
        if native[0] * size[1] != native[1] * size[0]:
            raise UsageError(
                f"{where}: template '{name_or_points}' is for {native[0]}x{native[1]} (height x width) "
                f"or a multiple of it, found {size[0]}x{size[1]}",
                "give template = five [x, y] points",
            )
        if native == size:
            return points, name_or_points
        return (points * (size[0] / native[0])).astype(np.float32), f"{name_or_points}@{size[0]}x{size[1]}"
    try:
        points = np.array(name_or_points, dtype=np.float32)
    except (TypeError, ValueError, OverflowError):
        points = np.zeros(0, np.float32)
    if points.shape != (5, 2) or not np.isfinite(points).all():
        raise UsageError(
            f"{where}: expected a template's name or five [x, y] points, found {short(name_or_points)}"
        )
    if (points < 0).any() or (points >= np.array([size[1], size[0]])).any():
        raise UsageError(f"{where}: a point lies outside the {size[0]}x{size[1]} (height x width) picture")
    if points[0, 0] >= points[1, 0] or points[3, 0] >= points[4, 0]:
        raise UsageError(f"{where}: points go left eye, right eye, nose, left mouth, right mouth by x")
    digest = hashlib.sha256(points.tobytes()).hexdigest()[:8]
    return points, f"custom-{digest}"


WHOLE_NAME = "none: whole pictures"
WHOLE_PICTURE = "whole picture"  # a template of an ONNX card


def middle_of(size: tuple[int, int]) -> F32:
    """f32[5,2]: a face in the middle third, for a box that is shown whole pictures; nothing is aligned to it."""
    centre = np.array([size[1], size[0]], np.float32) / 2
    return np.asarray((ARCFACE_112 - 56) * np.float32(min(size) / 336) + centre, np.float32)


def _numbers(values: Any, count: int, where: str) -> tuple[float, ...]:
    listed = [values] * count if isinstance(values, int | float) and not isinstance(values, bool) else values
    if (
        not isinstance(listed, list)
        or len(listed) != count
        or not all(isinstance(v, int | float) and not isinstance(v, bool) for v in listed)
        or not all(-_LARGEST < v < _LARGEST for v in listed)  # false for NaN too
    ):
        raise UsageError(f"{where}: expected {count} finite numbers, found {short(values)}")
    return tuple(float(v) for v in listed)


def require_card(path: Path, page: str = "docs/cards.md") -> None:
    """Raise ArtifactError where there is no card, with the folder that was searched and a card's name near to it."""
    if path.exists():
        return
    folder = path.absolute().parent
    there = folder.is_dir()
    cards = (
        [p.name for p in folder.glob("*.toml") if p.name != "pyproject.toml"] if there else ()
    )  # a project's
    raise ArtifactError(
        f"no card {path.name}, looked for in {folder}{'' if there else ', which is no folder'}",
        f"{suggest(path.name, cards)}a card is a TOML file, see {page}",
    )


def parse_card(path: Path) -> Card:
    """The card in `path`.

    Raises:
        DataError: the file cannot be read or is not TOML.
        UsageError: a common key is missing, of the wrong type or out of range.
    """
    blob = read_file(path, CARD_BYTES, "docs/cards.md describes one", "the card")
    found = parse_as(
        "card", blob, path, "`fraudit card model.onnx` drafts a card, docs/cards.md has one in full"
    )
    found = {_ALIASES.get(key, key): value for key, value in found.items()}
    kind = found.get("kind", "onnx")
    where = path.name
    sent_whole = kind == "http" and found.get("input") == "picture"
    needed = ["name", "size", "dim", *([] if sent_whole else ["template"])]
    needed += ["mean", "std", "channels"] if kind == "onnx" else []
    for key in needed:
        if key not in found:
            near = get_close_matches(key, [k for k in found if k not in _COMMON], 1, 0.5)
            odd = f"'{near[0]}' is no key of a card: write '{key}'; " if near else ""
            other = "; a box that only compares goes with --scorer" if kind == "http" else ""
            raise UsageError(
                f"{where}: the key '{key}' is missing", f"{odd}a card needs {', '.join(needed)}{other}"
            )
    for key in ("kind", "name", "channels", "licence", "source", "distance"):
        if key in found and (not isinstance(found[key], str) or not found[key].strip()):
            raise UsageError(f"{where}: '{key}' must be text, found {short(found[key])}")
    size = _numbers(found["size"], 2, f"{where}: size")
    if not all(v == int(v) and 8 <= v <= 4096 for v in size):
        raise UsageError(
            f"{where}: size is (height, width) in pixels from 8 to 4096, found {short(found['size'])}"
        )
    height, width = int(size[0]), int(size[1])
    dim = found["dim"]
    if not isinstance(dim, int) or isinstance(dim, bool) or not 2 <= dim <= 65536:
        raise UsageError(f"{where}: dim must be an integer from 2 to 65536, found {short(dim)}")
    std = _numbers(found.get("std", 127.5), 3, f"{where}: std")
    if min(std) <= 0:
        raise UsageError(f"{where}: std must be above 0, in 0..255 pixel units, found {short(found['std'])}")
    channels = found.get("channels", "RGB")
    if channels not in ("RGB", "BGR"):
        raise UsageError(f"{where}: channels must be RGB or BGR, found {channels!r}")
    whole = sent_whole or (kind == "onnx" and found.get("template") == WHOLE_PICTURE)
    if whole:
        points, template_name = middle_of((height, width)), WHOLE_NAME
        if sent_whole and "template" in found:
            raise UsageError(
                f"{where}: input = 'picture' shows whole pictures; 'template' has no meaning",
                "take one of them out",
            )
    else:
        points, template_name = template(found["template"], (height, width), f"{where}: template")
    mean = _numbers(found.get("mean", 127.5), 3, f"{where}: mean")
    spec = EmbedderSpec(
        name=found["name"].strip(),
        dim=dim,
        preprocess=Preprocess(
            size=(height, width),
            template=points,
            mean=(mean[0], mean[1], mean[2]),
            std=(std[0], std[1], std[2]),
            channels=channels,
            template_name=template_name,
            whole=whole,
        ),
        licence=found.get("licence", "not stated in the card"),
        source=found.get("source", f"card {path.name}"),
        distance=found.get("distance", "cosine"),
        summary=f"{kind} model of {path.name}",
    )
    rest = {key: value for key, value in found.items() if key not in _COMMON}
    notes = _in_unit_range(where, mean, std)
    return Card(path, kind, spec, rest, hashlib.sha256(blob).hexdigest(), notes)


def of_unit_pixels(mean: tuple[float, ...], std: tuple[float, ...]) -> bool:
    """Whether mean and std look like those of pixels from 0 to 1; 0 and 1 leave pixels as they are."""
    return max(map(abs, mean)) <= 1 and max(std) <= 1 and (set(mean), set(std)) != ({0.0}, {1.0})


def _in_unit_range(where: str, mean: tuple[float, ...], std: tuple[float, ...]) -> tuple[str, ...]:
    """A note where mean and std are as for pixels from 0 to 1."""
    if not of_unit_pixels(mean, std):
        return ()
    right = " and ".join(
        f"{name} = [{', '.join(f'{255 * v:.6g}' for v in values)}]"
        for name, values in (("mean", mean), ("std", std))
    )
    return (
        f"{where}: mean {_listed(mean)} and std {_listed(std)} look like those of pixels from 0 to 1; a card states "
        f"them for pixels from 0 to 255. Did you mean {right}?",
    )


def _listed(values: tuple[float, ...]) -> str:
    return ", ".join(f"{v:g}" for v in values) if len(set(values)) > 1 else f"{values[0]:g}"
