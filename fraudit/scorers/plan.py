"""Which pairs a similarity-only black box is asked about: known and priced before the first question."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from fraudit.analyses.robustness.cells import working_copy
from fraudit.audit.context import AnalysisContext
from fraudit.errors import InsufficientData, UsageError
from fraudit.faces.align import align
from fraudit.perturb.base import Corruption
from fraudit.perturb.catalogue import resolve
from fraudit.scorers.loading import ScorerRuntime
from fraudit.stats.groups import join_labels, label_groups, word_groups
from fraudit.stats.pairs import genuine_pairs, impostor_pairs, make_pairs
from fraudit.stats.robustness import ProbePairs, probe_pairs, protocol_pairs
from fraudit.types import I64, U8, Bool, PairList

USUAL = ("race", "ethnicity", "gender", "sex", "male", "age_group", "young")
MIN_PROBES = 4
SHARE_STEPS = 24  # halvings of the search for the share of pairs that a budget allows


@dataclass(frozen=True)
class Params:
    """How much is asked; every pair is one query.

    Attributes:
        verification: pairs of a made-up protocol at most (a set's own protocol is taken whole).
        calibration: impostor pairs that the threshold is chosen on.
        probes: faces that are corrupted, each compared with one mate and one stranger in every cell.
        severities, corruptions: of the robustness grid; all corruptions by default.
        group_pairs: genuine pairs, and impostor pairs, of each demographic group at most.
        by: attributes to group by; the usual demographic ones by default (at most two).
    """

    verification: int = 6000
    calibration: int = 1000
    probes: int = 20
    severities: tuple[int, ...] = (1, 3, 5)
    corruptions: tuple[str, ...] = ()
    group_pairs: int = 400
    by: tuple[str, ...] = ()


class Pictures:
    """Digest -> picture as the black box gets it: whole, or aligned to its template."""

    def __init__(self, context: AnalysisContext, runtime: ScorerRuntime) -> None:
        self.context, self.preprocess = context, runtime.spec.preprocess
        self._made: dict[str, Callable[[], U8]] = {}
        self._clean: dict[int, str] = {}
        locate = getattr(context, "_locate", None)
        self._how = str(locate.as_dict()) if self.preprocess and locate is not None else "declared"

    @property
    def usable(self) -> Bool:
        """bool[N]: faces that can be shown; an aligned box needs landmarks."""
        if self.preprocess is None:
            return np.ones(len(self.context.faces), bool)
        return np.array([not reason for reason in self.context.landmarks()[1]], bool)

    def clean(self, face: int) -> str:
        """Digest of a face as it is."""
        if face not in self._clean:
            content = hashlib.sha256(self.context.faces.read_bytes(face)).hexdigest()
            shape = f"{self._how}|{self.preprocess.as_dict()}" if self.preprocess else "picture"
            digest = hashlib.sha256(f"{content}|{shape}".encode()).hexdigest()
            self._clean[face] = digest
            self._made[digest] = lambda: self._show(face)
        return self._clean[face]

    def corrupted(self, face: int, corruption: Corruption, severity: int) -> str:
        """Digest of a face under a corruption."""
        name = f"{self.clean(face)}|{corruption.name}|{corruption.level(severity):g}|{self.context.seed}"
        digest = hashlib.sha256(name.encode()).hexdigest()
        self._made[digest] = lambda: self._corrupt(face, corruption, severity)
        return digest

    def __call__(self, digest: str) -> U8:
        return self._made[digest]()

    def _show(self, face: int) -> U8:
        picture = self.context.picture(face)
        if self.preprocess is None:
            return picture
        points = self.context.landmarks()[0][face]
        return align(picture, points, self.preprocess.size, self.preprocess.template)

    def fits(self, corruption: Corruption) -> bool:
        """Whether the corruption can be shown: errors of the alignment only where fraudit aligns."""
        return corruption.domain == "picture" or self.preprocess is not None

    def _corrupt(self, face: int, corruption: Corruption, severity: int) -> U8:
        rng = self.context.rng(f"scorer/{corruption.name}/{self.context.faces.ids[face]}")
        points = self.context.landmarks()[0][face]
        copy, moved = working_copy(self.context.picture(face), points, self.preprocess is None)
        if corruption.domain == "aligned" and self.preprocess is not None:
            return corruption.apply(self._show(face), severity, rng, self.preprocess.template)
        if corruption.domain == "landmarks":
            moved = corruption.move_landmarks(moved, severity, rng)
        else:
            copy = corruption.apply(copy, severity, rng, moved)
        if self.preprocess is None:
            return copy
        return align(copy, moved, self.preprocess.size, self.preprocess.template)


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
    """All pairs of an audit.

    Attributes:
        verification: pairs judged. calibration: (left, right) i64 impostor pairs of the calibration half.
        robustness: probes with their comparisons, None where not asked for. grid: corruptions and severities.
        groups: by attribute. skipped: analysis -> why it asks nothing.
    """

    verification: PairList
    calibration: tuple[I64, I64]
    robustness: ProbePairs | None
    corruptions: tuple[Corruption, ...]
    severities: tuple[int, ...]
    groups: tuple[GroupPairs, ...]
    skipped: dict[str, str] = field(default_factory=dict)


def _shortened(count: int, share: float) -> int:
    return int(np.floor(count * share + 1e-9))


def choose(
    context: AnalysisContext, pictures: Pictures, params: Params, wanted: Sequence[str], share: float
) -> Questions:
    """The pairs to ask about; a smaller `share` asks a part of what a larger one does.

    Raises:
        InsufficientData: the set has neither pairs nor identities.
    """
    faces, subjects = context.faces, context.faces.subjects
    skipped: dict[str, str] = {}
    if faces.pairs is not None:
        pairs = faces.pairs
    elif faces.identified:
        half = params.verification // 2
        pairs = make_pairs(subjects, max_genuine=half, max_impostor=half, seed=context.seed, fill=True)
    else:
        raise InsufficientData(f"the set '{faces.name}' has neither pairs nor identities")
    order = context.rng("scorer/verification").permutation(len(pairs))[: _shortened(len(pairs), share)]
    order = np.sort(order)
    pairs = PairList(pairs.left[order], pairs.right[order], pairs.same[order], pairs.fold[order])
    held = context.calibration_mask()
    # Without identities only declared impostor pairs are known to be such: those of the calibration half are asked
    # as part of verification.
    rows = np.flatnonzero(held & pictures.usable & (context.declared is None))
    left, right = impostor_pairs(subjects[rows], params.calibration, context.rng("scorer/calibration"))
    part = context.rng("scorer/calibration/order").permutation(len(left))[: _shortened(len(left), share)]
    calibration = (rows[left[part]], rows[right[part]])
    probes, corruptions = None, ()
    if "robustness" in wanted:
        corruptions = tuple(c for c in resolve(params.corruptions) if pictures.fits(c))
        located = np.array([not reason for reason in context.landmarks()[1]], bool)
        count = _shortened(params.probes, share)
        if count < MIN_PROBES:
            skipped["robustness"] = (
                f"the budget leaves {count} probes, at least {MIN_PROBES} are needed: raise --max-queries, or "
                "--param scorer.severities=3"
            )
        else:
            rng = context.rng("scorer/probes")
            try:
                if context.declared is not None:
                    probes = protocol_pairs(context.declared, context.people(), located & ~held, count, rng)
                else:
                    probes = probe_pairs(subjects, located & ~held, count, rng, mates=1, strangers=1)
            except InsufficientData as error:
                skipped["robustness"] = error.message
    groups: list[GroupPairs] = []
    if "bias" in wanted:
        if context.declared is None:
            groups = _groups(context, params, pictures.usable & ~held, share)
        if context.declared is not None:
            skipped["bias"] = f"the set '{faces.name}' names no identities, only some pairs"
        elif not groups:
            skipped["bias"] = (
                f"the set '{faces.name}' has no usual demographic attribute with pairs of two groups"
            )
    return Questions(
        pairs, calibration, probes, corruptions, tuple(params.severities), tuple(groups), skipped
    )


def _groups(context: AnalysisContext, params: Params, usable: Bool, share: float) -> list[GroupPairs]:
    known = context.faces.attributes
    for name in params.by:
        if name not in known:
            raise UsageError(f"the set has no attribute '{name}'", f"known: {', '.join(sorted(known))}")
    spelt = {name.lower(): name for name in known}
    names = list(params.by or [spelt[name] for name in USUAL if name in spelt][:2])
    labels = {name: word_groups(name, label_groups(np.asarray(known[name]))) for name in names}
    if len(names) == 2:
        labels[f"{names[0]} x {names[1]}"] = join_labels([labels[n] for n in names])
    subjects = context.faces.subjects
    genuine = genuine_pairs(subjects) if context.faces.identified else (np.empty(0, np.int64),) * 2
    found = []
    limit = _shortened(params.group_pairs, share)
    for name, groups in labels.items():
        columns: list[tuple[I64, I64, bool, str]] = []
        for group in [str(g) for g in np.unique(groups[usable]) if g != ""]:
            rows = np.flatnonzero((groups == group) & usable)
            a, b = impostor_pairs(subjects[rows], params.group_pairs, context.rng(f"scorer/{name}/{group}"))
            part = context.rng(f"scorer/{name}/{group}/order").permutation(len(a))[:limit]
            columns.append((rows[a[part]], rows[b[part]], False, group))
            own = np.flatnonzero(np.isin(genuine[0], rows) & np.isin(genuine[1], rows))
            own = context.rng(f"scorer/{name}/{group}/genuine").permutation(own)[:limit]
            columns.append((genuine[0][own], genuine[1][own], True, group))
        if len({c[3] for c in columns if len(c[0])}) >= 2:
            found.append(
                GroupPairs(
                    name,
                    np.concatenate([c[0] for c in columns]),
                    np.concatenate([c[1] for c in columns]),
                    np.concatenate([np.full(len(c[0]), c[2]) for c in columns]),
                    np.concatenate([np.full(len(c[0]), c[3], dtype=object) for c in columns]).astype(str),
                )
            )
    return found


def keys_of(questions: Questions, pictures: Pictures, runtime: ScorerRuntime) -> dict[str, list[str]]:
    """Analysis -> keys of its queries, in the order they are asked."""
    usable = pictures.usable

    def clean(left: I64, right: I64) -> list[str]:
        return [
            runtime.key(pictures.clean(int(a)), pictures.clean(int(b)))
            for a, b in zip(left, right, strict=True)
            if usable[a] and usable[b]
        ]

    found = {
        "verification": clean(questions.verification.left, questions.verification.right),
        "threshold": clean(*questions.calibration),
    }
    if questions.robustness is not None:
        p = questions.robustness
        keys = clean(p.probes[p.row], p.enrolled)
        for corruption in questions.corruptions:
            for severity in questions.severities:
                keys += [
                    runtime.key(
                        pictures.corrupted(int(p.probes[row]), corruption, severity), pictures.clean(int(e))
                    )
                    for row, e in zip(p.row, p.enrolled, strict=True)
                ]
        found["robustness"] = keys
    if questions.groups:
        found["bias"] = [key for g in questions.groups for key in clean(g.left, g.right)]
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


def budget(questions: Questions, pictures: Pictures, runtime: ScorerRuntime, share: float) -> Budget:
    """Count and price; a pair that several parts ask about is paid once."""
    parts, seen, new = {}, set(), 0
    for name, keys in keys_of(questions, pictures, runtime).items():
        fresh = [key for key in dict.fromkeys(keys) if key not in seen]
        seen.update(fresh)
        missing = len(fresh) - runtime.known(fresh)
        parts[name] = (len(keys), missing)
        new += missing
    return Budget(parts, len(seen), new, new * runtime.spec.cost_per_query, runtime.spec.currency, share)


def plan_within(
    context: AnalysisContext,
    pictures: Pictures,
    runtime: ScorerRuntime,
    params: Params,
    wanted: Sequence[str],
) -> tuple[Questions, Budget]:
    """The largest plan that the runtime's budget allows.

    Raises:
        UsageError: not even a hundredth of the plan fits.
    """

    def at(share: float) -> tuple[Questions, Budget]:
        asked = choose(context, pictures, params, wanted, share)
        return asked, budget(asked, pictures, runtime, share)

    best = at(1.0)
    most = runtime.max_queries
    if most is None or best[1].total <= most:
        return best
    full, low, high, found = best[1].total, 0.0, 1.0, None
    for _ in range(SHARE_STEPS):
        middle = (low + high) / 2
        tried = at(middle)
        if tried[1].total <= most:
            low, found = middle, tried
        else:
            high = middle
        if high - low < 1e-3:
            break
    if found is None or low < 0.01:
        raise UsageError(f"--max-queries {most}: the plan asks {full:,} and cannot shrink below a hundredth")
    return found
