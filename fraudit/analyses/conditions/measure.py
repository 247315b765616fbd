"""Which labels vary within people, and what every two of their values do to genuine and impostor pairs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fraudit.analyses.conditions.params import Params
from fraudit.analyses.shared.operating import Genuine, genuine_at, usable_threshold
from fraudit.errors import InsufficientData, UsageError, suggest
from fraudit.faces.attributes import DEMOGRAPHIC, require_attributes
from fraudit.stats.conditions import Cell, Matrix, condition_matrix, most_common, varying_labels
from fraudit.stats.fairness import holm
from fraudit.stats.family import LATER_LEVEL
from fraudit.stats.groups import label_groups, word_groups
from fraudit.stats.pairs import pair_cosines
from fraudit.types import F64, I64

if TYPE_CHECKING:
    from fraudit.audit.context import AnalysisContext

# Usual names of what differs between two pictures of a person: beginnings of words, the first preferred.
USUAL = ("condition", "mask", "glass", "eyeglass", "sunglass", "light", "illumination", "expression", "smil", "emotion",
         "camera", "device", "session", "pose", "view", "occlu", "hat", "mouth", "blur", "scarf")  # fmt: skip
NO_CONDITION = {*DEMOGRAPHIC, "age", "date", "year", "time", "template", "media", "id", "frame"}
FEW_VALUES = 6  # a column of more numbers is no list of conditions unless it is asked for
FAMILY = 0.05  # of all intervals of changes together
SHOWN = 4  # reasons in a message

CellName = tuple[str, str, str]
Impostors = tuple[I64, I64, F64]


@dataclass(frozen=True, slots=True)
class Label:
    """One label's matrix, and whether its first condition is the enrolled one."""

    name: str
    matrix: Matrix


@dataclass(frozen=True, slots=True)
class Found:
    """Everything that was measured.

    Attributes:
        genuine: all pairs at the threshold. labels: the matrices. tests: cells compared with a reference.
        rate_p, similarity_p, fmr_p: (label, enrolled, seen) -> p after Holm over the cells of all labels.
        skipped: label -> why it does not serve. further: labels that vary and were not asked for.
    """

    genuine: Genuine
    labels: tuple[Label, ...]
    tests: int
    rate_p: Mapping[CellName, float]
    similarity_p: Mapping[CellName, float]
    fmr_p: Mapping[CellName, float]
    skipped: Mapping[str, str]
    further: tuple[str, ...]


def candidates(context: AnalysisContext, params: Params, wanted: tuple[str, ...]) -> dict[str, NDArray[Any]]:
    """Labels that may be conditions: those asked for, else all that are no person's trait and no measurement."""
    attributes = context.faces.attributes
    if wanted:
        require_attributes(context.faces, wanted)
        return {name: attributes[name] for name in wanted}
    found = {}
    for name, raw in attributes.items():
        column = np.asarray(raw)
        if name.casefold() in NO_CONDITION:
            continue
        if column.dtype.kind in "fiub":
            values = column.astype(np.float64)
            if len(np.unique(values[np.isfinite(values)])) > FEW_VALUES:
                continue
        found[name] = raw

    def rank(name: str) -> int:
        words = "".join(c if c.isalnum() else " " for c in name.casefold()).split()
        return next((k for k, part in enumerate(USUAL) if any(w.startswith(part) for w in words)), len(USUAL))

    return {name: found[name] for name in sorted(found, key=rank)}


def enrolled_of(
    params: Params, attributes: Mapping[str, NDArray[Any]]
) -> tuple[tuple[str, ...], dict[str, str]]:
    """(labels that `enrol` names, label -> condition that is enrolled).

    Raises:
        UsageError: a label or a condition that the set does not have.
    """
    named: dict[str, str] = {}
    for item in params.enrol:
        label, equals, value = item.partition("=")
        if equals:
            if label not in attributes:
                raise UsageError(
                    f"conditions.enrol: the set has no label '{label}'",
                    f"{suggest(label, attributes)}known: {', '.join(sorted(attributes))}",
                )
            named[label] = _condition(label, value, attributes[label])
            continue
        having = {
            name: word
            for name, raw in attributes.items()
            if (word := _same(item, *_words(name, raw))) is not None
        }
        if not having:
            raise UsageError(
                f"conditions.enrol: no label of the set has the value '{item}'", "--enrol LABEL=VALUE"
            )
        named |= having
    return tuple(named), named


def _words(name: str, raw: NDArray[Any]) -> tuple[NDArray[np.str_], NDArray[np.str_]]:
    plain = label_groups(np.asarray(raw))
    return plain, word_groups(name, plain)


def _same(value: str, plain: NDArray[np.str_], words: NDArray[np.str_]) -> str | None:
    """The word of the condition that `value` spells, as the set does or as the report does."""
    for column in (words, plain):
        at = np.flatnonzero(column == value)
        if value and len(at):
            return str(words[at[0]])
    return None


def _condition(label: str, value: str, raw: NDArray[Any]) -> str:
    plain, words = _words(label, raw)
    found = _same(value, plain, words)
    if found is None:
        known = [str(w) for w in np.unique(words) if w]
        raise UsageError(
            f"conditions.enrol: the label '{label}' has no value '{value}'",
            f"{suggest(value, known)}known: {', '.join(known[:20])}",
        )
    return found


