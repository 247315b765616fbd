"""What the evidence says in sentences; severities by the rules of docs/severity.md."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from fraudit.analyses.evidence.flags import LOW_FALSE, NAMES_FALSE, Flags
from fraudit.analyses.evidence.params import NAME
from fraudit.analyses.evidence.rates import Rates
from fraudit.analyses.shared.words import slug
from fraudit.formatting import fmr_words, number, percent, probability
from fraudit.formatting import interval as interval_words
from fraudit.stats.family import LATER_LEVEL
from fraudit.types import Finding, Interval, Severity

LABELS_MEDIUM, LABELS_LOW = 0.01, 0.002  # of the judged pictures, at least, are wrong
LARGE_SHARE, LEAST_ERRORS = 0.25, 5  # of all errors, that one person makes; errors of that person
YEARS_LEVEL = 0.05


def findings(flags: Flags, rates: Rates, people: dict[int, str]) -> Iterator[Finding]:
    """The headline first."""
    yield from _labels(flags)
    yield from _files(flags)
    yield from _near(flags)
    yield from _names(flags, people)
    yield from _erring(rates, people)
    yield from _sides(rates)
    yield from _hard(rates)
    yield from _years(rates)


def _counted(n: int, one: str, many: str) -> str:
    return f"{n:,} {one if n == 1 else many}"


def _labels(flags: Flags) -> Iterator[Finding]:
    found, rule = flags.labels, f"{NAME}.labels"
    if found is None:
        yield Finding("info", f"Wrong labels cannot be looked for: {flags.missing['labels']}.", (), rule)
        return
    n, evidence = int(found.judged.sum()), (f"{NAME}.labels.flagged", f"{NAME}.labels.least")
    if not found.count:
        text = f"None of {n:,} pictures that can be judged fits another person as it should fit its own."
        yield Finding("info", text, evidence[:1], rule)
        return
    share = flags.least / n
    severity: Severity = "medium" if share >= LABELS_MEDIUM else "low" if share >= LABELS_LOW else "info"
    shows = "picture likely shows" if found.count == 1 else "pictures likely show"
    judge = ""
    if flags.judged_labels is not None:
        judge = f"; {flags.judge} doubts {int((found.flagged & flags.judged_labels).sum()):,} of them too"
    sure = "not one is wrong beyond doubt"
    if flags.least:
        sure = f"at least {flags.least:,} {'is' if flags.least == 1 else 'are'} wrong (one-sided, 99.9 %)"
    yield Finding(
        severity,
        f"{found.count:,} of {n:,} {shows} another person than the label says ({percent(found.count / n)}). About "
        f"{number(found.expected_false, 1)} would be flagged where all labels are right; {sure}{judge}.",
        evidence,
        rule,
        "Look at the pictures listed in this section; mend or leave out those that are wrong, and run again.",
    )


def answer(told: Sequence[Finding], judged: int) -> str:
    """The section in plain words; `judged` pictures can be held against others of their person."""
    wrong = [f for f in told if f.rule in (f"{NAME}.labels", f"{NAME}.duplicates") and f.advice]
    if any(f.severity != "info" for f in wrong):
        return "Not all of it: some pictures carry another person's name, or one picture carries several."
    if wrong:
        return "A few pictures may carry another person's name; of none is it beyond doubt."
    if told and told[0].text.startswith("Wrong labels cannot"):
        return "Not known: wrong names cannot be looked for here."
    none = f"o picture under another person's name was seen among the {judged:,} pictures that can be judged."
    twice = next((f for f in told if f.rule == f"{NAME}.names"), None)
    if twice is not None:
        pairs = re.split(" (?:is|are) as alike", twice.text)[0]
        return f"{pairs} may be one person under two names; n{none}"
    return f"N{none}"


def _files(flags: Flags) -> Iterator[Finding]:
    found = flags.files
    if found is None or not found.groups:
        return
    if found.across:
        pictures = sum(map(len, found.across))
        groups = _counted(len(found.across), "group of files is", "groups of files are")
        yield Finding(
            "low",
            f"{groups} equal byte for byte and said to show several people ({pictures:,} of {len(flags.subjects):,} "
            "pictures): a pair of two people that is one picture counts as a false match at every threshold.",
            (f"{NAME}.equal_files.across",),
            f"{NAME}.duplicates",
            "Find out whom these pictures show, keep each once, and run again.",
        )
    within = len(found.groups) - len(found.across)
    if within:
        groups = _counted(within, "group of files is", "groups of files are")
        of = " and said to show one person" if flags.identified else ""
        yield Finding(
            "info",
            f"{groups} equal byte for byte{of}; {found.spare:,} of {len(flags.subjects):,} pictures are spare copies.",
            (f"{NAME}.equal_files.spare",),
            f"{NAME}.copies",
        )


def _near(flags: Flags) -> Iterator[Finding]:
    if flags.near is None:
        return
    parts = [("across", flags.near.across, "under two people")] if flags.identified else []
    kind = "within" if flags.identified else "pictures"
    rest = flags.near.within if flags.identified else flags.near.across
    parts.append((kind, rest, "of one person" if flags.identified else ""))
    for kind, found, whose in parts:
        if not found.count or found.missing or found.false_share > LOW_FALSE:
            continue
        pairs = _counted(found.count, "pair of pictures", "pairs of pictures")
        words = f"{pairs} {whose}".strip()
        have = "has" if found.count == 1 else "have"
        yield Finding(
            "info",
            f"{words} {have} all but the same vector (cosine at least {flags.near.near:.6g}, of {found.pairs:,} "
            f"pairs); {number(found.expected_false, 1)} of different pictures are expected so near.",
            (f"{NAME}.near_copies.{kind}", f"{NAME}.near_copies.{kind}.false_share"),
            f"{NAME}.near_copies",
        )


def _names(flags: Flags, people: dict[int, str]) -> Iterator[Finding]:
    found = flags.names
    if found is None or not len(found.first) or found.false_share > NAMES_FALSE:
        return
    pairs = _counted(len(found.first), "pair of people is", "pairs of people are")
    first = f"{people[int(found.first[0])]} and {people[int(found.second[0])]}"
    judge = ""
    if flags.judged_names is not None:
        both = zip(found.first.tolist(), found.second.tolist(), strict=True)
        agreed = sum((min(a, b), max(a, b)) in flags.judged_names for a, b in both)
        judge = f"; {flags.judge} says so of {agreed:,} of them too"
    yield Finding(
        "info",
        f"{pairs} as alike as two parts of one person's pictures (of {found.compared:,} pairs; the likeliest: "
        f"{first}): likely one person under two names, about {number(found.expected_false, 1)} falsely so{judge}.",
        (f"{NAME}.names.flagged", f"{NAME}.names.false_share"),
        f"{NAME}.names",
        "Look at these pairs; give one person one name, and run again.",
    )


def _erring(rates: Rates, people: dict[int, str]) -> Iterator[Finding]:
    e = rates.erring
    if e is None or rates.threshold is None or not e.total or e.p > LATER_LEVEL:
        return
    errors = int(e.errors[0])
    if e.largest_share < LARGE_SHARE or errors < LEAST_ERRORS or len(people) < 2:
        return
    most = round(e.chance_share * e.total)
    yield Finding(
        "info",
        f"{errors:,} of {e.total:,} errors are pairs of one person ({people[int(e.people[0])]}); chance reaches at "
        f"most {most:,} (19 of 20 cases). Counted over {rates.erring_pairs:,} genuine pairs at the threshold for FMR "
        f"{fmr_words(rates.threshold.fmr_target)}.",
        (f"{NAME}.erring.largest_share",),
        f"{NAME}.erring",
    )


def _bounds(around: Interval | None) -> str:
    if around is None:
        return "no interval"
    return f"95 % interval {interval_words(around.low, around.high, as_percent=True)}"


def _sides(rates: Rates) -> Iterator[Finding]:
    sides = [side for side in rates.sides if side.flagged]
    if not sides or rates.threshold is None:
        return
    side, at = sides[-1], fmr_words(rates.threshold.fmr_target)
    f, m = side.fnmr, side.fmr
    what = "what is flagged" if side.name == "all of these" else side.name
    pictures = _counted(f.pictures_out, "picture", "pictures")
    yield Finding(
        "info",
        f"Without {what} ({pictures}) FNMR at FMR {at} is {percent(f.without)} ({_bounds(f.without_interval)}; "
        f"{f.pairs_left:,} genuine pairs) in place of {percent(f.with_all)} ({_bounds(f.with_interval)}; {f.pairs:,}), "
        f"FMR {percent(m.without)} in place of {percent(m.with_all)}. This describes the set and is no test; the "
        "figures elsewhere hold all pictures.",
        tuple(f"{NAME}.{k}@fmr={at}" for k in ("fnmr", f"fnmr_without.{slug(side.name)}")),
        f"{NAME}.without",
    )


def _hard(rates: Rates) -> Iterator[Finding]:
    h = rates.hard
    if h is None or rates.threshold is None:
        return
    at = fmr_words(rates.threshold.fmr_target)
    same = f" of the same group ({rates.within})" if rates.within else ""
    usual = f"; strangers at random: {percent(rates.fmr[0])}" if rates.fmr else ""
    yield Finding(
        "info",
        f"Of the strangers{same} that another model finds most alike, {percent(h.rate)} match at the threshold for FMR "
        f"{at} ({_bounds(h.interval)}; {h.pairs:,} pairs of {h.people:,} people{usual}).",
        (f"{NAME}.hard_fmr@fmr={at}",),
        f"{NAME}.hard_fmr",
    )


def _years(rates: Rates) -> Iterator[Finding]:
    y = rates.years
    if y is None or rates.threshold is None:
        return
    by_name = {r.group: r for r in y.rates}
    clear = [
        (c.value, name)
        for name, c in y.changes.items()
        if y.p_holm[name] <= YEARS_LEVEL and c.value > 0 and c.interval is not None
    ]
    if not clear:
        return
    name, first = max(clear)[1], y.rates[0]
    far = by_name[name]
    yield Finding(
        "info",
        f"Pictures {name} years apart are rejected in {percent(far.rate)} ({_bounds(far.interval)}; {far.n:,} genuine "
        f"pairs), those {first.group} years apart in {percent(first.rate)} ({_bounds(first.interval)}; {first.n:,}; "
        f"p {probability(y.p_holm[name])}, {len(y.p_holm)} tests).",
        (f"{NAME}.fnmr_by_years@fmr={fmr_words(rates.threshold.fmr_target)}",),
        f"{NAME}.years",
    )


def caveats(flags: Flags, rates: Rates) -> Iterator[str]:
    """What could not run, and what limits the rest."""
    words = {
        "labels": "Wrong labels",
        "names": "People under two names",
        "single": "People with one picture",
        "near": "Near copies",
        "files": "Files of equal bytes",
        "threshold": "Error rates and erring people",
        "pairs": "Genuine pairs",
        "worst": "Worst genuine pairs",
        "strangers": "Closest strangers",
        "hard": "FMR of the hardest strangers",
        "erring": "People with most errors",
        "years": "FNMR by years",
    }
    told: dict[str, list[str]] = {}
    for part, why in {**flags.missing, **rates.missing}.items():
        told.setdefault(why, []).append(words[part])
    for why, parts in told.items():
        rest = (p if p[1].isupper() else p[0].lower() + p[1:] for p in parts[1:])  # FNMR stays as it is
        yield f"Not run: {', '.join([parts[0], *rest])}: {why}."
    lost = int((~flags.ok).sum())
    if lost:
        yield f"{_counted(lost, 'picture has', 'pictures have')} no vector and can only be found by equal bytes."
    if flags.labels is not None:
        yield (
            "A wrong label is seen only where the picture's true person is in the set with two other pictures, and "
            "where the person it is said to show has three."
        )
    if rates.sides:
        yield "Thresholds were chosen with all pictures, flagged ones among them."
