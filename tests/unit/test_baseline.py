"""Baselines: small, checked, and as good as the run they froze."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from fraudit.audit.stored_vectors import StoredVectors, faces_of, run_vectors
from fraudit.cli.main import run
from fraudit.compare import deltas, run_side
from fraudit.compare.baseline import MAX_BYTES, SCORE_STEP, freeze, quantised, read_side, thaw
from fraudit.errors import DataError, InsufficientData, UsageError
from tests.fixtures.derived_run import derived_run
from tests.fixtures.planted import people_vectors


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("runs")
    rng = np.random.default_rng(3)
    true, nuisance, subjects = people_vectors(rng, 90, 4, within=0.45)
    vectors = (true + nuisance).astype(np.float32)
    ok = np.ones(len(vectors), bool)
    ok[5] = False  # a face without a vector: its pairs have no score
    ids = [f"{s:04d}/{i:05d}.png" for i, s in enumerate(subjects)]
    faces = faces_of("planted", ids, subjects, {"gender": np.where(subjects % 2, "woman", "man")})
    params = {"bias": {"by": ("gender",), "fmr": 1e-2}}
    run_vectors(faces, StoredVectors("old", vectors, ok), folder / "old", params=params)
    derived_run(folder / "old", "new", vectors + 0.3 * rng.normal(size=vectors.shape), folder / "new")
    return folder / "old", folder / "new"


def test_a_baseline_gives_the_run_s_differences(pair: tuple[Path, Path]) -> None:
    old, new = run_side(pair[0]), run_side(pair[1])
    frozen = thaw(freeze(old), Path("baseline.json"))
    pairs = list(zip(deltas(old, new), deltas(frozen, new), strict=True))
    assert len(pairs) > 20
    for whole, small in pairs:
        assert (whole.how, whole.value, whole.verdict) == (small.how, small.value, small.verdict), whole.name
        if whole.interval is not None:
            width = whole.interval.high - whole.interval.low
            assert small.interval.low == pytest.approx(whole.interval.low, abs=0.01 * width + 1e-9)
            assert small.interval.high == pytest.approx(whole.interval.high, abs=0.01 * width + 1e-9)


def test_it_is_small_and_names_no_face(pair: tuple[Path, Path]) -> None:
    text = freeze(run_side(pair[0]))
    assert len(text) < MAX_BYTES
    assert "0000/00000.png" not in text
    assert json.loads(text)["schema"] == "fraudit-baseline"


def test_scores_come_back_within_half_a_step_and_none_stays_none() -> None:
    scores = np.array([-1.0, -0.123456, 0.0, np.nan, 0.98765, 1.0])
    codes, low, step = quantised(scores)
    assert step == pytest.approx(SCORE_STEP)
    back = np.where(codes == 0, np.nan, low + (codes.astype(float) - 1) * step)
    assert np.nanmax(np.abs(back - scores)) <= step / 2 * (1 + 1e-9)
    assert np.array_equal(np.isnan(back), np.isnan(scores))


def test_scores_of_any_range_fit() -> None:
    scores = np.array([-350.0, 12.5, 1000.0])
    codes, low, step = quantised(scores)
    assert np.abs(low + (codes.astype(float) - 1) * step - scores).max() <= step / 2 * (1 + 1e-9)


def test_only_what_is_asked_for_is_kept(pair: tuple[Path, Path]) -> None:
    side = thaw(freeze(run_side(pair[0]), ["bias"]), Path("b.json"))
    assert {name.split(".")[0] for name, _ in side.metrics} == {"bias"}
    assert side.evidence.pairs is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{", "expected a run.s folder or a baseline"),
        ("[1]", "foreign file"),
        ('{"schema": "junit"}', "foreign file"),
        ('{"schema": "fraudit-baseline", "schema_version": 99}', "version 99"),
        ('{"schema": "fraudit-baseline", "schema_version": 1}', "damaged"),
    ],
)
def test_what_is_no_baseline_is_refused(tmp_path: Path, text: str, expected: str) -> None:
    path = tmp_path / "baseline.json"
    path.write_text(text)
    with pytest.raises(DataError, match=expected):
        read_side(path)


def test_a_damaged_score_block_is_refused(pair: tuple[Path, Path]) -> None:
    document = json.loads(freeze(run_side(pair[0])))
    document["scores"]["u16"] = document["scores"]["u16"][:40]
    with pytest.raises(DataError, match="damaged"):
        thaw(json.dumps(document), Path("b.json"))


def test_the_commands_freeze_and_gate(pair: tuple[Path, Path], tmp_path: Path, capsys) -> None:
    base, rules, report = tmp_path / "baseline.json", tmp_path / "gate.toml", tmp_path / "junit.xml"
    assert run(["baseline", str(pair[0])]) == 0
    base.write_text(capsys.readouterr().out)
    rules.write_text('[rules]\n"fnmr@fmr=1e-2" = { max_increase = 0.9 }\n')
    gate = ["gate", "--base", str(base), "--rules", str(rules), "--junit", str(report), "--new"]
    assert run([*gate, str(pair[1])]) == 0
    assert "pass  verification.fnmr@fmr=1e-2" in capsys.readouterr().out
    assert report.read_text().count("<testcase") == 1
    rules.write_text('[rules]\n"fnrm@fmr=1e-2" = { max_increase = 0.9 }\n')
    assert run([*gate, str(pair[1])]) == 2
    assert "did you mean 'fnmr@fmr=1e-2'" in capsys.readouterr().err
    assert run(["gate", "--rules", str(rules)]) == 2
    assert run(["gate", "--rules", str(tmp_path / "none.toml"), "--new", str(pair[1])]) == 2
    rules.write_text('[rules]\n"fnmr@fmr=1e-2" = { max_increase = 0.01 }\n')
    assert run(["gate", "--rules", str(rules), "--plan", "--pairs", "3000,3000"]) == 0
    assert "(1,500 judged pairs" in capsys.readouterr().out
    assert run(["gate", "--rules", str(rules), "--plan", "--base", str(base)]) == 0
    assert "people, error rate" in capsys.readouterr().out
    assert run(["gate", "--rules", str(rules), "--plan"]) == 2
    assert run(["gate", "--suggest", str(pair[0])]) == 0
    suggested = capsys.readouterr().out
    assert "none and none" not in suggested
    rules.write_text(suggested)
    assert run([*gate, str(pair[0])]) == 0
    assert run([*gate, str(pair[1])]) == 1  # noise of 0.3: the same face no longer looks the same
    for command in ("gate", "baseline"):
        assert run([command, "--help"]) == 0
        assert f"Example: fraudit {command}" in capsys.readouterr().out


def test_a_rule_that_nothing_would_fail_is_not_suggested(
    pair: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    from fraudit.compare.gate import suggest

    side = run_side(pair[0])
    assert '"accuracy" =' in suggest.suggest_rules(side)
    monkeypatch.setattr(suggest, "detected", lambda ground, limit, damage, draws: None)
    with pytest.raises(UsageError, match="no figure that a rule could rest on"):
        suggest.suggest_rules(side)


def test_a_baseline_knows_the_same_face_without_its_vectors(pair: tuple[Path, Path]) -> None:
    from fraudit.compare.sameness import same_face, same_model

    old, new = run_side(pair[0]), run_side(pair[1])
    frozen = thaw(freeze(old), Path("baseline.json"))
    assert frozen.evidence.vectors is None
    exact, sketched = (same_face(side.evidence, new.evidence) for side in (old, frozen))
    mean = exact.figure("mean")[0]
    assert 0.9 < mean < 0.99
    assert sketched.figure("mean")[0] == pytest.approx(mean, abs=0.01)
    for which in ("median", "p1", "min"):
        assert exact.figure(which)[0] <= 1
        with pytest.raises(InsufficientData, match="mean alone"):
            sketched.figure(which)
    assert same_model(frozen, old)
    assert not same_model(frozen, new)


def test_a_baseline_holds_points_that_the_run_did_not_print_and_who_shares_pairs(
    pair: tuple[Path, Path],
) -> None:
    old = run_side(pair[0])
    frozen = thaw(freeze(old), Path("baseline.json"))
    key = ("verification.fnmr@fmr=1e-1", "")
    assert key not in old.metrics
    assert len(frozen.evidence.events[key].events) == frozen.metrics[key].n
    kept, whole = frozen.evidence.pairs, old.evidence.pairs
    assert np.array_equal(kept.same, whole.same)
    for mine, theirs in zip(kept.people()[:2], whole.people()[:2], strict=True):
        assert np.array_equal(mine, theirs)
