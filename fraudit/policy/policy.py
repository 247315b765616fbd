"""`policy.json`: the thresholds of a model for a deployment, with what they promise and what they cost.

    policy = Policy.load("policy.json")
    policy.check_model(fingerprint)
    policy.decide(score).accept
    policy.decide(score, prior=0.01).probability

Reading and deciding need numpy alone. A policy is plain JSON of schema `fraudit-policy/1`; one of another schema, one
with a key too many or too few or a number that is not finite is refused.
"""

from __future__ import annotations

import json
import math
import numbers
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fraudit.errors import ArtifactError, DataError, UsageError
from fraudit.files.doors import JSON_BYTES, leaving, read_json
from fraudit.files.store import write_text_atomic
from fraudit.policy.reading import Fields, read_text_item
from fraudit.stats.odds import LogOdds

if TYPE_CHECKING:
    from fraudit.stats.promises import Measured, Promise

SCHEMA = "fraudit-policy/1"
KINDS = ("fmr", "fpir")
VERDICTS = ("holds", "not contradicted", "broken", "")
HINT = "make it again with fraudit threshold"


@dataclass(frozen=True, slots=True)
class Rate:
    """A measured figure.

    Attributes:
        value: >= 0. low, high: ends of its two-sided interval at `level`, or None with the reason in `missing`.
        n: comparisons or searches. people: who are in them.
    """

    value: float
    low: float | None
    high: float | None
    level: float
    n: int
    people: int
    missing: str = ""

    @classmethod
    def of(cls, found: Measured | None, level: float) -> Rate | None:
        """From a measured rate; None stays None."""
        if found is None:
            return None
        low, high = (None, None) if found.interval is None else (found.interval.low, found.interval.high)
        return cls(found.value, low, high, level, found.n, found.people, found.missing)

    @classmethod
    def read(cls, value: Any, where: str) -> Rate:
        """From plain JSON. Raises DataError."""
        f = Fields(value, where)
        low, high = (f.maybe(key, lambda k: f.number(k, 0)) for key in ("low", "high"))
        made = cls(
            f.number("value", 0),
            low,
            high,
            f.number("level", 0, 1),
            f.whole("n"),
            f.whole("people"),
            f.text("missing"),
        )
        f.done()
        if (low is None) != (high is None) or (low is not None and high is not None and low > high):
            raise DataError(f"{where}: 'low' and 'high' are two ends in order, or both null")
        return made


@dataclass(frozen=True, slots=True)
class GroupPoint:
    """What one group pays at the threshold of all: its error rates, the bound promised, or why there is no rate."""

    group: str
    bound: float | None
    rate: Rate | None
    cost: Rate | None
    missing: str = ""

    @classmethod
    def read(cls, value: Any, where: str) -> GroupPoint:
        """From plain JSON. Raises DataError."""
        f = Fields(value, where)
        made = cls(
            f.text("group", empty=False),
            f.maybe("bound", lambda k: f.number(k, 0, 1)),
            _rate(f, "rate"),
            _rate(f, "cost"),
            f.text("missing"),
        )
        f.done()
        return made


@dataclass(frozen=True, slots=True)
class OperatingPoint:
    """One threshold, or the reason why the target cannot be promised.

    Attributes:
        name: unique, such as `fmr=1e-4`. kind: `fmr` or `fpir`. target, confidence: as asked; one-sided.
        threshold: accept at or above it; None with `reason`.
        bound: of the rate on people not used. smallest: rate that could be promised at best.
        rate: FMR or FPIR on the judged half. cost: FNMR or FNIR there.
        verdict: what the judged half says of the promise. group: that decided the threshold, '' for all people.
        people: people of the whole set it was made on. enrolled: size of the gallery, None for `fmr`.
        groups: what each pays. estimate: why the bound is an estimate and no promise, '' where it is a promise.
    """

    name: str
    kind: str
    target: float
    confidence: float
    threshold: float | None
    reason: str
    bound: float | None
    smallest: float
    rate: Rate | None
    cost: Rate | None
    verdict: str
    group: str
    people: int
    enrolled: int | None = None
    groups: tuple[GroupPoint, ...] = ()
    estimate: str = ""

    @property
    def resolvable(self) -> bool:
        """Whether there is a threshold."""
        return self.threshold is not None

    @classmethod
    def read(cls, value: Any, where: str) -> OperatingPoint:
        """From plain JSON. Raises DataError."""
        f = Fields(value, where)
        made = cls(
            name=f.text("name", empty=False),
            kind=f.text("kind", known=KINDS),
            target=f.number("target", 0, 1),
            confidence=f.number("confidence", 0, 1),
            threshold=f.maybe("threshold", f.number),
            reason=f.text("reason"),
            bound=f.maybe("bound", lambda k: f.number(k, 0, 1)),
            smallest=f.number("smallest", 0, 1),
            rate=_rate(f, "rate"),
            cost=_rate(f, "cost"),
            verdict=f.text("verdict", known=VERDICTS),
            group=f.text("group"),
            people=f.whole("people"),
            enrolled=f.maybe("enrolled", f.whole),
            groups=f.each("groups", GroupPoint.read),
            estimate=f.text("estimate"),
        )
        resolvable = f.raw("resolvable")
        f.done()
        if resolvable is not made.resolvable:
            raise DataError(f"{where}: 'resolvable' is {resolvable!r} and 'threshold' is {made.threshold}")
        if made.resolvable == bool(made.reason):
            raise DataError(
                f"{where}: a point has a 'threshold' or a 'reason' why not, never both or neither"
            )
        if made.threshold is not None and made.bound is not None and made.bound > made.target * (1 + 1e-9):
            raise DataError(f"{where}: 'bound' {made.bound:g} is above 'target' {made.target:g}")
        return made


