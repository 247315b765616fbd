"""Verification of a set whose own pairs are of templates, through the real context over stored vectors."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from fraudit.audit import template_pairs
from fraudit.audit.stored_vectors import StoredVectors, faces_of, run_vectors
from fraudit.cli.main import run
from fraudit.compare.deltas import Pairing
from fraudit.compare.sides import run_side
from fraudit.report.explorer import explorer, rate_text
from fraudit.report.record import RunRecord
from fraudit.report.render import render
from fraudit.scores import read_scores
from fraudit.stats.operating import tar_difference
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


def shared_error(share: float, name: str) -> tuple:
    """Templates of four pictures whose noise is alike within a template by `share`: alone each is as good as ever."""
    faces, model = planted(2.0, 4)
    rng, templates = np.random.default_rng(9), faces.templates
    shape = model.vectors.shape
    own, common = rng.normal(size=shape), rng.normal(size=(len(templates), shape[1]))[templates.template]
    noise = 2.0 * (np.sqrt(1 - share) * own + np.sqrt(share) * common)
    centres = np.random.default_rng(5).normal(size=(PEOPLE, 32))[faces.subjects]
    return faces, StoredVectors(name, (centres + noise).astype(np.float32), model.ok)


def test_the_gate_judges_templates_by_the_pairs_of_templates(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, share in (("old", 0.0), ("new", 0.9)):
        run_vectors(*shared_error(share, name), tmp_path / name, only=("verification",))
    old, new = (run_side(tmp_path / name) for name in ("old", "new"))
    key = ("verification.tar@far=1e-2", "")
    found = Pairing(old.evidence, new.evidence).difference(key)
    assert found is not None
    pairs = [read_scores(tmp_path / name / template_pairs.FILE, "pairs-csv") for name in ("old", "new")]
    left, right, _ = pairs[0].people()
    wanted = tar_difference(pairs[0].score, pairs[1].score, pairs[0].same, left, right, 1e-2)
    assert found.interval == wanted.interval
    assert found.value == pytest.approx(
        new.metrics[key].value - old.metrics[key].value
    )  # what the record says
    assert found.value < -0.2
    singles = [read_scores(tmp_path / name / "scores.csv", "pairs-csv") for name in ("old", "new")]
    left, right, _ = singles[0].people()
    alone = tar_difference(singles[0].score, singles[1].score, singles[0].same, left, right, 1e-2)
    assert alone.value > found.interval.high  # single pictures would have told another story

    sides = [
        "--base",
        str(tmp_path / "old"),
        "--new",
        str(tmp_path / "new"),
        "--rules",
        str(tmp_path / "r.toml"),
    ]
    (tmp_path / "r.toml").write_text('[rules]\n"tar@far=1e-2" = { max_decrease = 0.1 }\n')
    assert run(["gate", *sides]) == 1
    assert "note: verification compares templates of several pictures" in capsys.readouterr().out
    (tmp_path / "r.toml").write_text('[rules]\n"fnmr@fmr=1e-2" = { max_increase = 0.1 }\n')
    assert run(["gate", *sides]) == 2
    assert (
        "the run compares templates, which have no rate at a threshold of other people"
        in capsys.readouterr().err
    )


def test_a_policy_is_not_held_to_templates(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Its thresholds are of single pictures, and templates of several score higher: in one line, rules file or not."""
    faces, model = planted(1.5, 3)
    folder, single, policy = (tmp_path / name for name in ("templates", "single", "policy.json"))
    run_vectors(faces, model, folder, only=("verification",))
    run_vectors(replace(faces, templates=None), model, single, only=("verification",))
    assert run(["threshold", "--run", str(folder), "--fmr", "0.05", "--out", str(policy)]) == 0
    assert (
        "these thresholds are of pairs of single pictures and do not hold for templates"
        in capsys.readouterr().out
    )
    (tmp_path / "gate.toml").write_text('[rules]\npolicy = "policy.json"\n"tar@far=1e-2" = { min = 0.1 }\n')
    for words in (["--rules", str(tmp_path / "gate.toml")], ["--policy", str(policy)]):
        assert run(["gate", *words, "--new", str(folder)]) == 2
        error = capsys.readouterr().err.strip()
        assert "compares templates of several pictures; a policy's thresholds are of pairs of single" in error
        assert len(error.splitlines()) <= 2
        assert run(["gate", *words, "--new", str(single)]) in (0, 3)
        capsys.readouterr()
