"""Rules for a run: the tightest limits that its own pairs can judge."""

from __future__ import annotations

import math

from fraudit.compare.gate.judging import each_of
from fraudit.compare.gate.plan import equal_quality, measured
from fraudit.compare.gate.rules import Key
from fraudit.compare.hooks import comparisons, short_name
from fraudit.compare.points import with_points
from fraudit.compare.values import Side
from fraudit.errors import InsufficientData, UsageError
from fraudit.formatting import number
from fraudit.stats.power import PLANNED, POWER, detected

SAME_FACE_AT_LEAST = 0.99


def rounded_up(limit: float) -> float:
    """To two significant digits, never down."""
    if limit <= 0:
        return 0.0
    unit = 10.0 ** (math.floor(math.log10(limit)) - 1)
    return float(f"{math.ceil(limit / unit - 1e-9) * unit:.2g}")


def suggest_rules(side: Side) -> str:
    """A gate.toml for runs on the same data as `side`, with what each rule detects.

    A limit is the smallest that another model of the same quality keeps in four of five cases, by what the run's own
    pairs can show (`fraudit.stats.power`).

    Raises:
        UsageError: the run has no figure of pairs to make a rule of.
    """
    analyses = [(name, comparison) for name, comparison in comparisons() if comparison.rules]
    keys = [(metric, "") for _, comparison in analyses for metric in comparison.rules]
    side = with_points(side, [metric for metric, _ in keys])
    known = [key for key in keys if key in side.metrics and side.metrics[key].value is not None]
    # The smallest FMR that resolves stands for both.
    fnmrs = [key for key in known if "fnmr@" in key[0]]
    known = [key for key in known if key not in fnmrs[1:]]
    level = 1 - 2 * each_of(len(known) + 1)
    lines = []
    for key in known:
        try:
            lines += _rule(key, side, level)
        except InsufficientData as error:
            lines.append(f"# {short_name(key[0])}: {error.message}")
    if not any(line.startswith('"') for line in lines):
        telling = " or ".join(name for name, _ in analyses)
        raise UsageError(
            f"{side.path} has no figure that a rule could rest on", f"give a finished run with {telling}"
        )
    share = f"{100 * POWER:.0f} %"
    head = [
        f"# For {side.title}.",
        f"# Limits: the smallest that another model of the same quality keeps in {share} of cases.",
        "# Beside each: the change that fails in at least 80 % of cases: in all people; in one person in ten.",
        "[rules]",
        "# The same network in another file, precision or runtime: another crop, channel order, normalisation or 8-bit",
        "# weights lie far below. Leave it out where the new model is meant to be another one.",
        f'"same_face_cosine" = {{ min = {SAME_FACE_AT_LEAST:g} }}',
    ]
    return "\n".join([*head, *lines]) + "\n"


def _rule(key: Key, side: Side, level: float) -> list[str]:
    ground = measured(key, side, level)
    limit = rounded_up(max(equal_quality(ground).clears(PLANNED), 0.0))
    kind = "max_decrease" if side.metrics[key].better == "higher" else "max_increase"
    sizes = [detected(ground.harsh, limit, damage, ground.draws) for damage in ("all", "tenth")]
    name = short_name(key[0])
    if sizes == [None, None]:  # a rule that nothing fails would look like a guard
        return [f"# {name}: no change of it would fail in {100 * POWER:.0f} % of cases on {ground.n:,} pairs"]
    told = " and ".join(number(size) if size is not None else "none" for size in sizes)
    return [f'"{name}" = {{ {kind} = {limit:g} }}  # fails: {told}; {ground.n:,} pairs']
