"""The page of a comparison: its tables fit a phone, and are tables where there is room."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fraudit.audit.stored_vectors import StoredVectors, faces_of, run_vectors
from fraudit.compare import compare, run_side, write

PEOPLE, EACH = 30, 3
TABLES = "[...document.querySelectorAll('.scroll')].filter(box => box.clientWidth > 0)"


@pytest.fixture(scope="module")
def page_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A comparison of two models of planted people, by verification."""
    folder, rng = tmp_path_factory.mktemp("compared"), np.random.default_rng(5)
    people = np.repeat(np.arange(PEOPLE), EACH)
    faces = faces_of("planted", [f"{i:03d}.png" for i in range(len(people))], people)
    centres = rng.normal(size=(PEOPLE, 16))[people]
    for name, spread in (("base", 0.5), ("new", 0.9)):
        vectors = (centres + spread * rng.normal(size=centres.shape)).astype(np.float32)
        model = StoredVectors(name, vectors, np.ones(len(people), bool))
        run_vectors(faces, model, folder / name, only=("verification",))
    return write(compare([run_side(folder / "base"), run_side(folder / "new")]), folder / "out")


@pytest.fixture
def opened(browser: Any, page_path: Path) -> Iterator[Any]:
    contexts = []

    def at(width: int, scheme: str = "light") -> Any:
        context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
        contexts.append(context)
        page = context.new_page()
        page.goto(f"file://{page_path}")
        page.evaluate("document.querySelectorAll('details').forEach(part => { part.open = true; })")
        return page

    yield at
    for context in contexts:
        context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 768])
def test_no_table_scrolls_sideways_on_a_narrow_screen_and_every_figure_is_named(
    opened: Any, width: int, scheme: str
) -> None:
    page = opened(width, scheme)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.evaluate(f"{TABLES}.length") > 1
    wide = f"{TABLES}.filter(b => b.scrollWidth > b.clientWidth).map(b => b.getAttribute('aria-label'))"
    assert page.evaluate(wide) == []
    named = "cell => getComputedStyle(cell, '::before').content"
    row = page.locator(".deltas tbody tr").filter(has_not=page.locator("td.none")).first
    names = [row.locator("td").nth(k).evaluate(named) for k in range(6)]
    assert names == ['"Base"', '"New"', '"Difference"', '"95 %"', '"Evidence"', "none"]


def test_rows_can_be_sorted_and_filtered_on_a_phone(opened: Any) -> None:
    page = opened(360)
    rows = page.locator(".deltas").first.locator("tbody tr")
    count = rows.count()
    page.locator(".filter input").first.fill("no such metric")
    assert not any(row.is_visible() for row in rows.all())
    page.locator(".filter input").first.fill("")
    page.locator(".deltas").first.get_by_role("button", name="Base").click()
    values = [float(v) for v in rows.evaluate_all("r => r.map(x => x.cells[1].dataset.v)") if v]
    assert values == sorted(values)
    assert rows.count() == count


def test_where_there_is_room_it_is_a_table(opened: Any) -> None:
    page = opened(1440)
    assert page.locator(".deltas").first.evaluate("table => getComputedStyle(table).display") == "table"
    assert page.locator(".act").first.evaluate("card => getComputedStyle(card).listStyleType") == "none"
