"""The compression analysis as metrics, tables and findings; rules of severity in docs/severity.md."""

from __future__ import annotations

from typing import Any

from fraudit.analyses.compression.costs import REPEATS
from fraudit.analyses.compression.measure import Measured
from fraudit.formatting import group_words, percent
from fraudit.formatting import interval as interval_words
from fraudit.stats.intervals import Difference
from fraudit.stats.pca import CODES
from fraudit.stats.template_loss import smallest_safe
from fraudit.types import Column, Finding, Interval, Metric, Table

FULL = "float32"  # what every other way is compared with


def tar_name(m: Measured) -> str:
    return f"TAR@FAR={m.far:g}"


def _margin_words(m: Measured) -> str:
    points = 100 * m.margin
    return f"{points:g} point{'' if points == 1 else 's'}"


def losses_by_dim(m: Measured, suffix: str = "") -> dict[int, Difference]:
    """d -> loss of TAR of `pca-d` (or of `pca-d-int8`); without an interval, anything is possible."""
    found = {}
    for d in m.dims:
        loss = m.losses[f"pca-{d}{suffix}"]
        found[d] = loss.tar_loss or Difference(loss.value, Interval(-1.0, 1.0))
    return found


def safe(m: Measured, bound: bool = True) -> int | None:
    """Smallest d whose loss (its upper bound) stays within the margin; None without pairs or without any."""
    return smallest_safe(losses_by_dim(m), m.margin, bound) if m.losses else None


def _worst_bound(m: Measured) -> float:
    """The upper bound of a loss that is exactly zero here: no margin below it can be shown."""
    return losses_by_dim(m)[m.dim].interval.high


def metrics(m: Measured) -> list[Metric]:
    """Spectrum, sweep, smallest dimensions, sizes and match costs, leaks and gaps."""
    s = m.spectrum
    spread = [
        ("effective_rank", s.entropy_rank, "Effective rank (entropy)"),
        ("participation_ratio", s.participation, "Participation ratio"),
    ]
    spread += [
        (f"dims@variance={q:g}", v, f"Axes for {percent(q, 0)} of the variance") for q, v in s.dims.items()
    ]
    found = [
        Metric(
            f"compression.{name}", value, "", s.people, interval, "", None, "none", label, "people", s.reason
        )
        for name, (value, interval), label in spread
    ]
    found += _dimension_metrics(m)
    for name, loss in m.losses.items():
        for kind, (value, interval), n, unit in (
            ("accuracy", loss.accuracy, m.n_genuine + m.n_impostor, "pairs"),
            (f"tar@far={m.far:g}", loss.tar, m.n_genuine, "genuine pairs"),
        ):
            found.append(
                Metric(
                    f"compression.{kind}.{name}",
                    value,
                    n=n,
                    interval=interval,
                    interval_missing=loss.reason,
                    better="higher",
                    n_unit=unit,
                    label=f"{'Accuracy' if kind == 'accuracy' else tar_name(m)}, {name}",
                )
            )
        if name == FULL:
            continue
        found.append(
            Metric(
                f"compression.tar_loss.{name}",
                loss.value,
                n=m.n_genuine,
                interval=loss.tar_loss.interval if loss.tar_loss else None,
                interval_missing=loss.reason,
                better="lower",
                n_unit="genuine pairs",
                label=f"Loss of {tar_name(m)} against the full vector, {name}",
            )
        )
    for name, (ratio, interval) in m.costs.items():
        found.append(
            Metric(
                f"compression.match_cost.{name}",
                ratio,
                n=REPEATS,
                interval=interval,
                better="lower",
                label=f"Time of a comparison relative to float32 in full, {name}",
                n_unit="repeats",
            )
        )
    for leak in m.leaks:
        for d, (value, interval) in leak.auc.items():
            found.append(
                Metric(
                    f"compression.leak.{leak.attribute}.{d}",
                    value,
                    n=leak.n,
                    interval=interval,
                    better="lower",
                    label=f"AUC of {leak.attribute} from {d} axes",
                    n_unit="faces",
                )
            )
    if m.gaps:
        people = min(m.gaps.people[m.gaps.worse], m.gaps.people[m.gaps.better])
        for d, gap in m.gaps.gap.items():
            found.append(
                Metric(
                    f"compression.fnmr_gap.{d}",
                    gap.value,
                    n=people,
                    interval=gap.interval,
                    better="lower",
                    label=f"FNMR of {m.gaps.worse} less {m.gaps.better} with {d} axes",
                    n_unit="people in the smaller group",
                )
            )
    return found


