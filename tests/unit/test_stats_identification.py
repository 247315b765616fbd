"""1:N search against brute force; ties, infinity, missing vectors and mates."""

from __future__ import annotations

import numpy as np
import pytest

from fraudit.errors import DataError, InsufficientData, UsageError
from fraudit.stats import identification
from fraudit.stats.gallery import Templates, enrol
from fraudit.stats.identification import Search, cmc, fnir, fpir, fpir_threshold, search
from tests.fixtures.planted import unit_rows

Scores = tuple[Search, np.ndarray, np.ndarray, np.ndarray]


def brute(seed: int, several: int = 1, coarse: bool = False) -> Scores:
    """(search, scores [S,N] by loop, searcher, people): 30 enrolled people, 40 mated and 40 non-mated searches."""
    rng = np.random.default_rng(seed)
    people = np.sort(rng.choice(500, 30, replace=False))
    rows = rng.normal(size=(30 * several, 5))
    rows = unit_rows(np.round(rows) + 1e-3 if coarse else rows)
    names = np.repeat(people, several)
    who = np.concatenate([rng.choice(people, 40), 1000 + rng.integers(0, 12, 40)])
    asked = rng.normal(size=(80, 5))
    asked[:40] += 1.5 * rows[np.searchsorted(names, who[:40])]
    asked = unit_rows(np.round(asked) + 1e-3 if coarse else asked)
    gallery = enrol(rows, names, "best")
    scores = np.array([[max(float(q @ v) for v in rows[names == p]) for p in people] for q in asked])
    return search(gallery, asked, who, above=0.2, depth=30), scores, who, people


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("several", [1, 3])
@pytest.mark.parametrize("coarse", [False, True])
def test_scores_ranks_and_candidates_are_those_of_brute_force(seed: int, several: int, coarse: bool) -> None:
    found, scores, who, people = brute(seed, several, coarse)
    own = who[:, None] == people[None]
    others = np.where(own, -np.inf, scores)
    order = np.sort(others, axis=1)
    np.testing.assert_allclose(found.top, order[:, -1], atol=1e-11)
    np.testing.assert_allclose(found.second, order[:, -2], atol=1e-11)
    np.testing.assert_allclose(others[np.arange(80), found.top_entry], found.top, atol=1e-11)
    mate = np.where(own, scores, -np.inf).max(axis=1)
    np.testing.assert_allclose(found.mate_score, mate, atol=1e-11)
    ahead = (others > mate[:, None] + 1e-9)[:40]
    np.testing.assert_array_equal(found.rank[:40], 1 + ahead.sum(axis=1))
    close = set(zip(found.close_search.tolist(), found.close_entry.tolist(), strict=True))
    assert close == set(zip(*(a.tolist() for a in np.nonzero(ahead)), strict=True))
    hits = set(zip(found.hits.search.tolist(), found.hits.entry.tolist(), strict=True))
    assert hits == set(zip(*(a.tolist() for a in np.nonzero(others >= 0.2 - 1e-12)), strict=True))


def test_blocks_of_any_size_give_the_same_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = brute(4, 3, True)[0]
    monkeypatch.setattr(identification, "TILE", 4)
    monkeypatch.setattr(identification, "BLOCK", 7)
    cut = brute(4, 3, True)[0]
    for name in ("top", "second", "mate_score"):
        np.testing.assert_allclose(getattr(cut, name), getattr(whole, name), atol=1e-11)
    np.testing.assert_array_equal(cut.rank, whole.rank)
    np.testing.assert_array_equal(cut.ahead, whole.ahead)
    assert fpir_threshold(cut, 0.1) == pytest.approx(fpir_threshold(whole, 0.1), abs=1e-11)


def gallery(rows: list[list[float]]) -> Templates:
    return Templates(np.array(rows, np.float64), np.arange(len(rows)), np.ones(len(rows), bool))


def test_an_equal_template_of_another_person_does_not_push_the_mate_back() -> None:
    rng = np.random.default_rng(0)
    twin = unit_rows(rng.normal(size=(1, 512)))
    rows = np.repeat(twin, 5000, axis=0)
    asked = unit_rows(twin + 0.1 * rng.normal(size=(3, 512)))
    found = search(Templates(rows, np.arange(5000), np.ones(5000, bool)), asked, [0, 4999, 2500])
    assert found.rank.tolist() == [1, 1, 1]
    assert (found.top == found.mate_score).all()


