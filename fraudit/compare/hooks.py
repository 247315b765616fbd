"""What an analysis tells comparisons and gates of its figures.

An analysis names its `Comparison` in `Analysis.comparison`; it is imported where runs are compared, not before. Runs
may hold analyses that are not installed here: of those nothing more is known, and their figures are compared by their
own intervals.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from fraudit.compare.values import Delta, Events, Key, Side, Sums
from fraudit.errors import PluginError
from fraudit.files.vectors import Vectors
from fraudit.plugins import ANALYSES
from fraudit.scores import ScoreSet
from fraudit.types import Analysis, Figure, Metric


@dataclass(frozen=True, slots=True)
class Stored:
    """What a run left behind, for `Comparison.evidence`.

    Attributes:
        vectors: of all faces, or None. pairs: the scored pairs, or None. metrics: the record's. seed: of the run.
        params: of the analysis itself.
    """

    vectors: Vectors | None
    pairs: ScoreSet | None
    metrics: Mapping[Key, Metric]
    seed: int
    params: Mapping[str, Any]


Found = tuple[dict[Key, Events], dict[Key, Sums]]


@dataclass(frozen=True, slots=True)
class Comparison:
    """How the figures of an analysis are held against those of another run. Names of metrics are whole names.

    Attributes:
        importance: place of its figures in a list, by default the `order` of the analysis.
        first: starts of the names of its metrics that are listed before its others, in their order.
        times: starts of the names of metrics that are times: the machine's, not the model's.
        pair_figures: its figures of the run's stored pairs: of `eer`, `auc`, `d_prime`, `accuracy`, `tar@far=`.
        rules: metrics that `fraudit gate --suggest` makes a rule of, the most telling first.
        main: whether rules may leave its name out (`eer`), and a pull request sees all its figures.
        judged: whether its figures depend on the judges, so that runs with other judges cannot be compared.
        evidence: (what a run left behind) -> events and sums behind its metrics, so that they are compared in pairs.
        points: (side, names of rules) -> the side with metrics that its run could have printed and did not.
        figures: (sides with the base first, every new side with its deltas) -> what a comparison draws.
    """

    importance: int | None = None
    first: tuple[str, ...] = ()
    times: tuple[str, ...] = ()
    pair_figures: tuple[str, ...] = ()
    rules: tuple[str, ...] = ()
    main: bool = False
    judged: bool = False
    evidence: Callable[[Stored], Found] | None = None
    points: Callable[[Side, Iterable[str]], Side] | None = None
    figures: Callable[[Sequence[Side], Sequence[tuple[Side, Sequence[Delta]]]], list[Figure]] | None = None


NOTHING = Comparison()
_LOADED: dict[str, Comparison] = {}


def loaded(analysis: Analysis) -> Comparison:
    """Its `Comparison`. Raises PluginError where `Analysis.comparison` names none."""
    where = analysis.comparison
    if not where:
        return NOTHING
    if where not in _LOADED:
        module, _, name = where.partition(":")
        try:
            found = getattr(import_module(module), name)
        except (ImportError, AttributeError, ValueError) as error:
            raise PluginError(f"analysis '{analysis.name}': no comparison at {where}: {error}") from error
        if not isinstance(found, Comparison):
            raise PluginError(
                f"analysis '{analysis.name}': {where} is a {type(found).__name__}; expected Comparison"
            )
        _LOADED[where] = found
    return _LOADED[where]


def owner(metric: str) -> str:
    """The analysis a metric belongs to, by its name."""
    return metric.partition(".")[0]


def comparison_of(name: str) -> Comparison:
    """That of the analysis `name`; an empty one where it is not installed here."""
    analysis = ANALYSES.find(name)
    return NOTHING if analysis is None else loaded(analysis)


def comparisons() -> list[tuple[str, Comparison]]:
    """(analysis, its comparison) of every installed analysis, what matters most first."""
    return [(a.name, loaded(a)) for a in sorted(ANALYSES.usable(), key=_place)]


def _place(analysis: Analysis) -> tuple[int, int, str]:
    given = loaded(analysis).importance
    return analysis.order if given is None else given, analysis.order, analysis.name


def importance(metric: str) -> tuple[float, int]:
    """Place of a metric in a list: of its analysis, then within it; those of unknown analyses come last."""
    analysis = ANALYSES.find(owner(metric))
    if analysis is None:
        return float("inf"), 0
    first = loaded(analysis).first
    return _place(analysis)[0], next(
        (k for k, start in enumerate(first) if metric.startswith(start)), len(first)
    )


def mains() -> list[str]:
    """Names of the analyses whose figures are the main ones."""
    return [name for name, comparison in comparisons() if comparison.main]


def short_name(metric: str) -> str:
    """The metric without its analysis, where that is a main one: as rules may spell it."""
    for name in mains():
        metric = metric.removeprefix(f"{name}.")
    return metric


def figure_of_pairs(metric: str) -> str:
    """Which figure of the run's stored pairs a metric is (`eer`, `tar@far=1e-3`), '' where it is none."""
    name, _, figure = metric.partition(".")
    known = comparison_of(name).pair_figures
    return figure if any(figure.startswith(k) if k.endswith("=") else figure == k for k in known) else ""
