"""Drawings of a finished run, remembered in the user's cache: most of a report's time goes into drawing its charts.

What is remembered is named by the figures' data, both widths, and the code that drew them; nothing is read from the
run's own folder, which may be a stranger's.
"""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Callable, Sequence
from pathlib import Path

import matplotlib
import numpy as np

from fraudit.errors import DataError
from fraudit.files.store import Store, digest_of
from fraudit.types import Figure

Spot = tuple[float, float, str]
Drawn = tuple[str, list[Spot]]  # as `svgtext.element` takes it, and the places that can be read


@functools.cache
def _code() -> str:
    made = hashlib.sha256(matplotlib.__version__.encode())
    for path in sorted(Path(__file__).parent.glob("*.py")):
        made.update(path.read_bytes())
    return made.hexdigest()


def name_of(figure: Figure, width_px: int) -> str:
    """By what a drawing is found: what decides how it looks."""
    return f"{digest_of({'kind': figure.kind, 'data': figure.data})[:32]}-{width_px}"


def drawings(
    figures: Sequence[Figure],
    widths: Sequence[int],
    draw: Callable[[Figure, int], Drawn],
    store: Store | None = None,
) -> dict[str, Drawn]:
    """Name (`name_of`) -> drawing, of all figures that can be drawn; one file of the cache holds those of a run."""
    wanted = {name_of(figure, width): (figure, width) for figure in figures for width in widths}
    if not wanted:
        return {}

    def compute() -> dict[str, np.ndarray]:
        found = {}
        for name, (figure, width) in wanted.items():
            try:
                text, spots = draw(figure, width)
            except DataError:
                continue  # whoever asks for it draws it again, and is told why not
            plain = [text, [[float(x), float(y), str(words)] for x, y, words in spots]]
            found[name] = np.frombuffer(json.dumps(plain).encode(), np.uint8)
        return found

    kept = (store or Store()).arrays("drawings", {"names": sorted(wanted), "code": _code()}, compute)
    made = {}
    for name, blob in kept.items():
        text, spots = json.loads(blob.tobytes())
        made[name] = (text, [(x, y, words) for x, y, words in spots])
    return made
