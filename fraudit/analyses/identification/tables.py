"""Tables of the identification analysis."""

from __future__ import annotations

from typing import Any

from fraudit.analyses.identification.measure import Found, GroupRates
from fraudit.analyses.identification.report import complement, rule_words, unresolved
from fraudit.analyses.shared.words import interval_ends, slug
from fraudit.formatting import fmr_words, number, percent
from fraudit.types import Column, Interval, Table


def tables(found: Found) -> list[Table]:
    """Targets, growth, groups and enrolment rules."""
    out = [_target_table(found), _growth_table(found)] if found.growth else [_target_table(found)]
    out += [_group_table(g) for g in found.groups if g.fpir or g.fnir]
    if len(found.enrolments) > 1:
        out.append(_enrolment_table(found))
    if found.official:
        out.append(_official_table(found))
    return out


def _target_table(found: Found) -> Table:
    rows = []
    for t in found.targets:
        rows.append(
            {
                "target": t.chosen.target,
                "threshold": t.chosen.value if t.resolved else None,
                "fpir": t.fpir.value if t.resolved else None,
                "fpir_interval": interval_ends(t.fpir.interval) if t.resolved else None,
                "fnir": t.fnir.value if t.resolved else None,
                "fnir_interval": interval_ends(t.fnir.interval) if t.resolved else None,
                "n": f"{int((~found.judged.mated).sum()):,} / {int(found.judged.mated.sum()):,}",
                "note": "" if t.resolved else unresolved(t),
            }
        )
    return Table(
        "identification_targets",
        "Thresholds for FPIR targets",
        (
            Column("target", "FPIR target", "number"),
            Column("threshold", "threshold", "number", 4),
            Column("fpir", "FPIR reached", "percent"),
            Column("fpir_interval", "95 % interval", "interval"),
            Column("fnir", "FNIR, rank 1", "percent"),
            Column("fnir_interval", "95 % interval", "interval"),
            Column("n", "searches not mated / mated"),
            Column("note", "note"),
        ),
        tuple(rows),
        f"{int(found.plan.people[1]):,} people enrolled on each half.",
    )


def _growth_table(found: Found) -> Table:
    rows: list[dict[str, Any]] = []

    def add(kind: str, people: int, value: float, interval: Interval | None, how: str) -> None:
        ends = interval_ends(interval)
        rows.append({"kind": kind.upper(), "people": people, "value": value, "interval": ends, "how": how})

    for g in found.growth:
        for p in g.points:
            add(g.kind, p.people, p.value, p.interval, "measured")
        if g.test is not None:
            t = g.test
            how = "holds" if t.passed else "fails"
            how = f"predicted from {t.fitted:,.0f} people ({how}; equal people: {percent(t.binomial)})"
            add(g.kind, t.people, t.predicted, t.interval, how)
        if g.further is not None:
            add(g.kind, g.further.people, g.further.value, g.further.interval, "extrapolated")
    return Table(
        "identification_growth",
        "Error rates against the number of enrolled people",
        (
            Column("kind", "rate"),
            Column("people", "people enrolled", "integer"),
            Column("value", "rate", "percent"),
            Column("interval", "95 % interval", "interval"),
            Column("how", "how"),
        ),
        tuple(rows),
        f"At the threshold for FPIR {fmr_words(found.growth[0].target)}. Measured: the mean over all galleries of that "
        "size.",
    )


def _group_table(g: GroupRates) -> Table:
    entries = {e.group: e for e in g.entries}
    rows = []
    for name in sorted({*g.fpir, *g.fnir, *entries}):
        e, p, n = entries.get(name), g.fpir.get(name), g.fnir.get(name)
        rows.append(
            {
                "group": name,
                "fpir": p.value if p else None,
                "fpir_interval": interval_ends(p.interval) if p else None,
                "fnir": n.value if n else None,
                "fnir_interval": interval_ends(n.interval) if n else None,
                "searches": (p.n if p else 0) + (n.n if n else 0),
                "share": e.share if e else None,
                "share_interval": interval_ends(e.interval) if e else None,
                "gallery": e.of_gallery if e else None,
            }
        )
    return Table(
        f"identification_{slug(g.attribute)}",
        f"Searchers and enrolled people by {g.attribute}",
        (
            Column("group", g.attribute),
            Column("fpir", "FPIR", "percent"),
            Column("fpir_interval", "95 % interval", "interval"),
            Column("fnir", "FNIR, rank 1", "percent"),
            Column("fnir_interval", "95 % interval", "interval"),
            Column("searches", "searches", "integer"),
            Column("share", "share of the false positives its entries take", "percent"),
            Column("share_interval", "95 % interval", "interval"),
            Column("gallery", "its share of the gallery", "percent"),
        ),
        tuple(rows),
        "One threshold for all. " + (g.reason[:1].upper() + g.reason[1:] + "." if g.reason else ""),
    )


def _enrolment_table(found: Found) -> Table:
    rows = []
    for e in found.enrolments:
        d = e.difference
        rows.append(
            {
                "rule": rule_words(e),
                "fnir": e.fnir.value,
                "interval": interval_ends(e.fnir.interval),
                "fpir": e.fpir.value,
                "change": d.fnir.value if d else None,
                "change_interval": interval_ends(d.fnir.interval) if d else None,
                "note": e.reason or ("the usual rule" if d is None else ""),
            }
        )
    return Table(
        "identification_enrolment",
        "How to enrol",
        (
            Column("rule", "enrolled of a person"),
            Column("fnir", "FNIR, rank 1", "percent"),
            Column("interval", "95 % interval", "interval"),
            Column("fpir", "FPIR reached", "percent"),
            Column("change", "change of FNIR", "points"),
            Column("change_interval", "interval for all rules", "interval"),
            Column("note", "note"),
        ),
        tuple(rows),
        "Every rule has its own threshold for the same FPIR; changes are paired over the same searches. People with "
        "fewer pictures enrol what they have (at most half of their pictures).",
    )


def _official_table(found: Found) -> Table:
    rows: list[dict[str, Any]] = []
    for o in found.official:
        given = {"gallery": o.gallery, "enrolled": o.enrolled, "searches": o.searches}
        for rank, rate in o.ranks:
            hit = complement(rate)
            rows.append(
                {
                    **given,
                    "figure": f"rank {rank}",
                    "value": hit.value,
                    "interval": interval_ends(hit.interval),
                }
            )
        for target, threshold, rate in o.tpir:
            hit = complement(rate)
            what = f"TPIR at FPIR {fmr_words(target)} (threshold {number(threshold, 4)})"
            rows.append(
                {**given, "figure": what, "value": hit.value, "interval": interval_ends(hit.interval)}
            )
    return Table(
        "identification_official",
        "The set's own galleries and probes",
        (
            Column("gallery", "gallery"),
            Column("enrolled", "people enrolled", "integer"),
            Column("searches", "searches", "integer"),
            Column("figure", "figure"),
            Column("value", "value", "percent"),
            Column("interval", "95 % interval", "interval"),
        ),
        tuple(rows),
        "As the published protocol counts: thresholds are chosen on the searches that they judge.",
    )
