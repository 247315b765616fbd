"""Every figure of the evidence analysis by its stable name; intervals of what is flagged are computed here."""

from __future__ import annotations

from collections.abc import Iterator

from fraudit.analyses.evidence.flags import Flags
from fraudit.analyses.evidence.params import NAME
from fraudit.analyses.evidence.rates import Rates
from fraudit.analyses.shared.words import slug
from fraudit.formatting import fmr_words
from fraudit.stats.duplicates import NearCopies
from fraudit.stats.intervals import clustered_rate, interval_or_reason
from fraudit.types import Interval, Metric

COUNT = "a count of this set"
EXPECTED = "an expected value under right labels, not an estimate from a sample"


def metrics(flags: Flags, rates: Rates) -> Iterator[Metric]:
    """Flags with their expected false share, then error rates."""
    yield from _labels(flags)
    yield from _names(flags)
    yield from _near(flags)
    yield from _files(flags)
    name, label = f"{NAME}.one_picture_people", "people with one usable picture"
    if flags.identified and flags.people:
        share = len(flags.single) / flags.people
        yield Metric(name, share, n=flags.people, n_unit="people", interval_missing=COUNT, label=label)
    else:
        yield Metric(
            name, None, missing=flags.missing.get("single", "nobody has a usable picture"), label=label
        )
    yield from _rates(rates)


def _share_false(name: str, share: float, n: int, unit: str, label: str) -> Metric:
    return Metric(
        f"{NAME}.{name}.false_share",
        share,
        n=n,
        n_unit=unit,
        interval_missing=EXPECTED,
        label=f"expected share of false ones among {label}",
    )


def _labels(flags: Flags) -> Iterator[Metric]:
    name, label = f"{NAME}.labels.flagged", "pictures whose label is likely wrong"
    found = flags.labels
    if found is None:
        yield Metric(name, None, missing=flags.missing["labels"], better="lower", label=label)
        return
    hit, who = found.flagged[found.judged], flags.subjects[found.judged]
    around, why = interval_or_reason(lambda: clustered_rate(hit, who, who))
    yield Metric(
        name,
        found.count / len(hit),
        n=len(hit),
        n_unit="pictures",
        interval=around,
        interval_missing=why,
        better="lower",
        label=label,
    )
    yield Metric(
        f"{NAME}.labels.least",
        flags.least / len(hit),
        n=len(hit),
        n_unit="pictures",
        better="lower",
        interval_missing="itself a lower bound (one-sided, 99.9 %)",
        label="pictures whose label is wrong, at least",
    )
    yield Metric(
        f"{NAME}.labels.far",
        float(found.far.sum()) / len(hit),
        n=len(hit),
        n_unit="pictures",
        better="lower",
        interval_missing=COUNT,
        label="pictures that fit their person no better than strangers",
    )
    if found.count:
        yield _share_false("labels", found.false_share, found.count, "pictures", label)
        if flags.judged_labels is not None:
            both = int((found.flagged & flags.judged_labels).sum())
            yield Metric(
                f"{NAME}.labels.judge_agrees",
                both / found.count,
                n=found.count,
                n_unit="pictures",
                interval_missing=COUNT,
                label=f"of these, doubted by {flags.judge} too",
            )


def _names(flags: Flags) -> Iterator[Metric]:
    name, label = f"{NAME}.names.flagged", "pairs of people who are likely one"
    found = flags.names
    if found is None:
        yield Metric(name, None, missing=flags.missing["names"], better="lower", label=label)
        return
    count = len(found.first)
    yield Metric(
        name,
        float(count),
        n=found.compared,
        n_unit="pairs of people",
        interval_missing=COUNT,
        better="lower",
        label=label,
    )
    if count:
        yield _share_false("names", found.false_share, count, "pairs of people", label)


