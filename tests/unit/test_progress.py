"""Nothing is silent for more than five seconds, and what is told has a rate and the time left."""

from __future__ import annotations

import re
import sys
import time
import types
from typing import Any

import numpy as np
import pytest

import fraudit.progress as progress
from fraudit.api import audit
from fraudit.inverters.inverting import invert_in_pieces, invert_refined, reembed
from fraudit.progress import Pace, Progress, Reporter, duration, words
from fraudit.progress.board import _part_cells
from fraudit.progress.console import Bars, Line, in_notebook, of_a_call
from tests.fixtures.boxes import box_of, luma_pattern
from tests.fixtures.contexts import vectors_context


class Clock:
    """Seconds that pass when they are told to."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now

    def passes(self, seconds: float) -> None:
        self.now += seconds


def test_a_plain_line_comes_after_five_seconds_with_rate_and_time_left() -> None:
    clock = Clock()
    pace = Pace(live=False, clock=clock)
    assert pace.step("inverting", 0, 100) is None
    for done in range(1, 5):
        clock.passes(1)
        assert pace.step("inverting", done, 100) is None
    clock.passes(1)
    assert pace.step("inverting", 5, 100) == "inverting: 5/100, 1.0/s, 2 min left"
    clock.passes(4.9)
    assert pace.step("inverting", 10, 100) is None


def test_remembered_answers_that_come_at_once_tell_no_rate() -> None:
    clock = Clock()
    for live in (False, True):
        pace = Pace(live, clock=clock)
        clock.passes(6)
        pace.step("pictures", 0, 2)
        clock.passes(1e-5)
        line = pace.step("pictures", 1, 2)
        assert line is None or "/s" not in line
        assert _part_cells(pace.part(), "6 s") == ("pictures 1/2", "6 s", "", "")
        clock.passes(5)
        assert pace.beat() == "pictures: 1/2, 5 s so far"
        clock.passes(5)
        assert pace.step("pictures", 2, 3) == "pictures: 2/3, 5.0 s each, 5 s left"


def test_a_silent_piece_is_told_of_every_five_seconds_with_the_time_running_on() -> None:
    clock = Clock()
    pace = Pace(live=False, clock=clock)
    pace.step("inverting", 0, 40)
    clock.passes(10)
    assert pace.step("inverting", 20, 40) == "inverting: 20/40, 2.0/s, 10 s left"
    clock.passes(4)
    assert pace.beat() is None
    clock.passes(1)
    assert pace.beat() == "inverting: 20/40, 2.0/s, 5 s left"
    assert pace.beat() is None


def test_a_piece_that_outlasts_the_rate_has_no_time_left_and_its_count_is_told_once() -> None:
    clock = Clock()
    pace = Pace(live=False, clock=clock)
    pace.step("schemes", 0, 8)
    clock.passes(7)
    assert pace.step("schemes", 7, 8) == "schemes: 7/8, 1.0/s, 1 s left"
    clock.passes(5)
    assert pace.beat() == "schemes: the next 5 s so far"
    clock.passes(5)
    assert pace.beat() == "schemes: the next 10 s so far"
    assert _part_cells(pace.part(), "17 s") == ("schemes 7/8", "17 s", "1.0/s", "")


def test_a_count_that_no_line_told_is_told_once() -> None:
    clock = Clock()
    pace = Pace(live=False, clock=clock)
    pace.step("schemes", 0, 8)
    clock.passes(6)
    assert pace.step("schemes", 6, 8) is not None
    clock.passes(1)
    assert pace.step("schemes", 7, 8) is None
    clock.passes(5)
    assert pace.beat() == "schemes: 7/8, the next 5 s so far"
    clock.passes(5)
    assert pace.beat() == "schemes: the next 10 s so far"


def test_a_line_that_is_redrawn_keeps_its_count() -> None:
    clock = Clock()
    pace = Pace(live=True, clock=clock)
    pace.step("schemes", 0, 8)
    clock.passes(7)
    pace.step("schemes", 7, 8)
    for seconds in (5, 6):
        clock.passes(1 if seconds > 5 else 5)
        assert pace.beat() == f"schemes: 7/8, the next {seconds} s so far"


def test_before_the_first_piece_the_time_so_far_is_told() -> None:
    clock = Clock()
    pace = Pace(live=False, clock=clock)
    pace.step("inverting", 0, 40)
    clock.passes(6)
    assert pace.beat() == "inverting: 0/40, 6 s so far"


def test_what_was_said_is_repeated_where_nothing_follows() -> None:
    clock = Clock()
    pace = Pace(live=False, clock=clock)
    pace.said("Leakage ...")
    clock.passes(4.4)
    assert pace.beat() is None
    clock.passes(0.6)
    assert pace.beat() == "Leakage: 5 s so far"
    clock.passes(5)
    assert pace.beat() == "Leakage: 10 s so far"


def test_another_part_and_one_that_starts_again_have_rates_of_their_own() -> None:
    clock = Clock()
    pace = Pace(live=True, clock=clock)
    pace.step("one", 0, 1000)
    clock.passes(1)
    assert pace.step("one", 500, 1000) == "one: 500/1,000, 500.0/s, 1 s left"
    clock.passes(1)
    pace.step("two", 0, 4)
    clock.passes(10)
    assert pace.step("two", 2, 4) == "two: 2/4, 5.0 s each, 10 s left"
    pace.step("two", 0, 4)
    clock.passes(1)
    assert pace.step("two", 1, 4) == "two: 1/4, 1.0/s, 3 s left"


def test_parts_that_take_turns_keep_their_rates() -> None:
    clock = Clock()
    pace = Pace(live=True, clock=clock)
    pace.step("inverting", 0, 40)
    clock.passes(8)
    pace.step("inverting", 8, 40)
    pace.step("showing", 0, 8)
    clock.passes(1)
    pace.step("showing", 8, 8)
    clock.passes(8)
    assert pace.step("inverting", 16, 40) == "inverting: 16/40, 1.0/s, 24 s left"


def test_after_a_part_is_done_the_time_since_is_told() -> None:
    clock = Clock()
    pace = Pace(live=False, clock=clock)
    pace.step("showing", 0, 8)
    clock.passes(3)
    pace.step("showing", 8, 8)
    clock.passes(5)
    assert pace.beat() == "after showing: 5 s so far"


def test_after_a_part_within_another_one_that_one_is_told_again() -> None:
    clock = Clock()
    pace = Pace(live=False, clock=clock)
    pace.step("inverting", 0, 40)
    clock.passes(8)
    pace.step("inverting", 8, 40)
    clock.passes(1)
    pace.step("showing", 8, 8)
    clock.passes(5)
    assert pace.beat() == "inverting: 8/40, 1.0/s, 27 s left"
    pace.said("Bias ...")
    clock.passes(5)
    assert pace.beat() == "Bias: 5 s so far"


def test_what_was_done_before_the_first_word_does_not_count_for_the_rate() -> None:
    clock = Clock()
    pace = Pace(live=True, clock=clock)
    pace.step("resumed", 900, 1000)
    clock.passes(10)
    assert pace.step("resumed", 910, 1000) == "resumed: 910/1,000, 1.0/s, 2 min left"


@pytest.mark.parametrize(("seconds", "told"), [(0.4, "0 s"), (89, "89 s"), (600, "10 min"), (7200, "2.0 h")])
def test_durations_are_short(seconds: float, told: str) -> None:
    assert duration(seconds) == told


def test_words_never_divide_by_nothing() -> None:
    assert words("x", 0, 0, 0.0) == "x: 0/0"


def test_a_line_tells_by_itself_of_what_takes_long(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "PLAIN", 1.0)
    with Line(terse=True) as line:
        line.say("Robustness ...")
        time.sleep(1.4)
    shown = capsys.readouterr().err
    assert re.fullmatch(r"(Robustness(: 1 s so far)?\n)+", shown)
    time.sleep(1.2)
    assert capsys.readouterr().err == ""


def test_a_quiet_line_says_nothing_and_starts_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    line = Line(quiet=True)
    line.say("one")
    line.progress("two", 1, 2)
    assert line._watch is None
    assert capsys.readouterr().err == ""


def test_progress_counts_up_to_its_total() -> None:
    seen: list[tuple[str, int, int]] = []
    part = Progress("faces", 5, lambda *told: seen.append(told))
    for count in (2, 2, 2):
        part.add(count)
    assert seen == [("faces", 2, 5), ("faces", 4, 5), ("faces", 5, 5)]


class Pieces:
    """An inverter that works in pieces of three and paints the first number of a vector."""

    name, embedder_fingerprint, size_px, chunk = "pieces", "", 64, 3

    def __init__(self) -> None:
        self.sizes: list[int] = []

    def invert(
        self, id_vectors: np.ndarray, seeds: np.ndarray, attributes: Any = None, **_: Any
    ) -> np.ndarray:
        assert len(id_vectors) == len(seeds)
        self.sizes.append(len(id_vectors))
        level = id_vectors[:, 0] + (0 if attributes is None else attributes[:, 0])
        return np.broadcast_to(level[:, None, None, None], (len(seeds), 64, 64, 3)).astype(np.uint8)


def test_an_inverter_is_asked_in_its_own_pieces_and_every_piece_is_told() -> None:
    vectors = np.arange(8, dtype=np.float32)[:, None] * 10
    extra, told, inverter = np.arange(8, dtype=np.float32)[:, None], [], Pieces()
    made = invert_in_pieces(inverter, vectors, np.arange(8), told.append, attributes=extra, steps=3)
    assert inverter.sizes == [3, 3, 2]
    assert told == [3, 3, 2]
    assert made[:, 0, 0, 0].tolist() == [0, 11, 22, 33, 44, 55, 66, 77]


def test_rounds_of_refinement_are_told_too() -> None:
    told: list[int] = []
    vectors = np.random.default_rng(0).normal(100, 20, (8, 64)).astype(np.float32)
    invert_refined(Pieces(), box_of(luma_pattern, 64), vectors, np.arange(8), 2, told.append)
    assert sum(told) == 24


def test_pictures_are_shown_in_pieces_and_answered_as_at_once() -> None:
    pictures = np.random.default_rng(0).integers(0, 255, (300, 64, 64, 3), np.uint8)
    told: list[int] = []
    box = box_of(luma_pattern, 64)
    found = reembed(box, pictures, told.append)
    assert sum(told) == 300
    assert len(told) > 1
    assert found.vectors.shape == (300, 64)
    assert np.array_equal(found.vectors[::7], reembed(box, pictures[::7]).vectors)


def test_a_context_tells_the_start_of_a_part() -> None:
    seen: list[tuple[str, int, int]] = []
    reporter = Reporter(lambda text: None, lambda *told: seen.append(told))
    context = vectors_context(np.eye(4), np.arange(4), reporter=reporter)
    context.part("inverting", 7).add(2)
    assert seen == [("inverting", 0, 7), ("inverting", 2, 7)]


def test_an_audit_from_python_is_silent_where_it_is_quick(
    capsys: pytest.CaptureFixture[str], tmp_path: Any
) -> None:
    audit(
        "dlib", "sample", only=["verification"], limit=20, inverter="none", quiet=True, out=tmp_path / "run"
    )
    assert capsys.readouterr().err == ""
    assert isinstance(of_a_call(), Line)
    assert not in_notebook()


def test_a_notebook_gets_bars_where_tqdm_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[Any] = []

    class Bar:
        def __init__(self, total: int, desc: str, leave: bool) -> None:
            self.total, self.desc, self.n, self.closed = total, desc, 0, False
            made.append(self)

        def refresh(self) -> None:
            pass

        def close(self) -> None:
            self.closed = True

    module = types.ModuleType("tqdm.auto")
    module.tqdm = Bar  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "tqdm", types.ModuleType("tqdm"))
    monkeypatch.setitem(sys.modules, "tqdm.auto", module)
    bars = Bars()
    bars.progress("embedding", 1, 9)
    bars.progress("embedding", 4, 9)
    bars.progress("inverting", 2, 5)
    assert [(bar.desc, bar.total, bar.n, bar.closed) for bar in made] == [
        ("embedding", 9, 4, True),
        ("inverting", 5, 2, False),
    ]
    bars.close()
    assert made[1].closed
