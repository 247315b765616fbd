"""Figures for papers: the record's own numbers on matplotlib Axes, files that a journal takes, several runs in one."""

from __future__ import annotations

import re
import subprocess
import sys
import warnings
from dataclasses import replace
from pathlib import Path
from typing import get_type_hints

import matplotlib
import numpy as np
import pytest
from scipy.stats import norm

matplotlib.use("Agg")

from matplotlib import pyplot

from fraudit import plots
from fraudit.api import open_run
from fraudit.cli.figures import figures
from fraudit.cli.main import run as command
from fraudit.errors import UsageError
from fraudit.report.paper import draw, panels_of
from fraudit.report.paper.files import _marked, encoded, inches
from fraudit.report.paper.style import Look
from fraudit.report.record import METRIC_COLUMNS, RunRecord
from fraudit.report.run import Run
from fraudit.types import AnalysisResult, Figure, Metric
from tests.fixtures.run_record import build_record, build_run

DOCS = Path(__file__).resolve().parents[2] / "docs"


@pytest.fixture(autouse=True)
def _closed():
    yield
    pyplot.close("all")


def planted(name: str, shift: float) -> Run:
    """A run whose DET curve is that of two normal distributions `shift` apart, a straight line on probit axes."""
    z = np.linspace(-3, 0.5, 40)
    det = Figure(
        "verification_det", "lines", "DET", "", "",
        {
            "x": {"label": "FMR", "scale": "probit", "percent": True},
            "y": {"label": "FNMR", "scale": "probit", "percent": True},
            "series": [{
                "name": name, "x": norm.cdf(z), "y": norm.cdf(-z - shift), "n": 321,
                "low": norm.cdf(-z - shift) * 0.5, "high": norm.cdf(-z - shift) * 1.2,
            }],
            "marks": [{"axis": "x", "value": 3 / 5000, "label": "rule of three: 3 of 5,000 impostor pairs"}],
        },
    )  # fmt: skip
    rows = [
        {"label": "old", "group": "age", "panel": "FMR", "value": 0.01, "low": 0.004, "high": 0.02, "n": 900},
        {
            "label": "new",
            "group": "age",
            "panel": "FMR",
            "value": None,
            "high": 0.003,
            "n": 700,
            "missing": "none",
        },
    ]
    rates = Figure(
        "rates", "dots", "Rates", "", "", {"x": {"label": "e", "scale": "log", "percent": True}, "rows": rows}
    )
    grid = Figure(
        "robustness_fnmr", "heatmap", "FNMR", "", "",
        {
            "rows": ["Noise", "Fog"], "columns": ["severity 1", "severity 5"], "percent": True,
            "values": [[0.1, 0.2], [0.3, 0.9]], "low": [[0.05, 0.1], [0.2, 0.8]], "high": [[0.2, 0.3], [0.4, 0.95]],
        },
    )  # fmt: skip
    sweep = {
        "x": {"label": "axes kept", "scale": "log"}, "y": {"label": "share", "scale": "linear", "percent": True},
        "series": [{"name": "PCA", "panel": "TAR@FAR=0.01", "points": True, "x": [1, 8, 64], "y": [0.1, 0.5, 0.9],
                    "low": [0.0, 0.4, 0.8], "high": [0.2, 0.6, 0.95]}],
    }  # fmt: skip
    fnmr = Metric("robustness.fnmr.clean", 0.1, n=180, n_unit="genuine pairs", interval_missing="planted")
    tar = Metric(
        "compression.tar@far=0.01.float32", 0.9, n=450, n_unit="genuine pairs", interval_missing="planted"
    )
    record = RunRecord(
        {}, {}, {"embedder": {"name": name}, "dataset": {"name": "made"}},
        (
            AnalysisResult("verification", "Verification", figures=(det,)),
            AnalysisResult("bias", "Bias", figures=(rates,)),
            AnalysisResult("robustness", "Robustness", figures=(grid,), metrics=(fnmr,)),
            AnalysisResult("compression", "Compression", metrics=(tar,),
                           figures=(Figure("compression_sweep", "lines", "Sweep", "", "", sweep),)),
        ),
    )  # fmt: skip
    return Run(record, Path("nowhere"))


