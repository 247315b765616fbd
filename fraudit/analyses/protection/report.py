"""The protection analysis in words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from fraudit.analyses.protection.attacks import WITH, WITHOUT, Success
from fraudit.analyses.protection.measure import Attack, Found, Measured
from fraudit.analyses.protection.metrics import attacker_key, prefix
from fraudit.analyses.protection.tables import told_by
from fraudit.formatting import fmr_words, percent, points
from fraudit.formatting import interval as interval_words
from fraudit.stats.linkability import Linkability
from fraudit.types import Finding, Severity

METHOD = (
    "Every scheme protects the unit vectors of a sample of people with two pictures or more. Accuracy: one key for "
    "all, and a key a person; thresholds chosen on one half of the people, FNMR of the other half, differences to the "
    "plain vectors paired by pair. Unlinkability: every template under a key of its own, D_sys (Gomez-Barrero et al., "
    "2018) from the scheme's score of two pictures of a person and of strangers, and from that of "
    "someone who knows the scheme where one is known. Irreversibility: who has the key "
    "protects other people's vectors under it; a linear scheme is solved by least squares, any other by the better of "
    "ridge regression and a perceptron on held-out vectors; who has no key learns the same under other keys. Success: "
    "matches at the threshold of plain vectors; chance: what is recovered of other people, against the same pictures."
)
ORDER = ("high", "medium", "low", "info", "good")
LESS_SURE = "less sure than a finding takes"
CLEAR, MUCH = 0.10, 0.25  # excess of an attack; D_sys


def _bounds(s: Success) -> str:
    if s.over.interval is None:
        return f"no interval: {s.over.reason}"
    i = s.over.interval
    return f"above chance by {interval_words(i.low, i.high, as_points=True)}"


def _reversed(m: Measured, attack: Attack, fmr: float) -> str:
    two = attack.two
    assert two is not None
    who = "anybody" if not m.scheme.keyed else f"someone {attack.recovered.attacker}"
    text = (
        f"{m.name}: of {percent(two.rate.value)} of people {who} recovers a vector that matches another picture at FMR "
        f"{fmr_words(fmr)} ({_bounds(two)}; cosine to the true vector {attack.likeness.own.value:.2f}, to others "
        f"{attack.likeness.others.value:.2f}; {two.rate.people} people)"
    )
    return f"{text}{_pictures_words(attack)}."


def _pictures_words(attack: Attack) -> str:
    """`; of 40 % of 32 pictures made of them X says that it is the person (above chance ...)`, or ''."""
    judged = told_by(attack)
    if judged is None:
        return ""
    judge, one = judged
    return (
        f"; of {percent(one.rate.value)} of {one.rate.n} pictures made of them {judge} says that it is the person "
        f"({_bounds(one)})"
    )


def _resisted(m: Measured, attack: Attack, fmr: float) -> str:
    two = attack.two
    assert two is not None
    usual = two.over.interval
    what = f"something, {LESS_SURE}," if usual is not None and usual.low > 0 else "nothing beyond doubt"
    return (
        f"{m.name}: someone {attack.recovered.attacker} recovers {what} by these attacks: "
        f"{percent(two.rate.value)} of the recovered vectors match another picture of the person at FMR "
        f"{fmr_words(fmr)}, and {percent(two.chance.value)} one of somebody else ({_bounds(two)}; "
        f"{two.rate.people} people)."
    )


def _attack_finding(m: Measured, attack: Attack, fmr: float) -> Finding | None:
    if attack.two is None:
        return None
    key = attacker_key(attack)
    names = [f"{prefix(m)}.{what}_{key}" for what in ("vector_attack2", "vector_attack2_excess", "cosine")]
    sure = attack.two.sure.interval
    low = sure.low if sure else 0.0
    severity: Severity = "info"
    rule = "protection.plain"
    if m.scheme.claims:
        rule = "protection.reversible"
        without = attack.recovered.attacker == WITHOUT or not m.scheme.keyed
        if low >= CLEAR:
            severity = "high" if without else "medium"
        elif low > 0:
            severity = "medium" if without else "low"
    if low <= 0:
        return Finding("info", _resisted(m, attack, fmr), tuple(names), "protection.resists")
    advice = "Do not count on this scheme to keep faces secret." if severity != "info" else ""
    return Finding(severity, _reversed(m, attack, fmr), tuple(names), rule, advice)


def _linked_beyond(sure: Linkability | None) -> float:
    return sure.interval.low if sure is not None and sure.interval else 0.0


def _shown_link(m: Measured) -> tuple[Linkability, float, str, str] | None:
    """(link, its sure lower bound, metric, how): by the scheme's own score or that of who knows it, what links more."""
    found, sure, name, how = m.linked, m.linked_sure, "d_sys", ""
    if m.knowing is not None and _linked_beyond(m.knowing_sure) > _linked_beyond(sure):
        found, sure, name, how = (
            m.knowing,
            m.knowing_sure,
            "d_sys_knowing",
            " by someone who knows the scheme",
        )
    if found is None or sure is None or found.interval is None:
        return None
    return found, _linked_beyond(sure), name, how


