"""The scores-only attack (Kim et al., IEEE S&P 2024) on a real box that only compares, from end to end.

The attacker sends the box query faces of nobody beside each victim's picture, and sees scores alone. Success is
counted by the box itself and by models that took no part, at FMR 1e-2, against the number of query faces and against
the rounding of scores, which is the remedy of whoever runs such a box.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from fraudit.audit.asked_pictures import AskedPictures
from fraudit.audit.context import AnalysisContext
from fraudit.audit.plan import AuditPlan
from fraudit.audit.runner import read_faces
from fraudit.embedding.loading import load_embedder
from fraudit.embedding.runtime import EmbedderRuntime
from fraudit.errors import InsufficientData, UsageError
from fraudit.faces.align import as_shown
from fraudit.faces.detect import Locator
from fraudit.files.store import Store, cache_root
from fraudit.inverters.geometry import landmarks_of
from fraudit.inverters.inverting import reembed
from fraudit.inverters.rivals.generators import kin_of
from fraudit.inverters.rivals.scores_only import QUERIES, Local, prepare_local, rounded
from fraudit.progress import Reporter, silent
from fraudit.scorers.loading import ScorerRuntime, load_scorer
from fraudit.stats import verification as v
from fraudit.stats.estimates import Estimate
from fraudit.stats.inversion import spread_people, tally
from fraudit.stats.pairs import impostor_pairs
from fraudit.types import F64, I64, U8, Bool

FMR = 1e-2
CALIBRATION = 300  # impostor pairs of the other half of the people: what FMR 1e-2 needs by the rule of three
SHOWN_PX = 256  # of pictures sent to a box that takes whole ones
SHARES = (1e-4, 1e-2, 0.05)  # of the range of the scores seen, to which they are rounded
LEAST_SEEN = 0.5  # of a victim's query scores; with fewer it is left out


@dataclass(frozen=True, slots=True)
class Row:
    """One condition: its words, and success by judge (the box first)."""

    name: str
    success: dict[str, Estimate]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What was found.

    Attributes:
        people: victims. left_out: victims without enough scores. questions: that were sent to the box in this run.
        kin: judges that the local model or its inverter makes partial. rows: conditions. chance: pictures accepted as
            another victim, by the box. how: the local side, in words. missing: judges without a threshold, and why.
    """

    scorer: str
    people: int
    left_out: int
    questions: int
    asked: int
    threshold: float
    how: str
    kin: tuple[str, ...]
    rows: tuple[Row, ...]
    chance: Estimate
    missing: dict[str, str]


def questions_of(people: int, queries: int) -> int:
    """Scores that a whole run asks for at most, as they are counted before the first one."""
    conditions = len({min(c, queries) for c in (10, 25, 50, QUERIES)}) + len(SHARES)
    return CALIBRATION + people * (queries + conditions + 1)


class _Shown:
    """Digest -> picture: faces of the set, and pictures of the attacker's."""

    def __init__(self, faces: AskedPictures) -> None:
        self.faces, self._own = faces, dict[str, U8]()

    def __call__(self, digest: str) -> U8:
        return self._own[digest] if digest in self._own else self.faces(digest)

    def add(self, picture: U8) -> str:
        """Digest of u8[S,S,3] in the inverters' geometry, shown as the box takes pictures."""
        preprocess = self.faces.preprocess
        if preprocess is None:
            shown = np.asarray(
                cv2.resize(picture, (SHOWN_PX, SHOWN_PX), interpolation=cv2.INTER_CUBIC), np.uint8
            )
        else:
            shown = as_shown(picture, landmarks_of(len(picture)), preprocess)
        digest = hashlib.sha256(str(shown.shape).encode() + shown.tobytes()).hexdigest()
        self._own[digest] = shown
        return digest


def victims(context: AnalysisContext, usable: Bool, people: int) -> I64:
    """i64[N]: one face a person outside the calibration half. Raises InsufficientData below two people."""
    rows = np.flatnonzero(usable & ~context.calibration_mask())
    subjects = context.faces.subjects
    found = spread_people(subjects, rows, people, context.rng("rivals/sources"), 1) if len(rows) else rows
    if len(found) < 2:
        raise InsufficientData(f"expected at least 2 people outside the calibration half, found {len(found)}")
    return found


def attack_scorer(
    plan: AuditPlan,
    scorer: str,
    local: str,
    run_dir: Path,
    *,
    people: int = 12,
    queries: int = QUERIES,
    pool: int = 1000,
    judges: Sequence[str] = (),
    reporter: Reporter | None = None,
) -> Outcome:
    """Attack the box that `scorer` names with scores alone.

    Args:
        plan: faces and seed; its embedder is not used. local: the attacker's own model, a name or card.
        queries: scores asked a victim. pool: drawn faces from which the query faces are chosen.
    Raises:
        FrauditError: wrong scorer, data or sizes; what was answered is kept, and the same command goes on from there.
    """
    report = reporter or silent()
    if not 2 <= queries <= QUERIES:
        raise UsageError(
            f"--max-queries {queries}: a victim is asked 2 to {QUERIES} scores", f"--max-queries {QUERIES}"
        )
    faces = read_faces(plan, report)
    if not faces.identified:
        raise InsufficientData(f"the set '{faces.name}' does not say who is shown")
    store = Store()
    with ExitStack() as boxes:
        box = ScorerRuntime(load_scorer(scorer), cache_root(), None)
        boxes.callback(box.close)
        locate = None if faces.landmarks is not None else Locator(plan.detector or "", plan.several_faces)
        context = AnalysisContext(
            plan, faces, None, store=store, run_dir=run_dir, locate=locate, say=report.say,
            show_progress=report.progress,
        )  # fmt: skip
        pictures = AskedPictures(context, box.spec.preprocess)
        rows = victims(context, pictures.located, people)
        side = prepare_local(EmbedderRuntime(load_embedder(local), store), pool, queries, plan.seed)
        referees = [EmbedderRuntime(load_embedder(name), store) for name in judges]
        return _Attack(context, box, pictures, rows, side).run(referees)


