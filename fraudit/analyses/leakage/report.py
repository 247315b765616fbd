"""The leakage analysis as findings, metrics and a table; rules of severity in docs/severity.md. Computes no score."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from fraudit.analyses.leakage.measure import NO_IDENTITIES, Probe, above_chance
from fraudit.analyses.leakage.params import Params
from fraudit.analyses.leakage.targets import IDENTITY, NOT_IDENTITY
from fraudit.formatting import number
from fraudit.stats.jackknife import Jackknifed
from fraudit.stats.probes import Chance
from fraudit.types import Column, Finding, Metric, Severity, Table, gravity

if TYPE_CHECKING:
    from fraudit.audit.context import AnalysisContext

# Lower bound of the selectivity's interval at which a leak gets its severity.
HIGH, MEDIUM = 0.5, 0.2
NEGLIGIBLE = 0.05  # upper bound of the selectivity
NAMED = 5  # leaks that get a sentence of their own
FAMILY = "expression_"


def severity_of(low: float) -> Severity:
    """Rule `leakage.readable` of docs/severity.md."""
    return "high" if low >= HIGH else "medium" if low >= MEDIUM else "low"


def is_read(params: Params, probe: Probe) -> bool:
    """Whether the test says that the target can be read; how well is the interval's matter."""
    return probe.p_holm < params.level


def _surely(probe: Probe) -> bool:
    """Whether the interval too says that it is read by more than nothing."""
    return probe.selectivity.interval.low > 0


def _kind(probe: Probe) -> str:
    return "AUC" if probe.target.classes else "R2"


def _number(value: float) -> str:
    return number(value, 2)


def _p(value: float) -> str:
    return "below 0.0001" if value < 1e-4 else f"{value:.2g}"


def _span(estimate: Jackknifed) -> str:
    ends = estimate.interval.low, estimate.interval.high
    digits = 2 if number(ends[0], 2) != number(ends[1], 2) else 3  # `0.00 to 0.00` would be no interval
    return f"{number(ends[0], digits)} to {number(ends[1], digits)}"


def _nonlinear(probe: Probe) -> str:
    """Said where the nonlinear probe's interval lies above the linear one's."""
    if probe.mlp is None or probe.mlp.interval.low <= probe.score.interval.high:
        return ""
    return f"; a small nonlinear probe reads more, {_kind(probe)} {_number(probe.mlp.value)}"


def families(probes: Sequence[Probe]) -> list[list[Probe]]:
    """Each probe on its own, but expression coefficients together, at the place of their clearest."""
    found: list[list[Probe]] = []
    family: list[Probe] = []
    for probe in probes:
        if not probe.target.name.startswith(FAMILY):
            found.append([probe])
        elif family:
            family.append(probe)
        else:
            family = [probe]
            found.append(family)
    return found


def sentence(family: Sequence[Probe], of: int) -> str:
    """The finding in full; of several expression coefficients the clearest."""
    probe = family[0]
    about = f"{probe.target.words} can be read from the ID vector:"
    if len(family) > 1:
        about = (
            f"Expression can be read from the ID vector ({len(family)} of {of} coefficients), most clearly "
            f"coefficient {probe.target.name.removeprefix(FAMILY)}:"
        )
    people = "" if probe.no_share == NO_IDENTITIES else f" of {probe.people:,} people"
    text = (
        f"{about} {_kind(probe)} {_number(probe.score.value)} "
        f"({_span(probe.score)}; n = {probe.n:,} faces{people}), "
        f"control task {_number(probe.control.value)}{_nonlinear(probe)}"
    )
    if probe.selectivity.interval.low <= 0:
        text += f"; p {_p(probe.p_holm)}: weak, a probe of this size may read nothing"
    if probe.share is not None and probe.share.interval.low > 0:
        text += (
            f"; it explains {100 * probe.share.value:.2g} % ({100 * probe.share.interval.low:.2g} to "
            f"{100 * probe.share.interval.high:.2g}) of what differs between pictures of one person"
        )
    return text + "."


ADVICE = (
    "Treat stored vectors as data that tell this too: name it where you assess data protection, and let nobody read "
    "vectors who may not know it."
)


def answer(params: Params, probes: Sequence[Probe]) -> str:
    """The section in plain words."""
    read = [p for p in probes if p.target.group == NOT_IDENTITY and is_read(params, p)]
    if not read:
        return "Not shown: nothing beyond identity could be read from the vectors."
    read = [p for p in read if _surely(p)] or read
    names = [
        "expression" if g[0].target.name.startswith(FAMILY) else g[0].target.words.lower()
        for g in families(read)
    ]
    names = list(dict.fromkeys(names))
    listed = names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
    return f"Yes: {listed} can be read from a vector, more or less surely."


