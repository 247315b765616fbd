"""Rates at many thresholds: exact at each, and thresholds that can be typed."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from fraudit.cli.main import run
from fraudit.errors import InsufficientData
from fraudit.report.explorer import (
    ABSENT,
    Histogram,
    Mark,
    PairSweep,
    Rates,
    _ceiling,
    asked_target,
    explorer,
)
from fraudit.report.record import RunRecord
from fraudit.report.render import render
from fraudit.stats.intervals import clustered_rate
from fraudit.stats.sweeps import SweptPairs, plain_threshold, sweep_thresholds

RECORD = RunRecord({}, {"command": "fraudit analyze --out 'runs/<b>'"}, {})


def _pairs(seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    left, right = rng.integers(0, 30, (2, 900))
    right[:300] = left[:300]
    same = left == right
    scores = rng.normal(np.where(same, 0.6, 0.1), 0.2)
    scores[::50] = np.nan
    return scores, same, left, right


def test_every_threshold_of_a_sweep_is_counted_exactly_and_has_the_interval_of_its_own_events() -> None:
    scores, same, left, right = _pairs()
    thresholds = sweep_thresholds(scores[same], scores[~same])
    swept = SweptPairs(scores, same, left, right)
    fnmr, fmr = swept.sweep("fnmr", thresholds), swept.sweep("fmr", thresholds)
    assert fnmr is not None
    assert fmr is not None
    strange = ~same & ~np.isnan(scores)
    for k, t in enumerate(thresholds):
        assert fnmr.errors[k] == sum(not s >= t for s in scores[same])
        assert fmr.errors[k] == sum(s >= t for s in scores[strange])
    k = len(thresholds) // 2
    assert fmr.intervals[k] == clustered_rate(scores[strange] >= thresholds[k], left[strange], right[strange])
    one = swept.rate("fnmr", float(thresholds[k]))
    assert (one.value, one.interval, one.n) == (fnmr.errors[k] / fnmr.n, fnmr.intervals[k], int(same.sum()))


def test_thresholds_reach_every_corner_and_read_back_as_they_are_written() -> None:
    scores, same, *_ = _pairs()
    found = sweep_thresholds(scores[same], scores[~same], [0.3141592653589793])
    assert (np.diff(found) > 0).all()
    assert found[0] <= np.nanmin(scores)
    assert found[-1] > np.nanmax(scores)
    strange = np.sort(scores[~same & ~np.isnan(scores)])
    assert any((strange >= t).sum() == 1 for t in found)  # the strictest FMR that can be seen
    ordered = np.sort(scores[~np.isnan(scores)])
    assert np.searchsorted(ordered, 0.3141592653589793) in np.searchsorted(ordered, found)
    assert all(len(repr(t)) <= 12 for t in found.tolist())


@pytest.mark.parametrize(
    ("value", "others", "plain"),
    [(0.41237, [0.4, 0.41237], 0.41), (-3.2, [-3.25, -3.2], -3.2), (0.5, [0.5], 0.5), (7.0, [7.0, 8.0], 7.0)],
)
def test_a_threshold_becomes_the_shortest_decimal_that_parts_the_scores_alike(
    value: float, others: list[float], plain: float
) -> None:
    ordered = np.array(others)
    found = plain_threshold(value, ordered)
    assert ((ordered >= found) == (ordered >= value)).all()
    assert len(repr(found)) <= len(repr(plain))


def test_a_sweep_ends_beside_the_last_score_not_at_a_round_number_far_away() -> None:
    rng = np.random.default_rng(3)
    for scale, shift in ((0.2, 0.3), (20.0, 400.0), (0.2, -3.0)):
        genuine, impostor = rng.normal(0, scale, 300) + shift, rng.normal(-scale, scale, 900) + shift
        beyond = float(max(genuine.max(), impostor.max()) + 1e-12)
        found = sweep_thresholds(genuine, impostor, [beyond])
        low, high = float(min(genuine.min(), impostor.min())), float(max(genuine.max(), impostor.max()))
        assert 0 < found[-1] - high <= 0.01 * (high - low)
        assert 0 <= low - found[0] <= 0.01 * (high - low)


def test_no_score_of_a_kind_is_said() -> None:
    with pytest.raises(InsufficientData, match="no impostor pair"):
        sweep_thresholds([0.1], [np.nan])


def test_rounding_up_never_rounds_down() -> None:
    assert [_ceiling(v) for v in (0.00123, 0.2, 0.0, 1.0, 0.0999)] == [0.0013, 0.2, 0.0, 1.0, 0.1]


def _sweep(smallest: float) -> PairSweep:
    """Three thresholds; the middle one was chosen for FMR 1e-3 and lets 1.9e-3 through."""
    fmr = Rates(10_000, (5000, 19, 0), (0.4, 1e-3, 0.0), (0.6, 3e-3, 3e-4))
    fnmr = Rates(100, (0, 5, 50), (0.0, 0.0, 0.4), (0.1, 0.1, 0.6))
    histogram = Histogram((0.0, 1.0), (1.0,), (1.0,))
    return PairSweep((0.1, 0.5, 0.9), fmr, fnmr, histogram, (Mark("fmr=1e-3", 1),), smallest=smallest)


def test_the_page_asks_for_no_target_below_what_can_be_promised_and_says_why() -> None:
    target, why = asked_target(_sweep(1e-3), 1)
    assert (target, "Smallest" in why) == ("1.9e-3", False)
    assert why.startswith("This threshold was chosen for FMR 0.1")
    assert "0.19" in why
    target, why = asked_target(_sweep(0.00735), 1)
    assert target == "7.4e-3"
    assert "Smallest that can be promised: 7.4e-3" in why
    assert "not for 1.9e-3" in why
    assert asked_target(_sweep(0.00735), 0)[0] == "5e-1"
    assert asked_target(_sweep(1.0), 1)[0] == ""  # too few people: no command is offered
    assert asked_target(_sweep(0.0), 2) == ("3e-4", "")  # a run that does not say it


def test_a_run_without_sweeps_says_so_on_its_page(tmp_path: Path) -> None:
    assert explorer(RECORD, tmp_path) == (None, ABSENT)
    RECORD.save(tmp_path)
    page = render(tmp_path).read_text()
    assert ABSENT in page
    assert 'id="explorer"' not in page


@pytest.mark.parametrize(
    "text",
    [
        "", "[]", "NaN", '{"schema": "fraudit-explorer", "version": 9}',
        json.dumps({"schema": "fraudit-explorer", "version": 1, "thresholds": [2, 1], "fmr": {}, "fnmr": {}}),
        "[" * 100_000,
    ],
)  # fmt: skip
def test_a_broken_sweep_leaves_the_page_whole(tmp_path: Path, text: str) -> None:
    (tmp_path / "artifacts").mkdir()
    (tmp_path / "artifacts" / "explorer-pairs.json").write_text(text)
    found, why = explorer(RECORD, tmp_path / "artifacts")
    assert found is None
    assert why.startswith("The explorer is left out: explorer-pairs.json")
    RECORD.save(tmp_path)
    assert "Provenance" in render(tmp_path).read_text()


def test_a_threshold_of_distances_counts_as_that_of_their_negatives(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    scores, same, left, right = _pairs()
    told = []
    for name, sign, more in (("alike", 1, []), ("far", -1, ["--distance"])):
        rows = [
            f"a{k},b{k},{int(same[k])},{float(sign * scores[k])!r},p{left[k]},p{right[k]}"
            for k in range(len(scores))
            if not np.isnan(scores[k])
        ]
        path = tmp_path / f"{name}.csv"
        path.write_text("\n".join(["left,right,same,score,left_subject,right_subject", *rows]) + "\n")
        assert run(["scores", str(path), "--threshold", str(sign * 0.3), *more]) == 0
        out = capsys.readouterr().out
        told.append([line.split(": ", 1)[1] for line in out.splitlines() if "at the threshold" in line])
    assert told[0] == told[1]
    assert len(told[0]) == 2
