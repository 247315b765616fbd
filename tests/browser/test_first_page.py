"""The page to hand over: it fits narrow and wide, its links lead somewhere, cards print, long lists stay off paper."""

from __future__ import annotations

from typing import Any

import pytest


@pytest.mark.parametrize("width", [360, 1440])
def test_it_fits_and_every_answer_leads_to_its_section(open_page: Any, width: int) -> None:
    page = open_page(viewport={"width": width, "height": 900})
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    links = page.locator(".answers a")
    assert links.count() == 3
    assert links.first.inner_text().endswith("?")
    for k in range(links.count()):
        target = links.nth(k).get_attribute("href")
        assert page.locator(f"section{target}").count() == 1
    assert 1 <= page.locator(".act").count() <= 5


def test_cards_are_folded_on_the_screen_and_whole_on_paper(open_page: Any) -> None:
    page = open_page()
    details = page.locator("#model-card dl")
    assert not details.is_visible()
    page.evaluate("window.dispatchEvent(new Event('beforeprint'))")
    page.emulate_media(media="print")
    assert details.is_visible()
    assert page.locator("#model-card dt").count() == 9
    assert not any(box.is_visible() for box in page.locator(".onscreen").all())
    assert page.locator(".onpaper").count() == page.locator(".onscreen").count()
