"""What an audit will do, before it does it: TOML or command line -> AuditPlan; unknown keys are refused."""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fraudit.errors import UsageError, suggest
from fraudit.files.doors import CARD_BYTES, read_file
from fraudit.files.kinds import parse_as

PICTURES = ("auto", "none", "all")
POLICIES = ("most_central", "largest", "highest_score")


@dataclass(frozen=True, slots=True)
class AuditPlan:
    """Everything an audit depends on.

    Attributes:
        embedder: registry name, path of a TOML card, or `python:module:callable`.
        dataset: known name or path.
        weights: weights file of the embedder, or None for the known place.
        only, skip: analyses by name; empty means all.
        params: analysis -> parameter -> value.
        seed: of everything random.
        max_faces: upper limit on the faces each expensive analysis takes, or None for its default.
        detector: name of the face detector, or None for the best present.
        several_faces: which face is taken where a picture shows several.
        judges: independent embedders for inversion, each a name, card or `python:` target.
        other: a second model for the analyses that compare two: as `embedder`, or a run folder or `.npz` of vectors.
        other_weights: its weights file.
        inverter: `auto` (the bundled one where it fits), `none`, or a path.
        pictures: `auto` shows pictures only of sets that show nobody, `none` never, `all` always.
        limit: audit only a part of the people of the set, whole, up to this many pictures; two people at least.
        pairs: file of pairs that are the protocol instead of the set's own (docs/formats.md).
        layout: which folders name the person, such as `person/*`, where that is not plain.
        distinct: states that every picture of a set without identities and pairs shows another person.
    """

    embedder: str
    dataset: str = "sample"
    weights: str | None = None
    only: tuple[str, ...] = ()
    skip: tuple[str, ...] = ()
    params: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    seed: int = 0
    max_faces: int | None = None
    detector: str | None = None
    several_faces: str = "most_central"
    judges: tuple[str, ...] = ()
    other: str | None = None
    other_weights: str | None = None
    inverter: str = "auto"
    pictures: str = "auto"
    limit: int | None = None
    pairs: str | None = None
    layout: str | None = None
    distinct: bool = False

    def __post_init__(self) -> None:
        _one_of("pictures", self.pictures, PICTURES)
        _one_of("several_faces", self.several_faces, POLICIES)
        for name, least in (("max_faces", 1), ("limit", 1), ("seed", 0)):
            value = getattr(self, name)
            if value is not None and value < least:
                raise UsageError(f"{name}: expected at least {least}, found {value}")

    def includes(self, analysis: str) -> bool:
        """Whether `analysis` is among those that `only` and `skip` leave."""
        return analysis not in self.skip and (not self.only or analysis in self.only)

    def reading(self) -> dict[str, Any]:
        """How the set is to be read, for `fraudit.faces.sources.open_faces`."""
        return {name: value for name, value in (("pairs", self.pairs), ("layout", self.layout)) if value}

    def as_dict(self) -> dict[str, Any]:
        """Plain values for the record."""
        return {**dataclasses.asdict(self), "params": {k: dict(v) for k, v in self.params.items()}}

    def command(self, *box: str) -> str:
        """One copyable command that repeats this audit; `box`: the words in the place of `--embedder NAME`."""
        import shlex

        words = ["fraudit", "analyze", *(box or ("--embedder", self.embedder)), "--dataset", self.dataset]
        plain = {f.name: f.default for f in dataclasses.fields(self)}
        for name in (
            "weights",
            "other",
            "other_weights",
            "seed",
            "max_faces",
            "detector",
            "several_faces",
            "inverter",
            "pictures",
            "limit",
            "pairs",
            "layout",
        ):
            value = getattr(self, name)
            if value != plain[name]:
                words += [f"--{name.replace('_', '-')}", str(value)]
        if self.distinct:
            words.append("--distinct")
        for name, values in (("only", self.only), ("skip", self.skip)):
            if values:
                words += [f"--{name}", ",".join(values)]
        for judge in self.judges:
            words += ["--judge", judge]
        for analysis, params in sorted(self.params.items()):
            for key, value in sorted(params.items()):
                text = ",".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
                words += ["--param", f"{analysis}.{key}={text}"]
        return shlex.join(words)


def _one_of(name: str, value: str, known: Sequence[str]) -> None:
    if value not in known:
        raise UsageError(
            f"{name}: unknown value '{value}'", f"{suggest(value, known)}known: {', '.join(known)}"
        )


