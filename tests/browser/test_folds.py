"""What is folded on the page opens where a link leads into it and on paper, and is there without a script."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from fraudit.report.pdf import print_pdf, unfolded

OPEN = "Array.from(document.querySelectorAll('details')).map(d => d.open)"


def folded_id(page: Any) -> str:
    """Anchor of something inside a folded part of the first analysis."""
    found = page.locator("section#verification details.rest [id^=verification-]").last.get_attribute("id")
    assert isinstance(found, str)
    return found


def test_a_section_opens_with_one_figure_and_folds_the_rest(open_page: Any) -> None:
    page = open_page()
    section = page.locator("section#verification")
    assert section.locator("figure.chart:visible").count() == 1
    assert section.locator(".findings:visible").count() == 1
    assert section.locator("figure.chart").count() > 1
    section.locator("details.rest > summary").click()
    assert section.locator("figure.chart:visible").count() == section.locator("figure.chart").count()


@pytest.mark.parametrize("script", [True, False])
def test_a_link_into_a_fold_opens_it(open_page: Any, script: bool) -> None:
    name = folded_id(open_page())
    page = open_page(f"#{name}", java_script_enabled=script)
    page.wait_for_timeout(200)
    assert page.locator(f"#{name}").is_visible()
    assert page.locator("details.rest").last.evaluate("d => d.open") is False


def test_another_link_opens_another_fold(open_page: Any) -> None:
    page = open_page()
    name = folded_id(page)
    page.evaluate("name => { location.hash = name; }", name)
    page.wait_for_timeout(200)
    assert page.locator(f"#{name}").is_visible()


def test_printing_by_hand_unfolds_and_folds_again(open_page: Any) -> None:
    page = open_page()
    before = page.evaluate(OPEN)
    assert not all(before)
    page.evaluate("window.dispatchEvent(new Event('beforeprint'))")
    assert all(page.evaluate(OPEN))
    page.evaluate("window.dispatchEvent(new Event('afterprint'))")
    assert page.evaluate(OPEN) == before


def test_the_pdf_holds_what_the_page_folds(browser: Any, run_dir: Path, tmp_path: Path) -> None:
    index = run_dir / "report" / "index.html"
    page = index.read_text()
    whole, short = tmp_path / "whole.pdf", tmp_path / "short.pdf"
    print_pdf(index, whole)
    hidden = tmp_path / "hidden.html"
    hidden.write_text(re.sub(r"<details.*?</details>", "", page, flags=re.DOTALL))
    print_pdf(hidden, short)
    pages = [len(re.findall(rb"/Type\s*/Page\b", pdf.read_bytes())) for pdf in (whole, short)]
    assert pages[0] > pages[1]
    assert index.read_text() == page


def test_unfolding_opens_every_box_once() -> None:
    assert unfolded('<details class="all"><details><details open>') == (
        '<details open class="all"><details open><details open>'
    )