def findings(params: Params, probes: Sequence[Probe]) -> list[Finding]:
    """The strongest leaks one by one, the others together, then what is arguably identity, then nothing found."""
    found: list[Finding] = []
    leaks = [p for p in probes if p.target.group == NOT_IDENTITY]
    read = [p for p in leaks if is_read(params, p)]
    groups = families(read)
    coefficients = sum(p.target.name.startswith(FAMILY) for p in leaks)
    for group in groups[:NAMED]:
        found.append(
            Finding(
                severity_of(group[0].selectivity.interval.low),
                sentence(group, coefficients),
                tuple(f"leakage.{p.target.name}.selectivity" for p in group),
                "leakage.readable",
                ADVICE,
            )
        )
    if rest := [p for group in groups[NAMED:] for p in group]:
        found.append(
            Finding(
                severity_of(max(p.selectivity.interval.low for p in rest)),
                _others(rest),
                tuple(f"leakage.{p.target.name}.selectivity" for p in rest),
                "leakage.readable",
                ADVICE,
            )
        )
    if traits := [p for p in probes if p.target.group == IDENTITY and is_read(params, p)]:
        found.append(
            Finding(
                "info",
                f"What arguably is identity can be read too, for people the probe never saw: {_listed(traits)}.",
                tuple(f"leakage.{p.target.name}.selectivity" for p in traits),
                "leakage.trait",
            )
        )
    hidden = [p for p in leaks if not is_read(params, p)]
    small = [p for p in hidden if _most(p) <= NEGLIGIBLE]
    if small:
        found.append(
            Finding(
                "good",
                f"At most {_up(max(0.0, *map(_most, small)))} above chance (0 to 1, upper bound of every probe): "
                f"{_listed(small)}.",
                tuple(f"leakage.{p.target.name}.selectivity" for p in small),
                "leakage.negligible",
            )
        )
    if unclear := [p for p in hidden if p not in small]:
        found.append(
            Finding(
                "info",
                f"Not shown to be readable (Holm-corrected p at least {params.level:g}): {_listed(unclear)}.",
                tuple(f"leakage.{p.target.name}.selectivity" for p in unclear),
                "leakage.unresolved",
            )
        )
    return found


def _up(bound: float) -> str:
    """An upper bound with two decimals, never rounded below itself."""
    return number(math.ceil(100 * bound) / 100, 2)


def _most(probe: Probe) -> float:
    """Upper bound of what any probe reads, 0 to 1."""
    bounds = [probe.selectivity.interval.high]
    if probe.mlp is not None:
        bounds.append(above_chance(probe, probe.mlp).interval.high)
    return max(bounds)


def _others(rest: Sequence[Probe]) -> str:
    """What is read less clearly, and what hardly at all although the test finds something."""
    clear, hardly = [p for p in rest if _surely(p)], [p for p in rest if not _surely(p)]
    parts = [f"less clearly: {_listed(clear)}"] if clear else []
    parts += [f"beyond chance, yet hardly at all: {_listed(hardly)}"] if hardly else []
    return f"Readable as well, {'; '.join(parts)}."


def _listed(probes: Sequence[Probe]) -> str:
    parts = []
    for group in families(probes):
        p = group[0]
        words = p.target.words[0].lower() + p.target.words[1:]
        if len(group) > 1:
            words = f"{len(group)} expression coefficients, most clearly {p.target.name.removeprefix(FAMILY)}"
        parts.append(f"{words} ({_kind(p)} {_number(p.score.value)}, {_span(p.score)}{_nonlinear(p)})")
    return ", ".join(parts)


def metrics(probes: Sequence[Probe]) -> list[Metric]:
    """Every score with n and interval, or the reason it is missing."""
    rows: list[Metric] = []
    for probe in probes:
        name, words = f"leakage.{probe.target.name}", probe.target.words

        def add(
            suffix: str,
            estimate: Jackknifed | Chance | None,
            label: str,
            missing: str = "",
            own: Probe = probe,
            base: str = name,
        ) -> None:
            if estimate is None:
                rows.append(Metric(f"{base}.{suffix}", None, missing=missing, better="lower", label=label))
            else:
                rows.append(
                    Metric(
                        f"{base}.{suffix}",
                        estimate.value,
                        n=own.n,
                        interval=estimate.interval,
                        better="lower",
                        label=label,
                        n_unit="faces",
                    )
                )

        kind = _kind(probe).lower()
        add(kind, probe.score, f"{words}, {_kind(probe)} out of fold, people weigh the same")
        if probe.balanced is not None:
            add(
                "balanced_accuracy",
                probe.balanced,
                f"{words}, balanced accuracy out of fold, people weigh the same",
            )
        add(f"control_{kind}", probe.control, f"{words}, control task")
        add("selectivity", probe.selectivity, f"{words}, score less control task")
        rows.append(
            Metric(
                f"{name}.p",
                probe.p_holm,
                n=probe.people,
                n_unit="people",
                interval_missing="a p value has none",
                label=f"{words}, sign-flip p, Holm-corrected",
            )
        )
        add("within_share", probe.share, f"{words}, share of variance within people", probe.no_share)
        if probe.mlp is not None:
            add(f"mlp_{kind}", probe.mlp, f"{words}, nonlinear probe")
    leaks = [p for p in probes if p.target.group == NOT_IDENTITY]
    if leaks:
        top = max(leaks, key=lambda p: p.selectivity.value)
        rows.append(
            Metric(
                "leakage.strongest",
                top.selectivity.value,
                n=top.n,
                interval=top.selectivity.interval,
                better="lower",
                n_unit="faces",
                label=f"{top.target.words}: {_kind(top)} {top.score.value:.2f}, selectivity (0 to 1)",
            )
        )
    else:
        reason = "no target that is no part of identity could be judged"
        rows.append(Metric("leakage.strongest", None, missing=reason, better="lower"))
    return rows


