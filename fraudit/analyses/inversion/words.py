"""Words, metrics, tables and figures of the inversion audit; computes no rate."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from fraudit.analyses.inversion.rates import Attack, Groups, Point, Success
from fraudit.analyses.verification.words import rate
from fraudit.errors import InsufficientData
from fraudit.formatting import interval as interval_words
from fraudit.formatting import percent
from fraudit.stats.inversion import Figure as Counted
from fraudit.stats.inversion import mean_of, replacement
from fraudit.types import I64, Column, Finding, Metric, Severity, Table

if TYPE_CHECKING:
    from fraudit.analyses.inversion import Params
    from fraudit.analyses.inversion.measure import Replaced, Sizes, Sweep

# Rules of docs/severity.md: bounds of success less chance. SEEN: share of real pictures at the inverter's resolution
# that must match before an inverter's failure says anything.
HIGH, MEDIUM, SAFE, SEEN = 0.1, 0.01, 0.02, 0.5
GROUP_MEDIUM = 0.1  # rule `inversion.group_gap`, difference of excess
GENERIC = 2.0  # rule `inversion.generic`, in multiples of the usual rate
METHOD = (
    "Each ID vector is inverted once; the picture is aligned by the points the inverter declares and shown to "
    "the audited model and to every judge. It matches where its cosine reaches the threshold fixed on real "
    "pictures of people who are not judged. Type I: against the source picture; type II: against another picture "
    "of the person (Mai et al. 2019). Chance is the rate at which reconstructions of other people match the same "
    "pictures; findings rest on success less chance, paired. Intervals are identity-clustered and hold for the "
    "threshold as chosen. Replacement protocol: the first picture "
    "of every genuine pair becomes its reconstruction, thresholds from the other folds (ID3PM, Table 2); the "
    "ceiling is the real picture at the inverter's resolution. Frechet distance, precision and recall "
    "(Kynkaanniemi et al. 2019) are taken in the named model's own feature space, not Inception's."
)


def slug(text: str) -> str:
    """A name as part of a metric's name."""
    return "".join(c if c.isalnum() else "_" for c in text).strip("_").lower()


def key(judge: str, own: bool) -> str:
    """Part of a metric's name: `self` for the audited model."""
    return "self" if own else slug(judge)


def who(judge: str, own: bool) -> str:
    """The judge in a table."""
    return f"{judge} (the audited model)" if own else judge


def said(counted: Counted, unit: str) -> str:
    """`95 % interval 60 to 75 %; 180 faces of 30 people`, or why there is no interval."""
    n = f"{counted.n:,} {unit} of {counted.people:,} people"
    if counted.interval is None:
        return f"no interval: {counted.reason}; {n}"
    bounds = interval_words(counted.interval.low, counted.interval.high, as_percent=True)
    return f"95 % interval {bounds}; {n}"


def points(counted: Counted) -> str:
    """`57.9 points (at least 50.2)`: a difference with its lower bound at the level of findings."""
    low = f" (at least {100 * counted.interval.low:.1f})" if counted.interval else ""
    return f"{100 * counted.value:+.1f} points{low}"


def counted_metric(name: str, found: Counted | None, missing: str, label: str, **more: Any) -> Metric:
    """A metric of a counted rate or mean, or the reason it is missing."""
    if found is None:
        return Metric(name, None, missing=missing, label=label, **more)
    return Metric(
        name, found.value, n=found.n, interval=found.interval, interval_missing=found.reason, label=label, **more
    )  # fmt: skip


def _standing(chosen: Attack, kin: frozenset[str]) -> str:
    return "a related model" if chosen.judge in kin else "an independent judge"