def _link_finding(m: Measured) -> Finding | None:
    shown = _shown_link(m)
    if shown is None:
        return None
    found, low, name, how = shown
    i = found.interval
    assert i is not None
    words = f"D_sys {found.value:.2f} (95 % interval {i.low:.2f} to {i.high:.2f}; {found.people} people)"
    if low > 0:
        severity: Severity = "info" if not m.scheme.claims else "medium" if low >= MUCH else "low"
        text = f"{m.name}: templates of one person under different keys can be linked{how}: {words}."
        if not m.scheme.keyed:
            text = f"{m.name}: it has no key, so that templates of two databases can be linked: {words}."
        advice = (
            "" if severity == "info" else "Do not count on this scheme's keys to keep two databases apart."
        )
        return Finding(severity, text, (f"{prefix(m)}.{name}",), "protection.linkable", advice)
    text = f"{m.name}: no link between templates under different keys was found by its own score: {words}."
    if i.low > 0:
        text = f"{m.name}: templates of one person under different keys seem linked, {LESS_SURE}: {words}."
    return Finding("info", text, (f"{prefix(m)}.d_sys",), "protection.unlinked")


def _accuracy_finding(m: Measured, fmr: float) -> Finding | None:
    if m.same is None or m.same.missed_change.interval is None:
        return None
    change, i = m.same.missed_change, m.same.missed_change.interval
    text = (
        f"{m.name}: with one key for all FNMR at FMR {fmr_words(fmr)} is {percent(m.same.missed.value)}, "
        f"{points(abs(change.value), 2)} {'below' if change.value < 0 else 'above'} that of the plain vectors (95 % "
        f"interval of the change {interval_words(i.low, i.high, as_points=True)}; {change.n:,} genuine pairs of "
        f"{change.people} people)."
    )
    names = (f"{prefix(m)}.fnmr_same_key", f"{prefix(m)}.fnmr_change_same_key")
    return Finding("info", text, names, "protection.accuracy")


def findings(found: Found) -> list[Finding]:
    """By the rules of docs/severity.md: one a scheme that claims to protect, and one of all others together."""
    told = [f for m in found.done if m.scheme.claims and (f := _scheme_finding(m, found.fmr)) is not None]
    return [*sorted(told, key=lambda f: ORDER.index(f.severity)), *_plain_findings(found)]


def _parts(m: Measured, fmr: float) -> list[tuple[Finding, str]]:
    """What was measured of a scheme, the worst first: as a finding of its own, and in a few words."""
    parts = [(_attack_finding(m, a, fmr), _attack_short(m, a)) for a in m.attacks]
    parts += [(_link_finding(m), _link_short(m)), (_accuracy_finding(m, fmr), _accuracy_short(m))]
    done = [(finding, short) for finding, short in parts if finding is not None]
    return sorted(done, key=lambda part: ORDER.index(part[0].severity))


