"""The inversion audit as findings and tables; rules of severity in docs/severity.md. Computes no rate."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from fraudit.analyses.inversion.measure import Sizes
from fraudit.analyses.inversion.metrics import standing
from fraudit.analyses.inversion.params import Params
from fraudit.analyses.inversion.rates import Attack, Groups, Point, Success
from fraudit.analyses.shared.words import interval_and_people, judge_key, judge_name, slug
from fraudit.formatting import fmr_words, percent
from fraudit.formatting import interval as interval_words
from fraudit.stats.estimates import Estimate
from fraudit.types import Column, Finding, Metric, Severity, Table

if TYPE_CHECKING:
    from fraudit.audit.context import AnalysisContext

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


def difference_in_points(counted: Estimate) -> str:
    """`57.9 points (at least 50.2)`: a difference with its lower bound at the level of findings."""
    low = f" (at least {100 * counted.interval.low:.1f})" if counted.interval else ""
    return f"{100 * counted.value:+.1f} points{low}"


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


ADVICE = (
    "Guard templates like photographs: encrypt them, keep them apart from names, be able to replace them. `fraudit "
    "protection` measures schemes that protect them."
)
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
    attacks: Sequence[Attack],
    chosen: Attack,
    groups: Sequence[Groups],
    replaced: Sequence[Metric],
    memory: Finding | None,
    kin: frozenset[str] = frozenset(),
) -> list[Finding]:
    """The headline first; severities by the rules of docs/severity.md."""
    point = chosen.strictest
    if point is None or point.one is None:
        text = f"Attack success cannot be given: {chosen.points[-1].missing}."
        return [Finding("info", text, ("inversion.attack_success",), "inversion.unresolved")]
    severity, ending = severity_of(point.one)
    judge = "the model itself" if chosen.own else f"{standing(chosen, kin)} ({chosen.judge})"
    base, at = f"inversion.{judge_key(chosen.judge, chosen.own)}", f"@fmr={fmr_words(point.fmr)}"
    found = [
        Finding(
            severity,
            f"{percent(point.one.own.value)} of reconstructions match their source for {judge} at FMR "
            f"{fmr_words(point.fmr)} ({interval_and_people(point.one.own, 'reconstructions')}){_beside(point.one)}: "
            f"{ENDINGS[ending, chosen.own]}.",
            ("inversion.attack_success", f"{base}.type1_excess{at}", f"{base}.strangers{at}"),
            "inversion.attack_success",
            ADVICE if severity in ("high", "medium", "low") else "",
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
                f"those of '{g.less}': {difference_in_points(g.gap)}, at a level for all findings of this section "
                f"({people:,} people in the smallest group).",
                (f"inversion.group.{slug(g.attribute)}.type1_excess@fmr={fmr_words(g.fmr)}",),
                "inversion.group_gap",
                ADVICE,
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


def answer(chosen: Attack) -> str:
    """The section in plain words."""
    point = chosen.strictest
    if point is None or point.one is None:
        return "Not known: too few rebuilt faces could be judged."
    judge = "the model itself takes" if chosen.own else f"another model ({chosen.judge}) takes"
    share = f"{judge} {percent(point.one.own.value)} of the rebuilt faces for the person"
    ending = severity_of(point.one)[1]
    if ending in ("personal", "above"):
        return f"Yes: {share}."
    if ending == "safe":
        return f"Not by this inverter: {share}. A better one may."
    return f"Not shown: {share}."


def _beside(one: Success) -> str:
    """What strangers get, and the difference."""
    if one.chance is None or one.sure is None:
        return ""
    return (
        f"; reconstructions of other people match it in {percent(one.chance.value)}, a difference of "
        f"{difference_in_points(one.sure)}"
    )


def _type_two(point: Point, base: str, at: str) -> list[Finding]:
    two = point.two
    if two is None:
        return []
    low = two.sure.interval.low if two.sure is not None and two.sure.interval is not None else 0.0
    level: Severity = "medium" if low >= HIGH else "low" if low > 0 else "info"
    text = (
        f"{percent(two.own.value)} of reconstructions match another picture of the same person "
        f"({interval_and_people(two.own, 'reconstructions')}){_beside(two)}; of the real sources "
        f"{percent(two.ceiling.value)} do."
    )
    evidence = (f"{base}.type2{at}", f"{base}.type2_excess{at}", f"{base}.type2_real{at}")
    return [Finding(level, text, evidence, "inversion.type2", ADVICE if level != "info" else "")]


def _generic(point: Point, base: str, at: str) -> list[Finding]:
    more, real = point.generic, point.strangers_real
    if more is None or more.interval is None or real is None or point.one is None or point.one.chance is None:
        return []
    if more.interval.low < GENERIC * max(real.value, point.fmr):
        return []
    text = (
        f"Reconstructions match strangers in {percent(point.one.chance.value)} of pairs "
        f"({interval_and_people(point.one.chance, 'pairs')}), real pictures of the same people in "
        f"{percent(real.value)}: generic faces match many."
    )
    return [
        Finding("low", text, (f"{base}.strangers{at}", f"{base}.strangers_real{at}"), "inversion.generic")
    ]


def _cells(found: Estimate | None) -> dict[str, Any]:
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
            row: dict[str, Any] = {"judge": judge_name(a.judge, a.own), "fmr": fmr_words(p.fmr)}
            one.append(row | _success_cells(p.one))
            two.append(row | _success_cells(p.two))
    columns: tuple[Column, ...] = (
        Column("judge", "Judge"),
        Column("fmr", "FMR"),
        Column("value", "Success", "percent", 1),
        Column("interval", "95 %", "interval"),
        Column("n", "n", "integer"),
        Column("people", "People", "integer"),
        Column("real", "Real picture", "percent", 1),
        Column("strangers", "Chance", "percent", 2),
        Column("excess", "Less chance, points, 95 %", "interval"),
        Column("note", "Note"),
    )
    found = [
        Table(
            "inversion_type1",
            "Type I: matches the picture it was made from",
            columns,
            tuple(one),
            "Real picture: the source at the inverter's resolution. Chance: reconstructions of other people against "
            "the same pictures.",
        ),
        Table(
            "inversion_type2",
            "Type II: matches another picture of the person",
            columns,
            tuple(two),
            "Real picture: the source itself against that other picture.",
        ),
    ]
    kept = [m for m in metrics if m.name.startswith("inversion.group.") and ".type1@" in m.name]
    if kept:
        columns = (
            Column("group", "Group"),
            Column("value", "Type I", "percent", 1),
            Column("interval", "95 % interval", "interval"),
            Column("n", "Reconstructions", "integer"),
            Column("note", "Note"),
        )
        rows = [
            {
                "group": m.group,
                "value": m.value,
                "n": m.n,
                "note": m.missing or m.interval_missing,
                "interval": [m.interval.low, m.interval.high] if m.interval else None,
            }
            for m in kept
        ]
        found.append(Table("inversion_groups", "Type I by group", columns, tuple(rows)))
    return found


def caveats(
    context: AnalysisContext,
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
            "No independent judge was given (`--judge`): the audited model judges itself. What it accepts may be "
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
        for d in seen
        if isinstance(d, dict)
    )
    if same:
        found.append(
            f"The inverter was trained on this very set ({context.faces.name}): its success here is on faces it "
            "has seen and says little about others."
        )
    elif trained:
        found.append(f"The inverter was trained on {', '.join(map(str, trained))}.")
    for a in attacks:
        found += dict.fromkeys(f"{judge_name(a.judge, a.own)}: {p.missing}." for p in a.points if p.missing)
        if a.not_seen:
            found.append(
                f"{a.not_seen} reconstructions gave {judge_name(a.judge, a.own)} no vector and count as no match."
            )
    if (point := chosen.strictest) is not None:
        found.append(f"Threshold of {judge_name(chosen.judge, chosen.own)}: {point.threshold.provenance}.")
    if sizes.scale < 1:
        found.append(f"Sample sizes are {percent(sizes.scale)} of the defaults (inversion.scale).")
    if not context.faces.identified:
        found.append("The set names no identities: type II and the replacement protocol cannot be given.")
    found += [note] if (note := context.repeat_note()) else []
    return found