def attack_metrics(
    attacks: Sequence[Attack], chosen: Attack, kin: frozenset[str] = frozenset()
) -> list[Metric]:
    """Success by judge, and `inversion.attack_success`, the report's key figure."""
    point = chosen.strictest
    by = "the model itself" if chosen.own else f"{_standing(chosen, kin)} ({chosen.judge})"
    if point is None or point.one is None:
        label, missing = f"type I by {by}", chosen.points[-1].missing
        found = [Metric("inversion.attack_success", None, missing=missing, better="lower", label=label)]
    else:
        label = f"type I at FMR {rate(point.fmr)} by {by}"
        found = [
            counted_metric(
                "inversion.attack_success", point.one.own, "", label, better="lower", n_unit="reconstructions"
            )
        ]
    for attack in attacks:
        base, name = f"inversion.{key(attack.judge, attack.own)}", who(attack.judge, attack.own)
        for point in attack.points:
            found += _point_metrics(point, base, f"at FMR {rate(point.fmr)} by {name}")
        few = "no reconstruction has a vector"
        found.append(
            counted_metric(
                f"{base}.similarity", attack.similarity, few, f"Mean cosine to the source by {name}",
                better="lower", n_unit="reconstructions",
            )
        )  # fmt: skip
        found.append(
            counted_metric(
                f"{base}.distance", attack.distance, few, f"Mean angular distance to the source by {name}",
                better="higher", n_unit="reconstructions",
            )
        )  # fmt: skip
    return found


def _point_metrics(point: Point, base: str, words: str) -> list[Metric]:
    """Type I and II with ceiling, chance and excess; strangers among real pictures."""
    one, two = point.one, point.two
    alone = point.missing or "nobody has another picture with a vector"
    lonely = point.missing or "no pair of different people"
    made, pictures, pairs = "reconstructions", "pictures", "pairs"
    chance = "Chance: reconstructions of other people match"
    parts: tuple[tuple[str, Counted | None, str, str, str], ...] = (
        ("type1", one and one.own, "Type I", made, point.missing),
        ("type1_real", one and one.ceiling, "Real picture at that resolution, type I", pictures, point.missing),
        ("strangers", one and one.chance, f"{chance} the source", pairs, lonely),
        ("strangers_real", point.strangers_real, "Real sources match other people's", pairs, lonely),
        ("type1_excess", one and one.excess, "Type I less chance", made, lonely),
        ("type2", two and two.own, "Type II", made, alone),
        ("type2_real", two and two.ceiling, "Real source against the other picture", pictures, alone),
        ("strangers2", two and two.chance, f"{chance} the other picture", pairs, alone),
        ("type2_excess", two and two.excess, "Type II less chance", made, alone),
    )
    at = f"@fmr={rate(point.fmr)}"
    lower = ("type1", "type2", "type1_excess", "type2_excess")
    return [
        counted_metric(
            f"{base}.{part}{at}", counted, missing or "no vector", f"{text} {words}", n_unit=unit,
            better="lower" if part in lower else "none",
        )
        for part, counted, text, unit, missing in parts
    ]  # fmt: skip


def group_metrics(groups: Sequence[Groups], chosen: Attack) -> list[Metric]:
    """Type I and its excess over chance by group; small groups with the reason."""
    found = []
    for g in groups:
        base, at = f"inversion.group.{slug(g.attribute)}", f"@fmr={rate(g.fmr)}"
        end = f"by {g.attribute}, judged by {who(chosen.judge, chosen.own)}"
        parts = (("type1", f"Type I {end}"), ("type1_excess", f"Type I less chance {end}"))
        for name, label in parts:
            for r in g.rates:
                counted = r.own if name == "type1" else r.excess
                found.append(
                    counted_metric(f"{base}.{name}{at}", counted, "no pair of different people", label,
                                   group=r.group, better="lower", n_unit="reconstructions")
                )  # fmt: skip
            for label_of, people in g.small:
                why = f"{people} people, fewer than the floor: nothing is concluded"
                found.append(
                    Metric(f"{base}.{name}{at}", None, group=label_of, missing=why, better="lower", label=label)
                )
    return found


def replacement_metrics(replaced: Sequence[Replaced], subjects: I64, missing: str) -> list[Metric]:
    """Accuracy of the protocol untouched, at the inverter's resolution, and with reconstructions."""
    if not replaced:
        text = "Replacement protocol"
        return [Metric("inversion.self.replacement", None, missing=missing, better="lower", label=text)]
    found = []
    for r in replaced:
        left, right = subjects[r.pairs.left], subjects[r.pairs.right]
        for part, scores, text in (
            ("replacement", r.made, "first picture of genuine pairs replaced by its reconstruction"),
            ("replacement_real", r.real, "first picture of genuine pairs at the inverter's resolution"),
            ("replacement_none", r.plain, "the same pairs untouched"),
        ):
            a = replacement(scores, r.pairs.same, r.pairs.fold, left, right)
            found.append(
                Metric(
                    f"inversion.{key(r.judge, r.own)}.{part}", a.accuracy, n=a.n, interval=a.interval,
                    interval_missing=a.reason, better="lower" if part == "replacement" else "none", n_unit="pairs",
                    label=f"Accuracy over {a.folds} folds by {who(r.judge, r.own)}: {text}",
                )
            )  # fmt: skip
    return found


