"""The comparison of inversion methods as metrics; computes no rate."""

from __future__ import annotations

from collections.abc import Iterator

from fraudit.analyses.rivals.measure import AtFmr, Found, Judged, Method
from fraudit.analyses.rivals.params import NAME
from fraudit.analyses.rivals.report import best_of
from fraudit.analyses.shared.counted import counted_metric
from fraudit.analyses.shared.words import judge_key, judge_name, slug
from fraudit.formatting import fmr_words
from fraudit.types import Metric


def metrics(found: Found) -> Iterator[Metric]:
    """Every figure by its stable name: `rivals.METHOD.JUDGE.what`."""
    yield from _best(found)
    for method in (found.real, *found.methods):
        key = slug(method.made.name)
        for judged in method.judged:
            yield from _judged(method, judged, f"{NAME}.{key}.{judge_key(judged.judge, judged.own)}")
        if method is not found.real:
            yield from _own(found, method, f"{NAME}.{key}")
    for absent in found.absent:
        yield Metric(
            f"{NAME}.{slug(absent.name)}.questions",
            None,
            missing=absent.reason,
            label=f"Questions a picture, {absent.name}",
        )


def _best(found: Found) -> Iterator[Metric]:
    chosen = best_of(found)
    if chosen is None or chosen[2].one is None:
        return
    method, judged, point = chosen
    one, at = chosen[2].one, fmr_words(point.fmr)
    label = (
        f"Success, type I, of {method.made.name}, the best method, by {judge_name(judged.judge, judged.own)}"
    )
    yield Metric(
        f"{NAME}.best@fmr={at}", one.value, n=one.n, n_unit="pictures", interval=one.interval,
        interval_missing=one.reason, better="lower", label=label,
    )  # fmt: skip


def _own(found: Found, method: Method, base: str) -> Iterator[Metric]:
    made, name = method.made, method.made.name
    n = len(found.rows) * found.samples
    why = "counted, not estimated"
    yield Metric(
        f"{base}.questions", made.questions, n=n, n_unit="pictures", better="none",
        interval_missing=why, label=f"Questions a picture, {name}",
    )  # fmt: skip
    yield Metric(
        f"{base}.questions_shared", made.shared, n=n, n_unit="pictures",
        interval_missing=why, label=f"Questions once for all pictures, {name}",
    )  # fmt: skip
    yield Metric(
        f"{base}.seconds", made.seconds, unit="s", n=n, n_unit="pictures", better="lower",
        interval_missing="one run on one machine", label=f"Seconds a picture, {name}",
    )  # fmt: skip
    none = "nobody has a value"
    for tail, value, unit, label, missing in (
        ("pixel_diversity", method.pixels, "", "RMS difference of pixels among samples (0 to 255)", none),
        ("structure", method.structure, "", "MS-SSIM to the source", none),
        ("structure_among", method.among, "", "MS-SSIM between pictures of two people", none),
        ("pose_diversity", method.pose, "deg", "Pose distance among samples, 3DDFA_V2", found.pose_missing),
        (
            "expression_diversity",
            method.expression,
            "",
            "Expression distance among samples, 3DDFA_V2",
            found.pose_missing,
        ),
    ):
        unit_of = "people"
        yield counted_metric(
            f"{base}.{tail}", value, missing or none, f"{label}, {name}", unit=unit, n_unit=unit_of
        )


def _judged(method: Method, j: Judged, base: str) -> Iterator[Metric]:
    tail = f"{method.made.name}, by {judge_name(j.judge, j.own)}{' (kin)' if j.kin else ''}"
    none = "no picture has a vector"
    yield counted_metric(
        f"{base}.similarity", j.similarity, none, f"Cosine to the source, {tail}", better="none",
        n_unit="pictures",
    )  # fmt: skip
    if j.replaced is None:
        yield Metric(
            f"{base}.replacement", None, missing=j.replaced_missing, label=f"Replacement accuracy, {tail}"
        )
    else:
        yield Metric(
            f"{base}.replacement", j.replaced.accuracy, n=j.replaced.n, n_unit="pairs",
            interval=j.replaced.interval, interval_missing=j.replaced.reason,
            label=f"Replacement accuracy over {j.replaced.folds} folds, {tail}",
        )  # fmt: skip
    if j.spread is not None:
        yield counted_metric(
            f"{base}.spread", j.spread, "", f"Angular distance among samples, {tail}", n_unit="people"
        )
    if j.frechet is None:
        yield Metric(
            f"{base}.frechet", None, missing="fewer than two pictures have a vector",
            label=f"Frechet distance, {tail}",
        )  # fmt: skip
    else:
        value, interval, reason = j.frechet
        yield Metric(
            f"{base}.frechet", value, n=len(j.cosines), n_unit="vectors", interval=interval, better="lower",
            interval_missing=reason,
            label=f"Frechet distance of unit vectors to the sources (compare at equal n), {tail}",
        )  # fmt: skip
    for p in j.points:
        yield from _point(p, base, tail)
        for name, varied in zip(method.made.variants, p.varied, strict=False):
            yield counted_metric(
                f"{base}.{slug(name)}@fmr={fmr_words(p.fmr)}", varied, "",
                f"Success, type I, at FMR {fmr_words(p.fmr)}, scores {name}, {tail}", n_unit="pictures",
            )  # fmt: skip


def _point(p: AtFmr, base: str, tail: str) -> Iterator[Metric]:
    at = fmr_words(p.fmr)
    missing = p.missing or "no comparison"
    for key, value, label in (
        ("success1", p.one, "Success, type I"),
        ("success2", p.two, "Success, type II"),
        ("strangers", p.strangers, "Pictures that match other people's sources"),
    ):
        yield counted_metric(
            f"{base}.{key}@fmr={at}", value, missing, f"{label} at FMR {at}, {tail}", n_unit="comparisons"
        )
    if p.against is not None and p.one is not None:
        yield Metric(
            f"{base}.less_id3pm@fmr={at}", p.against.value, n=p.one.n, n_unit="pictures",
            interval=p.against.interval, label=f"Success, type I, at FMR {at} less that of id3pm, {tail}",
        )  # fmt: skip
