"""Two models in worlds whose truth is known: D_sys' interval, and what the whole analyses say.

Run: python benchmarks/worlds_transfer.py [WORLDS] [d_sys|links|luck|losses ...]

d_sys: intervals of D_sys, and how often what is not linked is called linked.
links: `linkability` over spaces that share a part of their variance, 0 of it where nothing is to be found.
luck: an attacker whose own pairs are shuffled as well; his map may truly lie nearer to mates.
losses: `upgrade`; spaces that share everything lose nothing, in others translated enrolments do. 95 % intervals of
the FNMR difference (translated less new enrolments) are held against its mean over all worlds. That mean is over
translators as well, of which the intervals hold nothing.
"""

from __future__ import annotations

import sys
import time

import numpy as np
from scipy import integrate, stats

from fraudit.analyses import linkability, upgrade
from fraudit.analyses.linkability.measure import measure_links
from fraudit.analyses.linkability.params import Params as LinkParams
from fraudit.analyses.linkability.report import severity_of
from fraudit.analyses.shared.transfer import both_models
from fraudit.analyses.upgrade.params import Params as UpgradeParams
from fraudit.stats.intervals import clopper_pearson
from fraudit.stats.linkability import local_linkability, system_linkability
from fraudit.types import AnalysisResult, Metric
from tests.fixtures.contexts import vectors_context

WORLDS = int(sys.argv[1]) if len(sys.argv) > 1 else 300
DIM = 16
BAD = ("low", "medium", "high")


def pictures(rng: np.random.Generator, people: int, skew: bool) -> np.ndarray:
    """i64[N] people of pictures: four each, or as unequal as in sets from the web (2 to 60)."""
    each = np.clip((2 * rng.pareto(1.0, people) + 2).astype(int), 2, 60) if skew else np.full(people, 4)
    return np.repeat(np.arange(people), each)


