"""Tables of the protection analysis."""

from __future__ import annotations

from typing import Any

from fraudit.analyses.protection.attacks import WITH, WITHOUT, Success
from fraudit.analyses.protection.measure import Attack, Found, Measured
from fraudit.analyses.protection.pictures import independent
from fraudit.analyses.shared.words import interval_ends, judge_name
from fraudit.formatting import fmr_words
from fraudit.types import Column, Table


def tables(found: Found) -> list[Table]:
    """Scheme by property; attacks; pictures."""
    out = [_overview(found), _attacks(found)]
    if found.faces:
        out.append(_pictures(found))
    return out


def _overview(found: Found) -> Table:
    at = fmr_words(found.fmr)
    rows = tuple(_row(m) for m in found.schemes)
    return Table(
        "protection_schemes",
        "Accuracy, unlinkability and irreversibility",
        (
            Column("scheme", "scheme"),
            Column("eer", "EER, one key", "percent"),
            Column("eer_own", "EER, own keys", "percent"),
            Column("fnmr", f"FNMR at FMR {at}, one key", "percent"),
            Column("above", "above plain vectors", "points"),
            Column("fnmr_change", "95 % interval", "interval"),
            Column("d", "D_sys", "number"),
            Column("d_interval", "95 % interval", "interval"),
            Column("d_knowing", "D_sys, scheme known", "number"),
            Column("with", "recovered above chance, with the key", "points"),
            Column("without", "without the key", "points"),
            Column("note", "note"),
        ),
        rows,
        "Accuracy where all share one key (as if keys were stolen) and where everybody has one. D_sys: how well "
        "templates of one person under different keys are linked (0 not at all, 1 always), by the scheme's own score "
        "and, where one is known, by that of someone who knows the scheme. The last figures: "
        f"people of whom a vector is recovered that matches another picture at FMR {at}, less what is recovered of "
        "others that does. A scheme without a key hides from nobody.",
    )


def _row(m: Measured) -> dict[str, Any]:
    if m.same is None:
        return {"scheme": m.name, "note": m.missing}
    a, b = m.attack(WITH), m.attack(WITHOUT)
    change = m.same.missed_change
    return {
        "scheme": m.name,
        "eer": m.same.eer.value,
        "eer_own": m.own.eer.value if m.own else None,
        "fnmr": m.same.missed.value,
        "above": change.value,
        "fnmr_change": interval_ends(change.interval),
        "d": m.linked.value if m.linked else None,
        "d_interval": interval_ends(m.linked.interval) if m.linked else None,
        "d_knowing": m.knowing.value if m.knowing else None,
        "with": a.two.over.value if a and a.two else None,
        "without": b.two.over.value if b and b.two else None,
        "note": m.unlinked or ("" if m.scheme.keyed else "no key"),
    }


def _attacks(found: Found) -> Table:
    rows = [_attack_row(m, attack) for m in found.done for attack in m.attacks]
    return Table(
        "protection_attacks",
        "What attackers recover of the vector",
        (
            Column("scheme", "scheme"),
            Column("who", "attacker"),
            Column("how", "how"),
            Column("own", "cosine to the true vector", "number"),
            Column("own_interval", "95 % interval", "interval"),
            Column("others", "to other people's", "number"),
            Column("one", "type I", "percent"),
            Column("two", "type II", "percent"),
            Column("chance", "type II by chance", "percent"),
            Column("over", "type II above chance", "interval"),
            Column("n", "people", "integer"),
        ),
        tuple(rows),
        f"Matches at FMR {fmr_words(found.fmr)}. Type I: the vector that was protected; type II: another picture of "
        "the person.",
    )


def _of(s: Success | None, key: str) -> Any:
    if s is None:
        return None
    return interval_ends(s.over.interval) if key == "over" else getattr(s, key).value


def _attack_row(m: Measured, attack: Attack) -> dict[str, Any]:
    like = attack.likeness
    return {
        "scheme": m.name,
        "who": attack.recovered.attacker if m.scheme.keyed else "anybody",
        "how": attack.recovered.how,
        "own": like.own.value,
        "own_interval": interval_ends(like.own.interval),
        "others": like.others.value,
        "one": _of(attack.one, "rate"),
        "two": _of(attack.two, "rate"),
        "chance": _of(attack.two, "chance"),
        "over": _of(attack.two, "over"),
        "n": like.own.people,
    }


def _pictures(found: Found) -> Table:
    rows = []
    for m in found.done:
        for attack in m.attacks:
            for j in attack.pictures.judged if attack.pictures else ():
                rows.append(
                    {
                        "scheme": m.name,
                        "who": attack.recovered.attacker if m.scheme.keyed else "anybody",
                        "judge": judge_name(j.judge, j.own),
                        "one": _of(j.one, "rate"),
                        "chance": _of(j.one, "chance"),
                        "over": _of(j.one, "over"),
                        "two": _of(j.two, "rate"),
                        "two_over": _of(j.two, "over"),
                        "note": j.missing,
                    }
                )
    return Table(
        "protection_pictures",
        "Pictures made of recovered vectors",
        (
            Column("scheme", "scheme"),
            Column("who", "attacker"),
            Column("judge", "judge"),
            Column("one", "type I", "percent"),
            Column("chance", "by chance", "percent"),
            Column("over", "type I above chance", "interval"),
            Column("two", "type II", "percent"),
            Column("two_over", "type II above chance", "interval"),
            Column("note", "note"),
        ),
        tuple(rows),
        f"{found.faces} vectors each, by the model's inverter; matches at FMR {fmr_words(found.fmr)} of each judge.",
    )


def told_by(attack: Attack) -> tuple[str, Success] | None:
    """(judge, type I success of the pictures) by the judge that counts, None where nothing was made."""
    chosen = independent(attack.pictures.judged) if attack.pictures else None
    if chosen is None or chosen.one is None:
        return None
    return judge_name(chosen.judge, chosen.own), chosen.one
