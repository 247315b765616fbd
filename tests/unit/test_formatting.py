"""Numbers as a reader wants them, and texts that every room writes by the same rules."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from fraudit import formatting

ROOT = Path(__file__).resolve().parents[2] / "fraudit"


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (0.0213, "2.1"),
        (0.0021, "0.21"),
        (2e-5, "0.0020"),
        (2.5e-7, "0.000025"),
        (0.0, "0"),
        (0.9999996, "99.999960"),
    ],
)
def test_a_percentage_is_neither_a_power_of_ten_nor_rounded_to_nothing(value: float, said: str) -> None:
    assert formatting.percent(value) == f"{said}\u202f%"


def test_pictures_and_pairs_that_were_left_out_are_not_added_up() -> None:
    counts = {"pictures beyond --limit": 7401, "pairs beyond --limit": 5803}
    assert formatting.counts_words(counts) == "7,401 pictures and 5,803 pairs"
    counts = {
        "files that are no pictures (1 .txt)": 1,
        "pictures that no list names": 2,
        "pictures beyond": 3,
    }
    assert formatting.counts_words({**counts, "pairs of templates beyond --limit": 1, "hidden": 2}) == (
        "3 files, 5 pictures and 1 pair of templates"
    )
    assert formatting.counts_words({}) == ""


def test_no_percent_sign_follows_a_power_of_ten() -> None:
    assert [formatting.plain(100 * rate) for rate in (1e-6, 2.5e-7, 0.0, 0.5)] == [
        "0.0001",
        "0.000025",
        "0",
        "50",
    ]
    assert formatting.interval(1e-7, 5e-6, as_percent=True) == "0.00001 to 0.0005\u202f%"
    assert formatting.interval(1e-5, 5e-4) == "1e-5 to 5e-4"


def test_a_difference_of_rates_is_in_points() -> None:
    assert formatting.with_unit(-0.0062, as_points=True) == "\u22120.62\u202fpoints"
    assert formatting.interval(-0.02, 0.011, as_points=True) == "\u22122.0 to 1.1\u202fpoints"


def test_the_ends_of_an_interval_that_differ_read_differently() -> None:
    assert formatting.interval(0.9982, 1.0, as_percent=True) == "99.8 to 100.0\u202f%"
    assert formatting.interval(0.992614, 0.993365) == "0.9926 to 0.9934"
    assert formatting.interval(1.0, 1.0, as_percent=True) == "100 to 100\u202f%"


def test_every_percent_sign_has_one_narrow_space() -> None:
    assert (
        formatting.unbroken("5% of 30 % (95 %), a%20b, 3%d")
        == "5\u202f% of 30\u202f% (95\u202f%), a%20b, 3%d"
    )


def test_no_text_of_the_program_glues_a_percent_sign_to_its_number() -> None:
    """`{share:.1%}` would; `formatting.percent` is the one way, and `{100 * share:.0f} %` where it is out of reach."""
    for path in sorted(ROOT.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FormattedValue) and isinstance(node.format_spec, ast.JoinedStr):
                last = node.format_spec.values[-1:]
                glued = last and isinstance(last[0], ast.Constant) and str(last[0].value).endswith("%")
                assert not glued, f"{path.relative_to(ROOT)}:{node.lineno}"
