"""The linkability analysis as metrics, a table and findings; computes no rate."""

from __future__ import annotations

from collections.abc import Iterator

from fraudit.analyses.linkability.measure import SHUFFLES, Attack, Found
from fraudit.analyses.linkability.params import NAME
from fraudit.analyses.shared.transfer import DRAW
from fraudit.formatting import fmr_words, number, percent
from fraudit.formatting import interval as interval_words
from fraudit.stats.search_rates import SearchRate
from fraudit.types import Column, Finding, Interval, Metric, Severity, Table

D_HIGH, D_MEDIUM = 0.5, 0.2
RANK_HIGH, RANK_MEDIUM, RANK_CHANCE = 0.5, 0.1, 2.0  # the last one times chance
METHOD = (
    "Each database holds one picture of a person, never the same one. The attacker has vectors of both models of "
    "pictures of other people, fits a translator to them (ridge regression, a small network where that is nearer "
    "beyond doubt), and looks for each person of the first database in the second. D_sys is that of Gomez-Barrero et "
    "al. (IEEE TIFS 2018, omega 1), a lower bound on average: densities are estimated on one half of the people, and "
    "the measure on the other. Rank 1 and FNIR at FPIR are of people who did not choose the threshold. The null "
    "attacker's pairs are shuffled (the luckiest of four draws). Intervals hold for the translator as it was fitted."
)


def key_of(attack: Attack) -> str:
    """Part of a metric's name: `n=500`."""
    return f"n={attack.pairs}"


def rank_interval(rate: SearchRate) -> Interval | None:
    """Interval of rank 1, from that of its misses."""
    i = rate.interval
    return Interval(1 - i.high, 1 - i.low, i.level, i.method) if i else None


def _metrics(attack: Attack, key: str, fpir: float, words: str) -> Iterator[Metric]:
    linked = attack.linked
    yield Metric(
        f"{NAME}.d_sys.{key}",
        linked.value,
        n=linked.people,
        n_unit="people",
        interval=linked.interval,
        interval_missing=linked.missing,
        better="lower",
        label=f"D_sys, {words}",
    )
    yield Metric(
        f"{NAME}.rank1.{key}",
        1 - attack.missed.value,
        n=attack.missed.n,
        n_unit="searches",
        interval=rank_interval(attack.missed),
        interval_missing="" if attack.missed.interval else attack.missed.missing,
        better="lower",
        label=f"people whose other entry is found first, {words}",
    )
    name, label = f"{NAME}.fnir@fpir={fmr_words(fpir)}.{key}", f"FNIR at FPIR {fmr_words(fpir)}, {words}"
    if attack.fnir is None:
        yield Metric(name, None, missing=attack.reason, better="higher", label=label)
    else:
        yield Metric(
            name,
            attack.fnir.value,
            n=attack.fnir.n,
            n_unit="searches",
            interval=attack.fnir.interval,
            interval_missing="" if attack.fnir.interval else attack.fnir.missing,
            better="higher",
            label=label,
        )


def words_of(attack: Attack) -> str:
    """What the attacker has."""
    return f"translated by {attack.pairs:,} pictures" if attack.kind else "vectors as they are"


def metrics(found: Found) -> Iterator[Metric]:
    """Every figure by its stable name."""
    for attack in found.attacks:
        yield from _metrics(attack, key_of(attack), found.fpir, words_of(attack))
    yield from _metrics(found.null, "null", found.fpir, "translated by shuffled pairs")
    yield Metric(
        f"{NAME}.chance",
        found.last.chance,
        n=round(1 / found.last.chance),
        n_unit="people",
        interval_missing="a count of this audit",
        label="rank 1 by guessing",
    )


def table(found: Found) -> Table:
    """One row an attacker."""
    columns = (
        Column("who", "Attacker's pictures", "text"),
        Column("kind", "Translator", "text"),
        Column("d_sys", "D_sys", "number"),
        Column("bounds", "95 % interval", "text"),
        Column("rank1", "Found first", "percent"),
        Column("fnir", f"FNIR at FPIR {fmr_words(found.fpir)}", "percent"),
    )
    rows = []
    for attack in (*found.attacks, found.null):
        i = attack.linked.interval
        who = "shuffled pairs" if attack is found.null else f"{attack.pairs:,}"
        rows.append(
            {
                "who": who,
                "kind": attack.kind or "none",
                "d_sys": attack.linked.value,
                "bounds": interval_words(i.low, i.high) if i else "",
                "rank1": 1 - attack.missed.value,
                "fnir": attack.fnir.value if attack.fnir else None,
            }
        )
    n = round(1 / found.last.chance)
    caption = (
        f"D_sys over {found.last.linked.people:,} people with a picture in each database; {found.last.missed.people:,} "
        f"people are looked for among {n:,}, fewer, since the others choose the threshold or are not enrolled. {DRAW}"
    )
    return Table("linkability_attackers", "What an attacker can link", columns, tuple(rows), caption)


