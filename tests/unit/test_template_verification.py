"""Verification of a set whose own pairs are of templates, through the real context over stored vectors."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from fraudit.audit import template_pairs
from fraudit.audit.stored_vectors import StoredVectors, faces_of, run_vectors
from fraudit.cli.main import run
from fraudit.report.explorer import explorer, rate_text
from fraudit.report.record import RunRecord
from fraudit.report.render import render
from fraudit.types import AnalysisResult, TemplatePairs, Templates

PEOPLE, EACH = 120, 2


def planted(noise: float, pictures: int, lost: int = 0, same: bool | None = None) -> tuple:
    """(faces with templates of `pictures` pictures, stored vectors): two templates a person, all pairs listed."""
    rng = np.random.default_rng(5)
    centres = rng.normal(size=(PEOPLE, 32))
    people = np.repeat(np.arange(PEOPLE), EACH)
    template = np.repeat(np.arange(len(people)), pictures)
    subjects = people[template]
    vectors = (centres[subjects] + noise * rng.normal(size=(len(subjects), 32))).astype(np.float32)
    left, right = np.triu_indices(len(people), 1)
    listed = TemplatePairs(left, right, people[left] == people[right])
    ids = [f"{i}.jpg" for i in range(len(subjects))]
    templates = Templates(
        tuple(map(str, range(len(people)))),
        people,
        np.arange(len(subjects)),
        template,
        np.arange(len(subjects)),
        listed,
    )
    ok = np.ones(len(subjects), bool)
    ok[:lost] = False
    return replace(faces_of("templates", ids, subjects), templates=templates), StoredVectors(
        "world", vectors, ok
    )


def verified(tmp_path: Path, *made: object) -> AnalysisResult:
    faces, model = made
    record = run_vectors(faces, model, tmp_path / "run", only=("verification",), overwrite=True)  # type: ignore[arg-type]
    result = record.result("verification")
    assert result is not None
    return result


def value(result: AnalysisResult, name: str) -> float | None:
    return next(m.value for m in result.metrics if m.name == name)


def test_more_pictures_a_template_separate_people_better(tmp_path: Path) -> None:
    one, five = (verified(tmp_path / str(k), *planted(2.5, k)) for k in (1, 5))
    name = "verification.tar@far=1e-2"
    assert (value(five, name) or 0) > (value(one, name) or 0) + 0.2
    found = next(m for m in five.metrics if m.name == name)
    assert found.n == PEOPLE  # one genuine pair a person
    assert found.interval is not None
    assert "templates of several pictures" in five.method + " ".join(five.caveats)


def test_pictures_without_a_vector_are_counted_and_a_template_without_any_is_rejected(tmp_path: Path) -> None:
    whole, part = (verified(tmp_path / str(k), *planted(0.3, 3, lost=k)) for k in (0, 3))
    assert value(whole, "verification.tar@far=1e-1") == 1.0
    assert value(part, "verification.fta") == pytest.approx(3 / (PEOPLE * EACH * 3))
    assert value(part, "verification.tar@far=1e-1") == pytest.approx(1 - 1 / PEOPLE)


def test_the_explorer_shows_what_scores_says_of_the_kept_pairs_of_templates(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = 2000  # fewer than are listed: all genuine ones, and impostor ones drawn at random
    monkeypatch.setattr(template_pairs, "MOST_PAIRS", kept)
    folder = tmp_path / "run"
    faces, model = planted(2.0, 3, lost=3)
    run_vectors(faces, model, folder, only=("verification", "identification"))
    found, why = explorer(RunRecord.load(folder), folder / "artifacts")
    assert found is not None, why
    listed = PEOPLE * EACH * (PEOPLE * EACH - 1) // 2
    assert found.pairs.templates
    assert found.pairs.fnmr.n == PEOPLE
    assert found.pairs.drawn_from == listed - PEOPLE
    assert found.pairs.fmr.n <= kept - PEOPLE
    assert found.searches is not None  # at the same thresholds: searches compare templates too
    assert not found.notes
    at = len(found.pairs.thresholds) // 2
    threshold = repr(found.pairs.thresholds[at])
    assert run(["scores", str(folder / template_pairs.FILE), "--threshold", threshold]) == 0
    said = [line for line in capsys.readouterr().out.splitlines() if "at the threshold" in line]
    for rates in (found.pairs.fmr, found.pairs.fnmr):
        value, bounds = rate_text(rates, at)
        assert any(f": {value} (95 % {bounds}" in line for line in said), (value, bounds, said)
    page = render(folder).read_text(encoding="utf-8")
    assert "The model gives every pair of templates a score." in page
    assert "template-scores.csv" in page
    assert 'id="x-gate"' not in page
