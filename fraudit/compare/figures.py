"""What the figures of every comparison share, and the contact sheets."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from fraudit.compare.values import Side
from fraudit.types import Figure, Gallery, GalleryItem, GalleryRow


def figure_of(side: Side, name: str) -> Figure | None:
    """A figure of the side's own report; None in a baseline."""
    results = side.record.results if side.record is not None else ()
    return next((f for result in results for f in result.figures if f.name == name), None)


def _galleries(side: Side, analyses: Sequence[str]) -> Iterator[Gallery]:
    for result in side.record.results if side.record is not None else ():
        if result.name in analyses:
            yield from result.galleries


def _owned(row: GalleryRow, at: int, label: str) -> GalleryRow:
    items = tuple(GalleryItem(f"{at}:{item.artifact}", item.alt, item.lines) for item in row.items)
    return GalleryRow(label, items)


def galleries(sides: Sequence[Side], analyses: Sequence[str]) -> list[Gallery]:
    """Contact sheets that every run has, their rows one below the other; artifacts as `SIDE:NAME`."""
    own = [{g.name: g for g in _galleries(side, analyses)} for side in sides]
    found = []
    for name, first in own[0].items():
        if not all(name in sheets for sheets in own):
            continue
        rows = []
        for number_of_row, row in enumerate(first.rows):
            for at, (side, sheets) in enumerate(zip(sides, own, strict=True)):
                if number_of_row < len(sheets[name].rows):
                    words = f"{row.label}, {side.label}" if row.label else side.label
                    rows.append(_owned(sheets[name].rows[number_of_row], at, words))
        found.append(replace(first, rows=tuple(rows)))
    return found