def world(
    seed: int, people: int, *, skew: bool, shared: float, within: float = 0.5
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(f32[N,D] first, f32[N,D] second, i64[N] people).

    Args:
        shared: part of the second space's variance that is the first one's, turned; of people and of pictures.
        within: standard deviation of what differs between pictures of a person, relative to people.
    """
    rng = np.random.default_rng([seed, people, int(skew), int(100 * shared)])
    subjects = pictures(rng, people, skew)

    def space() -> np.ndarray:
        return rng.normal(size=(people, DIM))[subjects] + within * rng.normal(size=(len(subjects), DIM))

    first = space()
    turn = np.linalg.qr(rng.normal(size=(DIM, DIM)))[0]
    second = shared**0.5 * first @ turn + (1 - shared) ** 0.5 * space()
    return first.astype(np.float32), second.astype(np.float32), subjects


def severity(result: AnalysisResult, rule: str) -> str:
    """Of the finding of that rule."""
    return next(f.severity for f in result.findings if f.rule == rule)


def share(count: int, worlds: int) -> str:
    """`3 of 200 (0.3 to 4.3 %)`."""
    i = clopper_pearson(count, worlds)
    return f"{count} of {worlds} ({100 * i.low:.1f} to {100 * i.high:.1f} %)"


def truth(shift: float) -> float:
    """D_sys of N(shift, 1) against N(0, 1)."""

    def part(s: float) -> float:
        return float(stats.norm.pdf(s, shift) * local_linkability(np.exp(shift * s - shift**2 / 2)))

    return float(integrate.quad(part, shift / 2, shift + 12)[0])


def scores_world(seed: int, shift: float, people: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Scores with a part of each person's own, three mated ones a person."""
    rng = np.random.default_rng([seed, people, int(shift * 10)])
    own = np.repeat(np.arange(people), 3)
    mated = shift + 0.3**0.5 * rng.normal(size=people)[own] + 0.7**0.5 * rng.normal(size=len(own))
    left, right = np.triu_indices(people, 1)
    pick = rng.permutation(len(left))[:5000]
    left, right = left[pick], right[pick]
    part = 0.05**0.5 * rng.normal(size=people)
    other = part[left] + part[right] + 0.9**0.5 * rng.normal(size=len(left))
    return np.append(mated, other), np.append(own, left), np.append(own, right)


def d_sys() -> None:
    """Intervals of D_sys, one row a world."""
    print("| people | shift | D_sys | mean | holds | too high | too low | above 0 | above 0 at 99.9 % |")
    print("|---|---|---|---|---|---|---|---|---|")
    for people in (50, 100, 300):
        for shift in (0.0, 0.3, 1.0, 2.0, 3.0, 5.0):
            true, values, counts = truth(shift) if shift else 0.0, [], np.zeros(4)
            for seed in range(WORLDS):
                given = scores_world(seed, shift, people)
                found = system_linkability(*given, seed=seed)
                low, high = found.interval.low, found.interval.high
                strict = system_linkability(*given, seed=seed, level=0.999).interval.low > 0
                values.append(found.value)
                counts += [low > true + 1e-9, high < true - 1e-9, low > 0, strict]
            above, below, linked, strictly = counts / WORLDS
            print(
                f"| {people} | {shift:g} | {true:.3f} | {np.mean(values):.3f} | {1 - above - below:.3f} | {above:.3f} "
                f"| {below:.3f} | {linked:.3f} | {strictly:.3f} |",
                flush=True,
            )


def last(result: AnalysisResult, start: str) -> Metric:
    """The last of the metrics whose names start so."""
    return [m for m in result.metrics if m.name.startswith(start)][-1]


def above_0(metric: Metric) -> bool:
    """Whether its lower end is above 0."""
    return bool(metric.interval and metric.interval.low > 0)


def links() -> None:
    """How often databases are called linked, by how much the spaces share."""
    print(
        "\n| people | pictures | shared | low or worse | D_sys, mean | above 0 at 95 % | of shuffled pairs |"
    )
    print("|---|---|---|---|---|---|---|")
    quick = LinkParams(pairs=(100,), network=False)
    for shared in (0.0, 0.1, 0.3):
        for people in (60, 150):
            for skew in (False, True):
                counts, d, worlds = np.zeros(3, int), [], WORLDS if shared == 0 else WORLDS // 4
                for seed in range(worlds):
                    first, second, subjects = world(seed, people, skew=skew, shared=shared)
                    found = linkability.run(vectors_context(first, subjects, other=second, seed=seed), quick)
                    called = severity(found, "linkability.linked") in BAD
                    most, luck = (last(found, f"linkability.d_sys.{key}") for key in ("n=", "null"))
                    counts += [called, above_0(most), above_0(luck)]
                    d.append(most.value or 0.0)
                low, sure, lucky = (share(int(count), worlds) for count in counts)
                print(
                    f"| {people} | {'skewed' if skew else 'equal'} | {shared:g} | {low} | {np.mean(d):.3f} | {sure} "
                    f"| {lucky} |",
                    flush=True,
                )


def luck() -> None:
    """Equal spaces, and an attacker whose own pairs are shuffled too: the map may be aligned by luck."""
    print("\n| people | known pictures | D_sys above 0 at 99.9 % | of shuffled pairs | and called linked |")
    print("|---|---|---|---|---|")
    counts, worlds, people = np.zeros(3, int), WORLDS // 5, 800
    quick = LinkParams(pairs=(100,), share=0.1, network=False)
    for seed in range(worlds):
        first, second, subjects = world(seed, people, skew=False, shared=1.0)
        known = both_models(
            vectors_context(first, subjects, other=second, seed=seed), quick.share, 1, ""
        ).known
        second[known] = second[np.random.default_rng(seed).permutation(known)]
        found = measure_links(vectors_context(first, subjects, other=second, seed=seed), quick)
        sure = [(a.sure[0] or 0) > 0 for a in (found.last, found.null)]
        counts += [*sure, severity_of(found.last, found.null) != "info"]
    print(f"| {people} | {found.last.pairs} | {' | '.join(share(int(c), worlds) for c in counts)} |")


def losses() -> None:
    """How often an upgrade that loses nothing is called lossy, and how often intervals of a loss hold."""
    print("\n| people | pictures | shared | low or worse | good | loss, mean | interval holds the mean |")
    print("|---|---|---|---|---|---|---|")
    quick = UpgradeParams(pairs=(50,), fmr=(0.01,), fpir=(0.1,), network=False)
    for shared in (1.0, 0.8, 0.6):
        for people in (60, 150):
            for skew in (False, True):
                called, good, values, ends, refused = 0, 0, [], [], 0
                for seed in range(WORLDS):
                    first, second, subjects = world(seed, people, skew=skew, shared=shared, within=0.7)
                    found = upgrade.run(vectors_context(first, subjects, other=second, seed=seed), quick)
                    said = severity(found, "upgrade.loss")
                    called, good = called + (said in BAD), good + (said == "good")
                    lost = [m for m in found.metrics if ".loss@fmr" in m.name][-1]
                    if lost.value is None or lost.interval is None:
                        refused += 1
                        continue
                    values.append(lost.value)
                    ends.append((lost.interval.low, lost.interval.high))
                mean = float(np.mean(values))
                holds = sum(low <= mean <= high for low, high in ends)
                print(
                    f"| {people} | {'skewed' if skew else 'equal'} | {shared:g} | {share(called, WORLDS)} | "
                    f"{share(good, WORLDS)} | {mean:.4f} | {share(holds, len(ends))}"
                    f"{f'; no interval in {refused}' if refused else ''} |",
                    flush=True,
                )


if __name__ == "__main__":
    start = time.process_time()
    for part in (d_sys, links, luck, losses):
        if part.__name__ in sys.argv[2:] or not sys.argv[2:]:
            part()
    print(f"\n{time.process_time() - start:.0f} s CPU")
