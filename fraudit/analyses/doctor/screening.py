"""The search for better wirings: all single changes on a few people, the best ones and their combinations after."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from fraudit.analyses.doctor.hypotheses import Axis, Hypothesis
from fraudit.types import I64

ROUNDS = 3
SHORTLIST = 6
LEAST_SCREENED = 12  # people, where that leaves three quarters to test on


def shortlist(
    values: Mapping[Axis, Sequence[str]],
    separation: Callable[[Hypothesis], float | None],
    always: Sequence[Hypothesis] = (),
) -> tuple[list[Hypothesis], dict[Hypothesis, float]]:
    """(hypotheses worth a test, best first, never the stated one; d' of all that were screened).

    One axis after the other (coordinate ascent): every single change of the best wiring so far is tried, at most
    ROUNDS times, while it improves. A wrong normalisation may hide swapped channels, but not the other way round.
    `always`: those of the single changes that are tested whatever their d' here.
    Which of them are tested must not depend on the people that they are tested on: give others here.
    """
    seen: dict[Hypothesis, float] = {}

    def value(h: Hypothesis) -> float:
        if h not in seen:
            found = separation(h)
            seen[h] = -np.inf if found is None else found
        return seen[h]

    best = Hypothesis()
    value(best)
    for _ in range(ROUNDS):
        tried = [best.changed(axis, v) for axis, listed in values.items() for v in (*listed, "stated")]
        top = max(tried, key=value)
        if value(top) <= value(best):
            break
        best = top
    ranked = sorted((h for h in seen if h.changes and np.isfinite(seen[h])), key=lambda h: -seen[h])
    singles = [h for h in ranked if len(h.changes) == 1]
    swapped = [
        h for h in singles if h.changes[0][0] == "channels"
    ]  # the smallest harm: never lost to chance here
    kept = list(
        dict.fromkeys([*ranked[: SHORTLIST - 2], *singles[:2], *swapped, *(h for h in always if h in ranked)])
    )
    return kept, seen


def chosen_faces(
    subjects: I64, screen: int, test: int, rng: np.random.Generator, wider: int = 0
) -> tuple[I64, I64, I64]:
    """(rows to screen on, rows to test on, those and others up to `wider`), two faces a person or more.

    As even as there are; nobody who screens tests.
    """
    known, counts = np.unique(subjects, return_counts=True)
    people = rng.permutation(known[counts >= 2])
    share = screen / (screen + test)
    wanted = max(round(share * len(people)), min(LEAST_SCREENED, len(people) // 4))
    cut = max(1, min(wanted, screen // 2))
    mine = [rng.permutation(np.flatnonzero(subjects == p)) for p in people[: cut + max(test, wider) // 2]]
    return _rows(mine[:cut], screen), _rows(mine[cut:], test), _rows(mine[cut:], max(test, wider))


def _rows(mine: list[I64], most: int) -> I64:
    """At most `most` of each person's rows: two of each, then a third of each, and so on."""
    mine = mine[: most // 2]
    rows = [int(r) for m in mine for r in m[:2]]
    turn = 2
    while len(rows) < most and any(len(m) > turn for m in mine):
        rows += [int(m[turn]) for m in mine if len(m) > turn]
        turn += 1
    return np.array(sorted(rows[:most]), np.int64)
