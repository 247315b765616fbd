"""Charts: valid, escaped, unique ids, the same text each time, nothing drawn that is not there."""

from __future__ import annotations

import re
from statistics import NormalDist
from xml.etree import ElementTree

import numpy as np
import pytest

from fraudit.errors import DataError
from fraudit.report import charts
from fraudit.report.charts.canvas import fit, text_px
from fraudit.report.charts.frame import spread
from fraudit.report.charts.heatmap import ink_on
from fraudit.report.charts.panels import palette, styled
from fraudit.report.charts.scales import LOG_REACH, row_values, scale_of
from fraudit.report.charts.svgtext import ACCENT, SERIES
from fraudit.report.charts.xy import densities, thinned
from fraudit.types import Figure
from tests.fixtures.run_record import HOSTILE, build_record

FIGURES = {f"{r.name}-{f.name}": f for r in build_record().results for f in r.figures}
NS = "{http://www.w3.org/2000/svg}"
WIDTHS = (charts.WIDE_PX, charts.NARROW_PX)


def figure(kind: str, data: dict, **changes: str) -> Figure:
    return Figure(
        **{"name": "f", "kind": kind, "title": "T", "caption": "C", "alt": "A", "data": data, **changes}
    )


def texts(svg: str) -> list[str]:
    return ["".join(t.itertext()) for t in ElementTree.fromstring(svg).iter(f"{NS}text")]


def test_every_kind_is_in_the_fixture():
    assert {f.kind for f in FIGURES.values()} == set(charts.KINDS)


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("name", FIGURES)
def test_a_drawing_is_accessible_xml_with_its_own_ids(name, width):
    one = FIGURES[name]
    text = charts.svg(one, width, uid="c7")
    root = ElementTree.fromstring(text)
    assert root.get("role") == "img"
    by_id = {e.get("id"): e for e in root.iter() if e.get("id")}
    assert len(by_id) == sum(bool(e.get("id")) for e in root.iter())
    assert all(i.startswith("c7-") for i in by_id)
    labelled = root.get("aria-labelledby").split()
    assert [by_id[i].text for i in labelled] == [one.title, one.alt]
    used = set(re.findall(r'url\(#([^)]+)\)|href="#([^"]+)"', text))
    assert {a or b for a, b in used} <= set(by_id)
    assert float(root.get("width")) == width
    assert text == charts.svg(one, width, uid="c7")


@pytest.mark.parametrize("name", FIGURES)
def test_texts_stay_inside_their_drawing(name):
    for width in WIDTHS:
        root = ElementTree.fromstring(charts.svg(FIGURES[name], width))
        height = float(root.get("height"))
        for element in root.iter(f"{NS}text"):
            place = re.match(r"translate\(([-\d.]+) ([-\d.]+)\)", element.get("transform", ""))
            x, y = (float(v) for v in (place.groups() if place else (element.get("x"), element.get("y"))))
            assert -1 <= x <= width + 1
            assert 0 <= y <= height + 1


def test_no_colour_of_its_own_but_maps_and_cell_texts():
    for name, one in FIGURES.items():
        text = charts.svg(one)
        stand_ins = re.findall(r"#0102[0-9a-f]{2}", text)
        assert not stand_ins, name
        if one.kind != "heatmap":
            assert not re.findall(r"(?:fill|stroke):#", text), name
    assert "currentColor" in charts.svg(FIGURES["verification-det"])
    assert "var(--fr-accent," in charts.svg(FIGURES["verification-det"])


def test_words_in_place_of_a_figure_lie_on_paper_and_no_line_crosses_them():
    rows = [{"label": "a", "value": 0.5}, {"label": "b", "value": None, "missing": "no error in 9 pairs"}]
    mark = {"axis": "x", "value": 0.5, "label": "target"}
    told = charts.svg(figure("dots", {"x": {"label": "rate"}, "rows": rows, "marks": [mark]}))
    plain = charts.svg(figure("dots", {"x": {"label": "rate"}, "rows": rows[:1], "marks": [mark]}))
    assert "var(--fr-paper," not in plain
    paper, words = told.index("var(--fr-paper,"), told.index("no error in 9 pairs")
    assert told.rindex("stroke-dasharray", 0, words) < paper < words


def test_a_mark_of_one_panel_is_drawn_along_its_rows_on_a_narrow_screen_too():
    rows = [
        {"label": label, "group": "sex", "panel": panel, "value": value}
        for panel in ("FMR", "FNMR")
        for label, value in (("a", 0.01), ("b", 0.02))
    ]
    data = {"x": {"label": "rate", "scale": "log"}, "rows": rows}
    mark = {"axis": "x", "value": 0.015, "label": "target FMR", "panel": "FMR"}
    wide, narrow = (charts.svg(figure("dots", {**data, "marks": [mark]}), px) for px in (760, 350))
    assert "target FMR" in "".join(texts(wide))
    assert "dashed: target FMR" in "".join(texts(narrow))
    lines = re.findall(r'd="M ?([\d.]+)[ ,]([\d.]+) ?L ?([\d.]+)[ ,]([\d.]+)', narrow)
    upright = [abs(float(y1) - float(y0)) for x0, y0, x1, y1 in lines if x0 == x1]
    assert any(abs(height - 2 * 26) < 1 for height in upright)
    other = charts.svg(figure("dots", {**data, "marks": [{**mark, "panel": "EER"}]}), 350)
    assert "target FMR" not in "".join(texts(other))