def test_a_det_is_drawn_in_its_own_units_and_its_scale_is_the_normal_quantile() -> None:
    ax = planted("box", 2.0).figures["verification.det"].plot()
    line = next(line for line in ax.lines if len(line.get_xdata()) == 40)
    x, y = line.get_data()
    np.testing.assert_allclose(norm.ppf(y), -norm.ppf(x) - 2.0, atol=1e-9)
    shown = ax.transData.transform(np.column_stack([x, y]))
    bends = np.diff(np.diff(shown[:, 1]) / np.diff(shown[:, 0]))
    assert np.abs(bends).max() < 1e-6  # straight as drawn
    assert "n = 321" in ax.get_legend().get_texts()[0].get_text()
    assert len(ax.collections) == 1  # the band


def test_a_figure_is_found_by_its_short_and_its_recorded_name() -> None:
    run = planted("box", 2.0)
    assert next(iter(run.figures)) == "verification.det"
    assert run.figures["verification.verification_det"] == run.figures["verification.det"]
    with pytest.raises(UsageError) as refused:
        run.figures["verification.dte"]
    assert "verification.det" in refused.value.hint


@pytest.mark.parametrize("width", [3.5, 7.0])
def test_every_kind_of_figure_is_drawn_without_a_warning(width: float) -> None:
    kinds = set()
    for result in build_record().results:
        for figure in result.figures:
            kinds.add(figure.kind)
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                drawn, axes = draw(figure, width)
                encoded(drawn, "png")
            assert list(axes) == panels_of(figure)
            assert drawn.get_size_inches()[0] == width
    assert kinds >= {"lines", "dots", "heatmap", "histogram", "bars"}


def test_axes_given_take_one_panel_by_name() -> None:
    run = Run(build_record(), Path("nowhere"))
    several = next(name for name, shown in run.figures.items() if len(shown.panels) > 1)
    shown, (_, ax) = run.figures[several], pyplot.subplots()
    with pytest.raises(UsageError, match="panels"):
        shown.plot(ax=ax)
    assert shown.plot(ax=ax, panel=shown.panels[1]) is ax
    assert set(shown.plot()) == set(shown.panels)
    with pytest.raises(UsageError):
        shown.plot(ax=ax, panel="none such")


def test_plotting_leaves_the_settings_of_matplotlib_alone() -> None:
    before = dict(matplotlib.rcParams)
    planted("box", 2.0).figures["verification.det"].plot()
    plots.robustness([planted("a", 1.0), planted("b", 2.0)])
    assert dict(matplotlib.rcParams) == before


def test_a_pdf_embeds_its_fonts_has_the_width_asked_for_and_is_the_same_twice() -> None:
    figure = planted("box", 2.0).figures["verification.det"].figure
    first, second = (encoded(draw(figure, 3.5)[0], "pdf") for _ in range(2))
    assert first == second
    assert b"/FontFile2" in first
    assert b"/Type3" not in first
    box = re.search(rb"/MediaBox \[ 0 0 ([\d.]+)", first)
    assert box
    assert float(box[1]) == pytest.approx(252)
    assert b"<text" not in encoded(draw(figure, 3.5)[0], "svg")


@pytest.mark.parametrize(
    ("text", "expected"), [("3.5in", 3.5), ("89mm", 3.504), ("8.89 cm", 3.5), ("252pt", 3.487), ("3", 3.0)]
)
def test_widths(text: str, expected: float) -> None:
    assert inches(text) == pytest.approx(expected, abs=1e-3)


@pytest.mark.parametrize("text", ["", "wide", "3.5px", "0.1in", "90in", "-3in"])
def test_widths_that_are_none(text: str) -> None:
    with pytest.raises(UsageError, match="--width"):
        inches(text)


