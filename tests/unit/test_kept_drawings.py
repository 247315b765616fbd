"""Drawings of a finished run are remembered, and a remembered one is the drawn one."""

from __future__ import annotations

import pytest

from fraudit.errors import DataError
from fraudit.files.store import Store
from fraudit.report import charts
from fraudit.report.charts import kept
from fraudit.report.charts.spots import Reading
from fraudit.report.render import Drawings
from fraudit.types import Figure


def figure(count: int = 5, kind: str = "histogram") -> Figure:
    edges = [k / 10 for k in range(count + 1)]
    series = [{"name": "genuine pairs", "edges": edges, "counts": list(range(count))}]
    data = {"x": {"label": "cosine", "scale": "linear"}, "series": series}
    return Figure("a.b", kind, "Title <1>", "Caption.", "Alt.", data, main=True)


def counted(calls: list[int]):
    def draw(one: Figure, width: int) -> kept.Drawn:
        calls.append(width)
        return charts.draw(one, width)

    return draw


def test_a_remembered_drawing_is_the_drawn_one_with_its_words(tmp_path):
    store, calls = Store(tmp_path), []
    first = kept.drawings([figure()], (760, 350), counted(calls), store)
    second = kept.drawings([figure()], (760, 350), counted(calls), store)
    assert calls == [760, 350]
    for width in (760, 350):
        name = kept.name_of(figure(), width)
        assert first[name] == second[name]
        expected = charts.svg(figure(), width, "c1", Reading())
        assert charts.svg(figure(), width, "c1", Reading(), second[name]) == expected
        assert "data-spots" in expected


def test_other_data_another_width_and_other_code_are_drawn_anew(tmp_path, monkeypatch):
    store, calls = Store(tmp_path), []
    kept.drawings([figure()], (760,), counted(calls), store)
    kept.drawings([figure(6)], (760,), counted(calls), store)
    kept.drawings([figure()], (350,), counted(calls), store)
    monkeypatch.setattr(kept, "_code", lambda: "another")
    kept.drawings([figure()], (760,), counted(calls), store)
    assert calls == [760, 760, 350, 760]


def test_a_figure_that_cannot_be_drawn_leaves_the_others(tmp_path):
    bad = figure(kind="pie")
    found = kept.drawings([bad, figure()], (760,), charts.draw, Store(tmp_path))
    assert list(found) == [kept.name_of(figure(), 760)]
    draw = Drawings([bad, figure()])
    assert "could not be drawn" in draw(bad, 760)
    assert draw(figure(), 760).startswith("<svg")
    with pytest.raises(DataError, match="unknown kind"):
        charts.svg(bad)


def test_without_a_figure_nothing_is_remembered(tmp_path):
    assert kept.drawings([], (760,), charts.draw, Store(tmp_path)) == {}
    assert not any(tmp_path.iterdir())