def test_hostile_labels_are_text():
    rows = [
        {"label": HOSTILE, "value": 0.5, "group": HOSTILE},
        {"label": "b\x00\ud800", "value": None, "missing": HOSTILE},
    ]
    one = figure("dots", {"x": {"label": HOSTILE}, "rows": rows}, title=HOSTILE, alt=f'{HOSTILE}"')
    text = charts.svg(one)
    assert "<script" not in text
    assert "$a_b$" in "".join(texts(text))  # a dollar sign starts no formula
    assert "\x00" not in text
    text.encode()


def test_data_that_does_not_follow_the_schema_is_an_error_with_the_figures_name():
    for kind in charts.KINDS:
        with pytest.raises(DataError, match=rf"figure f \({kind}\) cannot be drawn"):
            charts.svg(
                figure(
                    kind,
                    {"series": [{"x": [1]}], "rows": [{"value": 1}], "columns": ["a", "b"], "values": [[1]]},
                )
            )
    with pytest.raises(DataError, match="unknown kind 'pie'"):
        charts.svg(figure("pie", {}))
    with pytest.raises(DataError, match="row_groups cover 2 rows; there are 1"):
        charts.svg(
            figure("heatmap", {"rows": ["a"], "columns": ["b"], "values": [[1.0]], "row_groups": [["g", 2]]})
        )


@pytest.mark.parametrize(
    ("kind", "data"),
    [
        ("lines", {"x": {}, "y": {}, "series": []}),
        ("lines", {"x": {}, "y": {"scale": "log"}, "series": [{"name": "a", "x": [1, 2], "y": [None, 0]}]}),
        (
            "lines",
            {
                "x": {"scale": "probit"},
                "y": {"scale": "probit"},
                "series": [{"name": "a", "x": [0], "y": [1]}],
            },
        ),
        ("dots", {"x": {}, "rows": []}),
        ("dots", {"x": {"scale": "log"}, "rows": [{"label": "a", "value": 0.0, "low": 0.0, "high": 0.1}]}),
        ("bars", {"x": {}, "rows": [{"label": "a", "value": -1.0}]}),
        ("heatmap", {"rows": ["a"], "columns": ["b"], "values": [[None]]}),
        ("heatmap", {"rows": ["a"], "columns": ["b"], "values": [[0.0]], "log": True}),
        ("histogram", {"x": {}, "series": [{"name": "a", "edges": [0, 1], "counts": [0]}]}),
        ("histogram", {"x": {}, "series": []}),
        ("scatter", {"x": {}, "y": {}, "series": [{"name": "a", "x": [], "y": []}]}),
    ],
)
def test_empty_and_degenerate_data_are_drawn(kind, data):
    for width in WIDTHS:
        ElementTree.fromstring(charts.svg(figure(kind, data), width))


def test_what_is_missing_is_said_where_its_value_would_be():
    said = " ".join(texts(charts.svg(FIGURES["bias-sizes"])))
    assert "— too few people" in said
    heat = texts(charts.svg(FIGURES["bias-cross"]))
    assert heat.count("—") == 1


def test_a_gap_in_a_series_is_a_gap_in_its_line():
    data = {"x": {}, "y": {}, "series": [{"name": "a", "x": [0, 1, 2, 3], "y": [1, 2, None, 3]}]}
    drawn = ElementTree.fromstring(charts.svg(figure("lines", data))).iter(f"{NS}path")
    line = next(e.get("d") for e in drawn if "stroke:var(--fr-accent" in e.get("style", ""))
    # 0 to 1 is a segment; the lone last point has no neighbour to be joined to
    assert line.count("L") == 1


def test_values_beside_rows_share_their_decimals():
    rows = [{"label": f"f{v}", "value": v} for v in (0.9917, 0.99, 0.9883)]
    said = texts(charts.svg(figure("dots", {"x": {"percent": True}, "rows": rows})))
    assert {"99.17\u202f%", "99.00\u202f%", "98.83\u202f%"} <= set(said)


def test_probit_axis_is_linear_in_normal_quantiles():
    scale = scale_of({"scale": "probit", "range": [0.001, 0.5]}, [])
    places = scale.place([0.001, 0.02275013, 0.5, 0.0, None])
    assert places[2] == pytest.approx(0.0, abs=1e-12)
    assert places[1] == pytest.approx(-2.0, abs=1e-6)
    assert places[0] == pytest.approx(NormalDist().inv_cdf(0.001))
    assert np.isnan(places[3:]).all()
    assert scale.one(0.0, clip=True) == pytest.approx(places[0])


def test_log_axis_shows_no_zero_but_clips_an_intervals_end():
    scale = scale_of({"scale": "log"}, [0.01, 1.0])
    assert np.isnan(scale.one(0.0))
    assert scale.one(0.0, clip=True) == pytest.approx(np.log10(scale.low))
    assert scale.ticks(6) == pytest.approx([0.01, 0.1, 1.0])