def _near(flags: Flags) -> Iterator[Metric]:
    kinds = ("within", "across") if flags.identified else ("pictures",)
    for kind in kinds:
        name = f"{NAME}.near_copies.{kind}"
        label = {
            "within": "pairs of near copies of one person",
            "across": "pairs of near copies under two people",
            "pictures": "pairs of near copies",
        }[kind]
        if flags.near is None:
            yield Metric(name, None, missing=flags.missing["near"], better="lower", label=label)
            continue
        found: NearCopies = flags.near.within if kind == "within" else flags.near.across
        yield Metric(
            name,
            float(found.count),
            n=found.pairs,
            n_unit="pairs",
            interval_missing=COUNT,
            better="lower",
            label=label,
        )
        if found.count and not found.missing:
            yield _share_false(f"near_copies.{kind}", found.false_share, found.count, "pairs", label)
        elif found.count:
            yield Metric(
                f"{NAME}.near_copies.{kind}.false_share",
                None,
                missing=found.missing,
                label=f"expected share of false ones among {label}",
            )


def _files(flags: Flags) -> Iterator[Metric]:
    parts = [("spare", "pictures whose file is there before, byte for byte")]
    if flags.identified:
        parts.append(("across", "groups of equal files that are said to show several people"))
    for kind, label in parts:
        name = f"{NAME}.equal_files.{kind}"
        if flags.files is None:
            yield Metric(name, None, missing=flags.missing["files"], better="lower", label=label)
            continue
        value = flags.files.spare if kind == "spare" else len(flags.files.across)
        yield Metric(
            name,
            float(value),
            n=len(flags.subjects),
            n_unit="pictures",
            interval_missing=COUNT,
            better="lower",
            label=label,
        )


def _figure(
    name: str, value: float, n: int, unit: str, around: Interval | None, why: str, label: str
) -> Metric:
    return Metric(
        f"{NAME}.{name}",
        value,
        n=n,
        n_unit=unit,
        interval=around,
        interval_missing="" if around else why,
        better="lower",
        label=label,
    )


def _rates(rates: Rates) -> Iterator[Metric]:
    if rates.threshold is None:
        yield Metric(
            f"{NAME}.fnmr_without",
            None,
            missing=rates.missing["threshold"],
            better="lower",
            label="FNMR without what is flagged",
        )
        return
    at = fmr_words(rates.threshold.fmr_target)
    words = f"at the threshold for FMR {at}"
    for k, side in enumerate(rates.sides):
        for kind, both, unit in (("fnmr", side.fnmr, "genuine pairs"), ("fmr", side.fmr, "impostor pairs")):
            upper = kind.upper()
            if k == 0:
                yield _figure(
                    f"{kind}@fmr={at}",
                    both.with_all,
                    both.pairs,
                    unit,
                    both.with_interval,
                    both.reasons[0],
                    f"{upper} with all pictures {words}",
                )
            yield _figure(
                f"{kind}_without.{slug(side.name)}@fmr={at}",
                both.without,
                both.pairs_left,
                unit,
                both.without_interval,
                both.reasons[1],
                f"{upper} without {side.name} {words}",
            )
    name, label = f"{NAME}.hard_fmr@fmr={at}", f"FMR of the strangers that the judge finds nearest, {words}"
    if rates.hard is None:
        yield Metric(name, None, missing=rates.missing.get("hard", ""), better="lower", label=label)
    else:
        h = rates.hard
        yield _figure(
            name.removeprefix(f"{NAME}."), h.rate, h.pairs, "impostor pairs", h.interval, h.missing, label
        )
    if rates.years is None:
        why = rates.missing.get("years") or rates.missing.get("pairs", "no genuine pair")
        yield Metric(
            f"{NAME}.fnmr_by_years@fmr={at}",
            None,
            missing=why,
            better="lower",
            label="FNMR by years between pictures",
        )
    for r in rates.years.rates if rates.years is not None else ():
        yield Metric(
            f"{NAME}.fnmr_by_years@fmr={at}",
            r.rate,
            n=r.n,
            n_unit="genuine pairs",
            interval=r.interval,
            interval_missing="" if r.interval else r.missing,
            group=f"{r.group} years",
            better="lower",
            label=f"FNMR of pictures so many years apart, {words}",
        )
    e = rates.erring
    if e is not None and e.total:
        yield Metric(
            f"{NAME}.erring.largest_share",
            e.largest_share,
            n=e.total,
            n_unit="errors",
            better="lower",
            interval_missing=f"a share of counted errors; chance reaches {e.chance_share:.3g} in 5 % of cases",
            label=f"errors that are pairs of one person, {words}",
        )