def _rate(f: Fields, key: str) -> Rate | None:
    return f.maybe(key, lambda k: Rate.read(f.raw(k), f"{f.where}: {k}"))


def point_of(
    promise: Promise, name: str, people: int, enrolled: int | None = None, estimate: str = ""
) -> OperatingPoint:
    """A promised threshold as an operating point.

    Args:
        people: of both halves. enrolled: people in the gallery, for a FPIR. estimate: see `OperatingPoint`.
    """
    level = promise.confidence
    groups = tuple(
        GroupPoint(g.group, g.bound, Rate.of(g.rate, level), Rate.of(g.cost, level), g.missing)
        for g in promise.groups
    )
    return OperatingPoint(
        name,
        promise.kind,
        promise.target,
        level,
        promise.threshold,
        promise.reason,
        promise.bound,
        promise.smallest,
        Rate.of(promise.rate, level),
        Rate.of(promise.cost, level),
        promise.verdict,
        promise.worst,
        people,
        enrolled,
        groups,
        estimate,
    )


@dataclass(frozen=True, slots=True)
class Decision:
    """What a policy says of one score.

    Attributes:
        accept: score >= threshold. threshold, point: at which operating point.
        probability: that it is one person at the stated prior, in (0, 1); None where no prior was given.
    """

    accept: bool
    threshold: float
    point: str
    probability: float | None = None

    def __bool__(self) -> bool:
        return self.accept