def mean_or_none(values: Any, people: Any) -> Counted | None:
    """The mean with its interval, or None where nobody has a value."""
    try:
        return mean_of(values, people)
    except InsufficientData:
        return None


def sweep_metrics(swept: Sequence[Sweep], guidance: float) -> list[Metric]:
    """Identity similarity and diversity at every guidance; the default guidance without `@`."""
    found = []
    few = "nobody has two reconstructions with a vector"
    for s in swept:
        at = "" if s.guidance == guidance else f"@guidance={s.guidance:g}"
        base, name = f"inversion.{key(s.judge, s.own)}", who(s.judge, s.own)
        words = f"at guidance {s.guidance:g} by {name}, {s.samples} samples a person"
        for part, values, text in (
            ("sample_similarity", s.similarity, "Mean cosine of samples to their source"),
            ("diversity", s.spread, "Mean angular distance among samples of one vector"),
        ):
            found.append(
                counted_metric(f"{base}.{part}{at}", mean_or_none(values, s.people), few, f"{text} {words}",
                               n_unit="vectors")
            )  # fmt: skip
        if s.own:
            text = f"RMS pixel difference among samples of one vector at guidance {s.guidance:g}"
            found.append(
                counted_metric(f"inversion.pixel_diversity{at}", mean_or_none(s.pixels, s.people), few, text,
                               n_unit="vectors")
            )  # fmt: skip
    return found


def severity_of(one: Success) -> tuple[Severity, str]:
    """(severity, ending of the sentence) by rule `inversion.attack_success` of docs/severity.md."""
    if one.sure is None or one.sure.interval is None or one.excess is None or one.excess.interval is None:
        return "info", "few"
    low = one.sure.interval.low
    if low >= HIGH:
        return "high", "personal"
    if low >= MEDIUM:
        return "medium", "personal"
    if low > 0:
        return "low", "above"
    if one.excess.interval.high > SAFE:
        return "info", "unresolved"
    seen = one.ceiling.interval is not None and one.ceiling.interval.low >= SEEN
    return ("good", "safe") if seen else ("info", "blind")


ENDINGS = {
    ("personal", False): "templates of this model are personal data",
    ("personal", True): "a leaked template suffices to pass this model; no independent judge was given",
    ("above", False): "more than strangers would",
    ("above", True): "more than strangers would; no independent judge was given",
    ("safe", False): "this inverter does not recover the person",
    ("safe", True): "this inverter does not get past the model; no independent judge was given",
    ("unresolved", False): "not shown to be more than strangers would",
    ("unresolved", True): "not shown to be more than strangers would; no independent judge was given",
    ("blind", False): "but this judge hardly knows real pictures at that resolution: no proof of safety",
    ("blind", True): "but the model hardly knows real pictures at that resolution: no proof of safety",
    ("few", False): "too few people carry the comparisons to conclude anything",
    ("few", True): "too few people carry the comparisons to conclude anything",
}


