"""The bias section of a set in which no pair is known to be of two people: no error rate, and what needs none."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from fraudit.analyses.bias.metrics import fta_metrics, rebuilt_metrics, slug
from fraudit.analyses.bias.params import Params
from fraudit.stats.estimates import GroupEstimate
from fraudit.types import AnalysisResult, Column, Finding, Metric, Table

if TYPE_CHECKING:
    from fraudit.audit.context import AnalysisContext

METHOD = (
    "Failure to acquire by group, every picture counting as its own person; no pair of pictures is judged."
)


def _table(name: str, fta: Sequence[GroupEstimate]) -> Table:
    columns = (
        Column("group", "Group"),
        Column("fta", "FTA", "percent", 2),
        Column("interval", "95 %", "interval", 2),
        Column("faces", "Faces", "integer"),
    )
    rows = tuple(
        {
            "group": f.group,
            "fta": f.value,
            "faces": f.n,
            "interval": [f.interval.low, f.interval.high] if f.interval else None,
            "missing": {"interval": f.reason},
        }
        for f in fta
    )
    title = f"Failure to acquire by {name}"
    return Table(f"acquired_{slug(name)}", title, columns, rows, "FTA: faces without a vector.")


def withheld(
    context: AnalysisContext,
    params: Params,
    fta: Mapping[str, Sequence[GroupEstimate]],
    rebuilt: Mapping[str, Sequence[GroupEstimate]],
    reason: str,
) -> AnalysisResult:
    """The section: attribute -> values of its groups, and why no error rate is given."""
    metrics: list[Metric] = []
    for name in fta:
        base = f"bias.{slug(name)}"
        metrics += [
            Metric(f"{base}.{rate}", None, missing=reason, better="lower", label=f"{rate.upper()} by {name}")
            for rate in ("fmr", "fnmr")
        ]
        metrics += fta_metrics(base, fta[name]) + rebuilt_metrics(base, rebuilt.get(name, ()))
    metrics.append(Metric("bias.worst_gap", None, missing=reason, better="lower"))
    text = f"No error rate of a group can be given: {reason}."
    return AnalysisResult(
        "bias",
        "Bias",
        headline=text,
        answer=f"Not known: {reason}.",
        findings=(Finding("info", text, ("bias.worst_gap",), "bias.unknown_people"),),
        metrics=tuple(metrics),
        tables=tuple(_table(name, values) for name, values in fta.items()),
        caveats=(
            "A group label is what the data set says, not who a person is; labels carry their own errors.",
            "Every picture counts as its own person: intervals are too narrow where people occur twice.",
        ),
        method=METHOD,
        params={k: getattr(params, k) for k in params.__dataclass_fields__},
        faces=len(context.faces),
    )
