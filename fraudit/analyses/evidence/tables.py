"""Lists of what was flagged and of the worst cases, by id; computes no rate."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from fraudit.analyses.evidence.counts import counts_table
from fraudit.analyses.evidence.flags import Flags
from fraudit.analyses.evidence.params import Params
from fraudit.analyses.evidence.rates import Rates
from fraudit.analyses.shared.words import interval_ends
from fraudit.formatting import fmr_words, number
from fraudit.types import I64, Column, FaceSet, Table

INTERVAL = "95 % interval"
FILES_NAMED = 4  # of a group of equal files


def tables(
    flags: Flags, rates: Rates, faces: FaceSet, people: dict[int, str], params: Params
) -> Iterator[Table]:
    """Counts first, then what changes without the flags, then the lists."""
    yield counts_table(flags)
    yield from _sides(rates)
    yield from _labels(flags, faces, people, params)
    yield from _far(flags, faces, people, params)
    yield from _names(flags, people, params)
    yield from _near(flags, faces, params)
    yield from _files(flags, faces, people, params)
    yield from _pairs(flags, rates, faces, people)
    yield from _erring(rates, people)
    yield from _years(rates)
    yield from _single(flags, people, params)


def _sides(rates: Rates) -> Iterator[Table]:
    if not rates.sides or rates.threshold is None:
        return
    rows = []
    for side in rates.sides:
        for kind, both in (("FNMR", side.fnmr), ("FMR", side.fmr)):
            rows.append(
                {
                    "without": side.name,
                    "pictures": both.pictures_out,
                    "rate": kind,
                    "all": both.with_all,
                    "all_interval": interval_ends(both.with_interval),
                    "pairs": both.pairs,
                    "part": both.without,
                    "part_interval": interval_ends(both.without_interval),
                    "left": both.pairs_left,
                    "change": both.change.value,
                    "change_interval": interval_ends(both.change.interval),
                }
            )
    at = fmr_words(rates.threshold.fmr_target)
    yield Table(
        "evidence_without",
        "Error rates with and without what is flagged",
        (
            Column("without", "left out"),
            Column("pictures", "pictures", "integer"),
            Column("rate", "rate"),
            Column("all", "with all", "percent"),
            Column("all_interval", INTERVAL, "interval"),
            Column("pairs", "pairs", "integer"),
            Column("part", "without", "percent"),
            Column("part_interval", INTERVAL, "interval"),
            Column("left", "pairs left", "integer"),
            Column("change", "change", "points"),
            Column("change_interval", INTERVAL, "interval"),
        ),
        tuple(rows),
        f"Judged people, one threshold: that for FMR {at}, chosen with all pictures of other people. A description: "
        "the pictures were flagged by the same scores, so that the change is no test of anything, and the figures "
        "elsewhere in this report hold all pictures. Pictures far from their person are hard or wrong ones: without "
        "them FNMR is the least that it may be.",
    )


def _judge_column(flags: Flags, known: bool) -> tuple[Column, ...]:
    return (Column("judge", f"{flags.judge} agrees"),) if known else ()


def _labels(flags: Flags, faces: FaceSet, people: dict[int, str], params: Params) -> Iterator[Table]:
    found = flags.labels
    if found is None or not found.count:
        return
    rows = []
    for i in flagged_labels(flags)[: params.listed]:
        near = int(found.nearest[i])
        judge = "" if flags.judged_labels is None else "yes" if flags.judged_labels[i] else "no"
        rows.append(
            {
                "picture": faces.ids[i],
                "said": people[int(faces.subjects[i])],
                "own": float(found.own[i]),
                "like": people.get(near, ""),
                "near": float(found.near[i]),
                "judge": judge,
            }
        )
    yield Table(
        "evidence_labels",
        _title("Pictures whose label is likely wrong", len(rows), found.count),
        (
            Column("picture", "picture"),
            Column("said", "said to be"),
            Column("own", "fit", "number"),
            Column("like", "looks like"),
            Column("near", "fit", "number"),
            *_judge_column(flags, flags.judged_labels is not None),
        ),
        tuple(rows),
        f"Fit: mean of the upper half of the cosines with a person's other pictures. Flagged: at most "
        f"{number(found.far_below)} with the own person (99 % of fits to strangers) and at least "
        f"{number(found.near_above)} with another.",
    )


def _far(flags: Flags, faces: FaceSet, people: dict[int, str], params: Params) -> Iterator[Table]:
    """Far from their own person and near nobody: somebody who is not in the set, or a hard picture."""
    found = flags.labels
    rest = np.flatnonzero(found.far & ~found.flagged) if found is not None else np.empty(0, np.int64)
    if found is None or not len(rest):
        return
    rest = rest[np.argsort(found.own[rest], kind="stable")]
    rows = [
        {"picture": faces.ids[i], "said": people[int(faces.subjects[i])], "own": float(found.own[i])}
        for i in rest[: params.listed]
    ]
    yield Table(
        "evidence_far",
        _title(
            "Pictures that fit their person no better than strangers, and nobody else", len(rows), len(rest)
        ),
        (Column("picture", "picture"), Column("said", "said to be"), Column("own", "fit", "number")),
        tuple(rows),
        "Hard pictures, or pictures of somebody who is not in the set: vectors alone cannot tell which.",
    )


def flagged_labels(flags: Flags) -> I64:
    """i64[K] flagged pictures, the clearest first."""
    found = flags.labels
    if found is None:
        return np.empty(0, np.int64)
    rows = np.flatnonzero(found.flagged)
    return rows[np.argsort(found.own[rows] - found.near[rows], kind="stable")]


def _title(what: str, listed: int, count: int) -> str:
    return f"{what} ({count:,})" if listed == count else f"{what} (the first {listed:,} of {count:,})"


def _names(flags: Flags, people: dict[int, str], params: Params) -> Iterator[Table]:
    found = flags.names
    if found is None or not len(found.first):
        return
    rows: list[dict[str, Any]] = []
    for a, b, likeness in zip(
        found.first.tolist(), found.second.tolist(), found.likeness.tolist(), strict=True
    ):
        if len(rows) == params.listed:
            break
        judge = (
            ""
            if flags.judged_names is None
            else "yes"
            if (min(a, b), max(a, b)) in flags.judged_names
            else "no"
        )
        rows.append({"first": people[a], "second": people[b], "likeness": likeness, "judge": judge})
    yield Table(
        "evidence_names",
        _title("People who are likely one", len(rows), len(found.first)),
        (
            Column("first", "first name"),
            Column("second", "second name"),
            Column("likeness", "likeness", "number"),
            *_judge_column(flags, flags.judged_names is not None),
        ),
        tuple(rows),
        "Likeness: mean cosine of the two over the root of the mean cosines within each; about 1 for one person. "
        "Relatives come near it.",
    )


def _near(flags: Flags, faces: FaceSet, params: Params) -> Iterator[Table]:
    if flags.near is None:
        return
    kinds = [
        ("across", flags.near.across, "Near copies under two people" if flags.identified else "Near copies")
    ]
    if flags.identified:
        kinds.append(("within", flags.near.within, "Near copies of one person"))
    for kind, found, title in kinds:
        if not found.count:
            continue
        pairs = zip(found.left.tolist(), found.right.tolist(), found.cosine.tolist(), strict=True)
        rows = [{"left": faces.ids[a], "right": faces.ids[b], "cosine": c} for a, b, c in pairs][
            : params.listed
        ]
        yield Table(
            f"evidence_near_{kind}",
            _title(title, len(rows), found.count),
            (Column("left", "picture"), Column("right", "picture"), Column("cosine", "cosine", "number", 6)),
            tuple(rows),
            f"Cosine of at least {flags.near.near:.6g}.",
        )


def _files(flags: Flags, faces: FaceSet, people: dict[int, str], params: Params) -> Iterator[Table]:
    found = flags.files
    if found is None or not found.groups:
        return
    across = set(found.across)
    groups = sorted(found.groups, key=lambda g: g not in across)
    rows = []
    for group in groups[: params.listed]:
        ids = [faces.ids[i] for i in group]
        shown = ", ".join(ids[:FILES_NAMED]) + (
            f" and {len(ids) - FILES_NAMED} more" if len(ids) > FILES_NAMED else ""
        )
        who = len({int(faces.subjects[i]) for i in group}) if flags.identified else None
        rows.append({"pictures": shown, "count": len(ids), "people": who})
    yield Table(
        "evidence_files",
        _title("Files of equal bytes", len(rows), len(groups)),
        (
            Column("pictures", "pictures"),
            Column("count", "files", "integer"),
            Column("people", "people they are said to show", "integer"),
        ),
        tuple(rows),
        "Groups of equal sha256, those under several people first.",
    )


def _single(flags: Flags, people: dict[int, str], params: Params) -> Iterator[Table]:
    if not len(flags.single):
        return
    rows = tuple({"person": people[s]} for s in flags.single[: params.listed].tolist())
    title = _title("People with one picture", len(rows), len(flags.single))
    yield Table("evidence_single", title, (Column("person", "person"),), rows, "They give no genuine pair.")


def _pairs(flags: Flags, rates: Rates, faces: FaceSet, people: dict[int, str]) -> Iterator[Table]:
    for name, title, found in (
        ("worst", "Worst genuine pairs", rates.worst),
        ("strangers", "Closest pairs of two people", rates.strangers),
    ):
        if found is None or not len(found.left):
            continue
        rows = []
        for a, b, score in zip(found.left.tolist(), found.right.tolist(), found.score.tolist(), strict=True):
            rows.append(
                {"left": faces.ids[a], "right": faces.ids[b], "score": score, "note": _note(flags, a, b)}
            )
        text = f"Of {found.pairs:,} pairs."
        if name == "strangers":
            text += " Two people are listed once, at their closest pictures." if flags.identified else ""
        elif found.without:
            text += f" {found.without:,} pairs without a vector are not listed."
        yield Table(
            f"evidence_{name}",
            title,
            (
                Column("left", "picture"),
                Column("right", "picture"),
                Column("score", "cosine", "number"),
                Column("note", "flagged as"),
            ),
            tuple(rows),
            text,
        )


def _note(flags: Flags, a: int, b: int) -> str:
    """What the evidence says of a pair of pictures."""
    said = []
    if flags.labels is not None:
        wrong = [k for k, i in enumerate((a, b), 1) if flags.labels.flagged[i]]
        said += [f"{('first', 'second')[k - 1]} label likely wrong" for k in wrong]
    if flags.names is not None and flags.subjects[a] != flags.subjects[b]:
        said += ["likely one person"] if flags.names.merged[a] == flags.names.merged[b] else []
    if flags.identified and flags.subjects[a] != flags.subjects[b] and flags.across[a] and flags.across[b]:
        said.append("copies")
    return "; ".join(said)


def _erring(rates: Rates, people: dict[int, str]) -> Iterator[Table]:
    e = rates.erring
    if e is None or not e.total or rates.threshold is None:
        return
    rows = [
        {"person": people.get(p, str(p)), "errors": n, "pairs": of, "share": n / e.total}
        for p, n, of in zip(e.people.tolist(), e.errors.tolist(), e.pairs.tolist(), strict=True)
    ]
    half = "one person makes" if e.half == 1 else f"{e.half:,} people make"
    yield Table(
        "evidence_erring",
        "People with most errors",
        (
            Column("person", "person"),
            Column("errors", "false non-matches", "integer"),
            Column("pairs", "genuine pairs", "integer"),
            Column("share", "of all errors", "percent"),
        ),
        tuple(rows),
        f"Genuine pairs of all people below the threshold for FMR {fmr_words(rates.threshold.fmr_target)}: "
        f"{e.total:,} of {rates.erring_pairs:,}. {half[0].upper()}{half[1:]} half of them.",
    )


def _years(rates: Rates) -> Iterator[Table]:
    y = rates.years
    if y is None:
        return
    rows = []
    for r in y.rates:
        change = y.changes.get(r.group)
        rows.append(
            {
                "years": r.group,
                "fnmr": r.rate,
                "interval": interval_ends(r.interval),
                "pairs": r.n,
                "people": r.subjects,
                "change": change.value if change else None,
                "change_interval": interval_ends(change.interval) if change else None,
                "p": y.p_holm.get(r.group),
            }
        )
    yield Table(
        "evidence_years",
        "FNMR by years between the pictures",
        (
            Column("years", "years"),
            Column("fnmr", "FNMR", "percent"),
            Column("interval", INTERVAL, "interval"),
            Column("pairs", "genuine pairs", "integer"),
            Column("people", "people", "integer"),
            Column("change", "change from the first", "points"),
            Column("change_interval", INTERVAL, "interval"),
            Column("p", "p (Holm)", "number"),
        ),
        tuple(rows),
        f"Years by the attribute `{rates.when}`, judged people."
        + (f" {y.unknown:,} pairs without it are left out." if y.unknown else ""),
    )