def findings(
    attacks: Sequence[Attack], chosen: Attack, groups: Sequence[Groups], replaced: Sequence[Metric],
    memory: Finding | None, kin: frozenset[str] = frozenset(),
) -> list[Finding]:  # fmt: skip
    """The headline first; severities by the rules of docs/severity.md."""
    point = chosen.strictest
    if point is None or point.one is None:
        text = f"Attack success cannot be given: {chosen.points[-1].missing}."
        return [Finding("info", text, ("inversion.attack_success",), "inversion.unresolved")]
    severity, ending = severity_of(point.one)
    judge = "the model itself" if chosen.own else f"{_standing(chosen, kin)} ({chosen.judge})"
    base, at = f"inversion.{key(chosen.judge, chosen.own)}", f"@fmr={rate(point.fmr)}"
    found = [
        Finding(
            severity,
            f"{percent(point.one.own.value)} of reconstructions match their source for {judge} at FMR "
            f"{rate(point.fmr)} ({said(point.one.own, 'reconstructions')}){_beside(point.one)}: "
            f"{ENDINGS[ending, chosen.own]}.",
            ("inversion.attack_success", f"{base}.type1_excess{at}", f"{base}.strangers{at}"),
            "inversion.attack_success",
        )
    ]
    found += _type_two(point, base, at) + _generic(point, base, at)
    for g in groups:
        if g.gap is None or g.gap.interval is None or g.gap.interval.low <= 0:
            continue
        people = min(r.own.people for r in g.rates)
        found.append(
            Finding(
                "medium" if g.gap.interval.low >= GROUP_MEDIUM else "low",
                f"By {g.attribute}, reconstructions of '{g.more}' match their source beyond chance more often than "
                f"those of '{g.less}': {points(g.gap)}, at a level for all findings of this section "
                f"({people:,} people in the smallest group).",
                (f"inversion.group.{slug(g.attribute)}.type1_excess@fmr={rate(g.fmr)}",),
                "inversion.group_gap",
            )
        )
    by_name = {m.name: m for m in replaced}
    made, real = (by_name.get(f"{base}.{p}") for p in ("replacement", "replacement_real"))
    if made and real and made.value is not None and real.value is not None:
        bounds = made.interval and interval_words(made.interval.low, made.interval.high, as_percent=True)
        sure = f"95 % interval {bounds}" if bounds else f"no interval: {made.interval_missing}"
        found.append(
            Finding(
                "info",
                f"With the first picture of every genuine pair replaced by its reconstruction, accuracy is "
                f"{percent(made.value)} ({sure}; {made.n:,} pairs); with the real picture at the "
                f"inverter's resolution it is {percent(real.value)}.",
                (made.name, real.name),
                "inversion.replacement",
            )
        )
    return [*found, memory] if memory else found


def _beside(one: Success) -> str:
    """What strangers get, and the difference."""
    if one.chance is None or one.sure is None:
        return ""
    return (
        f"; reconstructions of other people match it in {percent(one.chance.value)}, a difference of "
        f"{points(one.sure)}"
    )


def _type_two(point: Point, base: str, at: str) -> list[Finding]:
    two = point.two
    if two is None:
        return []
    low = two.sure.interval.low if two.sure is not None and two.sure.interval is not None else 0.0
    level: Severity = "medium" if low >= HIGH else "low" if low > 0 else "info"
    text = (
        f"{percent(two.own.value)} of reconstructions match another picture of the same person "
        f"({said(two.own, 'reconstructions')}){_beside(two)}; of the real sources {percent(two.ceiling.value)} do."
    )
    evidence = (f"{base}.type2{at}", f"{base}.type2_excess{at}", f"{base}.type2_real{at}")
    return [Finding(level, text, evidence, "inversion.type2")]


def _generic(point: Point, base: str, at: str) -> list[Finding]:
    more, real = point.generic, point.strangers_real
    if more is None or more.interval is None or real is None or point.one is None or point.one.chance is None:
        return []
    if more.interval.low < GENERIC * max(real.value, point.fmr):
        return []
    text = (
        f"Reconstructions match strangers in {percent(point.one.chance.value)} of pairs "
        f"({said(point.one.chance, 'pairs')}), real pictures of the same people in {percent(real.value)}: generic "
        "faces match many."
    )
    return [Finding("low", text, (f"{base}.strangers{at}", f"{base}.strangers_real{at}"), "inversion.generic")]


def _cells(found: Counted | None) -> dict[str, Any]:
    if found is None:
        return {"value": None, "interval": None, "n": None, "people": None}
    bounds = [found.interval.low, found.interval.high] if found.interval else None
    return {"value": found.value, "interval": bounds, "n": found.n, "people": found.people}


def _success_cells(found: Success | None) -> dict[str, Any]:
    over = found.excess if found else None
    bounds = [100 * over.interval.low, 100 * over.interval.high] if over and over.interval else None
    own = _cells(found.own if found else None)
    return own | {
        "real": found.ceiling.value if found else None,
        "strangers": found.chance.value if found and found.chance else None,
        "excess": bounds,
        "note": (over.reason or found.own.reason) if found and over else "",
    }