@dataclass(frozen=True, slots=True)
class Policy:
    """Thresholds and a calibration of one model.

    Attributes:
        model: name. fingerprint: of weights and preprocessing; see `check_model`.
        data: name of the set. data_digest: of its pictures and people. pictures, people: in it.
        score: what a score is, such as `cosine of the vectors`.
        points: operating points, one with a threshold or more; the first that has one decides where none is named.
        calibration: score to log-likelihood ratio, or None. cllr, min_cllr: its cost in bits on the judged half.
        created: date and time, ISO 8601 with its zone. fraudit: version. notes: what limits it.
    """

    model: str
    fingerprint: str
    data: str
    data_digest: str
    pictures: int
    people: int
    score: str
    points: tuple[OperatingPoint, ...]
    calibration: LogOdds | None
    cllr: Rate | None
    min_cllr: Rate | None
    created: str
    fraudit: str
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        _check_date(self.created, "created")
        names = [p.name for p in self.points]
        if not names:
            raise DataError("a policy needs an operating point; found none")
        for name in names:
            if names.count(name) > 1:
                raise DataError(f"operating point '{name[:60]}' is there twice; names are unique")
        if not any(p.resolvable for p in self.points):
            raise DataError(
                f"a policy needs a threshold, and none of its targets has one: {self.points[0].reason[:200]}",
                "make it again with fraudit threshold, for a target that can be promised or on more people",
            )

    @classmethod
    def load(cls, path: str | Path) -> Policy:
        """A policy from its file.

        Raises:
            DataError: no such file, no JSON, another schema, a key missing or unknown, a value that cannot be.
        """
        file = Path(path)
        return cls.from_dict(read_json(file, JSON_BYTES, HINT, "the policy"), file.name)

    @classmethod
    def from_dict(cls, value: Any, where: str = "policy") -> Policy:
        """From plain JSON that anybody may have written. Raises DataError, see `load`."""
        f = Fields(value, where)
        schema = f.text("schema")
        if schema != SCHEMA:
            raise DataError(
                f"{where}: schema is {schema[:60]!r}; this fraudit reads {SCHEMA!r}",
                "update fraudit" if schema.startswith("fraudit-policy/") else HINT,
            )
        try:
            made = cls(
                model=f.text("model"),
                fingerprint=f.text("fingerprint", empty=False),
                data=f.text("data"),
                data_digest=f.text("data_digest"),
                pictures=f.whole("pictures"),
                people=f.whole("people"),
                score=f.text("score"),
                points=f.each("points", OperatingPoint.read),
                calibration=f.maybe(
                    "calibration", lambda k: LogOdds.from_dict(f.raw(k), f"{where}: calibration")
                ),
                cllr=_rate(f, "cllr"),
                min_cllr=_rate(f, "min_cllr"),
                created=f.text("created"),
                fraudit=f.text("fraudit"),
                notes=f.each("notes", read_text_item),
            )
        except DataError as error:
            named = error.message.startswith(where)
            raise DataError(
                error.message if named else f"{where}: {error.message}", error.hint or HINT
            ) from error
        f.done()
        return made

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON."""
        found: dict[str, Any] = {"schema": SCHEMA, **asdict(self)}
        found["points"] = [asdict(p) | {"resolvable": p.resolvable} for p in self.points]
        found["calibration"] = None if self.calibration is None else self.calibration.as_dict()
        return _plain(found)

    def save(self, path: str | Path) -> None:
        """Write it, atomically: a reader sees the old file or the new one.

        Raises:
            ArtifactError: the disk does not take it. DataError: a number is not finite.
        """
        try:
            text = json.dumps(self.as_dict(), indent=2, ensure_ascii=False, allow_nan=False)
        except ValueError as error:
            raise DataError("a policy holds finite numbers alone; found NaN or infinity") from error
        with leaving(path):
            write_text_atomic(Path(path), text + "\n")

    def point(self, name: str | None = None) -> OperatingPoint:
        """The operating point of that name; without a name the first that has a threshold.

        Raises:
            UsageError: there is none, or it has no threshold.
        """
        if name is None:
            found = next((p for p in self.points if p.resolvable), self.points[0])
        else:
            known = {p.name: p for p in self.points}
            if name not in known:
                raise UsageError(
                    f"the policy has no operating point '{name[:60]}'; it has {', '.join(known)}"
                )
            found = known[name]
        if not found.resolvable:
            raise UsageError(f"operating point '{found.name}' has no threshold: {found.reason}")
        return found

    def decide(self, score: float, point: str | None = None, prior: float | None = None) -> Decision:
        """Whether a score is accepted, and the probability of one person where a prior is stated.

        Args:
            score: similarity as the policy's `score` says.
            point: name of an operating point. prior: share of comparisons that are of one person, in (0, 1).
        Raises:
            UsageError: no number or NaN, no cosine where scores are cosines, no such point, a prior out of range, or no
                calibration for it.
        """
        if isinstance(score, bool) or not isinstance(score, numbers.Real):
            raise UsageError(
                f"a score is a number; found {type(score).__name__}", "decide on one score at a time"
            )
        used, value = self.point(point), float(score)
        if math.isnan(value):
            raise UsageError(
                "a score is a number; found nan",
                "a face without a vector has no score: reject it yourself, and tell why",
            )
        if self.score.startswith("cosine") and abs(value) > 1 + 1e-4:
            raise UsageError(
                f"a cosine lies between -1 and 1; found {value:g}",
                "pass the similarity, no distance or percentage",
            )
        threshold = float(used.threshold or 0.0)
        probability = None
        if prior is not None:
            if self.calibration is None:
                raise UsageError("the policy has no calibration: it gives no probability", HINT)
            probability = float(self.calibration.probability(value, prior))
        return Decision(value >= threshold, threshold, used.name, probability)

    def check_model(self, fingerprint: str) -> None:
        """Raise ArtifactError where the scores come from another model than the policy's."""
        if fingerprint != self.fingerprint:
            raise ArtifactError(
                f"the policy is of model {self.model or '?'} ({self.fingerprint[:12]}), the scores are of another one "
                f"({fingerprint[:12] or 'no fingerprint'})",
                "a threshold holds for its own model alone: make a policy for this one with fraudit threshold",
            )


def _check_date(text: str, what: str) -> None:
    try:
        aware = datetime.fromisoformat(text).tzinfo is not None
    except ValueError:
        aware = False
    if not aware:
        raise DataError(f"'{what}': expected a date and time with its zone (ISO 8601), found {text[:40]!r}")


def _plain(value: Any) -> Any:
    """Tuples as lists, and numpy's numbers as Python's."""
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value.item() if hasattr(value, "item") else value