def test_all_scores_equal_leave_no_threshold() -> None:
    found = search(gallery([[1.0, 0], [1, 0]]), np.tile([[1.0, 0]], (4, 1)), [8, 9, 10, 0])
    assert fpir_threshold(found, 0.3) == np.inf
    assert fpir(found, np.inf) == 0.0
    assert fnir(found, np.inf, None) == 1.0
    assert cmc(found, [1]).tolist() == [1.0]


def test_the_threshold_may_be_a_mates_score() -> None:
    found = search(
        gallery([[1.0, 0], [0, 1]]), unit_rows(np.array([[1.0, 0.2], [0.5, 0.5], [0.5, 0.6]])), [0, 7, 8]
    )
    assert fpir_threshold(found, 0.01) == pytest.approx(found.mate_score[0])


def test_only_people_who_are_not_enrolled_make_false_positives() -> None:
    found = search(gallery([[1.0, 0], [0, 1]]), np.array([[0.0, 1], [0, 1]]), [0, 1])
    assert found.top[0] == 1.0  # the wrong candidate of a mated search
    with pytest.raises(InsufficientData, match="not enrolled"):
        fpir(found, 0.5)
    with pytest.raises(InsufficientData, match="not enrolled"):
        fpir_threshold(found, 0.5)


def test_a_search_without_a_vector_is_a_miss_and_never_a_false_positive() -> None:
    asked = np.array([[1.0, 0], [np.nan, 0], [np.nan, 0]])
    found = search(gallery([[1.0, 0], [0, 1]]), asked, [0, 0, 9], ok=[True, False, False])
    assert fnir(found, -np.inf, None) == 0.5
    assert fpir(found, -np.inf) == 0.0


def test_a_mate_without_a_vector_is_a_miss_at_any_rank() -> None:
    enrolled = Templates(np.array([[1.0, 0], [0, 0]]), np.arange(2), np.array([True, False]))
    found = search(enrolled, np.array([[1.0, 0], [0, 1]]), [0, 1])
    assert [fnir(found, -np.inf, rank) for rank in (1, 2, None)] == [0.5, 0.5, 0.5]


def test_one_enrolled_person_has_no_other_person() -> None:
    found = search(gallery([[1.0, 0]]), np.array([[1.0, 0], [0, 1]]), [0, 5])
    assert found.top.tolist() == [-np.inf, 0.0]
    assert (found.second == -np.inf).all()


@pytest.mark.parametrize("target", [0.0, 1.0, -0.1, np.nan])
def test_targets_outside_the_range_are_refused(target: float) -> None:
    with pytest.raises(UsageError, match="between 0 and 1"):
        fpir_threshold(brute(0)[0], target)


def test_candidates_that_were_not_kept_are_not_made_up() -> None:
    with pytest.raises(UsageError, match="were kept from"):
        brute(0)[0].candidates(0.1)


def test_more_candidates_than_fit_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(identification, "MOST_HITS", 5)
    with pytest.raises(UsageError, match="more than 5"):
        brute(0)


@pytest.mark.parametrize(
    ("rows", "asked", "who", "words"),
    [
        (np.empty((0, 2)), np.ones((1, 2)), [0], "at least one enrolled"),
        (np.eye(2), np.ones((1, 3)), [0], "D = 2"),
        (np.eye(2), np.ones((2, 2)), [0], "S = 1"),
        (np.eye(2), np.array([[np.inf, 0]]), [0], "finite"),
    ],
)
def test_bad_input_is_one_clear_line(rows: np.ndarray, asked: np.ndarray, who: list[int], words: str) -> None:
    with pytest.raises(DataError, match=words):
        search(Templates(rows, np.arange(len(rows)), np.ones(len(rows), bool)), asked, who)


def test_progress_counts_every_comparison() -> None:
    made: list[int] = []
    search(gallery([[1.0, 0], [0, 1], [1, 0]]), np.eye(2), [0, 9], progress=made.append)
    assert sum(made) == 6
