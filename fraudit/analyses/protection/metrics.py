"""Metrics of the protection analysis."""

from __future__ import annotations

from collections.abc import Iterator

from fraudit.analyses.protection.attacks import Success
from fraudit.analyses.protection.measure import Attack, Found, Measured
from fraudit.analyses.shared.counted import counted_metric
from fraudit.analyses.shared.words import judge_key, judge_name, slug
from fraudit.formatting import fmr_words
from fraudit.stats.estimates import Estimate
from fraudit.types import Metric


def prefix(m: Measured) -> str:
    """`protection.polyprotect_overlap_2`."""
    return f"protection.{slug(m.name)}"


def attacker_key(attack: Attack) -> str:
    """`with_key` or `without_key`."""
    return "with_key" if attack.recovered.attacker == "with the key" else "without_key"


def metrics(found: Found) -> Iterator[Metric]:
    """Every scheme's figures, the reason where a scheme could not be measured."""
    for m in found.schemes:
        if m.missing:
            yield Metric(f"{prefix(m)}.d_sys", None, missing=m.missing, label=f"{m.name}: linkability D_sys")
            continue
        yield from _accuracy(m, found.fmr)
        yield from _linked(m)
        for attack in m.attacks:
            yield from _attack(m, attack, found)


def _accuracy(m: Measured, fmr: float) -> Iterator[Metric]:
    at = fmr_words(fmr)
    for kind, words, rates in (("same_key", "one key for all", m.same), ("own_key", "own keys", m.own)):
        if rates is None:
            continue
        label = f"{m.name}, {words}"
        fnmr = f"FNMR at FMR {at}"
        values: tuple[tuple[str, Estimate, str, str], ...] = (
            ("eer", rates.eer, "EER", "pairs"),
            ("eer_change", rates.eer_change, "EER above that of the plain vectors", "pairs"),
            ("fnmr", rates.missed, fnmr, "genuine pairs"),
            ("fnmr_change", rates.missed_change, f"{fnmr} above that of the plain vectors", "genuine pairs"),
        )
        for name, value, what, unit in values:
            yield counted_metric(
                f"{prefix(m)}.{name}_{kind}", value, "", f"{label}: {what}", better="lower", n_unit=unit
            )


def _linked(m: Measured) -> Iterator[Metric]:
    name, label = f"{prefix(m)}.d_sys", f"{m.name}: linkability D_sys across keys"
    if m.linked is None:
        yield Metric(name, None, missing=m.unlinked, label=label)
        return
    for at, found, words in (
        (name, m.linked, label),
        (f"{name}_knowing", m.knowing, f"{label}, by someone who knows the scheme"),
    ):
        if found is not None:
            yield Metric(
                at,
                found.value,
                n=found.people,
                n_unit="people",
                interval=found.interval,
                interval_missing=found.missing,
                better="lower",
                label=words,
            )


def _attack(m: Measured, attack: Attack, found: Found) -> Iterator[Metric]:
    key, who = attacker_key(attack), f"{m.name}, {attack.recovered.attacker}"
    n = {"n_unit": "people"}
    yield counted_metric(
        f"{prefix(m)}.cosine_{key}", attack.likeness.own, "", f"{who}: cosine of recovered to true vector",
        better="lower", **n,
    )  # fmt: skip
    yield counted_metric(
        f"{prefix(m)}.cosine_others_{key}", attack.likeness.others, "",
        f"{who}: cosine of recovered vector to other people's", **n,
    )  # fmt: skip
    yield counted_metric(
        f"{prefix(m)}.cosine_over_{key}", attack.likeness.over, "",
        f"{who}: cosine to the true vector above that to other people's", better="lower", **n,
    )  # fmt: skip
    at = fmr_words(found.fmr)
    for kind, name, one in (("1", "the vector itself", attack.one), ("2", "another picture", attack.two)):
        yield from _success(
            f"{prefix(m)}.vector_attack{kind}",
            key,
            one,
            f"{who}: recovered vectors that match {name} at FMR {at}",
        )
    for judged in attack.pictures.judged if attack.pictures else ():
        judge = judge_key(judged.judge, judged.own)
        for kind, name, one in (("1", "the picture", judged.one), ("2", "another picture", judged.two)):
            label = (
                f"{who}: pictures that match {name} at FMR {at}, by {judge_name(judged.judge, judged.own)}"
            )
            yield from _success(
                f"{prefix(m)}.picture_attack{kind}", f"{key}.{judge}", one, label, judged.missing
            )


def _success(name: str, key: str, found: Success | None, label: str, missing: str = "") -> Iterator[Metric]:
    why = missing or "nobody has another picture"
    yield counted_metric(
        f"{name}_{key}", found.rate if found else None, why, label, better="lower", n_unit="people"
    )
    yield counted_metric(
        f"{name}_chance_{key}", found.chance if found else None, why, f"{label}; chance", n_unit="comparisons"
    )
    yield counted_metric(
        f"{name}_excess_{key}", found.over if found else None, why, f"{label}; above chance", better="lower",
        n_unit="people",
    )  # fmt: skip
