"""Intervals against brute force, scipy, cimat and simulated coverage."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from fraudit.errors import InsufficientData
from fraudit.stats import intervals as iv


def _pairs(rng: np.random.Generator, people: int, count: int) -> tuple[np.ndarray, np.ndarray]:
    left = rng.integers(0, people, count)
    return left, (left + rng.integers(0, people, count)) % people


def _double_sum(residuals: np.ndarray, left: np.ndarray, right: np.ndarray) -> tuple[float, float]:
    """(own, shared): sums of r_p r_q over the same identity pair, and over others that share a person."""
    own = shared = 0.0
    for p in range(len(left)):
        for q in range(len(left)):
            a, b = {left[p], right[p]}, {left[q], right[q]}
            if a == b:
                own += residuals[p] * residuals[q]
            elif a & b:
                shared += residuals[p] * residuals[q]
    return own, shared


@pytest.mark.parametrize("seed", range(6))
def test_the_clustered_variance_is_the_double_sum_over_pairs_that_share_a_person(seed: int) -> None:
    rng = np.random.default_rng(seed)
    left, right = _pairs(rng, 12, 60)
    events = (rng.random(60) < 0.3).astype(float)
    own, shared = _double_sum(events - events.mean(), left, right)
    expected = (own + max(shared, 0)) / 60**2
    clusters = iv.PairClusters(left, right)
    assert clusters.mean_variance(events, corrected=False) == pytest.approx(expected, rel=1e-10)


@pytest.mark.parametrize(
    "values",
    [
        [3, 1, 3, 7, -2],
        [],
        [5],
        [10**12, 3, 10**12],
        ["b", "a", "b"],
        [0.5, -1.0, 0.5],
        np.array([200, 3, 255], np.uint8),
        np.array([-128, 127, 0], np.int8),
    ],
)
def test_numbering_is_that_of_numpy(values) -> None:
    known, codes = iv.numbered(values)
    expected, inverse = np.unique(values, return_inverse=True)
    assert np.array_equal(known, expected)
    assert known.dtype == expected.dtype
    assert np.array_equal(codes, inverse.ravel())


def test_both_rates_agree_with_cimat() -> None:
    cimat = pytest.importorskip(
        "cimat", reason="the oracle cimat pins numpy below 2; install it without dependencies"
    )
    rng = np.random.default_rng(5)
    people, pictures, threshold = 15, 3, 0.5
    effect = rng.normal(0, 0.15, people)
    scores: dict[int, dict[int, list[float]]] = {i: {} for i in range(people)}
    left, right, value = [], [], []
    for i in range(people):
        for j in range(i, people):
            n = pictures * (pictures - 1) // 2 if i == j else pictures**2
            s = (0.6 if i == j else 0.3) + effect[i] + effect[j] + rng.normal(0, 0.15, n)
            scores[i][j] = scores[j][i] = list(s)
            left += [i] * n
            right += [j] * n
            value += list(s)
    oracle = cimat.UncertaintyEstimator(scores=scores)
    oracle.compute_binerror_metrics(threshold)
    var_fnr, var_fpr = oracle.compute_variance(threshold=threshold, estimator="plugin")
    a, b, s = np.array(left), np.array(right), np.array(value)
    for same, variance, interval in zip(
        (True, False), (var_fnr, var_fpr), oracle.get_binerror_ci(threshold, var_fnr, var_fpr), strict=True
    ):
        part = (a == b) == same
        event = (s < threshold) if same else (s > threshold)
        clusters = iv.PairClusters(a[part], b[part])
        assert clusters.mean_variance(event[part], corrected=False) == pytest.approx(variance, rel=1e-9)
        mine = clusters.rate_interval(event[part])
        # cimat takes a normal quantile and no small-sample correction: ours is wider, and holds its value.
        assert mine.high - mine.low > interval[1] - interval[0]
        assert mine.low <= event[part].mean() <= mine.high


def test_many_people_of_one_pair_each_give_the_exact_binomial_interval() -> None:
    events = np.arange(40_000) < 3000
    people = np.arange(40_000)
    mine = iv.clustered_rate(events, people, people)
    theirs = stats.binomtest(3000, 40_000).proportion_ci(method="exact")
    assert (mine.low, mine.high) == pytest.approx((theirs.low, theirs.high), abs=1e-6)


@pytest.mark.parametrize("pairs", [[5] * 12, [1, 2, 3, 4, 50, 7, 1, 1, 9, 30, 2, 2]])
def test_the_corrected_variance_and_its_degrees_of_freedom_are_those_of_people_that_differ_alone(
    pairs: list[int],
) -> None:
    # Bell and McCaffrey: people's deviations are independent with one variance; simulate the estimator.
    rng = np.random.default_rng(0)
    shares = iv.Shares.of(pairs)
    deviations = rng.normal(size=(200_000, len(pairs)))
    residuals = shares.weight * (deviations - (deviations @ shares.weight)[:, None])
    estimates = (residuals**2 / shares.expected).sum(axis=1)
    assert estimates.mean() == pytest.approx(float(shares.weight @ shares.weight), rel=0.01)
    assert shares.freedom == pytest.approx(2 * estimates.mean() ** 2 / estimates.var(), rel=0.02)
    assert shares.people == pytest.approx(sum(pairs) ** 2 / sum(p * p for p in pairs))


def test_two_people_give_a_reason_and_no_interval() -> None:
    people = np.repeat([0, 1], 500)
    found, reason = iv.interval_or_reason(
        lambda: iv.clustered_rate(np.arange(1000) % 50 == 0, people, people)
    )
    assert found is None
    assert "too few people" in reason
    # Many people do not help where one of them has nearly all pairs.
    one = np.concatenate([np.zeros(5000, int), np.arange(1, 60)])
    with pytest.raises(InsufficientData, match="60 in all, 1"):
        iv.clustered_rate(np.zeros(5059, bool), one, one)


@pytest.mark.parametrize("impostor", [False, True])
def test_an_error_less_never_widens_the_upper_bound(impostor: bool) -> None:
    # 0 of 498,000 used to have the upper bound 1.2 %, 1 of them 0.0019 %.
    if impostor:
        left, right = np.triu_indices(200, 1)
    else:
        left = right = np.repeat(np.arange(40), 45)
    clusters = iv.PairClusters(left, right)
    highs, lows = [], []
    order = np.random.default_rng(3).permutation(len(left))
    for errors in range(12):
        events = np.zeros(len(left), bool)
        events[order[:errors]] = True
        found = clusters.rate_interval(events)
        highs.append(found.high)
        lows.append(1 - clusters.rate_interval(~events).low)
    assert highs == sorted(highs)
    assert lows == pytest.approx(highs)  # the same holds of successes


@pytest.mark.parametrize(("k", "n"), [(0, 10), (10, 10), (1, 30), (7, 50)])
def test_clopper_pearson_agrees_with_scipy(k: int, n: int) -> None:
    mine, theirs = iv.clopper_pearson(k, n), stats.binomtest(k, n).proportion_ci(method="exact")
    assert (mine.low, mine.high) == pytest.approx((theirs.low, theirs.high), abs=1e-12)


def test_an_interval_without_pairs_is_refused() -> None:
    with pytest.raises(InsufficientData):
        iv.clustered_rate([], [], [])


def _world(seed: int, people: int, bias: float = 0.0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Impostor pairs whose scores share a random effect per person, and whose true rate is known."""
    rng = np.random.default_rng([77, seed])
    i, j = np.triu_indices(people, 1)
    effect = rng.normal(0, 1, people)
    score = effect[i] + effect[j] + rng.normal(0, np.sqrt(2), len(i))  # variance 4
    return score > 2 * stats.norm.isf(0.1) + bias, i, j


