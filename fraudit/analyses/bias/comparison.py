"""Bias of two runs side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fraudit.compare.evidence import Thresholds, person_sums
from fraudit.compare.hooks import Comparison, Found, Stored
from fraudit.compare.values import Delta, Events, Key, Side, Sums
from fraudit.files.vectors import Vectors
from fraudit.formatting import percent
from fraudit.stats.calibration import calibration_half
from fraudit.stats.groups import join_labels, label_groups, word_groups
from fraudit.stats.pairs import genuine_pairs, pair_cosines
from fraudit.types import Figure, Metric

MAX_GENUINE = 200_000  # as the analysis: beyond, it judges a sample


def evidence(stored: Stored) -> Found:
    """Rates of demographic groups at the one threshold."""
    events: dict[Key, Events] = {}
    sums: dict[Key, Sums] = {}
    if stored.vectors is not None:
        fmr = float(stored.params.get("fmr", 1e-3))
        _groups(stored.vectors, stored.metrics, stored.seed, fmr, events, sums)
    return events, sums


def _slug(text: str) -> str:
    return "".join(c if c.isalnum() else "_" for c in text).strip("_").lower()


def _labels(vectors: Vectors, named: set[str]) -> dict[str, NDArray[np.str_]]:
    """`bias.ATTRIBUTE` -> str[N] groups, of every attribute and intersection of two that the record audits."""
    single = {name: word_groups(name, label_groups(values)) for name, values in vectors.attributes.items()}
    found = {f"bias.{_slug(name)}": labels for name, labels in single.items()}
    for one, own in single.items():
        for two, other in single.items():
            if one != two:
                found[f"bias.{_slug(f'{one} x {two}')}"] = join_labels([own, other])
    return {base: labels for base, labels in found.items() if f"{base}.fmr" in named}


def _groups(
    vectors: Vectors,
    metrics: Mapping[Key, Metric],
    seed: int,
    fmr: float,
    events: dict[Key, Events],
    sums: dict[Key, Sums],
) -> None:
    """Rates of demographic groups at the one threshold."""
    audited = _labels(vectors, {key[0] for key in metrics})
    if not audited or vectors.declared is not None or vectors.unknown:
        return
    thresholds = Thresholds(vectors, seed)
    value = thresholds.at(fmr)[0]
    others = ~calibration_half(vectors.subjects, seed)
    left, right = genuine_pairs(vectors.subjects)
    use = others[left] & others[right]
    left, right = left[use], right[use]
    scores = pair_cosines(vectors.unit, left, right, vectors.ok)
    for base, labels in audited.items():
        for group in (key[1] for key in list(metrics) if key[0] == f"{base}.fmr"):
            rows = np.flatnonzero((labels == group) & others)
            if len(rows):
                people = np.unique(vectors.subjects[rows])
                found = person_sums(
                    vectors.unit[rows], vectors.subjects[rows], value, vectors.ok[rows], people
                )
                sums[f"{base}.fmr", group] = replace(found, tail=thresholds.impostor_tail(fmr, found.rate))
            lost = labels == group
            if lost.any() and (f"{base}.fta", group) in metrics:
                events[f"{base}.fta", group] = Events(
                    ~vectors.ok[lost], vectors.subjects[lost], vectors.subjects[lost]
                )
            inside = (labels[left] == group) & (labels[right] == group)
            if (f"{base}.fnmr", group) in metrics and inside.any() and len(left) <= MAX_GENUINE:
                own = scores[inside]
                subjects = vectors.subjects[left[inside]]
                events[f"{base}.fnmr", group] = Events(
                    ~(own >= value), subjects, subjects, thresholds.tail(fmr, own)
                )


def figures(sides: Sequence[Side], changes: Sequence[tuple[Side, Sequence[Delta]]]) -> list[Figure]:
    """Rates of every group, before and after."""
    made = [group_rates(sides[0], new) for new, _ in changes]
    return [figure for figure in made if figure is not None]


def group_rates(base: Side, new: Side) -> Figure | None:
    """FMR and FNMR of every group: the new run's dot with its interval, the base's as a hollow dot."""
    rows: list[dict[str, Any]] = []
    for (name, group), metric in new.metrics.items():
        parts = name.split(".")
        if parts[0] != "bias" or parts[-1] not in ("fmr", "fnmr") or not group or len(parts) != 3:
            continue
        other = base.metrics.get((name, group))
        if metric.value is None or other is None or other.value is None:
            continue
        ci = metric.interval
        rows.append(
            {
                "label": group,
                "group": parts[1].replace("_", " "),
                "panel": parts[-1].upper(),
                "value": metric.value,
                "low": ci.low if ci else None,
                "high": ci.high if ci else None,
                "n": metric.n,
                "compare": other.value,
                "compare_label": base.label,
            }
        )
    if not rows:
        return None
    alt = "; ".join(
        f"{r['panel']} of {r['label']} {percent(r['value'])}, before {percent(r['compare'])}"
        for r in rows[:8]
    )
    return Figure(
        f"groups_{new.label}",
        "dots",
        f"Error rates by group, {new.label} against {base.label}",
        f"Filled: {new.label} with its 95 % interval; hollow: {base.label}. Log scale: equal steps are equal ratios; "
        "a line that reaches the left edge goes on beyond it.",
        alt + ".",
        {"x": {"label": "error rate", "scale": "log", "percent": True}, "rows": rows},
    )


# Groups come straight after the error rates of everybody.
COMPARISON = Comparison(importance=15, evidence=evidence, figures=figures)
