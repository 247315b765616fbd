"""Small galleries of what the lists name; made only where pictures may be shown."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from fraudit.analyses.evidence.flags import Flags
from fraudit.analyses.evidence.params import Params
from fraudit.analyses.evidence.rates import Rates
from fraudit.analyses.evidence.tables import flagged_labels
from fraudit.errors import DataError
from fraudit.faces.align import fitted
from fraudit.stats.pairs import genuine_pairs, pair_cosines
from fraudit.types import Gallery, GalleryItem, GalleryRow

if TYPE_CHECKING:
    from fraudit.audit.context import AnalysisContext

SIZE = (112, 112)
PAIRS_OF_ONE = 3  # worst pairs shown of the person with most errors


def galleries(
    context: AnalysisContext, params: Params, flags: Flags, rates: Rates, people: dict[int, str]
) -> Iterator[Gallery]:
    """Worst genuine pairs, closest strangers, pictures whose label is likely wrong, the person with most errors."""
    if not context.show_pictures or not params.shown:
        return
    for name, title, found in (
        ("worst", "Worst genuine pairs", rates.worst),
        ("strangers", "Closest pairs of two people", rates.strangers),
    ):
        if found is not None:
            rows = zip(found.left.tolist(), found.right.tolist(), found.score.tolist(), strict=True)
            yield from _pairs(
                context, name, title, "Cosine by the audited model.", list(rows)[: params.shown]
            )
    yield from _labels(context, params, flags, people)
    e = rates.erring
    if e is not None and e.total:
        worst = _worst_of(context, int(e.people[0]))
        who = people[int(e.people[0])]
        text = f"Worst pairs of {who}, cosine by the audited model."
        yield from _pairs(context, "erring", "The person with most errors", text, worst)


def _item(context: AnalysisContext, row: int, *lines: str) -> GalleryItem | None:
    try:
        picture = fitted(context.picture(row), SIZE)
    except DataError:
        return None
    name = context.faces.ids[row]
    return GalleryItem(context.save_picture(picture), ", ".join((name, *lines)), (name, *lines))


def _pairs(
    context: AnalysisContext, name: str, title: str, caption: str, pairs: list[tuple[int, int, float]]
) -> Iterator[Gallery]:
    rows = []
    for a, b, score in pairs:
        items = [_item(context, i) for i in (a, b)]
        if all(items):
            rows.append(GalleryRow(f"cosine {score:.2f}", tuple(i for i in items if i is not None)))
    if rows:
        yield Gallery(f"evidence_{name}", title, caption, tuple(rows))


def _labels(
    context: AnalysisContext, params: Params, flags: Flags, people: dict[int, str]
) -> Iterator[Gallery]:
    """A flagged picture, one of the person it is said to show, one of the person it looks like: their most typical."""
    if flags.labels is None:
        return
    answer = context.embeddings()
    unit, rows = answer.unit(), []
    for i in flagged_labels(flags)[: params.shown].tolist():
        typical = []
        for subject in (int(flags.subjects[i]), int(flags.labels.nearest[i])):
            others = np.flatnonzero((flags.subjects == subject) & answer.ok)
            others = others[others != i]
            typical.append(int(others[(unit[others] @ unit[others].T).sum(axis=1).argmax()]))
        items = [_item(context, row) for row in (i, *typical)]
        if all(items):
            rows.append(
                GalleryRow(people[int(flags.subjects[i])], tuple(item for item in items if item is not None))
            )
    if rows:
        text = "The most typical picture of either person, by the mean cosine with the others."
        columns = ("flagged", "said to be", "looks like")
        yield Gallery("evidence_labels", "Pictures whose label is likely wrong", text, tuple(rows), columns)


def _worst_of(context: AnalysisContext, subject: int) -> list[tuple[int, int, float]]:
    answer = context.embeddings()
    mine = np.flatnonzero((context.faces.subjects == subject) & answer.ok)
    left, right = (mine[side] for side in genuine_pairs(np.zeros(len(mine), np.int64)))
    scores = pair_cosines(answer.unit(), left, right, answer.ok)
    order = np.argsort(scores, kind="stable")[:PAIRS_OF_ONE]
    return [(int(left[k]), int(right[k]), float(scores[k])) for k in order]