def test_the_clustered_interval_covers_the_truth_and_the_independent_one_does_not() -> None:
    worlds, people, truth = 300, 60, 0.1
    covered = naive = 0
    for seed in range(worlds):
        events, i, j = _world(seed, people)
        found = iv.clustered_rate(events, i, j)
        covered += found.low <= truth <= found.high
        iid = iv.clopper_pearson(int(events.sum()), len(events))
        naive += iid.low <= truth <= iid.high
    # 95 % less 4 points for the plug-in's bias at 60 people; 3 binomial standard errors of 300 worlds.
    assert covered / worlds >= 0.91 - 3 * np.sqrt(0.91 * 0.09 / worlds)
    assert naive / worlds < 0.6


def test_two_identical_models_differ_by_nothing_within_what_the_pairs_can_tell() -> None:
    events, i, j = _world(1, 40)
    found = iv.paired_difference(events, events, i, j)
    assert found.value == 0
    assert not found.excludes_zero
    # No discordant pair among 780: half a pair in each cell.
    freedom = iv.PairClusters(i, j).freedom()
    assert found.interval.high == pytest.approx(iv.t_value(0.95, freedom) / 782)


def test_a_planted_difference_is_found_and_its_interval_covers_it() -> None:
    worlds, covered, found = 200, 0, 0
    truth = stats.norm.sf(stats.norm.isf(0.1) + 0.25) - 0.1
    for seed in range(worlds):
        a, i, j = _world(seed, 50)
        b, _, _ = _world(seed, 50, bias=0.5)
        d = iv.paired_difference(a, b, i, j)
        covered += d.interval.low <= truth <= d.interval.high
        found += d.excludes_zero
    assert covered / worlds >= 0.91 - 3 * np.sqrt(0.91 * 0.09 / worlds)
    assert found / worlds > 0.9