def test_a_vanishing_lower_end_does_not_press_the_rates_of_a_log_axis_into_a_corner():
    rows = [
        {"value": 4e-4, "low": 4e-17, "high": 0.014, "compare": 0.0},
        {"value": 0.05, "low": 0.02, "high": 0.1},
        {"value": None, "low": None, "high": 0.02},
    ]
    scale = scale_of({"scale": "log", "percent": True}, row_values(rows, "log"))
    assert 0.5 * 4e-4 / LOG_REACH < scale.low < 4e-4 / LOG_REACH
    assert scale.high > 0.1
    assert scale.one(4e-17, clip=True) == pytest.approx(np.log10(scale.low))  # the bar runs to the edge
    assert row_values(rows, "linear")[1] == 4e-17
    near = [{"value": 0.05, "low": 0.02, "high": 0.1}]
    assert min(v for v in row_values(near, "log") if v) == 0.02


def test_ticks_of_few_exact_values_are_those_values():
    scale = scale_of({}, [1, 2, 3, 4, 5], exact=True)
    assert scale.ticks(4, 400) == [1, 2, 3, 4, 5]
    assert len(scale.ticks(4, 60)) < 5


def test_spread_keeps_order_and_distance():
    assert spread([10, 11, 50], 15, 0, 100) == [10, 25, 50]
    assert spread([99, 98], 15, 0, 100) == [100, 85]


def test_thinning_keeps_ends_steep_parts_and_gaps():
    xs = np.linspace(0, 1, 20_000)
    ys = np.where(xs < 0.001, xs * 1000, 1.0)
    ys[15_000] = np.nan
    kept = thinned(xs, ys, 200)
    assert len(kept) <= 260
    assert {0, 15_000, 19_999} <= set(kept.tolist())
    assert (kept < 20).sum() >= 15


def test_histograms_have_area_one():
    edges = np.array([0.0, 0.5, 2.0])
    assert (densities({"counts": [1, 3]}, edges) * np.diff(edges)).sum() == pytest.approx(1)
    assert densities({"counts": [1, 3]}, edges) == pytest.approx([0.5, 0.5])
    assert densities({"counts": [0, 0]}, edges).tolist() == [0, 0]


def test_names_of_peaks_at_one_place_stand_above_each_other():
    series = [{"name": f"same place {k}", "edges": [-0.1, 0.0, 0.1], "counts": [1, 1]} for k in range(3)]
    text = charts.svg(figure("histogram", {"x": {"label": "cosine"}, "series": series}))
    heights = []
    for node in ElementTree.fromstring(text).iter():
        if node.tag.endswith("text") and "same place" in "".join(node.itertext()):
            heights.append(float(node.attrib["y"]))
    assert len(heights) == 3
    assert np.diff(sorted(heights)).min() >= 14


def test_cell_texts_contrast_with_their_cell():
    assert ink_on((1.0, 0.9, 0.2, 1)) == "#111111"
    assert ink_on((0.0, 0.13, 0.3, 1)) == "#ffffff"
    for grey in np.linspace(0, 1, 21):
        linear = grey / 12.92 if grey <= 0.04045 else ((grey + 0.055) / 1.055) ** 2.4
        ratio = (1.05 / (linear + 0.05)) if ink_on((grey,) * 3) == "#ffffff" else (linear + 0.05) / 0.0556
        assert ratio >= 4.1


def test_the_accent_goes_to_the_series_that_asks_for_it():
    assert palette([False, True, False]) == [SERIES[0], ACCENT, SERIES[1]]
    assert palette([False, False]) == [ACCENT, SERIES[0]]


def test_panels_with_series_of_their_own_label_them_in_place_and_start_their_colours_anew():
    series = [
        {"name": f"{panel}{k}", "panel": panel, "x": [1, 2], "y": [k, k]}
        for panel in ("blur", "noise")
        for k in (1, 2)
    ]
    looks = styled(series)
    assert [one.colour for one in looks] == [ACCENT, SERIES[0]] * 2
    assert [one.data["panel"] for one in looks] == ["blur", "blur", "noise", "noise"]
    said = texts(charts.svg(figure("lines", {"x": {}, "y": {}, "series": series})))
    assert all(said.count(one["name"]) == 1 for one in series)
    shared = styled([{"name": "a", "panel": p} for p in "12"] + [{"name": "b", "panel": p} for p in "12"])
    assert [one.colour for one in shared] == [ACCENT, ACCENT, SERIES[0], SERIES[0]]


def test_sizes_are_not_said_twice_where_they_are_the_value():
    rows = [{"label": "male", "value": 15, "n": 15}]
    assert texts(charts.svg(figure("bars", {"x": {}, "rows": rows}))).count("15") == 1


def test_long_labels_are_cut_to_their_room():
    lines = fit("a very long label that cannot fit anywhere", 80)
    assert len(lines) == 2
    assert lines[-1].endswith("…")
    assert all(text_px(line) <= 90 for line in lines)
    assert fit("short", 80) == ["short"]
