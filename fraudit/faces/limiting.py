"""A small part of a set that can still be verified: whole people, and such as its pairs name."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from fraudit.faces.sources import take
from fraudit.types import I64, FaceSet, PairList

LEAST_PAIRS = 10  # of each kind; with fewer left, the set's own pairs are given up
_MOST_PAIRS = 200_000  # looked at
BEYOND, PAIRS_BEYOND = "pictures beyond --limit", "pairs beyond --limit"
TEMPLATE_PAIRS_BEYOND = "pairs of templates beyond --limit"


def first_people(faces: FaceSet, limit: int) -> FaceSet:
    """People of a set, whole, up to `limit` pictures (always at least two people).

    Without pairs the first ones. With pairs those whom genuine and impostor pairs of every fold name in turn, so that
    both kinds are left; where too few are, an identified set goes on without its pairs, and says so.
    """
    codes, counts = np.unique(faces.subjects, return_inverse=True, return_counts=True)[1:]
    people = codes.reshape(-1).astype(np.int64)
    chosen = _first(people, counts, limit)
    if faces.pairs is not None and len(faces) > limit:
        named = _named(faces.pairs, people, counts, limit)
        chosen = named if len(named) >= 2 else chosen
    kept = np.flatnonzero(np.isin(people, chosen))
    if len(kept) == len(faces):
        return faces
    part = take(faces, kept)
    gone = {BEYOND: len(faces) - len(part)}
    notes = [*faces.notes, f"--limit {limit}: {len(chosen):,} of {len(counts):,} people"]
    if faces.pairs is not None and part.pairs is not None:
        same = part.pairs.same
        if faces.identified and min(int(same.sum()), int((~same).sum())) < LEAST_PAIRS:
            notes.append(
                f"--limit {limit} leaves {int(same.sum())} genuine and {int((~same).sum())} impostor pairs of the set: "
                "pairs are drawn among the kept people instead"
            )
            part = replace(part, pairs=None)
        gone[PAIRS_BEYOND] = len(faces.pairs) - (len(part.pairs) if part.pairs is not None else 0)
    if faces.templates is not None and faces.templates.pairs is not None:
        kept_pairs = part.templates.pairs if part.templates is not None else None
        gone[TEMPLATE_PAIRS_BEYOND] = len(faces.templates.pairs) - (len(kept_pairs) if kept_pairs else 0)
    return replace(part, left_out={**faces.left_out, **gone}, notes=tuple(notes))


def _first(people: I64, counts: I64, limit: int) -> I64:
    first = np.unique(people, return_index=True)[1]
    order = np.argsort(first)
    return order[: max(2, int(np.searchsorted(np.cumsum(counts[order]), limit, side="right")))]


def _named(pairs: PairList, people: I64, counts: I64, limit: int) -> I64:
    """People whom the pairs name, in turn genuine and impostor, fold after fold, while their pictures fit."""
    kept: set[int] = set()
    total = 0
    for row in _in_turn(pairs):
        new = {int(people[pairs.left[row]]), int(people[pairs.right[row]])} - kept
        cost = int(sum(counts[person] for person in new))
        if total + cost <= limit:
            kept |= new
            total += cost
        if total >= limit:
            break
    return np.array(sorted(kept), np.int64)


def _in_turn(pairs: PairList) -> Iterator[int]:
    """Rows: the first genuine pair of every fold, the first impostor pair of every fold, the second ones, ..."""
    rank = np.zeros(len(pairs), np.int64)
    key = pairs.fold * 2 + ~pairs.same
    for value in np.unique(key):
        rows = np.flatnonzero(key == value)
        rank[rows] = np.arange(len(rows))
    order = np.lexsort((pairs.fold, ~pairs.same, rank))
    yield from order[:_MOST_PAIRS].tolist()