def test_independent_paired_difference_matches_agresti_and_min() -> None:
    # 100 independent pairs, 9 lost and 4 gained: (4 - 9) / 102 +- z sqrt(14 - 25 / 102) / 102.
    a, b = np.zeros(100, bool), np.zeros(100, bool)
    a[:9], b[9:13] = True, True
    found = iv.paired_difference(a, b, np.arange(100), np.arange(100))
    half = iv.t_value(0.95, 99) * np.sqrt(14 - 25 / 102) / 102  # expected 1 - 1/100 of a residual's square
    assert found.value == pytest.approx(-0.05)
    assert found.interval.low == pytest.approx(-5 / 102 - half, abs=6e-4)
    assert found.interval.high == pytest.approx(-5 / 102 + half, abs=6e-4)


def test_a_difference_never_goes_beyond_what_the_first_rate_leaves_room_for() -> None:
    people = np.repeat(np.arange(12), 3)
    worse = np.ones(36, bool)
    found = iv.paired_difference(np.arange(36) % 2 == 0, worse, people, people)
    assert found.value == pytest.approx(0.5)
    assert found.interval.high <= 1 - iv.clustered_rate(np.arange(36) % 2 == 0, people, people).low


@pytest.mark.parametrize("kind", ["equal", "mild", "skew"])
def test_rates_are_covered_where_few_people_carry_the_pairs(kind: str) -> None:
    # People's rates differ, their numbers of pairs too; 95 % promised, 3 standard errors of 300 worlds allowed.
    covered, kept = 0, 0
    for seed in range(300):
        rng = np.random.default_rng([5, seed])
        pictures = {
            "equal": np.full(60, 4),
            "mild": rng.integers(2, 7, 60),
            "skew": np.clip(np.rint(np.exp(rng.normal(np.log(3), 0.9, 150))), 1, 50).astype(int),
        }[kind]
        pairs = pictures * (pictures - 1) // 2
        people = np.repeat(np.arange(len(pairs)), pairs)
        rate = rng.beta(0.3, 2.7, len(pairs))  # mean 0.1, a few people fail half of the time
        events = rng.random(len(people)) < rate[people]
        found, _ = iv.interval_or_reason(lambda e=events, p=people: iv.clustered_rate(e, p, p))
        if found is not None:
            kept += 1
            covered += found.low <= 0.1 <= found.high
    assert kept > 200
    assert covered / kept >= 0.95 - 3 * np.sqrt(0.95 * 0.05 / kept)


def test_few_people_make_an_interval_say_that_it_is_at_least_this_certain() -> None:
    """By degrees of freedom alone, never by what was seen: 10 people of equal shares give 9, 30 give 29."""
    for people, said in ((10, True), (30, False)):
        who = np.repeat(np.arange(people), 6)
        for events in (np.zeros(len(who), bool), np.arange(len(who)) % 7 == 0):
            found = iv.clustered_rate(events, who, who)
            assert found.wide == said
            assert found.wide == ("at least this certain" in found.method)
    # A figure that was never found too wide says nothing, however few people there are.
    assert not iv.effective_interval(0.1, 100, 1.5, 9).wide
    assert iv.effective_interval(0.99, 100, 1.5, 60, figure="AUC").wide
    assert not iv.effective_interval(0.99, 100, 1.5, 200, figure="AUC").wide