def _evidence(parts: Sequence[tuple[Finding, str]]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name for finding, _ in parts for name in finding.evidence))


def _scheme_finding(m: Measured, fmr: float) -> Finding | None:
    """The worst of what was measured leads, the rest follows in it."""
    done = _parts(m, fmr)
    if not done:
        return None
    (lead, _), *rest = done
    also = f" Also: {'; '.join(short for _, short in rest)}." if rest else ""
    advice = " ".join(dict.fromkeys(finding.advice for finding, _ in done if finding.advice))
    return Finding(lead.severity, lead.text + also, _evidence(done), lead.rule, advice)


def _plain_findings(found: Found) -> list[Finding]:
    """Schemes that claim nothing, the measure for the others: a statement of each kind, with the figures of each."""
    plain = [(m, parts) for m in found.done if not m.scheme.claims and (parts := _parts(m, found.fmr))]
    if len(plain) < 2:
        return [f for m, _ in plain if (f := _scheme_finding(m, found.fmr)) is not None]
    statements = _plain_statements([m for m, _ in plain], found.fmr)
    said = " ".join(f"{what}: {', '.join(each)}." for what, each in statements if each)
    people = next((f" of {a.two.rate.people} people" for m, _ in plain for a in m.attacks if a.two), "")
    names = ", ".join(m.name for m, _ in plain)
    text = (
        f"{names} are not meant to protect: the measure for the others, with 95 % intervals{people}. {said}"
    )
    return [Finding("info", text, _evidence([p for _, parts in plain for p in parts]), "protection.plain")]


def _plain_statements(plain: Sequence[Measured], fmr: float) -> list[tuple[str, list[str]]]:
    """(what is stated, each scheme's figure with its interval)."""
    recovered: list[str] = []
    linked: list[str] = []
    lost: list[str] = []
    pictures: dict[str, list[str]] = {}
    for m in plain:
        for attack in m.attacks:
            who = f"{m.name} {attack.recovered.attacker}" if m.scheme.keyed else m.name
            if attack.two is not None:
                recovered.append(f"{who} {percent(attack.two.rate.value)} ({_bounds(attack.two)})")
            if (judged := told_by(attack)) is not None:
                judge, one = judged
                share = f"{who} {percent(one.rate.value)} of {one.rate.n} ({_bounds(one)})"
                pictures.setdefault(judge, []).append(share)
        if (shown := _shown_link(m)) is not None and (i := shown[0].interval) is not None:
            linked.append(f"{m.name} {shown[0].value:.2f} ({i.low:.2f} to {i.high:.2f})")
        if m.same is not None and (i := m.same.missed_change.interval) is not None:
            ends = interval_words(i.low, i.high, as_points=True)
            lost.append(f"{m.name} {points(m.same.missed_change.value, 2)} ({ends})")
    return [
        (f"People of whom a vector is recovered that matches another picture at FMR {fmr_words(fmr)}", recovered),
        ("D_sys across databases", linked),
        ("FNMR less that of plain vectors", lost),
        *((f"Recovered vectors made into pictures that {judge} takes for the person", one)
          for judge, one in pictures.items()),
    ]  # fmt: skip


def _attack_short(m: Measured, attack: Attack) -> str:
    who = attack.recovered.attacker if m.scheme.keyed else "by anybody"
    return "" if attack.two is None else recovered_words(attack.two, who)


def recovered_words(two: Success, who: str) -> str:
    """`93.3 % recovered with the key (above chance by 76 to 99 points)`, with how sure that is."""
    said, sure, usual = _bounds(two), two.sure.interval, two.over.interval
    if sure is None or sure.low <= 0:
        said += (
            f" at 95 %, {LESS_SURE}"
            if usual is not None and usual.low > 0
            else ", so that chance is not ruled out"
        )
    return f"{percent(two.rate.value)} recovered {who} ({said})"