def test_the_unit_of_a_bare_width_is_said_by_the_help_and_where_it_is_refused() -> None:
    said = "a bare number is inches"
    option = get_type_hints(figures, include_extras=True)["width"].__metadata__[0]
    assert said in option.help
    with pytest.raises(UsageError) as refused:
        inches("89")
    assert said in refused.value.hint


def test_the_command_writes_what_is_named_and_captions(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = build_run(tmp_path / "run")
    names = list(open_run(folder).figures)
    assert command(["figures", str(folder), "--format", "svg", "--only", names[0], "--width", "89mm"]) == 0
    told = capsys.readouterr().out.split()
    assert [Path(path).name for path in told] == [f"{names[0]}.svg", "captions.md"]
    assert names[0] in Path(told[1]).read_text()
    assert command(["figures", str(folder), "--out", str(tmp_path / "all"), "--format", "png"]) == 0
    assert len(list((tmp_path / "all").glob("*.png"))) == len(names)
    capsys.readouterr()
    assert command(["figures", str(folder), "--only", "verification.dte"]) == 2
    assert command(["figures", str(folder), "--format", "gif"]) == 2
    assert command(["figures", str(tmp_path / "none")]) == 5


def test_several_runs_are_told_apart_by_name_colour_dash_and_marker() -> None:
    ax = plots.det([planted("one", 2.0), planted("two", 3.0)])
    texts = [text.get_text() for text in ax.get_legend().get_texts()]
    assert texts == ["one (321 genuine, 5,000 impostor pairs)", "two (321 genuine, 5,000 impostor pairs)"]
    lines = [line for line in ax.lines if len(line.get_xdata()) == 40]
    assert len({line.get_color() for line in lines}) == len({str(line._dash_pattern) for line in lines}) == 2
    looks = [Look(k) for k in range(6)]
    for part in ("colour", "dash", "marker"):
        assert len({str(getattr(look, part)) for look in looks}) == 6


def test_runs_of_one_model_or_of_two_sets_get_names_that_differ() -> None:
    a, b = planted("box", 2.0), planted("box", 3.0)
    same = plots.det([a, Run(b.record, Path("other"))])
    assert "nowhere" in same.get_legend().get_texts()[0].get_text()
    other = replace(b.record, inputs={"embedder": {"name": "box"}, "dataset": {"name": "else"}})
    apart = plots.det([a, Run(other, Path("other"))])
    assert apart.get_legend().get_texts()[1].get_text().startswith("box on else")
    with pytest.raises(UsageError, match="labels"):
        plots.det([a, b], labels=["x", "x"])
    with pytest.raises(UsageError, match="list of runs"):
        plots.det("runs/first")  # type: ignore[arg-type]


def test_group_rates_have_every_runs_interval_n_and_upper_bound() -> None:
    ax = plots.group_rates([planted("one", 2.0), planted("two", 3.0)])
    ends = [
        tuple(line.get_xdata())
        for line in ax.lines
        if len(line.get_xdata()) == 2 and line.get_xdata()[0] == 0.004
    ]
    assert ends == [(0.004, 0.02)] * 2
    bounds = [line for line in ax.lines if line.get_marker() == "|"]
    assert [line.get_xdata()[0] for line in bounds] == [0.003] * 2
    assert sum(text.get_text() == "n = 900" for text in ax.texts) == 2
    with pytest.raises(UsageError, match="rate"):
        plots.group_rates([planted("one", 2.0)], rate="TAR")


def test_robustness_ranks_by_harm_and_takes_a_severity_that_all_have() -> None:
    runs = [planted("one", 2.0), planted("two", 3.0)]
    ax = plots.robustness(runs)
    assert [tick.get_text() for tick in ax.get_yticklabels()] == ["Fog", "Noise"]
    assert "severity 5" in ax.get_xlabel()
    assert "n = 180 genuine pairs" in ax.get_legend().get_texts()[0].get_text()
    with pytest.raises(UsageError, match="severity 3"):
        plots.robustness(runs, severity=3)


def test_compression_draws_tar_against_axes() -> None:
    ax = plots.compression([planted("one", 2.0), planted("two", 3.0)])
    lines = [line for line in ax.lines if len(line.get_xdata()) == 3]
    assert [list(line.get_ydata()) for line in lines] == [[0.1, 0.5, 0.9]] * 2
    assert ax.get_ylabel() == "TAR@FAR=0.01"


def test_importing_the_plots_is_light() -> None:
    code = "import sys, fraudit.plots; print(sorted({'matplotlib', 'pandas', 'scipy', 'torch'} & set(sys.modules)))"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "[]"


def test_the_docs_name_every_column() -> None:
    text, run = (DOCS / "papers.md").read_text(), Run(build_record(), Path("nowhere"))
    for column in (*METRIC_COLUMNS, *run.findings.columns):
        assert f"`{column}`" in text
    assert list(run.metrics.columns) == METRIC_COLUMNS


def test_the_gallery_runs_from_top_to_bottom(tmp_path: Path) -> None:
    nbclient, nbformat = pytest.importorskip("nbclient"), pytest.importorskip("nbformat")
    book = nbformat.read(DOCS / "gallery.ipynb", as_version=4)
    where = {"metadata": {"path": str(tmp_path)}}
    done = nbclient.NotebookClient(book, timeout=120, kernel_name="python3", resources=where).execute()
    pictures = [
        o
        for cell in done.cells
        if cell.cell_type == "code"
        for o in cell.outputs
        if "image/png" in o.get("data", {})
    ]
    assert len(pictures) >= 6


def test_a_grey_print_tells_eight_series_apart() -> None:
    looks = [Look(k) for k in range(24)]
    assert len({str(look.dash) for look in looks[:8]}) == len({look.marker for look in looks[:8]}) == 8
    assert len({(look.colour, str(look.dash)) for look in looks}) == 24


def test_a_crowded_panel_moves_every_legend_below_and_leaves_the_grid_even() -> None:
    series = [
        {"panel": panel, "name": f"a rather long name {k}", "x": [0, 1], "y": [0.1 * k, 0.5]}
        for panel, count in (("one", 3), ("two", 7), ("three", 2), ("four", 2))
        for k in range(count)
    ]
    data = {"x": {"label": "x"}, "y": {"label": "y"}, "series": series}
    drawn, axes = draw(Figure("crowd", "lines", "Crowd", "", "", data), 5.0)
    drawn.canvas.draw()
    boxes = [ax.get_position() for ax in axes.values()]
    assert max(box.width for box in boxes) < 1.02 * min(box.width for box in boxes)
    assert min(box.width for box in boxes) > 0.35  # the legend's width does not push the panels apart
    for ax in axes.values():
        assert ax.get_legend().get_window_extent().y1 < ax.get_window_extent().y0


def test_captions_say_how_each_kind_shows_its_values() -> None:
    grid = {"rows": ["a"], "columns": ["b"], "values": [[0.1]], "scale": "diverging"}
    bare = _marked(Figure("g", "heatmap", "G", "", "", {**grid, "high": [[None]]}))
    assert bare.startswith("Colour gives")
    assert bare.endswith("no intervals.")
    assert "below 0" in bare
    assert "interval stand in" in _marked(
        Figure("g", "heatmap", "G", "", "", {**grid, "low": [[0]], "high": [[0.2]]})
    )
    assert (
        _marked(Figure("l", "lines", "L", "", "", {"series": [{"high": [None]}]})) == "It has no intervals."
    )
    assert "Bands" in _marked(Figure("l", "lines", "L", "", "", {"series": [{"high": [0.2]}]}))
    assert _marked(Figure("d", "dots", "D", "", "", {"rows": [{"high": 0.2}]})) == "Lines are intervals."