def _dimension_metrics(m: Measured) -> list[Metric]:
    label = f"Fewest axes within {_margin_words(m)} of {tar_name(m)}"
    names = ("compression.safe_dim", "compression.safe_dim_estimate")
    if not m.losses:
        return [Metric(name, None, missing=m.no_pairs, better="lower", label=label) for name in names]
    found = []
    d = safe(m)
    if d is None:
        why = m.few or (
            f"not resolvable: with {m.people} people even a lossless template could lose up to "
            f"{100 * _worst_bound(m):.1f} points; the margin is {100 * m.margin:g}"
        )
        found.append(Metric(names[0], None, missing=why, better="lower", label=f"{label} (upper bound)"))
    else:
        found.append(
            Metric(
                names[0],
                d,
                n=m.n_genuine,
                interval_missing="a decision by bounds has none",
                better="lower",
                label=f"{label} (upper bound)",
                n_unit="genuine pairs",
            )
        )
    estimate = safe(m, bound=False)
    found.append(
        Metric(
            names[1],
            estimate,
            n=m.n_genuine,
            interval_missing="an estimate alone; the safe dimension is what the bounds allow",
            better="lower",
            label=f"{label} (estimate)",
            n_unit="genuine pairs",
        )
    )
    return found


def template_words(name: str) -> str:
    kinds = {
        "float32": "float32, full",
        "float16": "float16",
        "int8": "int8",
        "binary": "binary code (signs)",
    }
    if name in kinds:
        return kinds[name]
    parts = name.split("-")
    return f"PCA {parts[1]}" + (" + int8" if len(parts) > 2 else "")


def _interval_words(interval: Interval | None) -> str:
    return (
        "too few people" if interval is None else interval_words(interval.low, interval.high, as_percent=True)
    )


def _points_words(difference: Difference | None) -> str:
    if difference is None:
        return "too few people"
    return interval_words(difference.interval.low, difference.interval.high, as_points=True)


def tables(m: Measured) -> tuple[Table, ...]:
    """One row per way to store a template, and the leaks and gaps by d."""
    found = []
    if m.losses:
        rows = [
            {
                "template": template_words(name),
                "bytes": m.variants[name].size_bytes,
                "accuracy": loss.accuracy[0],
                "accuracy_interval": _interval_words(loss.accuracy[1]),
                "tar": loss.tar[0],
                "tar_interval": _interval_words(loss.tar[1]),
                "fmr": loss.fmr,
                "loss": None if name == FULL else loss.value,
                "loss_interval": "the reference" if name == FULL else _points_words(loss.tar_loss),
                "cost": m.costs[name][0] if name in m.costs else None,
                "n": m.n_genuine,
            }
            for name, loss in m.losses.items()
        ]
        columns = (
            Column("template", "Template"),
            Column("bytes", "Bytes", "integer"),
            Column("accuracy", "Accuracy", "percent"),
            Column("accuracy_interval", "95 %"),
            Column("tar", tar_name(m), "percent"),
            Column("tar_interval", "95 %"),
            Column("fmr", "FMR achieved", "percent"),
            Column("loss", "Loss", "points"),
            Column("loss_interval", "95 %"),
            Column("cost", "Match cost", "number", 2),
            Column("n", "Genuine pairs", "integer"),
        )
        caption = (
            "Axes come from the training folds. Loss: TAR of the full vector less this one over the same pairs. Match "
            "cost: time of a comparison relative to float32 in full, in this implementation."
        )
        found.append(
            Table("compression_templates", "Every way to store a template", columns, tuple(rows), caption)
        )
    if m.leaks or m.gaps:
        lost: list[dict[str, Any]] = [
            {
                "what": f"AUC of {leak.attribute}",
                "d": d,
                "value": value[0],
                "interval": [value[1].low, value[1].high],
                "n": leak.n,
                "people": leak.people,
            }
            for leak in m.leaks
            for d, value in leak.auc.items()
        ]
        if m.gaps:
            said = group_words(m.gaps.fnmr)
            lost += [
                {
                    "what": f"FNMR of {said[group]}",
                    "d": d,
                    "value": rate,
                    "interval": [i.low, i.high] if i else None,
                    "n": n,
                    "people": m.gaps.people[group],
                }
                for group, by in m.gaps.fnmr.items()
                for d, (rate, i, n) in by.items()
            ]
        carried = (
            Column("what", "Figure"),
            Column("d", "Axes", "integer"),
            Column("value", "Value", "number"),
            Column("interval", "95 %", "interval"),
            Column("n", "n", "integer"),
            Column("people", "People", "integer"),
        )
        caption = "n: faces for an AUC, genuine pairs for an FNMR."
        found.append(
            Table("compression_carried", "What smaller vectors carry", carried, tuple(lost), caption)
        )
    return tuple(found)