def severity_of(attack: Attack, null: Attack) -> Severity:
    """By the rules of docs/severity.md: the bounds of D_sys and of rank 1.

    Each counts only where its lower end is above the upper one of `null`, the attacker with shuffled pairs: a
    translator fitted to chance may by chance lie nearer to mated pairs.
    """
    d, rank = (end if end is not None else 0.0 for end in attack.sure)
    by_chance, first_by_chance = null.linked.interval, rank_interval(null.missed)
    if by_chance is None or d <= by_chance.high:
        d = 0.0
    if first_by_chance is None or rank <= first_by_chance.high:
        rank = 0.0
    if d >= D_HIGH or rank >= RANK_HIGH:
        return "high"
    if d >= D_MEDIUM or rank >= RANK_MEDIUM:
        return "medium"
    return "low" if d > 0 or rank >= RANK_CHANCE * attack.chance else "info"


def _d_words(attack: Attack) -> str:
    i = attack.linked.interval
    bounds = (
        f"95 % interval {interval_words(i.low, i.high)}" if i else f"no interval: {attack.linked.missing}"
    )
    return f"{number(attack.linked.value, 2)} ({bounds}; n = {attack.linked.people:,} people)"


def _rank_words(attack: Attack) -> str:
    i = rank_interval(attack.missed)
    bounds = f" (95 % interval {interval_words(i.low, i.high, as_percent=True)})" if i else ""
    return f"{percent(1 - attack.missed.value)}{bounds}"


def answer(found: Found) -> str:
    """The section in plain words."""
    last = found.last
    known = f"with {last.pairs:,} pictures of other people to learn from"
    if severity_of(last, found.null) == "info":
        return f"Not shown: {known}, an attacker does no better than chance may."
    first, by_chance = rank_interval(last.missed), rank_interval(found.null.missed)
    if first is not None and by_chance is not None and first.low > by_chance.high:
        return (
            f"Yes: {known}, the right person comes first in {percent(1 - last.missed.value)} of searches from one "
            f"database in the other; guessing would give {percent(last.chance)}."
        )
    return f"Yes: {known}, two entries of one person can be told from entries of two people better than by chance."


def findings(found: Found) -> list[Finding]:
    """The headline first."""
    last = found.last
    among = f"the {round(1 / last.chance):,} enrolled for searches"
    severity = severity_of(last, found.null)
    evidence = (f"{NAME}.d_sys.{key_of(last)}", f"{NAME}.rank1.{key_of(last)}")
    names = f"{found.names[0]} and {found.names[1]}"
    if severity == "info":
        luck, own = found.null.linked.interval, last.linked.interval
        beyond = ""
        if own and own.low > 0:
            beyond = (
                f"; shuffled pairs reach {number(luck.high, 2)}"
                if luck
                else "; shuffled pairs have no interval"
            )
        text = (
            f"No link between leaked databases of {names} is shown with {last.pairs:,} known pictures: D_sys is "
            f"{_d_words(last)}, and {_rank_words(last)} of people are found first among {among}{beyond}."
        )
    else:
        text = (
            f"Who is in leaked databases of both {names} can be linked with {last.pairs:,} known pictures: D_sys is "
            f"{_d_words(last)}, and {_rank_words(last)} of people are found first among {among} (chance "
            f"{percent(last.chance)})."
        )
    advice = (
        ""
        if severity == "info"
        else "Assume that who has both databases can tell who is in both: guard them alike."
    )
    out = [Finding(severity, text, evidence, f"{NAME}.linked", advice)]
    first = next((a for a in found.attacks if severity_of(a, found.null) != "info"), None)
    if first is not None and first is not last:
        how = (
            f"As few as {first.pairs:,} known pictures are"
            if first.kind
            else "Even comparing vectors as they are, with no known picture, is"
        )
        text = (
            f"{how} shown to link them: D_sys is {_d_words(first)}, and {_rank_words(first)} are found first."
        )
        out.append(Finding("info", text, (f"{NAME}.d_sys.{key_of(first)}",), f"{NAME}.fewest"))
    text = (
        f"With shuffled pairs (the luckiest of {SHUFFLES} draws) D_sys is {_d_words(found.null)}, and "
        f"{_rank_words(found.null)} are found first."
    )
    out.append(Finding("info", text, (f"{NAME}.d_sys.null",), f"{NAME}.null"))
    if last.fnir is None:
        out.append(Finding("info", f"{last.reason[0].upper()}{last.reason[1:]}.", (), f"{NAME}.unresolved"))
    return out
