"""An analysis from outside appears everywhere by what it says of itself; one that is gone hinders nothing."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fraudit.audit.estimate import estimate
from fraudit.audit.plan import AuditPlan
from fraudit.audit.stored_vectors import StoredVectors, faces_of, from_vectors, run_vectors
from fraudit.cli.main import run
from fraudit.compare import compare, run_side
from fraudit.compare.deltas import deltas
from fraudit.compare.gate.judging import run_gate
from fraudit.compare.gate.rules import Rule
from fraudit.compare.gate.suggest import suggest_rules
from fraudit.compare.hooks import NOTHING, Comparison, Found, Stored, comparison_of, loaded
from fraudit.compare.outputs import html_text, markdown_text
from fraudit.compare.sides import differences
from fraudit.compare.values import Delta, Events, Side
from fraudit.errors import PluginError
from fraudit.plugins import ANALYSES
from fraudit.report.record import RunRecord
from fraudit.report.summary import key_figures
from fraudit.types import Analysis, AnalysisResult, Figure, Interval, KeyFigure, Metric, Work
from tests.fixtures.derived_run import derived_run
from tests.fixtures.planted import people_vectors

PEOPLE, EACH = 60, 4


@dataclass(frozen=True)
class Params:
    """Options: `drawn` decides what is shown alone."""

    limit: float = 0.0
    drawn: int = 3


def measure(context: Any, params: Params) -> AnalysisResult:
    """Share of vectors whose first number is above the limit."""
    high = context.embeddings().vectors[:, 0] > params.limit
    metric = Metric(
        "toy.high",
        float(high.mean()),
        n=len(high),
        n_unit="faces",
        better="lower",
        interval=Interval(0.0, 1.0, 0.95),
    )
    return AnalysisResult("toy", "Toy", metrics=(metric,), headline="counted")


def evidence(stored: Stored) -> Found:
    """Which faces are high."""
    assert stored.vectors is not None
    unit, people = stored.vectors.unit, stored.vectors.subjects
    return {("toy.high", ""): Events(unit[:, 0] > float(stored.params.get("limit", 0.0)), people, people)}, {}


def drawn(sides: Sequence[Side], changes: Sequence[tuple[Side, Sequence[Delta]]]) -> list[Figure]:
    """One dot."""
    rows = [{"label": side.label, "value": side.metrics["toy.high", ""].value} for side in sides]
    return [
        Figure(
            "toy",
            "dots",
            "Toys of both",
            "",
            "dots",
            {"x": {"label": "share", "scale": "linear"}, "rows": rows},
        )
    ]


TOY = Comparison(importance=1, rules=("toy.high",), evidence=evidence, figures=drawn)
NONE = "no comparison"


def toy(**more: Any) -> Analysis:
    """The analysis, as one package would bring it."""
    return Analysis(
        name="toy",
        title="Toy",
        summary="a toy",
        order=5,
        params=Params,
        run=measure,
        key_figures=(KeyFigure("High", ("toy.high",)),),
        columns=(("high", "toy.high"),),
        cosmetic=frozenset({"drawn"}),
        from_vectors=True,
        work=lambda context, params: Work(7),
        **{"comparison": "tests.unit.test_an_analysis_says_everything:TOY", **more},
    )


@pytest.fixture
def runs(tmp_path: Path) -> Iterator[dict[str, Path]]:
    """base, and other with noise; both with the toy, which is gone afterwards."""
    ANALYSES.register("toy", toy())
    true, nuisance, subjects = people_vectors(np.random.default_rng(3), PEOPLE, EACH)
    faces = faces_of("planted", [f"{k:04d}" for k in range(len(subjects))], subjects)
    vectors = (true + nuisance).astype(np.float32)
    model = StoredVectors("base", vectors, np.ones(len(vectors), bool))
    run_vectors(faces, model, tmp_path / "base", only=("verification", "toy"))
    noise = np.random.default_rng(4).normal(size=vectors.shape)
    derived_run(tmp_path / "base", "other", vectors + 0.3 * noise, tmp_path / "other")
    yield {name: tmp_path / name for name in ("base", "other")}
    ANALYSES.unregister("toy")


def test_what_it_says_is_seen_in_report_list_and_estimate(runs: dict[str, Path], capsys: Any) -> None:
    keys = key_figures(RunRecord.load(runs["base"]))
    assert (keys[0].analysis, keys[0].figure.label) == ("toy", "High")
    assert keys[0].metric is not None
    assert run(["runs", str(runs["base"].parent), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)[0]["high"].endswith("(0 to 1)")
    plan = AuditPlan("python:tests.fixtures.boxes:luma_pattern", "sample", only=("toy",), limit=12)
    assert estimate(plan).parts["toy"] == Work(7)
    assert "toy" in from_vectors()


def test_its_figures_are_paired_listed_first_drawn_and_gated(runs: dict[str, Path]) -> None:
    base, other = (run_side(runs[name]) for name in ("base", "other"))
    found = deltas(base, other)
    assert (found[0].name, found[0].how) == ("toy.high", "paired")
    comparison = compare([base, other])
    assert [figure.title for figure in comparison.figures["toy"]] == ["Toys of both"]
    assert "Toys of both" in html_text(comparison)
    assert "toy.high" in suggest_rules(base)
    report = run_gate([Rule("toy.high", {"max_increase": 0.9})], base, other)
    assert report.exit_code == 0


def test_what_is_drawn_may_differ_and_what_is_measured_may_not(runs: dict[str, Path]) -> None:
    base, other = (run_side(runs[name]) for name in ("base", "other"))
    shown = replace(other, params={**other.params, "toy": {"limit": 0.0, "drawn": 9}})
    assert not differences(replace(base, params={**base.params, "toy": {"limit": 0.0, "drawn": 3}}), shown)
    moved = replace(other, params={**other.params, "toy": {"limit": 1.0}})
    assert any("parameter toy.limit" in line for line in differences(base, moved))


def test_runs_of_an_analysis_that_is_gone_are_still_read(runs: dict[str, Path]) -> None:
    ANALYSES.unregister("toy")
    assert all(key.analysis != "toy" for key in key_figures(RunRecord.load(runs["base"])))
    base, other = (run_side(runs[name]) for name in ("base", "other"))
    assert comparison_of("toy") is NOTHING
    found = {d.name: d for d in deltas(base, other)}
    assert found["toy.high"].how == "independent"
    assert list(found)[-1] == "toy.high"
    assert "toy" not in compare([base, other]).figures
    assert (
        "toy.high" in json.dumps(markdown_text(compare([base, other])))
        or found["toy.high"].verdict == "unclear"
    )
    report = run_gate([Rule("toy.high", {"max_increase": 0.9})], base, other)
    assert report.judgements[0].metric == "toy.high"


@pytest.mark.parametrize(
    "where",
    [
        "nowhere.at.all:X",
        "tests.unit.test_an_analysis_says_everything:GONE",
        "tests.unit.test_an_analysis_says_everything:NONE",
    ],
)
def test_a_comparison_that_is_none_is_refused_by_name(where: str) -> None:
    with pytest.raises(PluginError, match="analysis 'toy'"):
        loaded(toy(comparison=where))


def test_every_analysis_here_has_the_comparison_it_names() -> None:
    for analysis in ANALYSES.usable():
        assert isinstance(loaded(analysis), Comparison)