def measure_conditions(context: AnalysisContext, params: Params) -> Found:
    """All figures of the section.

    Raises:
        InsufficientData: no label varies within people, no threshold, no genuine pair among the judged people.
        UsageError: a parameter out of range.
    """
    if params.labels < 1:
        raise UsageError(f"conditions.labels: expected at least 1, found {params.labels}")
    named, enrolled = enrolled_of(params, context.faces.attributes)
    asked = candidates(context, params, params.by or named)
    subjects = context.faces.subjects
    varying, skipped = varying_labels(asked, subjects)
    if not varying:
        why = "; ".join(f"{name}: {reason}" for name, reason in list(skipped.items())[:SHOWN])
        raise InsufficientData(f"no label varies within people ({why or 'the set has none that could'})")
    names = list(varying) if params.by else list(varying)[: params.labels]
    g = genuine_at(context, usable_threshold(context, params.fmr, "conditions.fmr"))
    impostors = _impostors(context)
    words = {name: word_groups(name, varying[name]) for name in names}
    tests = max(1, sum(_cells(len(set(w.tolist()) - {""}), name in enrolled) for name, w in words.items()))
    labels = []
    for name in names:
        context.progress(f"conditions of {name}")
        try:
            matrix = _matrix(g, words[name], impostors, enrolled.get(name), tests)
        except InsufficientData as error:
            skipped[name] = error.message
            continue
        labels.append(Label(name, matrix))
    if not labels:
        raise InsufficientData("; ".join(f"{name}: {skipped[name]}" for name in names[:SHOWN]))
    rates, alike, false = _corrected(labels)
    return Found(
        g, tuple(labels), tests, rates, alike, false, skipped, tuple(n for n in varying if n not in names)
    )


def cells(matrix: Matrix, genuine: bool = True) -> list[Cell]:
    """Every cell with a pair once, in the order of the conditions."""
    table = matrix.genuine if genuine else matrix.impostor
    found = [table[a, b] for a in matrix.conditions for b in matrix.conditions if (a, b) in table]
    return [c for c in {id(c): c for c in found}.values() if c.pairs]


def _corrected(labels: Sequence[Label]) -> tuple[dict[CellName, float], ...]:
    """p of FNMR, similarity and FMR of all cells of all labels, Holm within each kind."""
    kinds: tuple[dict[CellName, float], ...] = ({}, {}, {})
    for label in labels:
        for c in cells(label.matrix):
            key = (label.name, c.enrolled, c.seen)
            if c.rate_change is not None:
                kinds[0][key] = c.rate_change.p
            if c.similarity_change is not None:
                kinds[1][key] = c.similarity_change.p
        for c in cells(label.matrix, genuine=False):
            if c.fmr_change is not None:
                kinds[2][label.name, c.enrolled, c.seen] = c.fmr_change.p
    return tuple(
        dict(zip(found, map(float, holm(list(found.values()))), strict=True)) if found else {}
        for found in kinds
    )


def _cells(conditions: int, enrolled: bool) -> int:
    return conditions - 1 if enrolled else conditions * (conditions + 1) // 2 - 1


def _impostors(context: AnalysisContext) -> Impostors:
    pairs = context.judged_pairs()
    left, right = pairs.left[~pairs.same], pairs.right[~pairs.same]
    found = context.embeddings()
    return left, right, pair_cosines(found.unit(), left, right, found.ok)


def _enrolled_first(
    words: NDArray[np.str_], value: str, left: I64, right: I64
) -> tuple[I64, I64, NDArray[np.bool_]]:
    """(left, right, which pairs stay): pairs with a picture in the condition `value`, that one first."""
    one, two = words[left] == value, words[right] == value
    swap = two & ~one
    return np.where(swap, right, left), np.where(swap, left, right), one | two


def _matrix(
    g: Genuine, words: NDArray[np.str_], impostors: Impostors, enrolled: str | None, tests: int
) -> Matrix:
    use = g.judged
    left, right, scores = g.left[use], g.right[use], g.scores[use]
    others: Impostors = impostors
    if enrolled is not None:
        left, right, stay = _enrolled_first(words, enrolled, left, right)
        left, right, scores = left[stay], right[stay], scores[stay]
        a, b, stay = _enrolled_first(words, enrolled, impostors[0], impostors[1])
        others = (a[stay], b[stay], impostors[2][stay])
    judged = words.copy()
    judged[g.held] = ""  # conditions that only the calibration half has are none here
    reference = enrolled if enrolled is not None else most_common(judged, g.subjects)
    if enrolled is not None and not (judged == enrolled).any():
        raise InsufficientData(f"none of the judged people has a picture in the condition '{enrolled}'")
    return condition_matrix(
        judged,
        g.subjects,
        left,
        right,
        scores,
        g.threshold.value,
        impostors=others,
        reference=reference,
        ordered=enrolled is not None,
        change_level=1 - FAMILY / tests,
        least=LATER_LEVEL / tests,
    )
