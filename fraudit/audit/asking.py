"""What a black box that only compares is asked: known and priced before the first question.

Every analysis says itself which pairs it would ask about (`Analysis.asks`); the pairs of the protocol and those that
the threshold is chosen on are asked in every run.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from fraudit.audit.asked_pictures import AskedPictures
from fraudit.audit.plan import build_params
from fraudit.errors import InsufficientData, UsageError, suggest
from fraudit.perturb.base import Corruption
from fraudit.plugins import ANALYSES
from fraudit.scorers.loading import ScorerRuntime
from fraudit.stats.pairs import impostor_pairs, make_pairs
from fraudit.stats.probe_pairs import ProbePairs
from fraudit.types import I64, Analysis, Bool, PairList

if TYPE_CHECKING:
    from fraudit.audit.context import AnalysisContext

SHARE_STEPS = 24  # halvings of the search for the share of pairs that a budget allows
LEAST_SHARE = 0.01  # of the full plan; less says nothing
PAIRS, THRESHOLD = "pairs", "threshold"  # parts of a budget


@dataclass(frozen=True)
class Params:
    """How much is asked in every run; every pair is one query. Analyses add parameters of their own.

    Attributes:
        verification: pairs of a made-up protocol at most (a set's own protocol is taken whole).
        calibration: impostor pairs that the threshold is chosen on.
    """

    verification: int = 6000
    calibration: int = 1000


@dataclass(frozen=True, slots=True)
class GroupPairs:
    """Judged pairs of one attribute: faces i64[P], bool[P] same, str[P] group (both faces carry it)."""

    attribute: str
    left: I64
    right: I64
    same: Bool
    group: np.ndarray[Any, Any]


@dataclass(frozen=True, slots=True)
class Questions:
    """What one analysis asks.

    Attributes:
        params: its parameters, with which it is run. stated: what the record states in their place.
        protocol: the pairs of the protocol are its own: a budget lists them under its name.
        probes: corrupted probes with their comparisons, under every one of `corruptions` and `severities`.
        groups: pairs by attribute.
    """

    params: Any
    stated: Mapping[str, Any] = field(default_factory=dict)
    protocol: bool = False
    probes: ProbePairs | None = None
    corruptions: tuple[Corruption, ...] = ()
    severities: tuple[int, ...] = ()
    groups: Mapping[str, GroupPairs] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Asking:
    """Given to `Asks.questions` of every analysis.

    Attributes:
        pictures: what can be shown. held: bool[N], faces that the threshold is chosen on.
        share: of the full plan; a smaller one asks a part of what a larger one does.
    """

    context: AnalysisContext
    pictures: AskedPictures
    held: Bool
    share: float

    def count(self, most: int) -> int:
        """How many of `most` the budget leaves."""
        return int(np.floor(most * self.share + 1e-9))

    def part(self, label: str, rows: I64 | int, most: int | None = None) -> I64:
        """The first of `rows` (or of so many) in an order of their own: what the budget leaves of `most`."""
        order = self.context.rng(label).permutation(rows)
        return np.asarray(order[: self.count(len(order) if most is None else most)], np.int64)


@dataclass(frozen=True, slots=True)
class AskingPlan:
    """All pairs of an audit.

    Attributes:
        pairs: of the protocol. calibration: (left, right) i64 impostor pairs of the calibration half.
        questions: by analysis, in report order. skipped: analysis -> why it asks nothing.
    """

    pairs: PairList
    calibration: tuple[I64, I64]
    questions: Mapping[str, Questions]
    skipped: Mapping[str, str]


def read_params(values: Mapping[str, Any], analyses: Sequence[Analysis]) -> tuple[Params, dict[str, Any]]:
    """(parameters of every run, analysis -> its own) of `--param scorer.*`.

    Raises:
        UsageError: an unknown parameter, or a wrong value.
    """
    types = {a.name: a.asks.params for a in analyses if a.asks is not None}
    known = [f.name for type_ in (Params, *types.values()) for f in dataclasses.fields(type_)]
    if set(values) - set(known):  # perhaps of an analysis that is no part of this audit
        others = [a.asks.params for _, a in ANALYSES.items() if a.asks is not None and a.name not in types]
        known += [f.name for type_ in others for f in dataclasses.fields(type_)]
    for key in values:
        if key not in known:
            near = suggest(key, known)
            raise UsageError(
                f"scorer: unknown parameter '{key}'", f"{near}known: {', '.join(dict.fromkeys(known))}"
            )

    def own(type_: type) -> Any:
        names = {f.name for f in dataclasses.fields(type_)}
        return build_params(type_, {key: value for key, value in values.items() if key in names}, "scorer")

    return own(Params), {name: own(type_) for name, type_ in types.items()}


def choose(
    context: AnalysisContext,
    pictures: AskedPictures,
    params: Params,
    wanted: Sequence[tuple[Analysis, Any]],
    share: float,
) -> AskingPlan:
    """The pairs to ask about; a smaller `share` asks a part of what a larger one does.

    Raises:
        InsufficientData: the set has neither pairs nor identities.
    """
    faces, subjects = context.faces, context.faces.subjects
    asking = Asking(context, pictures, context.calibration_mask(), share)
    if faces.pairs is not None:
        pairs = faces.pairs
    elif faces.identified:
        half = params.verification // 2
        pairs = make_pairs(subjects, max_genuine=half, max_impostor=half, seed=context.seed, fill=True)
    else:
        raise InsufficientData(f"the set '{faces.name}' has neither pairs nor identities")
    order = np.sort(asking.part("scorer/verification", len(pairs)))
    pairs = PairList(pairs.left[order], pairs.right[order], pairs.same[order], pairs.fold[order])
    # Without identities only declared impostor pairs are known to be such: those of the calibration half are asked
    # as part of the protocol.
    rows = np.flatnonzero(asking.held & pictures.usable & (context.declared is None))
    left, right = impostor_pairs(subjects[rows], params.calibration, context.rng("scorer/calibration"))
    part = asking.part("scorer/calibration/order", len(left))
    questions, skipped = {}, {}
    for analysis, own in wanted:
        assert analysis.asks is not None
        try:
            questions[analysis.name] = analysis.asks.questions(asking, own)
        except InsufficientData as error:
            skipped[analysis.name] = error.message
    return AskingPlan(pairs, (rows[left[part]], rows[right[part]]), questions, skipped)


def keys_of(plan: AskingPlan, pictures: AskedPictures, runtime: ScorerRuntime) -> dict[str, list[str]]:
    """Part -> keys of its queries, in the order they are asked."""
    usable = pictures.usable

    def clean(left: I64, right: I64) -> list[str]:
        return [
            runtime.key(pictures.clean(int(a)), pictures.clean(int(b)))
            for a, b in zip(left, right, strict=True)
            if usable[a] and usable[b]
        ]

    owner = next((name for name, q in plan.questions.items() if q.protocol), PAIRS)
    found = {owner: clean(plan.pairs.left, plan.pairs.right), THRESHOLD: clean(*plan.calibration)}
    for name, q in plan.questions.items():
        keys = [key for g in q.groups.values() for key in clean(g.left, g.right)]
        if q.probes is not None:
            p = q.probes
            keys += clean(p.probes[p.row], p.enrolled)
            for corruption in q.corruptions:
                for severity in q.severities:
                    keys += [
                        runtime.key(
                            pictures.corrupted(int(p.probes[row]), corruption, severity),
                            pictures.clean(int(e)),
                        )
                        for row, e in zip(p.row, p.enrolled, strict=True)
                    ]
        if q.groups or q.probes is not None:
            found[name] = [*found.get(name, []), *keys]
    return found


@dataclass(frozen=True, slots=True)
class Budget:
    """What an audit will cost: per part (pairs, new queries); `share` of the full plan.

    `total` counts every question once, asked before or not, so that a resumed audit keeps its plan.
    """

    parts: dict[str, tuple[int, int]]
    total: int
    total_new: int
    cost: float
    currency: str
    share: float


def budget(plan: AskingPlan, pictures: AskedPictures, runtime: ScorerRuntime, share: float) -> Budget:
    """Count and price; a pair that several parts ask about is paid once."""
    parts, seen, new = {}, set[str](), 0
    for name, keys in keys_of(plan, pictures, runtime).items():
        fresh = [key for key in dict.fromkeys(keys) if key not in seen]
        seen.update(fresh)
        missing = len(fresh) - runtime.known(fresh)
        parts[name] = (len(keys), missing)
        new += missing
    return Budget(parts, len(seen), new, new * runtime.spec.cost_per_query, runtime.spec.currency, share)


def plan_within(
    context: AnalysisContext,
    pictures: AskedPictures,
    runtime: ScorerRuntime,
    params: Params,
    wanted: Sequence[tuple[Analysis, Any]],
) -> tuple[AskingPlan, Budget]:
    """The largest plan that the runtime's budget allows.

    Args:
        wanted: analyses that ask, with their own parameters of asking, in report order.
    Raises:
        UsageError: not even the plan's `LEAST_SHARE` fits.
    """

    def at(share: float) -> tuple[AskingPlan, Budget]:
        asked = choose(context, pictures, params, wanted, share)
        return asked, budget(asked, pictures, runtime, share)

    best = at(1.0)
    most = runtime.max_queries
    if most is None or best[1].total <= most:
        return best
    full, low, high, found = best[1].total, LEAST_SHARE, 1.0, at(LEAST_SHARE)
    if (least := found[1].total) > most:
        raise UsageError(
            f"--max-queries {most:,}: the plan asks {full:,}, and shrunk to a hundredth of every part, the least that "
            f"is asked, still {least:,}",
            f"--max-queries {least}, or fewer analyses (--only)",
        )
    for _ in range(SHARE_STEPS):
        middle = (low + high) / 2
        tried = at(middle)
        if tried[1].total <= most:
            low, found = middle, tried
        else:
            high = middle
        if high - low < 1e-3:
            break
    return found
