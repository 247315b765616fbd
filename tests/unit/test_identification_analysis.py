"""The identification analysis over stored vectors: planted worlds, null worlds, bad input."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from fraudit.audit.stored_vectors import StoredVectors, faces_of, run_vectors
from fraudit.errors import UsageError
from fraudit.types import AnalysisResult


def world(
    people: int, pictures: int, noise: float, rng: np.random.Generator, hubs: int = 0, dim: int = 32
) -> tuple[np.ndarray, np.ndarray]:
    """(f32[N,D] vectors, i64[N] subjects): people around their own mean; `hubs` of them lie near everybody."""
    centres = rng.normal(size=(people, dim))
    centres[:hubs] *= 0.15
    centres[:, 0] += 4.0
    subjects = np.repeat(np.arange(people), pictures)
    spread = np.where(subjects < hubs, 0.1, 1.0)[:, None] * noise
    vectors = centres[subjects] + spread * rng.normal(size=(len(subjects), dim))
    return vectors.astype(np.float32), subjects


def audited(
    tmp_path: Path,
    vectors: np.ndarray,
    subjects: np.ndarray,
    attributes: dict | None = None,
    **params: object,
) -> AnalysisResult:
    ids = [f"{s}/{i}.png" for i, s in enumerate(subjects)]
    faces = faces_of("world", ids, subjects, attributes or {})
    model = StoredVectors("world", vectors, np.ones(len(subjects), bool))
    record = run_vectors(
        faces,
        model,
        tmp_path / "run",
        only=("identification",),
        params={"identification": params},
        overwrite=True,
    )
    result = record.result("identification")
    assert result is not None
    return result


def value(result: AnalysisResult, name: str) -> float:
    found = next(m for m in result.metrics if m.name == name)
    assert found.value is not None, found.missing
    return found.value


def test_people_far_apart_are_found_and_strangers_are_not(tmp_path: Path) -> None:
    vectors, subjects = world(400, 6, 0.3, np.random.default_rng(0))
    result = audited(tmp_path, vectors, subjects)
    assert value(result, "identification.cmc.rank=1") == 1.0
    assert value(result, "identification.fnir@fpir=1e-2") < 0.01
    assert result.findings[0].severity in ("good", "info")


def test_more_pictures_enrolled_lower_fnir_and_are_recommended(tmp_path: Path) -> None:
    vectors, subjects = world(300, 8, 1.6, np.random.default_rng(1))
    result = audited(tmp_path, vectors, subjects)
    one, three = (value(result, f"identification.enrolment.mean.{k}.fnir") for k in (1, 3))
    assert three < one
    told = [f for f in result.findings if f.rule == "identification.enrolment"]
    assert told
    assert "Enrolling up to" in told[0].text


def test_pictures_that_add_nothing_are_not_recommended(tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    vectors, subjects = world(200, 6, 0.0, rng)
    vectors = vectors + 0.4 * rng.normal(size=vectors[::6].shape).repeat(6, axis=0).astype(np.float32)
    result = audited(tmp_path, vectors, subjects)  # all pictures of a person are the same
    assert not [f for f in result.findings if f.rule == "identification.enrolment"]


def test_people_who_lie_near_everybody_are_told_as_hubs(tmp_path: Path) -> None:
    told = {}
    for hubs in (0, 12):
        vectors, subjects = world(900, 4, 1.0, np.random.default_rng(3), hubs)
        result = audited(tmp_path / str(hubs), vectors, subjects)
        told[hubs] = [f.rule for f in result.findings]
    assert "identification.hubs" in told[12]
    assert "identification.hubs" not in told[0]


def test_growth_is_measured_tested_and_refused_beyond_a_hundred_times(tmp_path: Path) -> None:
    vectors, subjects = world(600, 4, 1.2, np.random.default_rng(4))
    result = audited(tmp_path, vectors, subjects, people=5_000)
    small, large = (
        value(result, n) for n in ("identification.fpir.back_test", "identification.fpir@people=5000")
    )
    assert 0 < small < large <= 1
    table = next(t for t in result.tables if t.name == "identification_growth")
    measured = [r["value"] for r in table.rows if r["kind"] == "FPIR" and r["how"] == "measured"]
    assert measured == sorted(measured)
    far = audited(tmp_path, vectors, subjects, people=10_000_000)
    missing = next(m for m in far.metrics if m.name == "identification.fpir@people=10000000").missing
    assert missing
    assert "too far to tell" in missing


def test_a_growth_without_an_interval_says_why_below_its_chart(tmp_path: Path) -> None:
    vectors, subjects = world(90, 4, 0.9, np.random.default_rng(6))
    (chart,) = (f for f in audited(tmp_path, vectors, subjects).figures if f.name == "identification_growth")
    open_ends = [s for s in chart.data["series"] if s["name"] == "measured" and not any(s["low"])]
    assert open_ends
    assert chart.caption.count("has no interval (") == len(open_ends)
    assert "with an error: too few for an interval" in chart.caption


def test_groups_have_rates_of_their_own_at_one_threshold(tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    vectors, subjects = world(300, 5, 1.0, rng)
    group = np.where(subjects % 2, "b", "a")
    blurred = vectors + np.where(group == "b", 1.2, 0.0)[:, None] * rng.normal(size=vectors.shape)
    result = audited(tmp_path, blurred.astype(np.float32), subjects, {"race": group})
    rates = {m.group: m for m in result.metrics if m.name == "identification.race.fnir"}
    first, second = rates["a"].interval, rates["b"].interval
    assert first is not None
    assert second is not None
    assert first.high < second.low


@pytest.mark.parametrize(
    ("params", "words"),
    [
        ({"targets": "1.5"}, "between 0 and 1"),
        ({"share": "2"}, "between 0 and 1"),
        ({"ranks": "0"}, "at least 1"),
    ],
)
def test_parameters_out_of_range_are_refused_in_one_line(tmp_path: Path, params: dict, words: str) -> None:
    vectors, subjects = world(80, 4, 0.5, np.random.default_rng(6))
    with pytest.raises(UsageError, match=words) as refused:
        audited(tmp_path, vectors, subjects, **params)
    assert "\n" not in refused.value.message


def test_too_few_people_are_refused_with_the_number_there_is(tmp_path: Path) -> None:
    vectors, subjects = world(40, 4, 0.5, np.random.default_rng(7))
    result = audited(tmp_path, vectors, subjects)
    assert result.status == "not_run"
    assert "at least 20 enrolled people" in result.reason
