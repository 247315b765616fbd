"""The pictures of the statistics, drawn from worlds whose truth is planted; deterministic, a few seconds in all."""

from __future__ import annotations

import functools
import io
from collections.abc import Callable
from typing import Any

import numpy as np

FOLDER = "pictures"
WIDTH, HEIGHT = 6.4, 3.0  # inches


def _world(people: np.ndarray, rate: float, spread: float, rng: np.random.Generator) -> np.ndarray:
    """Errors bool[P] of pairs, one a pair of the person `people` i64[P]; people differ by a beta law."""
    own = rng.beta(rate * spread, (1 - rate) * spread, people.max() + 1)
    return rng.random(len(people)) < own[people]


def threshold(axes: Any, look: Any) -> None:
    """Genuine and impostor scores, and the threshold that parts them."""
    x = np.linspace(-0.3, 1.1, 600)
    for mean, deviation, name, colour in (
        (0.08, 0.16, "impostor pairs", look[0]),
        (0.62, 0.15, "genuine pairs", look[1]),
    ):
        y = np.exp(-0.5 * ((x - mean) / deviation) ** 2) / deviation
        axes.plot(x, y, color=colour, label=name, linestyle="-" if mean < 0.5 else (0, (4, 2)))
        wrong = x >= 0.38 if mean < 0.5 else x < 0.38
        axes.fill_between(x, y, where=wrong, color=colour, alpha=0.45, linewidth=0)
    axes.axvline(0.38, color="#262626", linewidth=1)
    axes.annotate("threshold", (0.38, 2.55), xytext=(4, 0), textcoords="offset points", fontsize=8)
    axes.annotate(
        "FNMR:\nrefused",
        (0.33, 0.35),
        xytext=(-70, 38),
        textcoords="offset points",
        fontsize=8,
        arrowprops={"arrowstyle": "-", "linewidth": 0.6},
    )
    axes.annotate(
        "FMR:\naccepted",
        (0.40, 0.10),
        xytext=(60, 62),
        textcoords="offset points",
        fontsize=8,
        arrowprops={"arrowstyle": "-", "linewidth": 0.6},
    )
    axes.set(xlabel="score (cosine)", yticks=[], ylabel="share of pairs")
    axes.legend(loc="upper right")


def clusters(axes: Any, look: Any) -> None:
    """Sixty audits of one world: intervals over pairs, and over people."""
    from fraudit.stats.intervals import clopper_pearson, clustered_rate

    truth = 0.05
    people = np.repeat(np.arange(40), 15)
    for row, (name, shift) in enumerate((("pairs taken as independent", 0), ("people drawn anew", 70))):
        missed = 0
        world = np.random.default_rng(5)
        for k in range(60):
            wrong = _world(people, truth, 6.0, world)
            pairs = clopper_pearson(float(wrong.sum()), len(wrong))
            found = clustered_rate(wrong, people, people) if row else pairs
            miss = not found.low <= truth <= found.high
            missed += miss
            axes.plot(
                [k + shift] * 2,
                [100 * found.low, 100 * found.high],
                color=look[1] if miss else look[0],
                linewidth=2.4 if miss else 1.1,
            )
        axes.text(
            shift + 30, 17.6, f"{name}:\n{missed} of 60 miss the truth", ha="center", va="top", fontsize=8
        )
    axes.axhline(100 * truth, color="#262626", linewidth=0.8, linestyle=(0, (4, 2)))
    axes.annotate("truth", (130, 100 * truth), xytext=(3, 3), textcoords="offset points", fontsize=7)
    axes.set(
        xticks=[],
        xlabel="audits, 40 people with 15 genuine pairs each",
        ylabel="FNMR, %",
        ylim=(0, 18),
        xlim=(-2, 138),
    )


def people(axes: Any, look: Any) -> None:
    """Width of the interval by number of people, equal and unequal."""
    from fraudit.stats.intervals import InsufficientData, clustered_rate

    rng = np.random.default_rng(1)
    for name, colour, line in (
        ("15 genuine pairs a person", look[0], "-"),
        ("the same pairs, a tenth of the people has most", look[1], (0, (4, 2))),
    ):
        sizes, widths = [], []
        for n in (20, 40, 80, 160, 320, 640, 1280):
            each = np.full(n, 15) if line == "-" else np.where(np.arange(n) % 10 == 0, 105, 5)
            who = np.repeat(np.arange(n), each)
            found = []
            for _ in range(8):
                wrong = _world(who, 0.05, 20.0, rng)
                try:
                    one = clustered_rate(wrong, who, who)
                except InsufficientData:
                    continue
                found.append(100 * (one.high - one.low))
            if found:
                sizes.append(n)
                widths.append(float(np.median(found)))
        axes.plot(sizes, widths, color=colour, linestyle=line, marker="o" if line == "-" else "s", label=name)
    axes.set(xscale="log", yscale="log", xlabel="people", ylabel="width of the interval of\nFNMR 5 %, points")
    axes.set_xticks([20, 40, 80, 160, 320, 640, 1280], ["20", "40", "80", "160", "320", "640", "1,280"])
    axes.set_yticks([1, 2, 5, 10, 20], ["1", "2", "5", "10", "20"])
    axes.minorticks_off()
    axes.legend(loc="upper right")


