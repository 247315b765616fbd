"""Draws the pictures of the README again: three crops of a report over the bundled synthetic faces.

    fraudit analyze --embedder dlib --dataset sample --out runs/first
    python -m benchmarks.report_pictures runs/first docs

Needs playwright and a Chromium on the path. Refuses a run over faces that are not synthetic.
"""

from __future__ import annotations

import argparse
import io
from pathlib import Path
from typing import Any

from PIL import Image

from fraudit.errors import DataError
from fraudit.report.pdf import find_browser
from fraudit.report.record import RunRecord

LARGEST = 200_000  # bytes of one file
# file -> (width, height of the window, colours, pixels a point, what is scrolled to the top)
PICTURES = {
    "report.png": (1280, 1000, "light", 1.5, "#summary"),
    "report-phone.png": (390, 844, "light", 2, "#summary"),
    "report-dark.png": (1280, 900, "dark", 1.5, "#explorer"),
}


def picture(browser: Any, page: Path, name: str) -> bytes:
    """One crop as PNG with as many colours as fit the limit."""
    width, height, scheme, scale, top = PICTURES[name]
    context = browser.new_context(
        viewport={"width": width, "height": height},
        device_scale_factor=scale,
        color_scheme=scheme,
        reduced_motion="reduce",
    )
    tab = context.new_page()
    tab.goto(page.resolve().as_uri())
    if top != "#summary":
        tab.evaluate("top => document.querySelector(top).scrollIntoView()", top)
        tab.wait_for_timeout(300)
    drawn = Image.open(io.BytesIO(tab.screenshot())).convert("RGB")
    context.close()
    for colours in (256, 128, 64, 32, 16):
        stream = io.BytesIO()
        drawn.quantize(colours, dither=Image.Dither.NONE).save(stream, "PNG", optimize=True)
        if stream.tell() <= LARGEST:
            break
    return stream.getvalue()


def main() -> None:
    """The command."""
    from playwright.sync_api import sync_playwright

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path)
    parser.add_argument("out", type=Path)
    args = parser.parse_args()
    record = RunRecord.load(args.run)
    if record.input_fact("dataset", "synthetic") is not True:
        raise DataError("the run's faces are not synthetic", "fraudit analyze --dataset sample")
    with sync_playwright() as driver:
        browser = driver.chromium.launch(
            executable_path=find_browser(), args=["--no-sandbox", "--disable-gpu"]
        )
        for name in PICTURES:
            blob = picture(browser, args.run / "report" / "index.html", name)
            (args.out / name).write_bytes(blob)
            print(f"{args.out / name}: {len(blob):,} bytes")
        browser.close()


if __name__ == "__main__":
    main()
