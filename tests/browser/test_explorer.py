"""The report in a real browser: the explorer says what `fraudit scores` says, by mouse, keys, link, and no script."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from fraudit.cli.main import run


def _figures(page: Any) -> tuple[str, str, str, str]:
    return tuple(page.locator(f"#x-{name}").inner_text() for name in ("fmr", "fmr-i", "fnmr", "fnmr-i"))  # type: ignore[return-value]


def _scores(run_dir: Path, threshold: str, capsys: pytest.CaptureFixture[str]) -> tuple[str, str, str, str]:
    """The same four texts as the command prints them."""
    capsys.readouterr()
    assert run(["scores", str(run_dir / "scores.csv"), "--threshold", threshold]) == 0
    out = capsys.readouterr().out
    found: list[str] = []
    for kind in ("FMR", "FNMR"):
        line = next(row for row in out.splitlines() if row.startswith(f"{kind} at the threshold"))
        value, inside = re.fullmatch(r".*?: (.*?) \((.*)\)", line).groups()  # type: ignore[union-attr]
        bounds, n = inside.split("; ")
        found += [value, f"{bounds.replace('95 %', '95 % interval', 1)}, {n}"]
    return tuple(found)  # type: ignore[return-value]


def test_the_slider_says_what_fraudit_scores_says_to_the_last_digit(
    open_page: Any, run_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    thresholds = json.loads((run_dir / "artifacts" / "explorer-pairs.json").read_text())["thresholds"]
    page = open_page()
    for at in (0, len(thresholds) // 3, len(thresholds) // 2, 3 * len(thresholds) // 4, len(thresholds) - 1):
        page.evaluate(
            "v => { const s = document.getElementById('x-slider'); s.value = v; s.dispatchEvent(new Event('input')); }",
            thresholds[at],
        )
        shown = page.locator("#x-at").inner_text()
        assert float(shown) == thresholds[at]
        assert _figures(page) == _scores(run_dir, shown, capsys)
        assert f"--threshold {shown}" in page.locator("#x-scores").inner_text()


def test_the_keyboard_alone_moves_it_and_the_link_shows_the_same(open_page: Any) -> None:
    page = open_page()
    for _ in range(60):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.id") == "x-slider":
            break
    before = float(page.locator("#x-at").inner_text())
    page.keyboard.press("ArrowRight")
    assert float(page.locator("#x-at").inner_text()) > before
    page.keyboard.press("PageDown")
    assert float(page.locator("#x-at").inner_text()) < before
    page.locator("#x-enrolled").fill("5000")
    page.wait_for_timeout(500)  # the fragment follows a moment later
    assert "enrolled=5000" in page.evaluate("location.hash")
    fragment, figures = page.evaluate("location.hash"), _figures(page)
    alarms = page.locator("#x-alarms").inner_text()
    assert page.locator("#x-link").get_attribute("href") == fragment
    again = open_page(fragment)
    assert (_figures(again), again.locator("#x-alarms").inner_text()) == (figures, alarms)


def test_mouse_and_touch_move_it(open_page: Any) -> None:
    page = open_page(has_touch=True)
    page.locator("#x-slider").scroll_into_view_if_needed()
    box = page.locator("#x-slider").bounding_box()
    seen = []
    page.mouse.click(box["x"] + 0.3 * box["width"], box["y"] + box["height"] / 2)
    seen.append(page.locator("#x-at").inner_text())
    page.touchscreen.tap(box["x"] + 0.7 * box["width"], box["y"] + box["height"] / 2)
    seen.append(page.locator("#x-at").inner_text())
    assert float(seen[0]) < float(seen[1])


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1440])
def test_no_serious_fault_and_no_sideways_scroll(open_page: Any, scheme: str, width: int) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe is not installed").Axe()
    page = open_page(viewport={"width": width, "height": 800}, color_scheme=scheme)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    found = axe.run(page).response["violations"]
    assert [
        (v["id"], v["nodes"][0]["html"][:200]) for v in found if v["impact"] in ("serious", "critical")
    ] == []


def test_charts_are_read_by_pointer_and_by_keyboard(open_page: Any) -> None:
    page = open_page()
    chart = page.locator("section svg[data-spots]:visible >> nth=2")
    chart.scroll_into_view_if_needed()
    chart.focus()
    page.keyboard.press("End")
    words = page.locator(".tip").inner_text()
    assert re.search(r"\d", words)
    assert ", n " in words or "pairs" in words or " of " in words
    page.keyboard.press("Escape")
    assert page.locator(".tip").is_hidden()
    page.evaluate("document.activeElement.blur()")
    x, y = map(float, chart.get_attribute("data-spots").split()[:2])
    chart.hover(position={"x": x, "y": y})
    assert page.locator(".tip").is_visible()


def test_tables_filter(open_page: Any) -> None:
    page = open_page()
    page.evaluate("document.querySelectorAll('details').forEach(d => { d.open = true; })")
    box = page.locator("#verification .filter").filter(has=page.locator("[aria-label*='metrics']")).first
    box.locator("input").fill("fnmr")
    shown, of = map(int, re.findall(r"\d+", box.locator("[role=status]").inner_text()))
    assert 0 < shown < of


def test_labels_stay_text(open_page: Any) -> None:
    page = open_page()
    assert "<b>second</b>" in page.locator("#x-groups").inner_text()
    assert page.locator("#x-groups b").count() == 0


def test_without_script_the_page_is_whole(open_page: Any) -> None:
    page = open_page(java_script_enabled=False)
    assert page.locator("#x-live").is_hidden()
    rows = page.locator("#explorer tbody tr:visible")
    assert rows.count() >= 3
    assert "%" in rows.first.inner_text()
    assert page.locator("section.analysis").count() >= 4