def findings(m: Measured) -> list[Finding]:
    """Smallest safe dimension and code, and what costs more than the margin beyond doubt."""
    if not m.losses:
        return []
    basis = f"{m.n_genuine:,} genuine pairs of {m.people:,} people"
    within = f"within {_margin_words(m)}"
    found = []
    d = safe(m)
    if d is not None and d < m.dim:
        loss = losses_by_dim(m)[d]
        text = (
            f"{d} of {m.dim} dimensions keep {tar_name(m)} {within}: loss {100 * loss.value:.2f} points, upper "
            "bound "
            f"{100 * loss.interval.high:.2f} ({basis})."
        )
        evidence = ("compression.safe_dim", f"compression.tar_loss.pca-{d}")
        found.append(
            Finding(
                "good" if 2 * d <= m.dim else "info",
                text,
                evidence,
                "compression.safe_dimension",
                f"Store {d} dimensions where space or speed matters.",
            )
        )
    elif d is None:
        estimate = safe(m, bound=False)
        text = (
            f"Not resolvable: with {m.people} people no template can be shown to keep {tar_name(m)} {within}; "
            + (
                f"{m.few}. "
                if m.few
                else f"a lossless one could lose up to {100 * _worst_bound(m):.1f} points here. "
            )
            + "By the estimate alone, "
            + (f"{estimate} of {m.dim} dimensions do." if estimate != m.dim else "no smaller dimension does.")
        )
        found.append(Finding("info", text, ("compression.safe_dim_estimate",), "compression.unresolved"))
    elif d == m.dim:
        text = (
            f"No projection onto fewer than {m.dim} dimensions can be shown to keep {tar_name(m)} {within} "
            f"({basis})."
        )
        found.append(Finding("info", text, ("compression.safe_dim",), "compression.all_dimensions"))
    known = {name: loss.tar_loss for name, loss in m.losses.items() if loss.tar_loss is not None}
    codes = [c for c in CODES if c in known and known[c].interval.high <= m.margin]
    if codes:
        best = min(codes, key=lambda code: m.variants[code].size_bytes)
        kept = known[best]
        times = m.variants["float32"].size_bytes / m.variants[best].size_bytes
        text = (
            f"{template_words(best).capitalize()} makes templates {times:.0f} times smaller and keeps {tar_name(m)} "
            f"{within}: loss {100 * kept.value:.2f} points, upper bound {100 * kept.interval.high:.2f} ({basis})."
        )
        advice = f"Store templates as {template_words(best)} where space or speed matters."
        found.append(
            Finding("good", text, (f"compression.tar_loss.{best}",), "compression.safe_code", advice)
        )
    # Among the halves and codes, only what a person may want to use: a d below the claim says nothing new.
    half = max((x for x in m.dims if x < m.dim), default=m.dim)
    for name in (f"pca-{half}", *CODES):
        lossy, strict = m.losses[name].tar_loss, m.losses[name].strict
        if lossy is not None and strict is not None and strict.low > m.margin:
            what = template_words(name).capitalize() if name in CODES else template_words(name)
            text = (
                f"{what} costs {100 * lossy.value:.1f} points of {tar_name(m)} (95 % interval "
                f"{_points_words(lossy)}; {basis})."
            )
            rule = "compression.costly_half" if name.startswith("pca") else "compression.costly_code"
            advice = (
                f"Keep more than {what}." if name.startswith("pca") else f"Do not store templates as {what}."
            )
            found.append(Finding("low", text, (f"compression.tar_loss.{name}",), rule, advice))
    return found