def _link_short(m: Measured) -> str:
    shown = _shown_link(m)
    if shown is None:
        return ""
    found, low, _, how = shown
    i = found.interval
    assert i is not None
    said, sure = f"linked across {'keys' if m.scheme.keyed else 'databases'}{how}", ""
    if low <= 0 < i.low:
        sure = f", {LESS_SURE}"
    elif low <= 0:
        said = "no link across keys was found"
    return f"{said} (D_sys {found.value:.2f}, 95 % interval {i.low:.2f} to {i.high:.2f}{sure})"


def _accuracy_short(m: Measured) -> str:
    if m.same is None or m.same.missed_change.interval is None:
        return ""
    change, i = m.same.missed_change, m.same.missed_change.interval
    away = f"{points(abs(change.value), 2)} {'below' if change.value < 0 else 'above'}"
    ends = interval_words(i.low, i.high, as_points=True)
    return f"FNMR with one key {away} that of plain vectors (95 % interval {ends})"


@dataclass(frozen=True, slots=True)
class _Broken:
    """Schemes that are meant to protect, and names of those that are reversed or linked beyond doubt."""

    claimed: int
    with_key: tuple[str, ...]
    without: tuple[str, ...]
    linked: tuple[str, ...]


def _broken(found: Found) -> _Broken:
    claimed = [m for m in found.done if m.scheme.claims]

    def beyond(m: Measured, attacker: str) -> bool:
        return any(
            a.two is not None and a.two.sure.interval is not None and a.two.sure.interval.low >= CLEAR
            for a in m.attacks
            if a.recovered.attacker == attacker
        )

    return _Broken(
        len(claimed),
        tuple(m.name for m in claimed if beyond(m, WITH)),
        tuple(m.name for m in claimed if beyond(m, WITHOUT)),
        tuple(
            m.name for m in claimed if max(_linked_beyond(m.linked_sure), _linked_beyond(m.knowing_sure)) > 0
        ),
    )


def headline(found: Found) -> str:
    """Schemes that are meant to protect, and what is left of that."""
    seen = _broken(found)
    if not seen.claimed:
        return f"{len(found.done)} schemes measured, none of which is meant to protect."

    def named(names: Sequence[str]) -> str:
        return f"{len(names)} ({', '.join(names)})" if names else "none"

    return (
        f"Of {seen.claimed} schemes that are meant to protect, {named(seen.with_key)} can be reversed with the key, "
        f"{named(seen.without)} without it (beyond doubt, and for at least {100 * CLEAR:.0f} points of people more "
        f"than by chance), and {named(seen.linked)} linked across keys."
    )


def answer(found: Found) -> str:
    """The section in plain words."""
    seen = _broken(found)
    if not seen.claimed:
        return "Not known: none of the schemes that were tried is meant to protect."
    ways = (
        ("turned back into a face vector by who has no key", seen.without),
        ("turned back into a face vector by who has the key", seen.with_key),
        ("linked across databases", seen.linked),
    )
    said = [f"{', '.join(names)} can be {how}" for how, names in ways if names]
    if not said:
        return "Not shown otherwise: no attack that was tried succeeds beyond doubt; a better one may."
    worst = len({*seen.without, *seen.with_key, *seen.linked})
    return f"{'No' if worst == seen.claimed else 'Not all'}: {'; '.join(said)}."


def caveats(found: Found) -> list[str]:
    """What the figures do not say."""
    out = [
        "Reversible is shown, never the opposite: a better attack may recover more than these.",
        "The link is looked for with the scheme's own score, and PolyProtect's with one that moves templates against "
        "each other; whoever has both keys can link whatever can be recovered with a key.",
        "An attacker with the key is measured under one shared key; other keys may be a little easier or harder.",
    ]
    if found.no_pictures:
        out.append(f"No pictures were made of recovered vectors: {found.no_pictures}.")
    out += [f"{m.name} was not measured: {m.missing}." for m in found.schemes if m.missing]
    return out
