"""Runs, lists of runs and lists of parameters in the few lines that a terminal or a notebook has."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from html import escape
from pathlib import Path

import pytest

from fraudit.audit.params_help import explained
from fraudit.cli.main import run
from fraudit.plugins import ANALYSES
from fraudit.report.run import Run
from fraudit.types import Figure
from tests.fixtures.run_record import build_record


@pytest.fixture
def made(tmp_path: Path) -> Run:
    return Run(build_record(), tmp_path)


def test_a_run_shows_itself_in_a_line_and_in_a_page(made: Run) -> None:
    assert len(repr(made)) < 300
    assert len(repr(made.record)) < 200
    assert "sections done" in repr(made)
    page = made._repr_html_()
    assert len(page) < 12_000
    for result in made.record.results:
        assert escape(result.title) in page
    first = made.record.findings()[0][1]
    assert f"<b>{first.severity}</b>" in page
    assert all(len(repr(figure)) < 200 for figure in made.figures.values())


def test_a_page_carries_no_markup_of_a_file(made: Run) -> None:
    odd = dataclasses.replace(made.record, title="<script>alert(1)</script>")
    page = Run(odd, made.folder)._repr_html_()
    assert "<script>" not in page
    assert "&lt;script&gt;" in page


@pytest.mark.parametrize("columns", ["60", "80", "300"])
def test_names_of_runs_are_never_cut(
    columns: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", columns)
    names = ["runs/mobilefacenet-lfw-20261126-225127", "runs/dlib-sample-20261126-225127"]
    for name in names:
        build_record().save(tmp_path / name)
    assert run(["runs"]) == 0
    shown = capsys.readouterr().out
    assert all(name in shown for name in names)
    assert "complete" in shown
    longest = max(len(line) for line in shown.splitlines())
    assert longest <= int(columns)


def test_every_parameter_of_every_analysis_is_explained(capsys: pytest.CaptureFixture[str]) -> None:
    for name, analysis in ANALYSES.items():
        told = explained(analysis.params)
        missing = [f.name for f in dataclasses.fields(analysis.params) if not told.get(f.name)]
        assert not missing, f"{name}: {missing}"
    assert run(["analyses"]) == 0
    shown = capsys.readouterr().out
    assert "    --param robustness.probes=60\n        faces to corrupt, at most;" in shown
    assert run(["analyses", "--json"]) == 0
    rows = {row["name"]: row for row in json.loads(capsys.readouterr().out)}
    assert rows["bias"]["about"]["fmr"] == "the global operating point."


def test_a_docstring_may_explain_several_parameters_on_a_line() -> None:
    @dataclass
    class Params:
        """Options.

        Attributes:
            faces: faces to invert, of which at most
                5: of one person. pairs: genuine pairs.
            people, samples: pictures of one vector.
        """

        faces: int = 1
        pairs: int = 2
        people: int = 3
        samples: int = 4
        untold: int = 5

    assert explained(Params) == {
        "faces": "faces to invert, of which at most 5: of one person.",
        "pairs": "genuine pairs.",
        "people": "pictures of one vector.",
        "samples": "pictures of one vector.",
    }


def test_a_figure_names_itself() -> None:
    from fraudit.report.run import ShownFigure

    figure = Figure("rates", "dots", "Error rates", "", "", {"rows": [{"value": 1.0}] * 1000})
    assert repr(ShownFigure(figure)) == "<figure 'Error rates'; in a notebook it draws itself>"