def plan_from_toml(path: Path, overrides: Mapping[str, Any] | None = None) -> AuditPlan:
    """Read a plan; command-line values in `overrides` win, among `params` one by one.

    Raises:
        UsageError: unreadable, not TOML, or an unknown key (with the nearest one suggested).
    """
    data = read_file(path, CARD_BYTES, "check the path", "the plan", UsageError)
    hint = 'a plan names embedder = "dlib", dataset = "sample" and what else `fraudit analyze` takes'
    table = parse_as("plan", data, path, hint, UsageError, empty="embedder" in (overrides or {}))
    values = {**table, **(overrides or {})}
    own, given = table.get("params"), (overrides or {}).get("params")
    if isinstance(own, Mapping) and given and all(isinstance(v, Mapping) for v in own.values()):
        values["params"] = {name: {**own.get(name, {}), **given.get(name, {})} for name in {**own, **given}}
    return plan_from_values(values, str(path))


def plan_from_values(values: Mapping[str, Any], where: str = "plan") -> AuditPlan:
    """AuditPlan from plain values, each checked against the plan's field types."""
    hints = typing.get_type_hints(AuditPlan)
    checked: dict[str, Any] = {}
    for key, value in values.items():
        if key not in hints:
            raise UsageError(
                f"{where}: unknown key '{key}'", f"{suggest(key, hints)}known: {', '.join(hints)}"
            )
        if key == "params":
            if not isinstance(value, Mapping) or not all(isinstance(v, Mapping) for v in value.values()):
                raise UsageError(f"{where}: params: expected a table per analysis", "[params.robustness]")
            checked[key] = {name: dict(inner) for name, inner in value.items()}
        else:
            checked[key] = convert(value, hints[key], f"{where}: {key}")
    if "embedder" not in checked:
        raise UsageError(f"{where}: no embedder named", "fraudit embedders lists them")
    return AuditPlan(**checked)


def parse_params(items: Sequence[str]) -> dict[str, dict[str, str]]:
    """`robustness.severities=1,3,5` -> {"robustness": {"severities": "1,3,5"}}. Raises UsageError."""
    params: dict[str, dict[str, str]] = {}
    for item in items:
        name, equals, value = item.partition("=")
        analysis, dot, key = name.partition(".")
        if not (equals and dot and analysis and key):
            raise UsageError(
                f"--param {item}: expected ANALYSIS.NAME=VALUE", "--param robustness.severities=1,3,5"
            )
        params.setdefault(analysis, {})[key] = value
    return params


def build_params(type_: type, values: Mapping[str, Any], where: str) -> Any:
    """An instance of an analysis' Params with `values` converted to its field types.

    Raises:
        UsageError: unknown key (with the nearest one suggested) or a value that does not convert.
    """
    hints = typing.get_type_hints(type_)
    known = [f.name for f in dataclasses.fields(type_)]
    converted: dict[str, Any] = {}
    for key, value in values.items():
        if key not in known:
            raise UsageError(
                f"{where}: unknown parameter '{key}'", f"{suggest(key, known)}known: {', '.join(known)}"
            )
        converted[key] = convert(value, hints[key], f"{where}.{key}")
    try:
        return type_(**converted)
    except UsageError as error:
        raise UsageError(f"{where}: {error.message}", error.hint) from error
    except ValueError as error:
        raise UsageError(f"{where}: {error}", "fraudit analyses lists every parameter") from error


def convert(value: Any, hint: Any, where: str) -> Any:
    """`value` (text from a command line, or TOML) as `hint`: int, float, bool, str, X | None, tuple[X, ...].

    Raises:
        UsageError: it does not convert.
    """
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        if value is None or (isinstance(value, str) and value.lower() in ("", "none") and type(None) in args):
            return None
        return convert(value, next(a for a in args if a is not type(None)), where)
    if origin is typing.Literal:
        _one_of(where, str(value), [str(a) for a in args])
        return next(a for a in args if str(a) == str(value))
    if origin in (tuple, list):
        parts = [p.strip() for p in value.split(",") if p.strip()] if isinstance(value, str) else value
        if not isinstance(parts, list | tuple):
            parts = [parts]
        return tuple(convert(part, args[0], where) for part in parts)
    try:
        if hint is bool:
            if isinstance(value, bool):
                return value
            return {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}[
                str(value).lower()
            ]
        if hint in (int, float) and isinstance(value, bool):
            raise ValueError
        if hint is int and isinstance(value, float) and not value.is_integer():
            raise ValueError
        if hint in (int, float, str):
            if hint is str and not isinstance(value, str):
                raise ValueError
            return hint(value)
    except (ValueError, KeyError, TypeError) as error:
        raise UsageError(f"{where}: expected {getattr(hint, '__name__', hint)}, found {value!r}") from error
    return value
