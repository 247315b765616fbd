"""A terminal's recording as an animated SVG, lines alone: `python -m fraudit_docs.recording TRANSCRIPT SVG`.

The transcript is plain text: what a command printed, its own line first, with `$ ` before it. Lines appear one after
the other, and all stay; a reader who wants no motion, and a program that shows none, sees the last picture.
"""

from __future__ import annotations

import sys
from pathlib import Path
from xml.sax.saxutils import escape

from fraudit.files.store import write_text_atomic

COLUMNS, LINE, SIGN, EDGE = 92, 18, 7.8, 16  # signs a line; pixels a line, a sign, of the margin
TYPED, PRINTED = 1.2, 0.28  # seconds before a line that is typed, or printed, is there
PALE, INK, PAPER, ACCENT = "#9aa4b2", "#e6e9ee", "#1d2129", "#56b4e9"
STYLE = (
    "text{{font:13px ui-monospace,Menlo,Consolas,'DejaVu Sans Mono',monospace;fill:{ink};white-space:pre}}"
    "@media (prefers-reduced-motion:no-preference){{.l{{animation:a .01s linear backwards}}}}"
    "@keyframes a{{from{{opacity:0}}}}"
)


def lines_of(transcript: str) -> list[str]:
    """The lines, none longer than `COLUMNS`."""
    found = []
    for line in transcript.rstrip().splitlines():
        found.append(line if len(line) <= COLUMNS else f"{line[: COLUMNS - 1]}…")
    return found


def recording(transcript: str, alt: str) -> str:
    """The SVG. `alt` says in words what it shows."""
    lines, at, rows = lines_of(transcript), 0.4, []
    width, height = round(COLUMNS * SIGN + 2 * EDGE), len(lines) * LINE + 2 * EDGE
    for k, line in enumerate(lines):
        typed = line.startswith("$ ")
        at += TYPED if typed else PRINTED if line else 0.1
        colour = ACCENT if typed else PALE if line[:1] in (" ", "") else INK
        rows.append(
            f'<text class="l" style="animation-delay:{at:.2f}s;fill:{colour}" x="{EDGE}" '
            f'y="{EDGE + 13 + k * LINE}" xml:space="preserve">{escape(line)}</text>'
        )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        f'role="img" aria-label="{escape(alt, {chr(34): "&quot;"})}"><title>{escape(alt)}</title>'
        f"<style>{STYLE.format(ink=INK)}</style>"
        f'<rect width="{width}" height="{height}" rx="8" fill="{PAPER}"/>{"".join(rows)}</svg>\n'
    )


if __name__ == "__main__":
    ALT = "A terminal: fraudit audits dlib on the bundled synthetic faces, then shows the findings and key figures"
    write_text_atomic(Path(sys.argv[2]), recording(Path(sys.argv[1]).read_text(encoding="utf-8"), ALT))