def answer(m: Measured) -> str:
    """The section in plain words."""
    if not m.losses:
        return "Not known: what smaller templates lose could not be judged."
    d = safe(m)
    if d is None:
        return f"Not known: {m.people} people are too few to show that a smaller one costs nothing."
    if d == m.dim:
        return f"Not shown: no smaller one keeps accuracy within {_margin_words(m)}."
    return f"Yes: {d} of its {m.dim} numbers keep accuracy within {_margin_words(m)}."


def headline(m: Measured) -> str:
    """One sentence: the smallest safe dimension, or the effective rank."""
    rank, interval = m.spectrum.entropy_rank
    d = safe(m)
    ends = f" ({interval.low:.0f} to {interval.high:.0f})" if interval else ""
    if d is None or d == m.dim:
        return f"The vectors spread over an effective {rank:.0f}{ends} of {m.dim} dimensions."
    loss = losses_by_dim(m)[d]
    return (
        f"{d} of {m.dim} dimensions keep {tar_name(m)} within {_margin_words(m)} (loss "
        f"{100 * loss.value:.2f}, upper bound "
        f"{100 * loss.interval.high:.2f}); effective rank {rank:.0f}{ends}."
    )


def caveats(m: Measured, no_pictures: str) -> tuple[str, ...]:
    """What limits the figures."""
    found = []
    if m.spectrum.n < 5 * m.dim:
        found.append(
            f"{m.spectrum.n:,} faces for {m.dim} dimensions: the tail of the spectrum, and with it the "
            "effective rank, is "
            "underestimated."
        )
    if not m.losses:
        found.append(f"Verification after projection was not measured: {m.no_pairs}.")
    elif m.n_impostor * m.far < 3 * (1 - 1e-9):
        found.append(f"FAR {m.far:g} is not resolvable with {m.n_impostor:,} impostor pairs (rule of three).")
    if not m.leaks:
        found.append(
            "Leakage by d was not measured: no attribute with enough faces in two classes was chosen or "
            "present."
        )
    if not m.gaps:
        found.append("Group gaps by d were not measured: no attribute with two groups that are large enough.")
    if no_pictures:
        found.append(f"No reconstructions from projected vectors: {no_pictures}.")
    found.append(
        "Match costs are numpy's on this machine; a dedicated index for binary or int8 codes is faster."
    )
    return tuple(found)


def method(m: Measured) -> str:
    """How it was measured."""
    text = (
        "PCA of unit vectors. A vector is projected onto the first d axes around the mean; what lies "
        "outside them is "
        "the same for everybody and is not stored. Intervals of the spectrum: jackknife over groups of people. "
    )
    if not m.losses:
        return text
    return text + (
        "Axes and scales come from the training folds; scores of the test folds are pooled. Accuracy uses the "
        f"threshold of the training folds, {tar_name(m)} the threshold read off the pooled scores "
        f"({m.n_genuine:,} genuine, {m.n_impostor:,} impostor pairs). "
        "Losses are paired over the same pairs, clustered by identity, and include the uncertainty of both thresholds "
        "and of the axes, fitted again without each further fold (jackknife): they are those of axes learnt from as "
        "many people as here. The smallest safe d is the first from which on every upper bound stays within the margin."
    )
