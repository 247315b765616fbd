"""Sets with neither identities nor pairs: no threshold, unless it is stated that nobody is shown twice."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fraudit.analyses import bias, directions, inversion
from fraudit.audit.context import AnalysisContext
from fraudit.audit.distinct import require_distinct
from fraudit.audit.execute import exit_code
from fraudit.audit.plan import AuditPlan, plan_from_toml
from fraudit.audit.stored_vectors import StoredVectors, faces_of, run_vectors
from fraudit.cli.main import run
from fraudit.compare.sides import run_side
from fraudit.errors import InsufficientData, UsageError
from fraudit.report.record import RunRecord, normalise
from fraudit.report.render import render
from fraudit.stats.repeats import likely_repeats
from fraudit.types import FaceSet
from tests.fixtures.boxes import identity_faces
from tests.fixtures.contexts import planted_context, vectors_context
from tests.fixtures.derived_run import derived_run
from tests.fixtures.inverters import QUICK, Painter, Planted

PEOPLE, EACH, DIM = 100, 6, 64
REPEATS = PEOPLE * EACH * (EACH - 1) // 2
CHILDREN = 0.1


def _vectors(people: int = PEOPLE, each: int = EACH, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """(f32[N,D], i64[N] who is shown): genuine cosines about 0.77 (sd 0.06), impostor ones 0 (sd 0.125)."""
    rng = np.random.default_rng(seed)
    subjects = np.repeat(np.arange(people), each)
    vectors = rng.normal(size=(people, DIM))[subjects] + rng.normal(0, 0.55, (people * each, DIM))
    return vectors.astype(np.float32), subjects


def _flat(vectors: np.ndarray, distinct: bool = False, **options: Any) -> AnalysisContext:
    return vectors_context(vectors, np.arange(len(vectors)), identified=False, distinct=distinct, **options)


def _groups(n: int) -> dict[str, np.ndarray]:
    return {"gender": np.where(np.arange(n) // EACH % 2, "a", "b")}


def test_where_people_repeat_there_is_no_threshold_unless_it_is_stated_and_then_the_repeats_are_told() -> (
    None
):
    vectors, subjects = _vectors()
    truth = vectors_context(vectors, subjects).threshold(1e-3)
    assert truth.value == pytest.approx(3.09 / np.sqrt(DIM), abs=0.04)
    unknown = _flat(vectors)
    for ask in (lambda: unknown.threshold(1e-3), unknown.calibration):
        with pytest.raises(InsufficientData, match="state it with --distinct"):
            ask()
    assert unknown.threshold_or_reason(1e-3).missing
    assert unknown.repeat_note() == ""
    stated = _flat(vectors, distinct=True)
    wrong = stated.threshold(1e-3)
    assert wrong.value > truth.value + 0.2  # what was given without a word before
    assert "stated, not checked" in wrong.provenance
    found = likely_repeats(stated.embeddings().unit(), stated.embeddings().ok, np.random.default_rng(0))
    assert 0.9 * REPEATS <= found.count <= REPEATS + 2
    assert found.pictures >= 0.98 * len(vectors)
    assert f"But {found.count:,} pairs look like one person shown twice" in stated.repeat_note()


def test_people_who_are_all_others_are_not_taken_for_repeats_though_some_are_alike() -> None:
    by_chance = 0
    for seed in range(20):
        rng = np.random.default_rng(seed)
        vectors = rng.normal(size=(600, DIM))
        vectors[: int(CHILDREN * 600)] += 10 * np.eye(DIM)[0]  # cosines about 0.6 among them, 0 else
        unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
        alone = likely_repeats(unit, np.ones(600, bool), rng).count
        by_chance += alone
        # One who is shown twice among them is seen; a face without a vector is not.
        unit[300] = unit[299] + 0.05 * rng.normal(size=DIM)
        unit[300] /= np.linalg.norm(unit[300])
        unit[599] = 0
        assert likely_repeats(unit, np.arange(600) < 599, rng).count >= 1
    assert by_chance <= 6  # 0.1 a set were measured over 200


def test_the_note_says_that_nobody_seems_to_be_shown_twice() -> None:
    vectors, _ = _vectors(400, 1)
    note = _flat(vectors, distinct=True).repeat_note()
    assert note.startswith(
        "Stated, not checked: every picture shows another person. None of 79,800 pairs looks like"
    )


def test_too_few_pictures_for_the_check_are_said() -> None:
    vectors, _ = _vectors(10, 2)
    assert "20 pictures have a vector, at least 40 are needed" in _flat(vectors, distinct=True).repeat_note()


def test_bias_says_why_not_and_still_gives_failure_to_acquire() -> None:
    vectors, _ = _vectors()
    vectors[::5] = 0
    result = normalise(bias.run(_flat(vectors, attributes=_groups(len(vectors))), bias.Params()))
    found = {(m.name, m.group): m for m in result.metrics}
    assert "--distinct" in str(found["bias.gender.fmr", ""].missing)
    assert "--distinct" in str(found["bias.worst_gap", ""].missing)
    assert found["bias.gender.fta", "a"].value == pytest.approx(0.2, abs=0.01)
    assert [f.severity for f in result.findings] == ["info"]
    assert "--distinct" in result.headline
    stated = bias.run(_flat(vectors, distinct=True, attributes=_groups(len(vectors))), bias.Params(fmr=1e-2))
    assert any(m.name == "bias.gender.fmr" and m.value is not None for m in stated.metrics)
    assert any("look like one person shown twice" in caveat for caveat in stated.caveats)


def test_directions_without_a_threshold_keep_what_needs_none() -> None:
    images, _ = identity_faces(60, 1)
    glow = np.arange(60) % 2
    images = np.clip(images + 60 * glow[:, None, None, None] * (np.arange(112) < 56)[:, None, None], 0, 255)
    results = []
    for distinct in (False, True):
        context = planted_context(
            list(images.astype(np.uint8)),
            np.arange(60),
            attributes={"glow": glow.astype(float)},
            identified=False,
            inverter=Painter(),
            distinct=distinct,
        )
        results.append(
            normalise(directions.run(context, directions.Params(walkers=4, paths=4, frames=3, fmr=1e-2)))
        )
    without, stated = ({m.name: m for m in r.metrics} for r in results)
    assert without.keys() == stated.keys()
    thresholded = {n for n in stated if ".kept" in n or "pictures_kept" in n or ".morph." in n}
    assert len(thresholded) >= 6
    for name, metric in without.items():
        if name in thresholded:
            assert "--distinct" in str(metric.missing)
            assert stated[name].value is not None
        else:
            assert metric.value == stated[name].value
    assert any("Threshold: none" in c for c in results[0].caveats)
    assert any(c.startswith("Stated, not checked") for c in results[1].caveats)
    json.dumps([f.data for f in results[0].figures], allow_nan=False)


def test_an_inversion_without_a_threshold_has_similarity_and_no_success() -> None:
    images, _ = identity_faces(40, 2)
    context = planted_context(list(images), np.arange(80), identified=False, judges=())
    result = normalise(inversion.run(Planted(lambda i, seed: i).learn(context), QUICK))
    found = {m.name: m for m in result.metrics if not m.group}
    for name in (
        "inversion.attack_success",
        "inversion.self.type1@fmr=1e-2",
        "inversion.self.strangers@fmr=1e-2",
    ):
        assert "--distinct" in str(found[name].missing)
    assert (found["inversion.self.similarity"].value or 0) > 0.95
    assert [f.rule for f in result.findings if f.severity in ("high", "medium", "low", "good")] == []
    assert "--distinct" in result.headline
    json.dumps([f.data for f in result.figures], allow_nan=False)


def _faces(n: int) -> FaceSet:
    return faces_of("flat", [f"{i:06d}" for i in range(n)], np.arange(n), _groups(n), identified=False)


def test_a_run_records_the_statement_and_its_evidence_follows_it(tmp_path: Path) -> None:
    vectors, _ = _vectors()
    model = StoredVectors("model", vectors, np.ones(len(vectors), bool))
    params = {"bias": {"fmr": 1e-2}}
    plain = run_vectors(_faces(len(vectors)), model, tmp_path / "plain", only=("bias",), params=params)
    assert exit_code(plain) == 0
    assert plain.plan["distinct"] is False
    assert "distinct" not in plain.inputs["dataset"]
    assert not run_side(tmp_path / "plain").evidence.sums
    stated = run_vectors(
        _faces(len(vectors)), model, tmp_path / "stated", only=("bias",), params=params, distinct=True
    )
    assert stated.plan["distinct"] is True
    assert "look like one person shown twice" in stated.inputs["dataset"]["distinct"]
    assert (
        "Stated, not checked: every picture shows another person" in render(tmp_path / "stated").read_text()
    )
    side = run_side(tmp_path / "stated")
    key = ("bias.gender.fmr", "a")
    assert side.evidence.sums[key].rate == pytest.approx(side.metrics[key].value)
    half = derived_run(tmp_path / "stated", "half", vectors[:, :32], tmp_path / "half")
    assert half.plan["distinct"] is True
    assert half.find("bias.worst_gap") is not None
    # A run of before the option has figures that rest on a statement nobody made: read, but not chosen again.
    older = replace(stated, plan={k: v for k, v in stated.plan.items() if k != "distinct"})
    older.save(tmp_path / "stated")
    assert "distinct" not in RunRecord.load(tmp_path / "stated").plan
    side = run_side(tmp_path / "stated")
    assert side.metrics[key].value is not None
    assert not side.evidence.sums
    assert any("nobody is named" in note for note in side.evidence.notes)


def test_the_option_is_refused_where_the_set_says_who_is_shown() -> None:
    flat = _faces(12)
    require_distinct(True, flat)
    with pytest.raises(UsageError, match="names its people"):
        require_distinct(True, replace(flat, identified=True))
    named = vectors_context(*_vectors(10, 2)).pairs()
    with pytest.raises(UsageError, match="declares its pairs"):
        require_distinct(True, replace(flat, pairs=named))
    assert run(["analyze", "--embedder", "dlib", "--dataset", "sample", "--distinct", "--quiet"]) == 2


def test_the_option_reaches_the_plan_from_the_command_line_a_file_and_back(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["analyze", "--embedder", "dlib", "--dataset", "utkface", "--distinct", "--dry-run"]) == 0
    assert json.loads(capsys.readouterr().out)["distinct"] is True
    file = tmp_path / "plan.toml"
    file.write_text('embedder = "dlib"\ndataset = "utkface"\ndistinct = true\n')
    assert plan_from_toml(file).distinct
    assert plan_from_toml(file).command().endswith("--distinct")
    file.write_text('embedder = "dlib"\n')
    assert not plan_from_toml(file).distinct
    assert "distinct" not in AuditPlan("dlib").command()