def table(probes: Sequence[Probe]) -> Table:
    """One row a target."""
    rows = []
    for p in probes:
        rows.append(
            {
                "target": p.target.words,
                "group": p.target.group,
                "source": p.target.source,
                "score": f"{_kind(p)} {number(p.score.value, 3)}",
                "interval": [p.score.interval.low, p.score.interval.high],
                "balanced": p.balanced.value if p.balanced else None,
                "control": p.control.value,
                "selectivity": p.selectivity.value,
                "selectivity_interval": [p.selectivity.interval.low, p.selectivity.interval.high],
                "p": p.p_holm,
                "mlp": p.mlp.value if p.mlp else None,
                "share": p.share.value if p.share else None,
                "share_interval": [p.share.interval.low, p.share.interval.high] if p.share else None,
                "n": p.n,
                "people": p.people,
            }
        )
    return Table(
        "targets",
        "All targets",
        (
            Column("target", "Target"),
            Column("group", "Group"),
            Column("source", "Label by"),
            Column("score", "Linear probe"),
            Column("interval", "95 % interval", "interval", 3),
            Column("control", "Control", "number", 3),
            Column("selectivity", "Selectivity", "number", 3),
            Column("selectivity_interval", "95 % interval", "interval", 3),
            Column("p", "p (Holm)", "number", 4),
            Column("mlp", "MLP", "number", 3),
            Column("balanced", "Balanced acc.", "number", 3),
            Column("share", "Within people", "percent", 2),
            Column("share_interval", "95 % interval", "interval", 4),
            Column("n", "Faces", "integer"),
            Column("people", "People", "integer"),
        ),
        tuple(rows),
        "Selectivity is the score less that of the control task, with AUC taken as 2 AUC - 1. MLP: R2 or AUC of "
        "the nonlinear probe. Within people: share of the vectors' variance that the target explains.",
    )


def headline(found: Sequence[Finding]) -> str:
    """The most severe finding."""
    if not found:
        return "No target could be judged."
    return min(found, key=gravity).text


def caveats(
    context: AnalysisContext, probes: Sequence[Probe], left_out: Sequence[str], no_pose: str
) -> list[str]:
    """What limits the figures.

    Args:
        left_out: why targets were not judged. no_pose: why 3DDFA_V2 measured nothing, or ''.
    """
    found = [
        "Labels measured by another model or given by a data set carry their errors: a low score can mean a "
        "poor label.",
        "A probe shows what can be read, not what the model uses; a stronger probe may read more.",
        "Scores are those expected of a probe trained on this many people, each person weighing the same; more "
        "people make better probes.",
        *(f"Not judged: {reason}." for reason in left_out),
    ]
    if no_pose:
        found.append(
            f"Pose is judged by proxies from five landmarks, expression is not judged: {no_pose}."
            if any(p.target.name.endswith("_proxy") for p in probes)
            else f"Expression coefficients are not judged: {no_pose}."
        )
    if not context.faces.identified:
        found.append(
            "The set names no identities: every picture counts as its own person, so two pictures of one person "
            "may lie in different folds."
        )
    return found


def method(params: Params, mlp_control: tuple[float, float] | None) -> str:
    """How it was measured; `mlp_control`: (R2, AUC) of the nonlinear probe on control tasks."""
    text = (
        f"{params.folds} identity-disjoint folds; every person weighs the same, in training and in scores, however "
        "many pictures there are. Numbers: ridge regression, penalty by identity-disjoint cross-validation within the "
        "training folds, R2 out of fold. Classes: ridge regression on 0/1, one class against the rest (a regularised "
        "linear discriminant), AUC and balanced accuracy out of fold. Control task (Hewitt and Liang 2019, adapted): "
        "every identity gets one random label for all its faces; with identity-disjoint folds it cannot be learnt, so "
        "that it shows chance on these people. p: people's score contributions with random signs (Hemerik, Goeman and "
        "Finos 2020), the highest of three ridge penalties, Holm-corrected over targets. Intervals: jackknife over the "
        "folds' people, the probe trained again without each, so that its training is included; R2 never narrower than "
        "the spread of the control tasks. Vectors as the model returns them, not normalised."
    )
    if mlp_control:
        text += (
            f" MLP: one hidden layer of 32 units a target; on control tasks it scores R2 {_number(mlp_control[0])} and "
            f"AUC {mlp_control[1]:.2f}."
        )
    return text
