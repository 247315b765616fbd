"""The comparison of inversion methods in tables and words; computes no rate."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fraudit.analyses.rivals.measure import AtFmr, Found, Judged, Method
from fraudit.analyses.rivals.methods import FIRST
from fraudit.analyses.rivals.params import NAME
from fraudit.analyses.shared.words import interval_and_people, interval_ends, judge_key, judge_name, slug
from fraudit.formatting import fmr_words, percent
from fraudit.inverters.rivals.published import REAL
from fraudit.types import Column, Finding, Table

METHOD = (
    "Every method inverts the same templates, one of each person outside the half that thresholds are chosen on, and "
    "makes the same number of pictures of each. Success of type I: the picture matches its source; of type II: another "
    "picture of the person (Mai et al. 2019). Replacement accuracy: a reconstruction takes the place of one picture of "
    "every genuine pair, thresholds come from the other folds (ID3PM, Table 2). A question is one picture shown to the "
    "black box, whether or not its answer was remembered. A judge whose vectors a method was made with is kin, never "
    "independent. Intervals are clustered by people; differences to id3pm are paired over the same pictures."
)


def independent(method: Method) -> Judged | None:
    """The first judge that is neither the audited model nor kin of the method; None where there is none."""
    return next((j for j in method.judged if not j.own and not j.kin), None)


def strictest(judged: Judged) -> AtFmr | None:
    """The strictest operating point that has figures."""
    usable = [p for p in judged.points if p.one is not None]
    return min(usable, key=lambda p: p.fmr) if usable else None


def tables(found: Found) -> tuple[Table, ...]:
    """Results by judge, what each method needs, and published figures."""
    return (*(_results(found, n) for n in range(len(found.real.judged))), _needs(found), _published(found))


def _results(found: Found, place: int) -> Table:
    real = found.real.judged[place]
    name = judge_name(real.judge, real.own)
    fmrs = [p.fmr for p in real.points]
    columns = [Column("method", "method"), Column("questions", "questions a picture", "integer")]
    columns += [
        Column("replacement", "replacement accuracy", "percent", 1),
        Column("replacement_interval", "95 % interval", "interval", 1),
    ]
    for f in fmrs:
        at = fmr_words(f)
        columns += [
            Column(f"one_{f:g}", f"type I, FMR {at}", "percent", 1),
            Column(f"one_{f:g}_interval", "95 % interval", "interval", 1),
            Column(f"two_{f:g}", f"type II, FMR {at}", "percent", 1),
        ]
    columns += [
        Column("similarity", "cosine", "number", 3),
        Column("frechet", "Frechet", "number", 3),
        Column("spread", "diversity (angle)", "number", 3),
        Column("independent", "judge"),
    ]
    rows = [_row(m, m.judged[place], fmrs) for m in (found.real, *found.methods)]
    return Table(
        f"{NAME}_{judge_key(real.judge, real.own)}",
        f"By {name}",
        tuple(columns),
        tuple(rows),
        f"{len(found.rows)} people, {found.samples} pictures each; percent intervals are clustered by people. "
        "`real` is the source itself at the pictures' size.",
    )


def _row(method: Method, j: Judged, fmrs: Sequence[float]) -> dict[str, Any]:
    row: dict[str, Any] = {
        "method": method.made.name,
        "questions": method.made.questions,
        "replacement": j.replaced.accuracy if j.replaced else None,
        "replacement_interval": interval_ends(j.replaced.interval) if j.replaced else None,
        "similarity": j.similarity.value if j.similarity else None,
        "frechet": j.frechet[0] if j.frechet else None,
        "spread": j.spread.value if j.spread else None,
        "independent": "audited model" if j.own else "kin" if j.kin else "independent",
    }
    for f, p in zip(fmrs, j.points, strict=True):
        row[f"one_{f:g}"] = p.one.value if p.one else None
        row[f"one_{f:g}_interval"] = interval_ends(p.one.interval) if p.one else None
        row[f"two_{f:g}"] = p.two.value if p.two else None
    return row


def _needs(found: Found) -> Table:
    columns = (
        Column("method", "method"),
        Column("attacker", "attacker has"),
        Column("samples", "pictures of a vector"),
        Column("training", "training"),
        Column("data", "data"),
        Column("shared", "questions once", "integer"),
        Column("questions", "questions a picture", "integer"),
        Column("seconds", "seconds a picture", "number", 2),
        Column("scale", "size here"),
        Column("source", "source"),
    )
    rows: list[dict[str, Any]] = []
    for m in found.methods:
        card = m.made.card
        rows.append(
            {
                "method": m.made.name,
                "attacker": card.attacker,
                "samples": card.samples,
                "training": card.training,
                "data": card.data,
                "shared": m.made.shared,
                "questions": m.made.questions,
                "seconds": m.made.seconds,
                "scale": f"{m.made.note}; {card.scale}",
                "source": card.source,
            }
        )
    for a in found.absent:
        rows.append(
            {
                "method": f"{a.name} (not run)",
                "attacker": a.card.attacker,
                "samples": a.card.samples,
                "training": a.card.training,
                "data": a.card.data,
                "scale": a.reason,
                "source": a.card.source,
            }
        )
    return Table(
        f"{NAME}_needs",
        "What each method needs",
        columns,
        tuple(rows),
        "Sizes differ from the papers', as each row says: what trains for days on a GPU there is small here.",
    )


def _published(found: Found) -> Table:
    columns = (
        Column("method", "method"),
        Column("on", "published for"),
        Column("published", "published, LFW", "percent", 2),
        Column("here", "measured here", "percent", 1),
        Column("judge", "judge here"),
    )
    here = {m.made.name: m for m in found.methods}
    rows: list[dict[str, Any]] = [{"method": "real pictures", "on": "ID3PM, Table 2", "published": REAL}]
    for name, card in {
        **{m.made.name: m.made.card for m in found.methods},
        **{a.name: a.card for a in found.absent},
    }.items():
        for on, value in card.published:
            method = here.get(name)
            judged = None if method is None else independent(method) or method.judged[0]
            rows.append(
                {
                    "method": name,
                    "on": on,
                    "published": value,
                    "here": judged.replaced.accuracy if judged and judged.replaced else None,
                    "judge": judge_name(judged.judge, judged.own) if judged else "not run",
                }
            )
    return Table(
        f"{NAME}_published",
        "Published figures, on other models",
        columns,
        tuple(rows),
        "Replacement accuracy as published: other models, other sizes, 6,000 pairs of LFW. Not the same experiment.",
    )


def findings(found: Found) -> tuple[Finding, ...]:
    """What is best, and how the others stand to ID3PM; facts, no verdicts on the model."""
    told = [_best(found)]
    told += [f for m in found.methods if (f := _against(m)) is not None]
    return tuple(told)


def best_of(found: Found) -> tuple[Method, Judged, AtFmr] | None:
    """The method that is accepted most often at the strictest point, by an independent judge where there is one."""
    scored = []
    for m in found.methods:
        j = independent(m) or m.judged[0]
        p = strictest(j)
        if p is not None and p.one is not None:
            scored.append((p.one.value, m, j, p))
    alone = [s for s in scored if not s[2].own] or scored
    return max(alone, key=lambda s: s[0])[1:] if alone else None


def _best(found: Found) -> Finding:
    chosen = best_of(found)
    if chosen is None:
        reason = next((p.missing for m in found.methods for j in m.judged for p in j.points if p.missing), "")
        return Finding(
            "info",
            f"{len(found.methods)} inversion methods ran; no success can be told: {reason}.",
            (),
            "rivals.best",
        )
    m, j, p = chosen
    assert p.one is not None
    value = p.one.value
    evidence = f"{NAME}.{slug(m.made.name)}.{judge_key(j.judge, j.own)}.success1@fmr={fmr_words(p.fmr)}"
    beside = f" that ran (of {len(found.methods) + len(found.absent)})" if found.absent else ""
    several = "s" if len(found.methods) > 1 else ""
    text = (
        f"Of {len(found.methods)} inversion method{several}{beside} {m.made.name} is accepted most often: "
        f"{percent(value)} of its pictures match their source at FMR {fmr_words(p.fmr)} by "
        f"{judge_name(j.judge, j.own)} ({interval_and_people(p.one, 'pictures')})."
    )
    return Finding("info", text, (evidence,), "rivals.best")


def answer(found: Found) -> str:
    """The section in plain words."""
    chosen = best_of(found)
    if chosen is None:
        return "Not known: no success of any method could be judged."
    m, j, p = chosen
    assert p.one is not None
    judge = "the model itself takes" if j.own else f"another model ({j.judge}) takes"
    return f"{m.made.name}, of {len(found.methods)}: {judge} {percent(p.one.value)} of its pictures for the person."


def _against(m: Method) -> Finding | None:
    j = independent(m)
    p = strictest(j) if j else None
    if j is None or p is None or p.against is None or not p.against.excludes_zero:
        return None
    low, high = p.against.interval.low, p.against.interval.high
    word = "more" if p.against.value > 0 else "less"
    text = (
        f"{m.made.name} succeeds {word} often than {FIRST}: {100 * p.against.value:+.1f} points (95 % interval "
        f"{100 * low:+.1f} to {100 * high:+.1f}), type I at FMR {fmr_words(p.fmr)} by {j.judge}, "
        f"{m.made.questions:,} questions a picture."
    )
    evidence = f"{NAME}.{slug(m.made.name)}.{judge_key(j.judge, j.own)}.less_id3pm@fmr={fmr_words(p.fmr)}"
    return Finding("info", text, (evidence,), "rivals.against")


def caveats(found: Found) -> tuple[str, ...]:
    """What to keep in mind."""
    told = [f"{a.name} was not run: {a.reason}." for a in found.absent]
    if found.drawn and any("eigenfaces" in m.made.note for m in found.methods):
        told.append(
            "This set's faces are drawn from a statistical face model, and latent search looks through one like it: on "
            "photographs it does less well."
        )
    if all(j.own or j.kin for m in found.methods for j in m.judged):
        told.append(
            "No independent judge: attacks that ask the audited model flatter themselves when it judges "
            "(`--judge NAME`)."
        )
    return tuple(told)
