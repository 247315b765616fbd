"""What `--limit` takes is what it says, and too few people are told with what to do."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from fraudit.analyses.compression import ANALYSIS, Params
from fraudit.audit.limited import limited
from fraudit.audit.stored_vectors import faces_of
from fraudit.cli.main import run as command
from fraudit.report.record import RunRecord
from fraudit.types import FaceSet, PairList
from tests.fixtures.boxes import identity_faces
from tests.fixtures.contexts import planted_context
from tests.fixtures.inverters import Painter


def of(people: int, each: int, **more: object) -> FaceSet:
    subjects = np.repeat(np.arange(people), each)
    return faces_of("planted", [f"{i}.png" for i in range(len(subjects))], subjects, **more)  # type: ignore[arg-type]


def test_more_pictures_than_the_limit_and_too_few_people_are_said_with_what_to_do() -> None:
    part = limited(of(60, 6), 3)
    assert len(part) == 12
    assert part.notes[-1] == (
        "--limit 3 takes 12 pictures: people are kept whole, two at least; "
        "2 people are too few for most figures, intervals need 8: --limit 48 or more"
    )
    assert not any("too few" in note for note in limited(of(60, 6), 48).notes)  # as the note promised
    assert limited(of(60, 6), 30).notes[-1].startswith("5 people are too few")
    assert limited(of(4, 6), 13).notes[-1].endswith("intervals need 8: use a larger set")
    assert limited(of(4, 6), None).notes == ()
    assert limited(of(60, 1, identified=False), 3).notes[-1] == "--limit 3: 3 of 60 people"


def test_a_set_with_pairs_of_its_own_is_told_to_raise_the_limit() -> None:
    left = np.arange(0, 120, 2)
    pairs = PairList(left, left + 1, np.ones(60, bool), np.zeros(60, np.int64))
    assert limited(replace(of(60, 2), pairs=pairs), 6).notes[-1].endswith("intervals need 8: raise --limit")


def test_so_few_people_that_all_are_shown_leave_the_rest_of_compression_alone() -> None:
    images, subjects = identity_faces(2, 6)
    context = planted_context(list(images), subjects, inverter=Painter())
    result = ANALYSIS.run(context, Params(reconstructions=3))
    found = {metric.name: metric for metric in result.metrics}
    assert found["compression.effective_rank"].value is not None
    shown = [metric for name, metric in found.items() if "reconstruction_similarity" in name]
    assert shown
    for metric in shown:
        assert "axes are fitted on people who are not shown" in str(metric.missing)
        assert "larger --limit" in str(metric.missing)
    assert any("four people or more" in caveat for caveat in result.caveats)


def test_the_command_says_it_and_measures_what_it_can(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = "analyze --embedder dlib --dataset sample --limit 3 --only compression --inverter linear"
    assert (
        command([*words.split(), "--param", "compression.reconstructions=3", "--out", f"{tmp_path}/run"]) == 0
    )
    assert "--limit 3 takes 12 pictures" in capsys.readouterr().err
    assert [result.status for result in RunRecord.load(tmp_path / "run").results] == ["done"]
