"""What holds for a report as a whole: every figure has its interval or a reason, and chance rarely makes a finding."""

from __future__ import annotations

import importlib
import tomllib
from pathlib import Path

import numpy as np
import pytest

from benchmarks.worlds import KINDS, make, picture_counts
from fraudit.errors import InsufficientData
from fraudit.stats.family import BIAS_LEVEL, FAMILY_LEVEL, LATER_LEVEL, REPORT_LEVEL
from fraudit.types import AnalysisResult

ROOT = Path(__file__).parents[2]
OF_VECTORS = ("verification", "bias", "leakage", "compression", "directions", "conditions")


def _analyses() -> dict[str, str]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return project["entry-points"]["fraudit.analyses"]


def _usual() -> list[str]:
    """Analyses of an audit that asks for none by name."""
    found = {
        name: importlib.import_module(where.split(":")[0]).ANALYSIS for name, where in _analyses().items()
    }
    return [name for name, analysis in found.items() if not analysis.on_request]


def test_the_shares_of_all_analyses_stay_within_the_report_s_budget() -> None:
    later = {"identification", "evidence", "quality", "conditions"}
    # verification and doctor test no null, nor does a plan's limit; what runs on request is no part of a report unasked
    others = set(_usual()) - later - {"verification", "bias", "doctor"}
    assert BIAS_LEVEL + FAMILY_LEVEL * len(others) + LATER_LEVEL * len(later) <= REPORT_LEVEL + 1e-12
    # What is promised is what is used.
    from fraudit.analyses import bias, leakage

    assert bias.Params().level == BIAS_LEVEL
    assert leakage.Params().level == FAMILY_LEVEL


def _audit(name: str, people: int, kind: str, seed: int) -> AnalysisResult:
    world = make(people, kind, seed)  # type: ignore[arg-type]
    rng = np.random.default_rng(seed)
    labels = {"group": world.groups, "smiling": (rng.random(len(world.subjects)) < 0.4).astype(float)}
    module = importlib.import_module(f"fraudit.analyses.{name}")
    options = {"leakage": {"measure": False, "mlp": False}, "bias": {"by": ("group",)}}.get(name, {})
    return module.run(world.context(labels, seed), module.Params(**options))


@pytest.mark.parametrize("name", OF_VECTORS)
@pytest.mark.parametrize(("people", "kind"), [(24, "skew"), (60, "mild"), (60, "lfw")])
def test_every_figure_has_its_interval_or_says_why_not(name: str, people: int, kind: str) -> None:
    try:
        result = _audit(name, people, kind, 3)
    except InsufficientData as few:
        pytest.skip(f"this world cannot be audited: {few.message}")
    for metric in result.metrics:
        if metric.value is None:
            assert metric.missing
        elif metric.interval is None:
            assert metric.interval_missing, metric.name
        else:
            found = metric.interval
            assert found.low - 1e-9 <= metric.value <= found.high + 1e-9, metric.name


def test_no_finding_rests_on_a_figure_without_an_interval() -> None:
    for seed in range(6):
        result = _audit("verification", 20, "skew", seed)
        certain = {m.name for m in result.metrics if m.interval is not None}
        for finding in result.findings:
            if finding.severity in ("high", "medium", "low"):
                assert set(finding.evidence) <= certain, finding.text


def test_worlds_are_as_skewed_as_they_say() -> None:
    counts = {kind: picture_counts(20_000, kind, np.random.default_rng(0)) for kind in KINDS}
    assert set(counts["equal"]) == {4}
    assert (counts["mild"].min(), counts["mild"].max()) == (2, 6)
    assert (counts["skew"].min(), counts["skew"].max(), np.median(counts["skew"])) == (1, 50, 3)
    assert 0.69 < (counts["lfw"] == 1).mean() < 0.73
    assert counts["lfw"].max() == 530
    families = make(2000, "mild", 1).families
    related = np.bincount(families, minlength=2000)[families] > 1
    assert 0.13 < related.mean() <= 0.15
