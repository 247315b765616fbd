"""What a gate could detect at all, before anything is audited.

The half-width of a paired interval of two rates on n independent pairs is z sqrt(d / n), with d the share of pairs
on which only one of the models errs (Agresti and Min, Biometrics 61, 2005, half a pair added to each cell). A rule with
the limit L can pass only where the half-width is below the distance to L. It fails with the stated power at the true
change D that solves D - L = z sqrt(d' / n) + z_power sqrt((d' - D^2) / n), d' = d + D: a change brings discordant
pairs of its own.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fraudit.compare.sides import Side
from fraudit.errors import UsageError
from fraudit.formatting import fmr_words, number
from fraudit.gate_rules import Rule, plain_name, resolve
from fraudit.stats.intervals import z_value
from fraudit.types import Metric

POWER = 0.8
# Shares where no base run says better: the error rate of either model, and how many errors both share.
ASSUMED_RATE = 0.02
SHARED = 0.5
_PAIR_RATES = ("fnmr", "tar", "accuracy", "eer", "fmr", "fta", "far", "unscored")


@dataclass(frozen=True, slots=True)
class Counts:
    """How many genuine and impostor pairs there are, and people in them (0: pairs are independent)."""

    genuine: int
    impostor: int
    people: int = 0


def parse_counts(text: str, people: int) -> Counts:
    """`3000,3000` -> Counts. Raises UsageError."""
    parts = [part.strip() for part in text.split(",")]
    if len(parts) != 2 or not all(re.fullmatch("[0-9]+", part) for part in parts):
        raise UsageError(f"--pairs {text}: expected GENUINE,IMPOSTOR", "for example --pairs 3000,3000")
    genuine, impostor = map(int, parts)
    if genuine < 1 or impostor < 1 or people < 0:
        raise UsageError(
            "--pairs and --people: expected at least one pair of each kind, and no negative number"
        )
    return Counts(genuine, impostor, people)


def _which(name: str) -> str:
    """Which pairs a metric counts: genuine, impostor, both, or '' where pairs do not decide."""
    last = name.split("@")[0].split(".")
    kind = next((part for part in reversed(last) if part.split("_")[0] in _PAIR_RATES), "")
    if not kind:
        return ""
    if kind.startswith("fmr") and "fnmr" not in kind:
        return "impostor"
    return "both" if kind in ("accuracy", "eer", "fta") else "genuine"


def _fmr_of(name: str) -> float | None:
    found = re.search(r"@(?:fmr|far)=([0-9.eE+-]+)", name)
    return float(found[1]) if found else None


def plan_rules(rules: Sequence[Rule], counts: Counts, base: Side | None = None) -> list[dict[str, Any]]:
    """One row a rule and limit: assumptions, half-width, whether it can pass at no change, what it would detect.

    Args:
        base: a run or baseline whose error rates replace the assumed one.
    """
    return [_row(rule, kind, limit, counts, base) for rule in rules for kind, limit in rule.limits.items()]


def _deciding(rule: Rule, base: Side | None) -> Metric | None:
    """The metric of `base` that decides what can be planned: of several groups the one with the fewest pairs."""
    keys = resolve(rule, base.metrics) if base is not None else []
    found = [base.metrics[key] for key in keys] if base is not None else []
    found = [metric for metric in found if metric.value is not None]
    grouped = [metric for metric in found if metric.group and metric.n]
    return min(grouped, key=lambda metric: metric.n or 0) if grouped else next(iter(found), None)


def _rate(metric: Metric | None, label: str) -> tuple[float, str, float | None]:
    """(error rate, where it comes from, effective share of independent pairs or None)."""
    if metric is None or metric.value is None:
        return ASSUMED_RATE, "assumed", None
    value = 1 - metric.value if metric.better == "higher" else metric.value
    share = None
    ci = metric.interval
    if ci and metric.n and 0 < value < 1 and ci.high > ci.low:
        effective = value * (1 - value) / ((ci.high - ci.low) / (2 * z_value(ci.level))) ** 2
        share = min(1.0, effective / metric.n)
    where = f"{label}, {metric.group}: the group with the fewest pairs" if metric.group else label
    return min(max(value, 0.0), 1.0), where, share


def _row(rule: Rule, kind: str, limit: float, counts: Counts, base: Side | None) -> dict[str, Any]:
    row: dict[str, Any] = {"rule": rule.name, "kind": kind, "limit": limit}
    which = _which(plain_name(rule.name))
    if not which:
        return {**row, "missing": "no figure of pairs: its precision is known only once it was measured"}
    target = _fmr_of(rule.name)
    if target is not None and counts.impostor < 3 / target:
        need = math.ceil(3 / target)
        return {
            **row,
            "missing": f"FMR {fmr_words(target)} needs {need:,} impostor pairs to be resolvable; "
            f"there are {counts.impostor:,}",
        }
    metric = _deciding(rule, base)
    if metric is None and (rule.group is not None or rule.name.startswith("bias.")):
        return {**row, "missing": "how many pairs each group has is known only from a run: give --base"}
    rate, source, share = _rate(metric, base.label if base is not None else "")
    n = {"genuine": counts.genuine, "impostor": counts.impostor, "both": counts.genuine + counts.impostor}[
        which
    ]
    if metric is not None and metric.group and metric.n:
        n = min(n, metric.n)
    if which == "impostor" and target is not None and source == "assumed":
        rate = target
    free = min(n, counts.people) if counts.people else n
    free = max(free, round(share * n)) if share is not None else free
    z, z_power = z_value(0.95), z_value(2 * POWER - 1)
    if kind in ("max", "min"):
        spread = math.sqrt(max(rate * (1 - rate), 1 / (free + 2)) / free)
        detects = (z + z_power) * spread
    else:
        discordant = 2 * rate * (1 - rate) * (1 - SHARED)
        spread = math.sqrt(max(discordant * free, 1.0)) / (free + 2)
        detects = limit + (z + z_power) * spread
        for _ in range(60):
            share_of = discordant + detects
            noise = math.sqrt(max(share_of - detects**2, 0.0) / free)
            detects = limit + z * math.sqrt(share_of / free) + z_power * noise
        detects = min(detects, 1.0)
    row.update(
        pairs=n, independent=free, rate=rate, rate_from=source, half_width=z * spread, power=POWER,
        detects=detects,
    )  # fmt: skip
    if kind in ("max", "min"):
        ceiling = limit if kind == "max" else 1 - limit
        row["can_pass"] = rate + z * spread <= ceiling
    else:
        row["can_pass"] = z * spread <= limit
    return row


def plan_text(rows: Sequence[Mapping[str, Any]]) -> str:
    """For the terminal."""
    lines = []
    for row in rows:
        head = f"{row['rule']} {row['kind']} {row['limit']:g}"
        if "missing" in row:
            lines.append(f"{head}: cannot be planned: {row['missing']}")
            continue
        relative = row["kind"] not in ("max", "min")
        basis = (
            f"error rate {number(row['rate'])} ({row['rate_from']}), "
            f"{row['independent']:,} independent of {row['pairs']:,} pairs"
        )
        can = "can pass" if row["can_pass"] else "cannot pass"
        who = "another model of the same quality" if relative else "a model at this rate"
        what = "a true change of {}" if relative else "one that lies {} beyond the limit"
        lines.append(
            f"{head}: the interval reaches {number(row['half_width'])} to either side, so {who} {can}; "
            f"{what.format(number(row['detects']))} fails in {row['power']:.0%} of cases ({basis})"
        )
    return "\n".join(lines)
