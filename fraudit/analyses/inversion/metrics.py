"""Metrics of the inversion audit, from counted rates."""

from __future__ import annotations

from collections.abc import Sequence

from fraudit.analyses.inversion.measure import Replaced, Sweep
from fraudit.analyses.inversion.rates import Attack, Groups, Point
from fraudit.analyses.shared.counted import counted_metric, mean_or_none
from fraudit.analyses.shared.words import judge_key, judge_name, slug
from fraudit.formatting import fmr_words
from fraudit.stats.estimates import Estimate
from fraudit.stats.inversion import replacement
from fraudit.types import I64, Metric


def standing(chosen: Attack, kin: frozenset[str]) -> str:
    return "a related model" if chosen.judge in kin else "an independent judge"


def attack_metrics(
    attacks: Sequence[Attack], chosen: Attack, kin: frozenset[str] = frozenset()
) -> list[Metric]:
    """Success by judge, and `inversion.attack_success`, the report's key figure."""
    point = chosen.strictest
    by = "the model itself" if chosen.own else f"{standing(chosen, kin)} ({chosen.judge})"
    if point is None or point.one is None:
        label, missing = f"type I by {by}", chosen.points[-1].missing
        found = [Metric("inversion.attack_success", None, missing=missing, better="lower", label=label)]
    else:
        label = f"type I at FMR {fmr_words(point.fmr)} by {by}"
        found = [
            counted_metric(
                "inversion.attack_success", point.one.own, "", label, better="lower", n_unit="reconstructions"
            )
        ]
    for attack in attacks:
        base, name = f"inversion.{judge_key(attack.judge, attack.own)}", judge_name(attack.judge, attack.own)
        for point in attack.points:
            found += _point_metrics(point, base, f"at FMR {fmr_words(point.fmr)} by {name}")
        few = "no reconstruction has a vector"
        found.append(
            counted_metric(
                f"{base}.similarity",
                attack.similarity,
                few,
                f"Mean cosine to the source by {name}",
                better="lower",
                n_unit="reconstructions",
            )
        )
        found.append(
            counted_metric(
                f"{base}.distance",
                attack.distance,
                few,
                f"Mean angular distance to the source by {name}",
                better="higher",
                n_unit="reconstructions",
            )
        )
    return found


def _point_metrics(point: Point, base: str, words: str) -> list[Metric]:
    """Type I and II with ceiling, chance and excess; strangers among real pictures."""
    one, two = point.one, point.two
    alone = point.missing or "nobody has another picture with a vector"
    lonely = point.missing or "no pair of different people"
    made, pictures, pairs = "reconstructions", "pictures", "pairs"
    chance = "Chance: reconstructions of other people match"
    parts: tuple[tuple[str, Estimate | None, str, str, str], ...] = (
        ("type1", one.own if one else None, "Type I", made, point.missing),
        (
            "type1_real",
            one.ceiling if one else None,
            "Real picture at that resolution, type I",
            pictures,
            point.missing,
        ),
        ("strangers", one.chance if one else None, f"{chance} the source", pairs, lonely),
        ("strangers_real", point.strangers_real, "Real sources match other people's", pairs, lonely),
        ("type1_excess", one.excess if one else None, "Type I less chance", made, lonely),
        ("type2", two.own if two else None, "Type II", made, alone),
        (
            "type2_real",
            two.ceiling if two else None,
            "Real source against the other picture",
            pictures,
            alone,
        ),
        ("strangers2", two.chance if two else None, f"{chance} the other picture", pairs, alone),
        ("type2_excess", two.excess if two else None, "Type II less chance", made, alone),
    )
    at = f"@fmr={fmr_words(point.fmr)}"
    lower = ("type1", "type2", "type1_excess", "type2_excess")
    return [
        counted_metric(
            f"{base}.{part}{at}",
            counted,
            missing or "no vector",
            f"{text} {words}",
            n_unit=unit,
            better="lower" if part in lower else "none",
        )
        for part, counted, text, unit, missing in parts
    ]


def group_metrics(groups: Sequence[Groups], chosen: Attack) -> list[Metric]:
    """Type I and its excess over chance by group; small groups with the reason."""
    found = []
    for g in groups:
        base, at = f"inversion.group.{slug(g.attribute)}", f"@fmr={fmr_words(g.fmr)}"
        end = f"by {g.attribute}, judged by {judge_name(chosen.judge, chosen.own)}"
        parts = (("type1", f"Type I {end}"), ("type1_excess", f"Type I less chance {end}"))
        for name, label in parts:
            for r in g.rates:
                counted = r.own if name == "type1" else r.excess
                found.append(
                    counted_metric(
                        f"{base}.{name}{at}",
                        counted,
                        "no pair of different people",
                        label,
                        group=r.group,
                        better="lower",
                        n_unit="reconstructions",
                    )
                )
            for label_of, people in g.small:
                why = f"{people} people, fewer than the floor: nothing is concluded"
                found.append(
                    Metric(
                        f"{base}.{name}{at}", None, group=label_of, missing=why, better="lower", label=label
                    )
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
                    f"inversion.{judge_key(r.judge, r.own)}.{part}",
                    a.accuracy,
                    n=a.n,
                    interval=a.interval,
                    interval_missing=a.reason,
                    better="lower" if part == "replacement" else "none",
                    n_unit="pairs",
                    label=f"Accuracy over {a.folds} folds by {judge_name(r.judge, r.own)}: {text}",
                )
            )
    return found


def sweep_metrics(swept: Sequence[Sweep], guidance: float) -> list[Metric]:
    """Identity similarity and diversity at every guidance; the default guidance without `@`."""
    found = []
    few = "nobody has two reconstructions with a vector"
    for s in swept:
        at = "" if s.guidance == guidance else f"@guidance={s.guidance:g}"
        base, name = f"inversion.{judge_key(s.judge, s.own)}", judge_name(s.judge, s.own)
        words = f"at guidance {s.guidance:g} by {name}, {s.samples} samples a person"
        for part, values, text in (
            ("sample_similarity", s.similarity, "Mean cosine of samples to their source"),
            ("diversity", s.spread, "Mean angular distance among samples of one vector"),
        ):
            found.append(
                counted_metric(
                    f"{base}.{part}{at}",
                    mean_or_none(values, s.people),
                    few,
                    f"{text} {words}",
                    n_unit="vectors",
                )
            )
        if s.own:
            text = f"RMS pixel difference among samples of one vector at guidance {s.guidance:g}"
            found.append(
                counted_metric(
                    f"inversion.pixel_diversity{at}",
                    mean_or_none(s.pixels, s.people),
                    few,
                    text,
                    n_unit="vectors",
                )
            )
    return found