def calibration(axes: Any, look: Any) -> None:
    """The true FMR of thresholds that were chosen to have at most 1 % on the people at hand."""
    rng, target = np.random.default_rng(2), 0.01
    seen, bound = [], []
    from scipy.stats import beta, norm

    for _ in range(600):
        scores = np.sort(rng.normal(size=435))[::-1]  # one score a pair of 30 people
        for kept, place in ((seen, int(target * 435)), (bound, 0)):
            if kept is bound:
                upper = beta.ppf(0.95, np.arange(435) + 1, 435 - np.arange(435))
                place = int((upper <= target).sum()) - 1  # so many errors keep the bound below
            kept.append(100 * float(norm.sf(scores[place])))
    bins = np.linspace(0, 3, 31)
    for values, name, colour, style in (
        (seen, "smallest threshold whose FMR here is at most 1 %", look[1], "-"),
        (bound, "smallest whose upper bound is at most 1 %", look[0], (0, (4, 2))),
    ):
        above = 100 * np.mean(np.asarray(values) > 100 * target)
        axes.hist(
            values,
            bins,
            histtype="step",
            color=colour,
            linestyle=style,
            linewidth=1.4,
            label=f"{name}: {above:.0f} % of them above",
        )
    axes.axvline(100 * target, color="#262626", linewidth=0.8)
    axes.set(xlabel="true FMR on people not seen, %", ylabel="of 600 choices")
    axes.legend(loc="upper right")


def worst_of_groups(axes: Any, look: Any) -> None:
    """The largest ratio between groups where all groups are equal."""
    rng = np.random.default_rng(3)
    for groups, n, colour, line in (
        (2, 400, look[0], "-"),
        (6, 400, look[1], (0, (4, 2))),
        (6, 4000, look[2], (0, (1, 1.5))),
    ):
        rates = np.maximum(rng.binomial(n, 0.05, (2000, groups)), 0.5) / n
        ratio = np.sort(rates.max(axis=1) / rates.min(axis=1))
        axes.plot(
            ratio,
            np.linspace(100, 0, len(ratio)),
            color=colour,
            linestyle=line,
            label=f"{groups} equal groups of {n:,} genuine pairs",
        )
    axes.set(
        xlim=(1, 4), xlabel="worst group over best, as measured (truth: 1)", ylabel="audits that show more, %"
    )
    axes.legend(loc="upper right")


def search(axes: Any, look: Any) -> None:
    """FPIR by people enrolled where people are alike to few, and where they differ."""
    from scipy.special import betaln

    n, fmr = np.unique(np.geomspace(1, 20_000, 200).astype(int)), 1e-4
    axes.plot(
        n,
        100 * (1 - (1 - fmr) ** n),
        color=look[1],
        linestyle=(0, (4, 2)),
        label="all comparisons independent: 1 - (1 - FMR)^N",
    )
    for spread, line, words in ((0.3, "-", "people differ"), (0.05, (0, (1, 1.5)), "people differ much")):
        a, b = spread, spread * (1 - fmr) / fmr
        axes.plot(
            n, 100 * (1 - np.exp(betaln(a, b + n) - betaln(a, b))), color=look[0], linestyle=line, label=words
        )
    axes.set(xscale="log", xlabel="people enrolled, N (FMR 1e-4 in all three)", ylabel="FPIR, %")
    axes.set_xticks([1, 10, 100, 1000, 10_000], ["1", "10", "100", "1,000", "10,000"])
    axes.legend(loc="upper left")


def paired(axes: Any, look: Any) -> None:
    """Two models on the same pairs: what both find hard cancels."""
    rng = np.random.default_rng(4)
    hard = rng.normal(size=(400, 600))
    first = (hard + 0.12 * rng.normal(size=hard.shape) > 1.85).mean(axis=1)
    second = (hard + 0.12 * rng.normal(size=hard.shape) > 1.75).mean(axis=1)
    other = np.roll(second, 1)  # the same model on other pairs
    bins = np.linspace(-6, 6, 49)
    for values, name, colour, line in (
        (100 * (second - first), "on the same pairs", look[0], "-"),
        (100 * (other - first), "each on pairs of its own", look[1], (0, (4, 2))),
    ):
        axes.hist(values, bins, histtype="step", color=colour, linestyle=line, linewidth=1.4, label=name)
    axes.axvline(100 * float((second - first).mean()), color="#262626", linewidth=0.8)
    axes.set(
        xlabel="measured difference of FNMR, points (600 pairs; the line is the truth)",
        ylabel="of 400 comparisons",
    )
    axes.legend(loc="upper right")


DRAWN: dict[str, Callable[[Any, Any], None]] = {
    f"{FOLDER}/{draw.__name__}.svg": draw
    for draw in (threshold, clusters, people, calibration, worst_of_groups, search, paired)
}


@functools.cache
def files() -> dict[str, bytes]:
    """Path on the site -> SVG."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    from fraudit.report.paper.style import COLOURS, style

    found = {}
    for path, draw in DRAWN.items():
        with rc_context({**style(), "figure.facecolor": "white"}):
            figure = Figure(figsize=(WIDTH, HEIGHT), layout="constrained")
            draw(figure.subplots(), COLOURS)
            stream = io.BytesIO()
            figure.savefig(stream, format="svg", metadata={"Date": None, "Creator": None})
            found[path] = stream.getvalue()
    return found