def tables(attacks: Sequence[Attack], metrics: Sequence[Metric]) -> list[Table]:
    """Type I and type II by judge and operating point; groups."""
    one, two = [], []
    for a in attacks:
        for p in a.points:
            row: dict[str, Any] = {"judge": who(a.judge, a.own), "fmr": rate(p.fmr)}
            one.append(row | _success_cells(p.one))
            two.append(row | _success_cells(p.two))
    columns: tuple[Column, ...] = (
        Column("judge", "Judge"), Column("fmr", "FMR"), Column("value", "Success", "percent", 1),
        Column("interval", "95 %", "interval"), Column("n", "n", "integer"),
        Column("people", "People", "integer"), Column("real", "Real picture", "percent", 1),
        Column("strangers", "Chance", "percent", 2), Column("excess", "Less chance, points, 95 %", "interval"),
        Column("note", "Note"),
    )  # fmt: skip
    found = [
        Table(
            "inversion_type1", "Type I: matches the picture it was made from",
            columns, tuple(one),
            "Real picture: the source at the inverter's resolution. Chance: reconstructions of other people against "
            "the same pictures.",
        ),
        Table(
            "inversion_type2", "Type II: matches another picture of the person", columns, tuple(two),
            "Real picture: the source itself against that other picture.",
        ),
    ]  # fmt: skip
    kept = [m for m in metrics if m.name.startswith("inversion.group.") and ".type1@" in m.name]
    if kept:
        columns = (
            Column("group", "Group"), Column("value", "Type I", "percent", 1),
            Column("interval", "95 % interval", "interval"), Column("n", "Reconstructions", "integer"),
            Column("note", "Note"),
        )  # fmt: skip
        rows = [
            {"group": m.group, "value": m.value, "n": m.n, "note": m.missing or m.interval_missing,
             "interval": [m.interval.low, m.interval.high] if m.interval else None}
            for m in kept
        ]  # fmt: skip
        found.append(Table("inversion_groups", "Type I by group", columns, tuple(rows)))
    return found


def caveats(
    context: Any,
    params: Params,
    sizes: Sizes,
    attacks: Sequence[Attack],
    chosen: Attack,
    kin: frozenset[str] = frozenset(),
) -> list[str]:
    """What a reader must know before believing the figures; `kin` are judges that are not independent."""
    found = [
        "A better inverter may recover more: success is a lower bound of the risk, failure is no proof of safety."
    ]
    if params.refine:
        often = "once" if params.refine == 1 else f"{params.refine} times"
        found.append(
            f"Each reconstruction was shown to the model and corrected {often} (inversion.refine): an "
            "attacker needs its answers, not only the template. The sweep over guidance is not refined."
        )
    if not context.judges:
        found.append(
            "No independent judge was given (--judge): the audited model judges itself. What it accepts may be "
            "its own blind spots rather than the person's face."
        )
    found += [
        f"{name} is no independent judge: this inverter was made from one that was trained for it."
        for name in sorted(kin)
    ]
    card = getattr(context.inverter, "card", {})
    seen = [*card.get("data", []), *(card.get("translation") or {}).get("data", [])]
    trained = dict.fromkeys(d.get("name") for d in seen if isinstance(d, dict))
    same = any(
        d.get("digest") == context.faces.digest or d.get("name") == context.faces.name
        for d in seen if isinstance(d, dict)
    )  # fmt: skip
    if same:
        found.append(
            f"The inverter was trained on this very set ({context.faces.name}): its success here is on faces it "
            "has seen and says little about others."
        )
    elif trained:
        found.append(f"The inverter was trained on {', '.join(map(str, trained))}.")
    for a in attacks:
        found += dict.fromkeys(f"{who(a.judge, a.own)}: {p.missing}." for p in a.points if p.missing)
        if a.not_seen:
            found.append(
                f"{a.not_seen} reconstructions gave {who(a.judge, a.own)} no vector and count as no match."
            )
    if (point := chosen.strictest) is not None:
        found.append(f"Threshold of {who(chosen.judge, chosen.own)}: {point.threshold.provenance}.")
    if sizes.scale < 1:
        found.append(f"Sample sizes are {percent(sizes.scale)} of the defaults (inversion.scale).")
    if not context.faces.identified:
        found.append("The set names no identities: type II and the replacement protocol cannot be given.")
    found += [note] if (note := context.repeat_note()) else []
    return found
