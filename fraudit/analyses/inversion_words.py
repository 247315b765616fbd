"""Words, metrics, tables and figures of the inversion audit; computes no rate."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from fraudit.analyses.inversion_rates import Attack, Groups
from fraudit.analyses.verification_words import rate
from fraudit.errors import InsufficientData
from fraudit.formatting import interval as interval_words
from fraudit.formatting import percent
from fraudit.stats.inversion import Figure as Counted
from fraudit.stats.inversion import mean_of, replacement
from fraudit.types import I64, Column, Finding, Metric, Severity, Table

if TYPE_CHECKING:
    from fraudit.analyses.inversion import Params
    from fraudit.analyses.inversion_measure import Replaced, Sizes, Sweep

# Rule `inversion.attack_success`: lower bounds of the success rate; `chance` is a multiple of the FMR.
HIGH, MEDIUM, CHANCE, SAFE = 0.1, 0.01, 3.0, 0.02
GROUP_MEDIUM = 1.25  # rule `inversion.group_gap`
METHOD = (
    "Each ID vector is inverted once; the picture is aligned by the points the inverter declares and shown to "
    "the audited model and to every judge. It matches where its cosine reaches the threshold fixed on real "
    "pictures of people who are not judged. Type I: against the source picture; type II: against another picture "
    "of the person (Mai et al. 2019). Intervals are identity-clustered. Replacement protocol: the first picture "
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
    """`95 % interval 60 to 75 %; 180 faces of 30 people`."""
    bounds = interval_words(counted.interval.low, counted.interval.high, as_percent=True)
    return f"95 % interval {bounds}; {counted.n:,} {unit} of {counted.people:,} people"


def counted_metric(name: str, found: Counted | None, missing: str, label: str, **more: Any) -> Metric:
    """A metric of a counted rate or mean, or the reason it is missing."""
    if found is None:
        return Metric(name, None, missing=missing, label=label, **more)
    return Metric(name, found.value, n=found.n, interval=found.interval, label=label, **more)


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
                "inversion.attack_success", point.one, "", label, better="lower", n_unit="reconstructions"
            )
        ]
    for attack in attacks:
        base, name = f"inversion.{key(attack.judge, attack.own)}", who(attack.judge, attack.own)
        for point in attack.points:
            at, words = f"@fmr={rate(point.fmr)}", f"at FMR {rate(point.fmr)} by {name}"
            alone = point.missing or "nobody has another picture with a vector"
            parts: tuple[tuple[str, Counted | None, str, str, str], ...] = (
                ("type1", point.one, "Type I", "reconstructions", point.missing),
                (
                    "type1_real",
                    point.real,
                    "Real picture at that resolution, type I",
                    "pictures",
                    point.missing,
                ),
                ("type2", point.two, "Type II", "reconstructions", alone),
                ("type2_real", point.real_two, "Real source against the other picture", "pictures", alone),
                ("strangers", point.strangers, "Reconstruction matches a stranger", "pairs", point.missing),
            )
            for part, counted, text, unit, missing in parts:
                found.append(
                    counted_metric(
                        f"{base}.{part}{at}", counted, missing or "no pair of different people",
                        f"{text} {words}", better="lower" if part in ("type1", "type2") else "none",
                        n_unit=unit,
                    )
                )  # fmt: skip
        few = "fewer than two people with a vector of the reconstruction"
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


def group_metrics(groups: Sequence[Groups], chosen: Attack) -> list[Metric]:
    """Type I by group; small groups with the reason."""
    found = []
    for g in groups:
        name = f"inversion.group.{slug(g.attribute)}.type1@fmr={rate(g.fmr)}"
        label = f"Type I by {g.attribute}, judged by {who(chosen.judge, chosen.own)}"
        for r in g.rates:
            found.append(
                Metric(name, r.rate, n=r.n, interval=r.interval, group=r.group, better="lower", label=label,
                       n_unit="reconstructions")
            )  # fmt: skip
        for label_of, people in g.small:
            why = f"{people} people, fewer than the floor: nothing is concluded"
            found.append(Metric(name, None, group=label_of, missing=why, better="lower", label=label))
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
                    better="lower" if part == "replacement" else "none", n_unit="pairs",
                    label=f"Accuracy over {a.folds} folds by {who(r.judge, r.own)}: {text}",
                )
            )  # fmt: skip
    return found


def mean_or_none(values: Any, people: Any) -> Counted | None:
    """The mean with its interval, or None where fewer than two people have a value."""
    try:
        return mean_of(values, people)
    except InsufficientData:
        return None


def sweep_metrics(swept: Sequence[Sweep], guidance: float) -> list[Metric]:
    """Identity similarity and diversity at every guidance; the default guidance without `@`."""
    found = []
    few = "fewer than two people with vectors of their reconstructions"
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


def severity_of(one: Counted, fmr: float) -> tuple[Severity, str]:
    """(severity, ending of the sentence) by rule `inversion.attack_success` of docs/severity.md."""
    low, high = one.interval.low, one.interval.high
    if low >= HIGH:
        return "high", "personal"
    if low >= MEDIUM:
        return "medium", "personal"
    if low > CHANCE * fmr:
        return "low", "above"
    return ("good", "safe") if high <= SAFE else ("info", "unresolved")


ENDINGS = {
    ("personal", False): "templates of this model are personal data",
    ("personal", True): "a leaked template suffices to pass this model; no independent judge was given",
    ("above", False): "more than strangers would",
    ("above", True): "more than strangers would; no independent judge was given",
    ("safe", False): "this inverter does not recover the person",
    ("safe", True): "this inverter does not get past the model; no independent judge was given",
    ("unresolved", False): "not shown to be more than strangers would",
    ("unresolved", True): "not shown to be more than strangers would; no independent judge was given",
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
    severity, ending = severity_of(point.one, point.fmr)
    judge = "the model itself" if chosen.own else f"{_standing(chosen, kin)} ({chosen.judge})"
    found = [
        Finding(
            severity,
            f"{percent(point.one.value)} of reconstructions match their source for {judge} at FMR "
            f"{rate(point.fmr)} ({said(point.one, 'reconstructions')}): {ENDINGS[ending, chosen.own]}.",
            ("inversion.attack_success",),
            "inversion.attack_success",
        )
    ]
    base, at = f"inversion.{key(chosen.judge, chosen.own)}", f"@fmr={rate(point.fmr)}"
    if point.two is not None and point.real_two is not None:
        low = point.two.interval.low
        level: Severity = "medium" if low >= HIGH else "low" if low > CHANCE * point.fmr else "info"
        found.append(
            Finding(
                level,
                f"{percent(point.two.value)} of reconstructions match another picture of the same person "
                f"({said(point.two, 'reconstructions')}); of the real sources {percent(point.real_two.value)} do.",
                (f"{base}.type2{at}", f"{base}.type2_real{at}"),
                "inversion.type2",
            )
        )
    if point.strangers is not None and point.strangers.interval.low >= CHANCE * point.fmr:
        found.append(
            Finding(
                "low",
                f"Reconstructions match strangers in {percent(point.strangers.value)} of pairs "
                f"({said(point.strangers, 'pairs')}), where real pictures do in {percent(point.fmr)}: part of "
                "the success is owed to generic faces.",
                (f"{base}.strangers{at}",),
                "inversion.generic",
            )
        )
    for g in groups:
        if g.ratio is None or g.p >= 0.05 or g.ratio.interval.low <= 1:
            continue
        name = f"inversion.group.{slug(g.attribute)}.type1@fmr={rate(g.fmr)}"
        bounds = interval_words(g.ratio.interval.low, g.ratio.interval.high)
        found.append(
            Finding(
                "medium" if g.ratio.interval.low >= GROUP_MEDIUM else "low",
                f"By {g.attribute}, reconstructions of '{g.ratio.worst}' match their source {g.ratio.value:.3g} "
                f"times as often as those of '{g.ratio.best}' (95 % interval {bounds}; "
                f"{min(r.subjects for r in g.rates):,} people in the smallest group).",
                (name,),
                "inversion.group_gap",
            )
        )
    by_name = {m.name: m for m in replaced}
    made, real = (by_name.get(f"{base}.{p}") for p in ("replacement", "replacement_real"))
    if made and real and made.value is not None and real.value is not None and made.interval:
        bounds = interval_words(made.interval.low, made.interval.high, as_percent=True)
        found.append(
            Finding(
                "info",
                f"With the first picture of every genuine pair replaced by its reconstruction, accuracy is "
                f"{percent(made.value)} (95 % interval {bounds}; {made.n:,} pairs); with the real picture at the "
                f"inverter's resolution it is {percent(real.value)}.",
                (made.name, real.name),
                "inversion.replacement",
            )
        )
    return [*found, memory] if memory else found


def _cells(found: Counted | None) -> dict[str, Any]:
    if found is None:
        return {"value": None, "interval": None, "n": None, "people": None}
    bounds = [found.interval.low, found.interval.high]
    return {"value": found.value, "interval": bounds, "n": found.n, "people": found.people}


def tables(attacks: Sequence[Attack], metrics: Sequence[Metric]) -> list[Table]:
    """Type I and type II by judge and operating point; groups."""
    one, two = [], []
    for a in attacks:
        for p in a.points:
            row: dict[str, Any] = {"judge": who(a.judge, a.own), "fmr": rate(p.fmr)}
            one.append(
                row | _cells(p.one) | {"real": p.real.value if p.real else None}
                | {"strangers": p.strangers.value if p.strangers else None}
            )  # fmt: skip
            two.append(row | _cells(p.two) | {"real": p.real_two.value if p.real_two else None})
    columns: tuple[Column, ...] = (
        Column("judge", "Judge"), Column("fmr", "FMR"), Column("value", "Success", "percent", 1),
        Column("interval", "95 %", "interval"), Column("n", "n", "integer"),
        Column("people", "People", "integer"), Column("real", "Real picture", "percent", 1),
    )  # fmt: skip
    found = [
        Table(
            "inversion_type1", "Type I: matches the picture it was made from",
            (*columns, Column("strangers", "Strangers", "percent", 2)), tuple(one),
            "Real picture: the source at the inverter's resolution. Strangers: reconstructions that match anybody "
            "else.",
        ),
        Table(
            "inversion_type2", "Type II: matches another picture of the person", columns, tuple(two),
            "Real picture: the source itself against that other picture.",
        ),
    ]  # fmt: skip
    kept = [m for m in metrics if m.name.startswith("inversion.group.")]
    if kept:
        columns = (
            Column("group", "Group"), Column("value", "Type I", "percent", 1),
            Column("interval", "95 % interval", "interval"), Column("n", "Reconstructions", "integer"),
            Column("note", "Note"),
        )  # fmt: skip
        rows = [
            {"group": m.group, "value": m.value, "n": m.n, "note": m.missing or "",
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
        found += [f"{who(a.judge, a.own)}: {p.missing}." for p in a.points if p.missing]
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
    return found