class _Attack:
    def __init__(
        self,
        context: AnalysisContext,
        box: ScorerRuntime,
        pictures: AskedPictures,
        rows: I64,
        local: Local,
    ) -> None:
        self.context, self.box, self.pictures, self.rows, self.local = context, box, pictures, rows, local
        self.shown = _Shown(pictures)
        self.asked = 0

    def _score(self, pairs: list[tuple[str, str]], label: str) -> F64:
        told = self.context.part(label, len(pairs))
        self.asked += len(pairs)
        return self.box.score(pairs, self.shown, told)

    def _threshold(self) -> tuple[float, F64]:
        """(score at FMR 1e-2 among people of the calibration half, their impostor scores)."""
        rows = np.flatnonzero(self.context.calibration_mask() & self.pictures.usable)
        left, right = impostor_pairs(
            self.context.faces.subjects[rows], CALIBRATION, self.context.rng("scorer/calibration")
        )
        show = self.pictures.clean
        pairs = [(show(int(rows[a])), show(int(rows[b]))) for a, b in zip(left, right, strict=True)]
        found = self._score(pairs, "impostor pairs for the threshold")
        found = found[np.isfinite(found)]
        if len(found) < 3 / FMR:
            raise InsufficientData(
                f"expected at least {3 / FMR:.0f} impostor pairs with a score for FMR {FMR:g}, found {len(found)}",
                "take a set with more people",
            )
        return float(v.fmr_threshold(found, FMR)), found

    def run(self, referees: Sequence[EmbedderRuntime]) -> Outcome:
        threshold, impostor = self._threshold()
        sources = [self.pictures.clean(int(row)) for row in self.rows]
        queries = [self.shown.add(picture) for picture in self.local.shown]
        pairs = [(source, query) for source in sources for query in queries]
        scores = self._score(pairs, "victims against query faces").reshape(len(sources), -1)
        use = np.isfinite(scores).mean(1) >= LEAST_SEEN
        if use.sum() < 2:
            raise InsufficientData("the black box has no scores of the victims against the query faces")
        rows, sources = self.rows[use], [s for s, u in zip(sources, use, strict=True) if u]
        answered = np.isfinite(scores[use]).all(0)
        local, scores = self.local.answered(answered), scores[use][:, answered]
        seeds = self.context.seed + np.zeros(len(rows), np.int64)
        seen = np.concatenate([impostor, scores.ravel()])
        reach = float(seen.max() - seen.min())
        made = {f"{count} query faces": local.pictures(scores[:, :count], seeds) for count in local.counts()}
        for share in SHARES:
            name = f"rounded to {100 * share:g} % of the scores' range ({share * reach:.2g})"
            made[name] = local.pictures(rounded(scores, share * reach), seeds)
        people = self.context.faces.subjects[rows]
        found: dict[str, dict[str, Estimate]] = {}
        for name, pictures in made.items():
            alike = self._score(
                [(s, self.shown.add(p)) for s, p in zip(sources, pictures, strict=True)], f"judging {name}"
            )
            found[name] = {self.box.spec.name: tally(alike >= threshold, people, people)}
        best = made[f"{local.counts()[-1]} query faces"]
        others = [(s, self.shown.add(p)) for s, p in zip(sources, np.roll(best, 1, axis=0), strict=True)]
        strangers = self._score(others, "judging others") >= threshold
        missing = self._judged(referees, rows, made, found)
        kin = kin_of(getattr(local.inverter, "card", {})) | {local.box.fingerprint}
        return Outcome(
            self.box.spec.name,
            len(rows),
            int((~use).sum()),
            self.box.queries,
            self.asked,
            threshold,
            f"{len(local.queries)} query faces, local model {local.box.spec.name}, {local.how}",
            tuple(r.spec.name for r in referees if r.fingerprint in kin),
            tuple(Row(name, success) for name, success in found.items()),
            tally(strangers, people, np.roll(people, 1)),
            missing,
        )

    def _judged(
        self,
        referees: Sequence[EmbedderRuntime],
        rows: I64,
        made: dict[str, U8],
        found: dict[str, dict[str, Estimate]],
    ) -> dict[str, str]:
        """Adds what each referee says to `found`; why those without a threshold say nothing."""
        missing, people = {}, self.context.faces.subjects[rows]
        for referee in referees:
            at = self.context.threshold_or_reason(FMR, runtime=referee)
            if not at.resolvable:
                missing[referee.spec.name] = at.missing or f"too few impostor pairs for FMR {FMR:g}"
                continue
            source = self.context.embeddings(referee).unit()[rows].astype(np.float64)
            for name, pictures in made.items():
                answer = reembed(referee, pictures)
                alike = (answer.unit() * source).sum(1)
                found[name][referee.spec.name] = tally(answer.ok & (alike >= at.value), people, people)
        return missing
